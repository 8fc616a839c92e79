"""Attention of several heads as a layer."""

from __future__ import annotations

from pullback import _api as torch
from pullback.nn import functional as F
from pullback.nn import init
from pullback.nn.layers.linear import Linear
from pullback.nn.module import Module
from pullback.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """Linear under the name that torch prints for the last layer of MultiheadAttention."""


class MultiheadAttention(Module):
    """Attention of several heads (Vaswani et al., NeurIPS 2017).

    Shapes    query (L, N, E), key (S, N, K), value (S, N, V)  ->  (L, N, E), weights (N, L, S) or None;
              batch_first: (N, L, E) and so on; without N for one sequence
    Weights   torch's draws for the same seed
    Errors    ValueError and AssertionError for sizes that do not fit; those of
              functional.multi_head_attention_forward
    Example   >>> import pullback as torch
              >>> layer = torch.nn.MultiheadAttention(4, 2, batch_first=True)
              >>> out, weights = layer(torch.ones(1, 3, 4), torch.ones(1, 5, 4), torch.ones(1, 5, 4))
              >>> out.shape, weights.shape
              (torch.Size([1, 3, 4]), torch.Size([1, 3, 5]))
    """

    __constants__ = ["batch_first"]

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        assert self.head_dim * num_heads == embed_dim, "embed_dim must be divisible by num_heads"
        self._make_projections(options)
        if bias:
            self.in_proj_bias = Parameter(torch.empty(3 * embed_dim, **options))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **options)
        self.bias_k = Parameter(torch.empty((1, 1, embed_dim), **options)) if add_bias_kv else None
        self.bias_v = Parameter(torch.empty((1, 1, embed_dim), **options)) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _make_projections(self, options):
        n = self.embed_dim
        together = self._qkv_same_embed_dim
        sizes = {"q_proj_weight": n, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        if together:
            self.in_proj_weight = Parameter(torch.empty((3 * n, n), **options))
        for name, size in sizes.items():
            self.register_parameter(name, None if together else Parameter(torch.empty((n, size), **options)))
        if not together:
            self.register_parameter("in_proj_weight", None)

    def _reset_parameters(self):
        names = ("in_proj_weight",)
        if not self._qkv_same_embed_dim:
            names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        for name in names:
            init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        swapped = self.batch_first and query.dim() == 3
        if swapped:  # equal inputs stay equal: that decides how they are projected
            same = query is key, key is value
            query = query.transpose(1, 0)
            key = query if same[0] else key.transpose(1, 0)
            value = key if same[1] else value.transpose(1, 0)
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(1, 0) if swapped else out), weights
