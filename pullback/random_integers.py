"""Random whole numbers, and random orders."""

from __future__ import annotations

from pullback import _core
from pullback.arguments import device_of, dtype_of, integer, out_dtype, randint_bounds, sizes_of
from pullback.creation import empty_like
from pullback.random import _drawn, _filled

Tensor = _core.Tensor


def _permute(memory, native):
    """A random order in each row."""
    if memory.dim() == 1:
        _core.fill_randperm(memory, native)
        return
    for row in memory.reshape(-1, memory.shape[-1]) if memory.numel() else ():
        _core.fill_randperm(row, native)


def _kind(name, dtype, out):
    """The dtype of whole numbers, which may be drawn as floats too."""
    return dtype_of(name, dtype, _core.int64) if out is None else out_dtype(name, dtype, out)


def randint(
    *args,
    low=None,
    high=None,
    size=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Integers in [low, high).

    Shapes    size -> (*size)
    Errors    RuntimeError where low is not below high
    Example   >>> import pullback as torch
              >>> _ = torch.manual_seed(0)
              >>> torch.randint(10, (5,))
              tensor([4, 9, 3, 0, 3])
    """
    device_of("randint", device, layout, pin_memory)
    plain = tuple(map(type, args)) == (int, int, tuple) and low is None and high is None and size is None
    low, high, size, position = (*args, 3) if plain else randint_bounds(args, low, high, size)
    kind = _kind("randint", dtype, out)
    t = _core.new_tensor((size,), kind, None)
    if t is None:
        t = _core.empty(sizes_of((tuple(size),), "randint", position=position), kind)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _filled(
        "randint", t, _core.fill_randint, generator, low, high, out=out, requires_grad=requires_grad
    )


def randint_like(input, *bounds, low=0, high=None, dtype=None, memory_format=None, **options):
    """Integers in [low, high), in the shape of another tensor, laid out as it is.

    Shapes    input (*) -> (*)
    Errors    RuntimeError where low is not below high
    Example   >>> torch.randint_like(torch.ones(2, 3), 10).shape
              torch.Size([2, 3])
    """
    if "out" in options:
        raise TypeError("randint_like() got an unexpected keyword argument 'out'")
    low, high = (low, bounds[0]) if len(bounds) == 1 else bounds or (low, high)
    if isinstance(high, Tensor):
        if high.dim():
            raise RuntimeError("high must be a scalar tensor and on CPU\nGive an int.")
        high = int(high.item())
    dtype = dtype or input.dtype
    t = empty_like(input.detach(), dtype=dtype, memory_format=memory_format)
    if not options and type(low) is int and type(high) is int and low < high and t.is_contiguous():
        return _drawn(t, _core.fill_randint, None, low, high)
    drawn = randint(low, high, (t.numel(),), dtype=dtype, **{**options, "requires_grad": False})
    # The elements are drawn in the order in which they lie in memory.
    order = sorted(range(t.dim()), key=lambda d: -t.stride(d))
    t.permute(order)._take_elements(drawn.view([t.size(d) for d in order]))
    return t.requires_grad_() if options.get("requires_grad") else t


def randperm(
    n,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """A random order of 0 .. n-1.

    Shapes    -> (n)
    Errors    RuntimeError for a negative n, or one that the type does not hold
    Example   >>> import pullback as torch
              >>> sorted(torch.randperm(4).tolist())
              [0, 1, 2, 3]
    """
    device_of("randperm", device, layout, pin_memory)
    kind = _kind("randperm", dtype, out)
    if kind is _core.bool:
        raise NotImplementedError("\"randperm\" not implemented for 'Bool'\nGive another dtype.")
    t = _core.empty([integer("randperm", "n", 1, n)], kind)
    return _filled("randperm", t, _permute, generator, out=out, requires_grad=requires_grad)
