"""Random numbers: torch's stream for the same seed."""

from __future__ import annotations

import math
import warnings

from pullback import _core
from pullback.arguments import (
    finish,
    real,
    resizable,
    sized,
)
from pullback.creation import empty, empty_like
from pullback.generator import (  # noqa: F401 (all of torch.random is found here)
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from pullback.numeric_limits import finfo
from pullback.results import warn_of_shape
from pullback.trace.tracer import functions as f

Tensor = _core.Tensor


before_use: list = []  # called before each draw: vmap has a say in it


def _own_numbers(shape, dtype):
    """(What a program sees, the memory of all samples behind it) where samples draw numbers apart; None
    elsewhere. Replaced by vmap."""
    return None


def _check_allowed():
    """To be called before numbers are drawn: vmap may forbid it."""
    for check in before_use:
        check()


def _of(generator):
    _check_allowed()
    if generator is None:
        return default_generator._native
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    return generator._native


def _filled(name, t, fill, generator, *args, out=None, requires_grad=False):
    if not t.dtype.is_floating_point and fill in (_core.fill_uniform, _core.fill_normal):
        kernel = "check_uniform_bounds" if fill is _core.fill_uniform else "normal_kernel_cpu"
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{t.dtype._legacy.removesuffix('Tensor')}'"
        )
    return finish(_drawn(_laid_out_as(out, t), fill, generator, *args), out, requires_grad, name)


def _laid_out_as(out, t):
    """The new tensor, or one that lies as `out` does: numbers are drawn in the order of the memory."""
    if out is None or out.dtype != t.dtype or out.shape != t.shape or not out.is_non_overlapping_and_dense():
        return t
    return empty_like(out.detach())


def _drawn(t, fill, generator, *args):
    """A new tensor, filled: inside vmap with numbers for each sample, if they are to differ, in one go."""
    native = _of(generator)
    seen, memory = _own_numbers(t.shape, t.dtype) or (t, t)
    fill(memory, native, *args)
    return seen


def rand(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Uniform in [0, 1).

    Shapes    *size, or one tuple of them -> (*size)
    Errors    NotImplementedError for types that are no floats
    Example   >>> import pullback as torch
              >>> _ = torch.manual_seed(0)
              >>> torch.rand(2)
              tensor([0.4963, 0.7682])
    """
    t = sized("rand", size, named, dtype, (device, layout, pin_memory), out)
    return _filled("rand", t, _core.fill_uniform, generator, 0.0, 1.0, out=out, requires_grad=requires_grad)


def randn(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Standard normal.

    Shapes    *size, or one tuple of them -> (*size)
    Errors    NotImplementedError for types that are no floats
    Example   >>> import pullback as torch
              >>> _ = torch.manual_seed(0)
              >>> torch.randn(2)
              tensor([ 1.5410, -0.2934])
    """
    t = sized("randn", size, named, dtype, (device, layout, pin_memory), out)
    return _filled(
        "randn", t, _core.fill_normal, generator, 0.0, 1.0, out=resizable(out), requires_grad=requires_grad
    )


def rand_like(
    input,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    memory_format=None,
):
    """Uniform in [0, 1), in the shape of another tensor.

    Shapes    input (*) -> (*)
    Example   >>> import pullback as torch
              >>> torch.rand_like(torch.ones(2, 3)).shape
              torch.Size([2, 3])
    """
    place = {"layout": layout, "device": device, "pin_memory": pin_memory}
    t = empty_like(input, dtype=dtype, memory_format=memory_format, **place)
    return _filled("rand_like", t, _core.fill_uniform, generator, 0.0, 1.0, requires_grad=requires_grad)


def randn_like(
    input,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    memory_format=None,
):
    """Standard normal, in the shape of another tensor.

    Shapes    input (*) -> (*)
    Example   >>> import pullback as torch
              >>> torch.randn_like(torch.ones(2, 3)).shape
              torch.Size([2, 3])
    """
    place = {"layout": layout, "device": device, "pin_memory": pin_memory}
    t = empty_like(input, dtype=dtype, memory_format=memory_format, **place)
    return _filled("randn_like", t, _core.fill_normal, generator, 0.0, 1.0, requires_grad=requires_grad)


def _check_std(std):
    if isinstance(std, Tensor):
        if std.numel() and bool((std < 0).any()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif not std >= 0:  # also for nan
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


def _as_drawn_into(out, shape, mean, std):
    """The shape of numbers for `out`, which torch fills first: with its own shape if the std is a number."""
    if not out.dtype.is_floating_point:
        kind = out.dtype._legacy.removesuffix("Tensor")
        raise NotImplementedError(f"\"normal_kernel_cpu\" not implemented for '{kind}'\nGive floats.")
    if not isinstance(std, Tensor):
        shape = f["add"](mean.detach(), out.detach()).shape
    if out.numel() and tuple(out.shape) != tuple(shape):
        warn_of_shape(out.shape, shape)
    return shape


def normal(
    mean=0.0,
    std=1.0,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Normal with given means and standard deviations (numbers or tensors).

    Shapes    mean, std -> broadcast(mean, std), or (*size) for two numbers
    Gradient  zero, for the means and for the standard deviations
    Errors    RuntimeError for a negative std
    Example   >>> import pullback as torch
              >>> torch.normal(torch.zeros(2), 1.0).shape
              torch.Size([2])
    """
    _check_std(std)
    if size is not None:
        t = sized("normal", (tuple(size),), {}, dtype, (device, layout, pin_memory), out)
        return _filled(
            "normal",
            t,
            _core.fill_normal,
            generator,
            float(mean),
            float(std),
            out=out,
            requires_grad=requires_grad,
        )
    like = [x.detach() for x in (mean, std) if isinstance(x, Tensor)]
    if not like or any(x not in (None, False) for x in (dtype, layout, device, requires_grad, pin_memory)):
        raise TypeError("normal(): give sizes, which such options are for")
    shape = like[0].shape if len(like) == 1 else (like[0] + like[1]).shape
    if out is not None:
        shape = _as_drawn_into(out, shape, mean, std)
    t = _drawn(_laid_out_as(out, empty(shape, dtype=like[0].dtype)), _core.fill_normal, generator, 0.0, 1.0)
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    mean = mean.detach() if isinstance(mean, Tensor) else float(mean)
    std, of_means = (std.detach(), False) if isinstance(std, Tensor) else (float(std), True)
    t = t * std + mean
    if _keeps_history(*given):
        name = "_normal_of_both" if len(given) == 2 else "_normal_of_means" if of_means else "_normal_of_stds"
        t = f[name](*given, t)
    return finish(t, out, False, "normal", "")


def bernoulli(input, p=None, *, generator=None, out=None):
    """Ones with the probabilities in `input` (or p everywhere).

    Shapes    input (*) -> (*)
    Gradient  zero
    Errors    RuntimeError for probabilities outside [0, 1]
    Example   >>> import pullback as torch
              >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
              tensor([0., 1.])
    """
    if p is not None and out is not None:
        raise TypeError("bernoulli(): one probability for all takes no out")
    if isinstance(p, Tensor):
        p = real("bernoulli", "p", 2, p)
    if p is None and not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"bernoulli_tensor_cpu_p_\" not implemented for '{input.dtype._legacy.removesuffix('Tensor')}'"
        )
    t = _laid_out_as(out, _core.empty(list(input.shape), input.dtype))
    if p is None and t.is_contiguous() and not _has_samples(input):
        chances = _checked_probabilities(input, False).contiguous()
        _core.fill_bernoulli_tensor(t, _of(generator), chances)
    else:
        bernoulli_(t, input.detach() if p is None else p, generator=generator)
    return finish(f["_bernoulli_of"](input, t) if _keeps_history(input) else t, out, False, "bernoulli", "")


def _checked_probabilities(p, samples):
    p = p.detach()
    outside = ((p < 0) | (p > 1)).any() if samples else not _core.are_probabilities(p.contiguous())
    if outside:
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
            "improved?  If so, please report an enhancement request to PyTorch.)\n"
            "Probabilities lie between 0 and 1."
        )
    return p


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn with the weights in each row.

    Shapes    input (*, categories) -> (*, num_samples)
    Errors    RuntimeError for negative weights, or more samples than categories without replacement
    Example   >>> import pullback as torch
              >>> torch.multinomial(torch.tensor([0.0, 1.0]), 1)
              tensor([1])
    """
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{input.dtype._legacy.removesuffix('Tensor')}"
        )
    if input.dim() not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    weights = input.detach()
    if not bool(((weights >= 0) & (weights < math.inf)).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if _has_samples() and _own_numbers((), _core.uint8) is not None:
        _core.refuse_batch("multinomial draws for each sample apart")
    drawn = _core.multinomial(weights.contiguous(), _of(generator), num_samples, replacement)
    return finish(drawn, out)


# ---- in place ----


def _is_layered(t):
    return _core.has_layers() and _core.top_layer(t) is not None


def _keeps_history(*tensors):
    """Whether draws are written down: where a gradient goes back, and where tangents and batches follow."""
    for t in tensors:
        if (t.requires_grad and _core.is_grad_enabled()) or _is_layered(t):
            return True
    return False


def _fill(self, fill, generator, *args, op=None):
    """Overwrites with draws; `op` names the change in the graph, by the fill's own name where it is None."""
    self._check_writable()
    if not self.dtype.is_floating_point and fill in (_core.fill_uniform, _core.fill_normal):
        kernel = "check_uniform_bounds" if fill is _core.fill_uniform else "normal_kernel_cpu"
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{self.dtype._legacy.removesuffix('Tensor')}'"
        )
    if _has_samples(self):
        return self.copy_(_drawn(_core.empty(list(self.shape), self.dtype), fill, generator, *args))
    recorded = _keeps_history(self)
    if self.is_contiguous() and not recorded:
        fill(self, _of(generator), *args)
        return self
    dense = self.is_non_overlapping_and_dense() and not _is_layered(self)
    t = empty_like(self) if dense else _core.empty(list(self.shape), self.dtype)
    if fill is _core.fill_normal and not self.is_contiguous():
        # Torch draws in blocks of 16 only into contiguous memory, else one after the other.
        flat = t.as_strided((t.numel(),), (1,))
        for start in range(0, t.numel(), 8):
            fill(flat[start : start + 8], _of(generator), *args)
    else:
        fill(t, _of(generator), *args)
    op = op or fill.__name__.removeprefix("fill_")
    return f[f"_{op}_drawn_"](self, t) if recorded else self._take_elements(t)


def _has_samples(*tensors):
    """Whether numbers are drawn inside vmap, for tensors with samples or for each sample apart."""
    if not _core.has_layers():
        return False
    return any(_core.top_layer(t) is not None for t in tensors) or _own_numbers((), _core.uint8) is not None


_MODEST = 1e38  # far from here a type of floats may end


def _check_range(dtype, start, end):
    most = finfo(dtype).max if dtype.is_floating_point else math.inf
    for name, x in (("from", start), ("to", end)):
        if x < -most or x > most:
            kind = {_core.float32: "float", _core.float64: "double"}[dtype]
            raise RuntimeError(f"{name} is out of bounds for {kind}\nIts numbers lie within {most:g}.")
    if start > end:
        found = f"from={start:g} > to={end:g}"
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found {found}")


def uniform_(self, from_=0, to=1, *, generator=None, **named):
    """Overwrites with numbers drawn uniformly from [from, to).

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Errors    RuntimeError where from > to; NotImplementedError for types that are no floats
    Example   >>> bool((torch.empty(100).uniform_(2, 3) >= 2).all())
              True
    """
    unknown = [k for k in named if k != "from"]
    if unknown:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{unknown[0]}'")
    from_ = named.get("from", from_)
    if not -_MODEST <= from_ <= to <= _MODEST:
        _check_range(self.dtype, from_, to)
    return _fill(self, _core.fill_uniform, generator, float(from_), float(to))


def normal_(self, mean=0, std=1, *, generator=None):
    """Overwrites with normal numbers.

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Errors    RuntimeError for a negative std; NotImplementedError for types that are no floats
    Example   >>> torch.empty(3).normal_(mean=5.0, std=0.0)
              tensor([5., 5., 5.])
    """
    if not std >= 0:
        _check_std(std)
    return _fill(self, _core.fill_normal, generator, float(mean), float(std))


def random_(self, *bounds, generator=None, **named):
    """Integers: random_() the type's whole range, random_(to), random_(from, to), random_(from, None).

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Errors    RuntimeError where from is not below to
    Example   >>> bool((torch.empty(100).random_(3) < 3).all())
              True
    """
    if len(bounds) > 2:
        raise TypeError(f"random_() takes 2 positional arguments but {len(bounds)} were given")
    if not named.keys() <= {"from", "to"}:
        from pullback.refusal import combination

        raise TypeError(combination("Tensor.random_", bounds, named))
    if "from" in named or "to" in named:
        bounds = (bounds[0] if bounds else named.get("from", 0), named.get("to"))
    if not bounds:
        return _fill(self, _core.fill_random, generator)
    op = "random_between" if len(bounds) == 2 else "random_below"
    from_, to = bounds if len(bounds) == 2 else (0, bounds[0])
    if to is None:
        return _fill(self, _core.fill_randint_from, generator, from_, op=op)
    if from_ >= to:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}")
    if not _core.randint_is_exact(self.dtype, from_, to):
        warnings.warn(f"to - 1 is out of bounds for {self.dtype}", UserWarning, stacklevel=2)
    return _fill(self, _core.fill_randint, generator, from_, to, op=op)


def bernoulli_(self, p=0.5, *, generator=None):
    """Overwrites with ones, with probability p (a number or a tensor), and zeros.

    Shapes    (*), p () or (*p), which broadcasts to it -> itself
    Gradient  0 for the old elements and for p
    Errors    RuntimeError for probabilities outside [0, 1]
    Example   >>> torch.empty(2).bernoulli_(torch.tensor([0.0, 1.0]))
              tensor([0., 1.])
    """
    if isinstance(p, Tensor):
        samples = _has_samples(self, p)
        spread = p.detach().expand(self.shape)
        if not p.dtype.is_floating_point:
            kind = p.dtype._legacy.removesuffix("Tensor")
            raise NotImplementedError(
                f"\"bernoulli_tensor_cpu_p_\" not implemented for '{kind}'\nGive floats."
            )
        _checked_probabilities(p, samples)
        if samples:
            chance = p.expand(self.shape)
            u = _drawn(_core.empty(list(self.shape), p.dtype), _core.fill_uniform, generator, 0.0, 1.0)
            return self.copy_(u < chance)
        self._check_writable()
        t = _core.empty(list(self.shape), self.dtype)
        _core.fill_bernoulli_tensor(t, _of(generator), spread.contiguous())
        return (
            f["_bernoulli_tensor_drawn_"](self, p, t) if _keeps_history(self, p) else self._take_elements(t)
        )
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    return _fill(self, _core.fill_bernoulli, generator, float(p))


def exponential_(self, lambd=1, *, generator=None):
    """Overwrites with exponential numbers of rate lambd.

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Errors    RuntimeError where lambd is not positive
    Example   >>> bool((torch.empty(100).exponential_() > 0).all())
              True
    """
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return _fill(self, _core.fill_exponential, generator, float(lambd))


def geometric_(self, p, *, generator=None):
    """Overwrites with how often one draws until the first success of probability p.

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Errors    RuntimeError for p outside (0, 1)
    Example   >>> bool((torch.empty(100).geometric_(0.5) >= 1).all())
              True
    """
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _fill(self, _core.fill_geometric, generator, float(p))


def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Overwrites with Cauchy numbers.

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Example   >>> torch.empty(2, 3).cauchy_().shape
              torch.Size([2, 3])
    """
    return _fill(self, _core.fill_cauchy, generator, float(median), float(sigma))


def log_normal_(self, mean=1, std=2, *, generator=None):
    """Overwrites with exp of normal numbers of this mean and standard deviation.

    Shapes    (*) -> itself
    Gradient  0 for the old elements
    Example   >>> bool((torch.empty(100).log_normal_() > 0).all())
              True
    """
    return _fill(self, _core.fill_log_normal, generator, float(mean), float(std))


in_place = [
    bernoulli,
    multinomial,
    uniform_,
    normal_,
    random_,
    bernoulli_,
    exponential_,
    geometric_,
    cauchy_,
    log_normal_,
]
