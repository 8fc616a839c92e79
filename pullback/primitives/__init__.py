"""The heart: one declaration per primitive, in families that derive vjp, jvp and vmap."""
