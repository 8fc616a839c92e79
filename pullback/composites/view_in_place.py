"""Views that a tensor becomes itself: transpose_(), unsqueeze_() and their like."""

from __future__ import annotations

from pullback import _core
from pullback.primitives.family import view
from pullback.primitives.registry import ANY, methods, ops
from pullback.trace.tracer import functions as f

view(
    "transpose(Tensor input, int dim0, int dim1)",
    lambda g, x, a, b: f["transpose"](g, a, b),
    name="transpose_in_place",
    expose_as="_transpose_in_place",
    node="TransposeBackward1!",
    dtypes=ANY,
)
view(
    "transpose(Tensor input, int dim0, int dim1)",
    lambda g, x, a, b: f["transpose"](g, a, b),
    name="t_in_place",
    expose_as="_t_in_place",
    node="TBackward1!",
    dtypes=ANY,
)
view(
    "unsqueeze(Tensor input, int dim)",
    lambda g, x, dim: f["_squeeze"](g, (dim if dim >= 0 else dim + x.ndim + 1,)),
    name="unsqueeze_in_place",
    expose_as="_unsqueeze_in_place",
    node="UnsqueezeBackward1!",
    dtypes=ANY,
)
for _kind, _number in (("all", 3), ("several", 5)):
    view(
        "squeeze(Tensor input, int[] dim)",
        lambda g, x, dim: f["reshape"](g, x.shape),
        name=f"squeeze_{_kind}_in_place",
        expose_as=f"_squeeze_{_kind}_in_place",
        node=f"SqueezeBackward{_number}!",
        dtypes=ANY,
    )


view(
    "as_strided_of_base(Tensor input, size[] size, size[] stride, size offset, size[] base_stride=[])",
    ops["as_strided_of_base"].transpose,
    name="as_strided_in_place",
    expose_as="_as_strided_in_place",
    node="AsStridedBackward1!",
    dtypes=ANY,
)


def _method(function):
    methods[function.__name__] = function
    return function


@_method
def transpose_(self, dim0, dim1):
    """In-place form of transpose(): the tensor itself has the axes swapped.

    Shapes    (a, b) -> (b, a)
    Gradient  g with the axes swapped back
    Example   >>> torch.tensor([[1.0, 2.0]]).transpose_(0, 1)
              tensor([[1.],
                      [2.]])
    """
    return self._become(f["_transpose_in_place"](self, dim0, dim1))


@_method
def t_(self):
    """In-place form of t(): the matrix itself is transposed.

    Shapes    (n, m) -> (m, n)
    Gradient  g transposed
    Example   >>> torch.tensor([[1.0, 2.0]]).t_()
              tensor([[1.],
                      [2.]])
    """
    if self.dim() > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.dim()}D")
    last = self.dim() - 1
    return self._become(f["_t_in_place"](self, 0, last) if last > 0 else f["_alias"](self))


@_method
def unsqueeze_(self, dim):
    """In-place form of unsqueeze(): the tensor itself has the new axis of size 1.

    Shapes    (n) -> (1, n) for dim=0
    Gradient  g without the axis
    Example   >>> torch.ones(2).unsqueeze_(0)
              tensor([[1., 1.]])
    """
    return self._become(f["_unsqueeze_in_place"](self, dim))


@_method
def squeeze_(self, dim=None, *more):
    """In-place form of squeeze(): the tensor itself loses its axes of size 1.

    Shapes    (a, 1) -> (a)
    Gradient  g with the axes put back
    Example   >>> torch.ones(2, 1).squeeze_()
              tensor([1., 1.])
    """
    if dim is None:
        return self._become(f["_squeeze_all_in_place"](self, _core.axes_of_one(self, None)))
    if more:
        dim = (dim, *more)
    squeezed = f["_squeeze_several_in_place" if isinstance(dim, (tuple, list)) else "_squeeze_in_place"]
    return self._become(squeezed(self, _core.axes_of_one(self, dim)))


@_method
def as_strided_(self, size, stride, storage_offset=None):
    """In-place form of as_strided().

    Shapes    (*), size, stride -> itself with these
    Gradient  g is added where the elements came from
    Example   >>> torch.arange(6.0).as_strided_((2, 2), (3, 1))
              tensor([[0., 1.],
                      [3., 4.]])
    """
    if storage_offset is None:
        storage_offset = self.storage_offset()
    view = self.as_strided(size, stride, storage_offset)  # checks the bounds
    offset = view.storage_offset() - self.storage_offset()
    return self._become(f["_as_strided_in_place"](self, tuple(size), tuple(stride), offset, self.stride()))


methods["swapaxes_"] = methods["swapdims_"] = transpose_
