"""History where a tensor is overwritten with random numbers or truth values."""

from __future__ import annotations

from pullback import _core
from pullback.composites.elementwise_more import _copy
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, camel, in_place_form, methods, ops
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

# Draws that are a tensor of their own. Their gradient by what they were drawn with is zero too.
for _name, _parameters, _node in (
    ("normal_of_means", "Tensor mean", "NormalBackward1!"),
    ("normal_of_stds", "Tensor std", "NormalBackward2!"),
    ("normal_of_both", "Tensor mean, Tensor std", "NormalBackward3!"),
    ("bernoulli_of", "Tensor input", "BernoulliBackward0!"),
):
    composite(
        f"{_name}({_parameters}, Tensor noise)",
        lambda *given: f["_clone"](given[-1]),
        node=_node,
        expose_as=f"_{_name}",
    )

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


def _without_gradient_of_other(name):
    native = f[name + "_"]

    def method(self, other):
        # The answer has no derivative by the other operand, and torch records none.
        if isinstance(other, _core.Tensor) and other.requires_grad:
            other = other.detach()
        return native(self, other)

    method.__name__ = name + "_"
    method.declarations = native.declarations
    method.__doc__ = f"""In-place form of {name}(): ones and zeros of the tensor's type.

    Shapes    (*a), other (*b), which broadcasts to it -> itself
    Gradient  0 for the old value; other gets none
    Example   >>> torch.tensor([2.0, 0.0]).{name}_(torch.tensor([0.0, 0.0]))
              tensor([{float(name != "logical_and"):.0f}., 0.])
    """
    return method


for _name in _QUESTIONS["Tensor input, Tensor other"]:
    methods[_name + "_"] = _without_gradient_of_other(_name)
