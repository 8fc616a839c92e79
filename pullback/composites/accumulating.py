"""Products added to a tensor in place, and in-place forms of functions that are put together from ops."""

from __future__ import annotations

from pullback import _core
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.linalg import _check_addmv, _check_addr
from pullback.primitives.registry import in_place_form, methods, public
from pullback.trace.tracer import functions as f


def _method(function):
    methods[function.__name__] = function
    return function


for _name in ("addmm", "addmv", "addbmm", "baddbmm", "addr"):
    for _form in (f"_{_name}_bias", f"_{_name}_scaled"):
        in_place_form(_form, *f[_form].declarations)


def _add(name, self, a, b, beta, alpha):
    if beta == 1 and alpha == 1:
        return f[f"_{name}_bias_"](self, a, b)
    return f[f"_{name}_scaled_"](self, a, b, beta, alpha, beta == 0)


def _check_size(self, *sizes):
    if list(self.shape) != list(sizes):
        raise RuntimeError(
            f"Bad in-place call: input tensor size {list(self.shape)} and output tensor size {list(sizes)} "
            "should match\nThe form without the underscore broadcasts its first argument."
        )


@_method
def addmm_(self, mat1, mat2, *, beta=1, alpha=1):
    """In-place form of addmm().

    Shapes    (n, m), mat1 (n, k), mat2 (k, m) -> itself
    Gradient  as of addmm
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.ones(1, 1).addmm_(torch.ones(1, 2), torch.ones(2, 1))
              tensor([[3.]])
    """
    if mat1.dim() == mat2.dim() == 2 and tuple(self.shape) != (mat1.size(0), mat2.size(1)):
        # The op refuses a leaf, types and sizes that do not fit each other before that of self.
        fit = mat1.size(1) == mat2.size(0) and self.dtype == mat1.dtype == mat2.dtype
        if fit and (self.grad_fn or not self.requires_grad):
            _check_size(self, mat1.size(0), mat2.size(1))
    return _add("addmm", self, mat1, mat2, beta, alpha)


@_method
def addmv_(self, mat, vec, *, beta=1, alpha=1):
    """In-place form of addmv().

    Shapes    (n), mat (n, k), vec (k) -> itself
    Gradient  as of addmv
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.ones(1).addmv_(torch.ones(1, 2), torch.ones(2))
              tensor([3.])
    """
    _check_addmv(self, mat, vec, beta, alpha)
    return _add("addmv", self, mat, vec, beta, alpha)


@_method
def addbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """In-place form of addbmm().

    Shapes    (n, m), batch1 (b, n, k), batch2 (b, k, m) -> itself
    Gradient  as of addbmm
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.ones(1, 1).addbmm_(torch.ones(3, 1, 2), torch.ones(3, 2, 1))
              tensor([[7.]])
    """
    if batch1.dim() == batch2.dim() == 3:
        _check_size(self, batch1.size(1), batch2.size(2))
    return _add("addbmm", self, batch1, batch2, beta, alpha)


@_method
def baddbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """In-place form of baddbmm().

    Shapes    (b, n, m), batch1 (b, n, k), batch2 (b, k, m) -> itself
    Gradient  as of baddbmm
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.ones(1, 1, 1).baddbmm_(torch.ones(1, 1, 2), torch.ones(1, 2, 1))
              tensor([[[3.]]])
    """
    if batch1.dim() == batch2.dim() == 3:
        _check_size(self, batch1.size(0), batch1.size(1), batch2.size(2))
    return _add("baddbmm", self, batch1, batch2, beta, alpha)


@_method
def addr_(self, vec1, vec2, *, beta=1, alpha=1):
    """In-place form of addr().

    Shapes    (n, m), vec1 (n), vec2 (m) -> itself
    Gradient  as of addr
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.ones(1, 2).addr_(torch.ones(1), torch.tensor([1.0, 2.0]))
              tensor([[2., 3.]])
    """
    _check_addr(self, vec1, vec2, beta, alpha)
    if list(self.shape) != [vec1.size(0), vec2.size(0)]:
        raise RuntimeError(
            f"size mismatch, input: {list(self.shape)}, v1: {list(vec1.shape)}, v2: {list(vec2.shape)}\n"
            "The form without the underscore broadcasts its first argument."
        )
    return _add("addr", self, vec1, vec2, beta, alpha)


@_method
def float_power_(self, exponent):
    """In-place form of float_power(): of float64 tensors only.

    Shapes    (*a), exponent (*b), which broadcasts to it -> itself
    Gradient  as of pow
    Errors    RuntimeError for another type than float64
    Example   >>> torch.tensor([2.0, 3.0], dtype=torch.float64).float_power_(2)
              tensor([4., 9.], dtype=torch.float64)
    """
    if self.dtype is not _core.float64:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {scalar_name(self.dtype)} but the operation's result "
            "requires dtype Double\nUse pow_(), or float_power()."
        )
    return f["pow_"](
        self, exponent.to(_core.float64) if isinstance(exponent, _core.Tensor) else float(exponent)
    )


@_method
def ldexp_(self, other):
    """In-place form of ldexp().

    Shapes    (*a), other (*b), which broadcasts to it -> itself
    Gradient  as of ldexp
    Errors    RuntimeError for types that are no floats
    Example   >>> torch.tensor([1.0, 3.0]).ldexp_(torch.tensor([3, 1]))
              tensor([8., 6.])
    """
    if not self.dtype.is_floating_point:
        raise RuntimeError(
            f"ldexp can't be cast to the desired output type {scalar_name(self.dtype)}\n"
            "Use ldexp(), which gives floats."
        )
    other = other if isinstance(other, _core.Tensor) else f["_full_like"](self, other)
    return f["mul_"](self, f["pow"](2.0, other))


public["ldexp_"] = ldexp_
