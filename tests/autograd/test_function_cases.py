"""Fourteen Functions of the kinds that people write, against numerical derivatives of first and second order.
 They vary what is kept (an input, an output, an intermediate, no tensor at all), what goes in and out (one
tensor, several, numbers, tuples, arrays) and which marks are set (dirty, non-differentiable,
once-differentiable), and leave to the batching rule half of the time: `generate_vmap_rule`.
"""

import numpy as np
import pytest

import pullback as torch

Function = torch.autograd.Function
CASES = {}


def case(*arguments, order=2, numeric=True):
    def add(function):
        CASES[function.__name__] = (function, arguments, order, numeric)
        return function

    return add


def values(*shape, seed=0, low=0.5, high=2.0):
    return np.random.default_rng(seed + 10 * len(shape)).uniform(low, high, shape)


class ArrayProduct(Function):
    """A product computed by NumPy; keeps its inputs, and is its own derivative."""

    @staticmethod
    def forward(a, b):
        return torch.from_numpy(np.multiply(a.numpy(), b.numpy()))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        by_a, by_b = ctx.needs_input_grad
        return (ArrayProduct.apply(g, b) if by_a else None), (ArrayProduct.apply(g, a) if by_b else None)

    @staticmethod
    def jvp(ctx, a_tangent, b_tangent):
        a, b = ctx.saved_tensors
        return a_tangent * b + a * b_tangent


case(values(3, 2), values(3, 2, seed=1))(ArrayProduct)


@case(values(4))
class ArrayCube(Function):
    """Gives out its derivative as a second output, which keeps the second derivative right."""

    @staticmethod
    def forward(x):
        a = x.numpy()
        return torch.from_numpy(a**3), torch.from_numpy(3 * a * a)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx, g, g_slope):
        x, slope = ctx.saved_tensors
        return ArrayProduct.apply(g, slope) + 6 * ArrayProduct.apply(g_slope, x)


@case(values(4))
class Cube(Function):
    """The same in tensors, with the batching rule left to be derived."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x * x, 3 * x * x

    @staticmethod
    def setup_context(ctx, inputs, outputs):
        ctx.save_for_backward(*inputs, outputs[1])
        ctx.save_for_forward(*inputs, outputs[1])

    @staticmethod
    def backward(ctx, g, g_slope):
        x, slope = ctx.saved_tensors
        return g * slope + 6 * g_slope * x

    @staticmethod
    def jvp(ctx, tangent):
        x, slope = ctx.saved_tensors
        return tangent * slope, 6 * tangent * x


@case(values(4), order=1)
class OpaqueCube(Function):
    """Keeps an array, hands one out, and cannot be differentiated twice."""

    @staticmethod
    def forward(x):
        return torch.from_numpy(x.numpy() ** 3), x.numpy()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.array = output[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g, nothing):
        assert nothing is None
        return g * torch.from_numpy(3 * ctx.array**2)


@case(values(3), values(3, seed=1))
class Product(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a, b):
        return a * b

    @staticmethod
    def setup_context(ctx, inputs, outputs):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return tuple(
            Product.apply(g, other) if need else None
            for need, other in zip(ctx.needs_input_grad, (b, a), strict=True)
        )


class ExpInPlace(Function):
    """Writes into its input through NumPy and keeps what it wrote."""

    @staticmethod
    def forward(x):
        array = x.numpy()
        np.exp(array, out=array)
        return x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_dirty(*inputs)
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, g):
        return ArrayProduct.apply(g, *ctx.saved_tensors)


@case(values(4))
class ExpOfCopy:
    apply = staticmethod(lambda x: ExpInPlace.apply(x.clone()))


def _by_positions(take):
    """Two Functions that are each other's derivative: taking along an axis, and sorting."""

    class Take(Function):
        generate_vmap_rule = take is torch.take_along_dim

        @staticmethod
        def forward(x, to, back, axis):
            return take(x, to, axis)

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, to, back, ctx.axis = inputs
            ctx.save_for_backward(to, back)

        @staticmethod
        def backward(ctx, g):
            to, back = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, False, False)
            return Take.apply(g, back, to, ctx.axis), None, None, None

    class Sort(Function):
        generate_vmap_rule = Take.generate_vmap_rule

        @staticmethod
        def forward(x, axis):
            to = torch.from_numpy(np.argsort(x.numpy(), axis=axis))
            return take(x, to, axis), to, to.argsort(axis)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_non_differentiable(*output[1:])
            ctx.save_for_backward(*output[1:])
            ctx.axis = inputs[1]

        @staticmethod
        def backward(ctx, g, to_gradient, back_gradient):
            assert not to_gradient.any() and to_gradient.dtype == torch.int64
            to, back = ctx.saved_tensors
            return Take.apply(g, back, to, ctx.axis), None

    return Take, Sort


def _take_by_array(x, to, axis):
    return torch.from_numpy(np.take_along_axis(x.numpy(), to.numpy(), axis))


ArrayTake, ArraySort = _by_positions(_take_by_array)
Take, Sort = _by_positions(torch.take_along_dim)
_order = torch.tensor([[2, 0, 1], [1, 2, 0]])
for _name, _function, _rest in (
    ("ArrayTake", ArrayTake, (_order, _order.argsort(1), 1)),
    ("Take", Take, (_order, _order.argsort(1), -1)),
    ("ArraySort", ArraySort, (1,)),
    ("Sort", Sort, (0,)),
):
    CASES[_name] = (_function, (values(2, 3), *_rest), 2, True)


class Pick(Function):
    """Keeps no tensor: a shape and a position are enough."""

    @staticmethod
    def forward(x, position):
        return x[position].clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.position = inputs
        ctx.shape = x.shape

    @staticmethod
    def backward(ctx, g):
        spread = g.new_zeros(ctx.shape)
        spread[ctx.position] = g
        return spread, None


case(values(3, 4), 2)(Pick)


@case(values(3, 4), (slice(None), 1))
class PickView(Pick):
    """The result is a view of the input."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, position):
        return x[position]


@case(values(3), numeric=False)
class Scaled(Function):
    """The gradient is deliberately not the derivative."""

    generate_vmap_rule = True
    factor = 0.25

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g * Scaled.factor


@case(values(3), values(2), numeric=False)
class Silent(Function):
    """Zeros instead of None, one of them as large as a batch of gradients."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, y):
        return x.clone(), y.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gx, gy):
        return torch.zeros(5, 2, *gx.shape, dtype=gx.dtype), torch.zeros(gy.shape, dtype=gy.dtype)


@case(values(3, 4))
class WithDefault(Pick):
    """An argument that the caller leaves out is still an input of setup_context and has its gradient."""

    @staticmethod
    def forward(x, position=(1,)):
        return x[position] * 1


def run(function, arguments):
    """The differentiable outputs of a case, summed with fixed weights."""
    result = function.apply(*arguments)
    total = 0
    for k, out in enumerate(result if isinstance(result, tuple) else (result,)):
        if isinstance(out, torch.Tensor) and out.dtype.is_floating_point:
            weights = torch.arange(1.0, out.numel() + 1, dtype=torch.float64).reshape(out.shape) / (k + 2)
            total = total + (weights * out * out).sum()
    return total


def differentiate(f, arrays, step=1e-5):
    """Central differences of a function of arrays, one array of derivatives each."""
    slopes = []
    for k, a in enumerate(arrays):
        slope = np.empty_like(a)
        for i in np.ndindex(a.shape):
            ends = []
            for sign in (1, -1):
                moved = [b.copy() for b in arrays]
                moved[k][i] += sign * step
                ends.append(f(moved))
            slope[i] = (ends[0] - ends[1]) / (2 * step)
        slopes.append(slope)
    return slopes


def split(arguments):
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]

    def filled(tensors):
        tensors = iter(tensors)
        return [next(tensors) if isinstance(a, np.ndarray) else a for a in arguments]

    return arrays, filled


def leaves(arrays):
    return [torch.tensor(a, requires_grad=True) for a in arrays]


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c[3]])
def test_first_derivative(name):
    function, arguments, _, _ = CASES[name]
    arrays, filled = split(arguments)
    xs = leaves(arrays)
    found = torch.autograd.grad(run(function, filled(xs)), xs)
    expected = differentiate(lambda a: run(function, filled(map(torch.tensor, a))).item(), arrays)
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g.numpy(), e, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c[2] == 2 and c[3]])
def test_second_derivative(name):
    function, arguments, _, _ = CASES[name]
    arrays, filled = split(arguments)

    def weighted_gradient(tensors, **options):
        grads = torch.autograd.grad(run(function, filled(tensors)), tensors, **options)
        return sum((g * (k + 1)).sin().sum() for k, g in enumerate(grads))

    xs = leaves(arrays)
    found = torch.autograd.grad(weighted_gradient(xs, create_graph=True), xs)
    expected = differentiate(lambda a: weighted_gradient(leaves(a)).item(), arrays)
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g.numpy(), e, rtol=1e-5, atol=1e-6)


def test_there_are_fourteen_and_more():
    assert len(CASES) >= 14


def test_gradients_that_are_not_derivatives():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(Scaled.apply(x).sum(), x)
    assert g.tolist() == [0.25, 0.25]
    y = torch.ones(2, 2, requires_grad=True)
    a, b = Silent.apply(x, y)
    gx, gy = torch.autograd.grad(a.sum() + b.sum(), (x, y))
    assert gx.tolist() == [0, 0] and gy.tolist() == [[0, 0], [0, 0]]


def test_once_differentiable_refuses_the_second_order():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    out, array = OpaqueCube.apply(x)
    assert isinstance(array, np.ndarray)
    (g,) = torch.autograd.grad((out * out).sum(), x, create_graph=True)
    assert g.grad_fn.name() == "torch::autograd::Error"
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked with"):
        g.sum().backward()


def test_a_view_as_result_must_not_change_in_place():
    x = torch.ones(3, 4, requires_grad=True)
    out = PickView.apply(x, 1)
    assert out._base is x and out.grad_fn.name() == "PickViewBackward"
    with pytest.raises(
        RuntimeError, match=r"Output 0 of PickView is a view and is being modified inplace. This v"
    ):
        out.mul_(2)


def test_jvp_and_vmap_are_kept_for_their_callers():
    assert Cube.generate_vmap_rule and not ArrayCube.generate_vmap_rule
    ctx = Cube._backward_cls()
    outputs = Cube.forward(torch.tensor(2.0))
    Cube.setup_context(ctx, (torch.tensor(2.0),), outputs)
    assert [t.item() for t in ctx.saved_for_forward] == [2, 12]
