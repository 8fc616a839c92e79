"""History where a tensor is overwritten with random numbers or truth values, or takes another shape."""

from __future__ import annotations

from pullback.composites.elementwise_more import _copy, in_place_form
from pullback.composites.shape import wrap
from pullback.primitives.family import composite, view
from pullback.primitives.registry import ANY, camel, methods, ops
from pullback.trace.tracer import functions as f

# ---- random numbers: the old value's gradient is zero ----

_DRAWS = {
    "normal": 0,
    "uniform": 0,
    "exponential": 0,
    "cauchy": 0,
    "geometric": 0,
    "log_normal": 0,
    "bernoulli": 2,
    "random_between": 0,
    "random_below": 1,
    "random": 2,
}
for _name, _number in _DRAWS.items():
    composite(
        f"{_name}(Tensor input, Tensor noise)",
        lambda x, noise: _copy(x, noise, None),
        name=f"{_name}_drawn",
        node=f"{camel(_name.split('_b')[0])}Backward{_number}!",
        expose_as="-",
        dtypes=ANY,
    )
    in_place_form(f"_{_name}_drawn", ops[f"{_name}_drawn"])
composite(
    "bernoulli(Tensor input, Tensor p, Tensor noise)",
    lambda x, p, noise: _copy(x, noise, None),
    name="bernoulli_tensor_drawn",
    node="BernoulliBackward1!",
    expose_as="-",
    dtypes=ANY,
)
in_place_form("_bernoulli_tensor_drawn", ops["bernoulli_tensor_drawn"])

# ---- truth values, as numbers of the tensor's type: constant wherever they do not jump ----

_QUESTIONS = {
    "Tensor input": ("logical_not",),
    "Tensor input, Tensor other": ("logical_and", "logical_or", "logical_xor"),
    "Tensor input, Operand other": ("eq", "ne", "lt", "le", "gt", "ge"),
}
for _parameters, _names in _QUESTIONS.items():
    for _name in _names:
        composite(
            f"{_name}({_parameters})",
            lambda x, *other, _name=_name: f["_cast"](f[_name](x, *other), x.dtype),
            name=f"{_name}_in_place",
            node=f"{camel(_name)}Backward{int('Operand' in _parameters)}!",
            number_node=f"{camel(_name)}Backward0" if "Operand" in _parameters else "",
            expose_as="-",
            dtypes=ANY,
        )
        in_place_form(_name, ops[f"{_name}_in_place"], function=False)

# ---- another shape: the tensor becomes a view of itself, under nodes of other names ----

for _kind, _number in (("all", 3), ("several", 5)):
    view(
        "squeeze(Tensor input, int[] dim)",
        lambda g, x, dim: f["reshape"](g, x.shape),
        name=f"squeeze_{_kind}_in_place",
        node=f"SqueezeBackward{_number}!",
        expose_as=f"_squeeze_{_kind}_in_place",
    )
view(
    "unsqueeze(Tensor input, int dim)",
    lambda g, x, dim: f["reshape"](g, x.shape),
    name="unsqueeze_in_place",
    node="UnsqueezeBackward1!",
    expose_as="_unsqueeze_in_place",
)
view(
    "transpose(Tensor input, int dim0, int dim1)",
    lambda g, x, a, b: f["transpose"](g, a, b),
    name="transpose_in_place",
    node="TransposeBackward1!",
    expose_as="_transpose_in_place",
)
composite(
    "t(Tensor input)",
    lambda x: f["transpose"](x, 0, 1) if x.ndim == 2 else f["_alias"](x),
    name="t_in_place",
    node="TBackward1!",
    expose_as="_t_in_place",
    dtypes=ANY,
)


def squeeze_(self, dim=None):
    """In-place form of squeeze()."""
    several = isinstance(dim, (tuple, list))
    if dim is None:
        kind, dims = "_squeeze_all_in_place", range(self.dim())
    else:
        kind = "_squeeze_several_in_place" if several else "_squeeze_in_place"
        dims = [wrap(d, self.dim()) for d in (dim if several else (dim,))]
    return self._become_view(f[kind](self, [d for d in dims if self.dim() and self.size(d) == 1]))


def unsqueeze_(self, dim):
    """In-place form of unsqueeze()."""
    return self._become_view(f["_unsqueeze_in_place"](self, dim))


def transpose_(self, dim0, dim1):
    """In-place form of transpose()."""
    return self._become_view(f["_transpose_in_place"](self, dim0, dim1))


def t_(self):
    """In-place form of t()."""
    if self.dim() > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.dim()}D")
    return self._become_view(f["_t_in_place"](self))


for _g in (squeeze_, unsqueeze_, transpose_, t_):
    methods[_g.__name__] = _g
methods["swapaxes_"] = methods["swapdims_"] = transpose_
