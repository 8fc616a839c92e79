"""Ops written in terms of primitives, and differentiated through."""
