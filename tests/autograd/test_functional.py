"""autograd.functional: values against closed forms, structures, graphs, strict mode and every text."""

import pytest

import pullback as torch
from pullback.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

PRODUCTS = (vjp, jvp, hvp, vhp)
SCALAR_ONLY = (hessian, hvp, vhp)
ALL = (jacobian, hessian, *PRODUCTS)
LOOP, BATCH, FORWARD = {}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}
ways = pytest.mark.parametrize("way", [LOOP, BATCH, FORWARD], ids=["loop", "batch", "forward"])


def outer(way):
    """The same way for hessian()."""
    return {k.replace("strategy", "outer_jacobian_strategy"): v for k, v in way.items()}


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def leaf(*values):
    return t(*values).requires_grad_()


def close(found, expected):
    """Equal up to rounding, in the same structure of tuples (lists in forward mode)."""
    if isinstance(expected, tuple):
        assert type(found) in (tuple, list) and len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            close(f, e)
    else:
        assert isinstance(found, torch.Tensor) and found.shape == expected.shape, found
        assert torch.allclose(found, expected, rtol=1e-14, atol=1e-14)


def has_graph(found):
    if isinstance(found, tuple):
        return tuple(has_graph(f) for f in found)
    return found.requires_grad


def refuses(kind, text, call, *args, **named):
    with pytest.raises(kind) as e:
        call(*args, **named)
    assert str(e.value).split("\n")[0] == text


X, Y = t(1.0, 2.0), t(3.0, 4.0, 5.0)


def cube(x):
    return (x**3).sum()


def mixed(x, y):
    return (x**2).sum() * (y**3).sum()


def linear(x):
    return (3 * x).sum()


# Jacobians and hessians


@ways
def test_jacobian(way):
    close(jacobian(torch.exp, X, **way), X.exp().diag())
    close(jacobian(cube, X, **way), 3 * X**2)
    close(jacobian(lambda x: x.outer(x), X, **way), t([[2, 0], [2, 1]], [[2, 1], [0, 4]]))
    close(
        jacobian(lambda x: x * 1, torch.ones(2, 0, dtype=torch.float64), **way),
        torch.ones(2, 0, 2, 0).double(),
    )
    halved = jacobian(lambda x: x.float() * 2, X, **way)
    assert halved.tolist() == [[2, 0], [0, 2]]
    assert halved.dtype == (torch.float32 if way is FORWARD else torch.float64)  # by columns or by rows
    close(jacobian(lambda x: (x * 2).long(), X, **way).double(), torch.zeros(2, 2).double())
    close(jacobian(lambda x: torch.ones(3).double(), X, **way), torch.zeros(3, 2).double())


@ways
def test_structures_of_jacobians(way):
    eye = torch.eye(3, dtype=torch.float64)
    sums = jacobian(lambda x, y: 2 * x.sum() + 3 * y, (X, Y), **way)
    close(sums, (torch.full((3, 2), 2.0).double(), 3 * eye))
    two = jacobian(lambda x, y: (x * y[:2], y.sum() * x[0]), (X, Y), **way)
    close(two, ((t([3, 0], [0, 4]), t([1, 0, 0], [0, 2, 0])), (t(12, 0), t(1, 1, 1))))
    close(jacobian(lambda x: (x * 2,), X, **way), (t([2, 0], [0, 2]),))
    close(jacobian(lambda x: x * 2, (X,), **way), (t([2, 0], [0, 2]),))
    close(jacobian(lambda x, y: x**2, (X, Y), **way), (t([2, 0], [0, 4]), torch.zeros(2, 3).double()))
    close(
        jacobian(lambda x: (x * 2, torch.ones(1).double()), X, **way),
        (t([2, 0], [0, 2]), torch.zeros(1, 2).double()),
    )


def kinds(found):
    return (type(found), *map(kinds, found)) if isinstance(found, (tuple, list)) else torch.Tensor


@ways
def test_tuples_and_lists_as_in_torch(way):
    two = lambda *xs: (xs[0] * 2, xs[0].sum())  # noqa: E731
    kind, T = list if way is FORWARD else tuple, torch.Tensor
    assert kinds(jacobian(two, X, **way)) == (tuple, T, T)
    assert kinds(jacobian(lambda x: x * 2, (X,), **way)) == (kind, T)
    assert kinds(jacobian(two, (X, X), **way)) == (kind, (kind, T, T), (kind, T, T))
    assert kinds(hessian(lambda x, y: (x * y).sum(), (X, X), **outer(way))) == (
        kind,
        (kind, T, T),
        (kind, T, T),
    )
    assert kinds(hessian(cube, X, **outer(way))) == T


def test_forward_mode_keeps_the_graph_of_the_inputs():
    x = leaf(2.0)
    jacobian(cube, x, **FORWARD).sum().backward()
    close(x.grad, t(12.0))
    assert not jacobian(cube, X, **FORWARD).requires_grad


@ways
def test_hessian(way):
    close(hessian(cube, X, **outer(way)), (6 * X).diag())
    close(hessian(lambda x: cube(x).reshape(1, 1), X, **outer(way)), (6 * X).diag())
    close(hessian(cube, (X,), **outer(way)), (((6 * X).diag(),),))
    cross = 6 * X.outer(Y**2)
    expected = ((432 * torch.eye(2).double(), cross), (cross.t(), (30 * Y).diag()))
    close(hessian(mixed, (X, Y), **outer(way)), expected)
    close(
        hessian(lambda x, y: linear(x) + (y**2).sum(), (X, t(3)), **outer(way)),
        (
            (torch.zeros(2, 2).double(), torch.zeros(2, 1).double()),
            (torch.zeros(1, 2).double(), t([2])),
        ),
    )
    close(hessian(lambda x: torch.ones(1).double(), X, **outer(way)), torch.zeros(2, 2).double())


def test_one_run_for_all_rows_is_the_loop():
    torch.manual_seed(0)
    a, b = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    net = lambda a, b: (torch.tanh(a @ b).softmax(0), (a.sin() * b).sum(0))  # noqa: E731
    for way in (BATCH, FORWARD):
        close(jacobian(net, (a, b), **way), jacobian(net, (a, b)))
    loss = lambda a, b: net(a, b)[0].square().sum() + net(a, b)[1].prod()  # noqa: E731
    for way in (BATCH, FORWARD):
        close(hessian(loss, (a, b), **outer(way)), hessian(loss, (a, b)))


# Products with vectors


def test_products():
    v, w = t(1.0, 10.0), t(1.0, 2.0, 3.0)
    close(vjp(torch.exp, X, v), (X.exp(), v * X.exp()))
    close(jvp(torch.exp, X, v), (X.exp(), v * X.exp()))
    for product in (vhp, hvp):
        close(product(cube, X, v), (t(9.0)[0], 6 * X * v))
        close(product(cube, (X,), (v,)), (t(9.0)[0], (6 * X * v,)))
        cross = 6 * X.outer(Y**2)
        expected = (432 * v + cross @ w, cross.t() @ v + 30 * Y * w)
        close(product(mixed, (X, Y), (v, w)), (t(1080.0)[0], expected))
    two = lambda x, y: (x * y[:2], y.sum() * x[0])  # noqa: E731
    close(vjp(two, (X, Y), (v, t(2.0)[0])), (two(X, Y), (t(27, 40), t(3, 22, 2))))
    close(jvp(two, (X, Y), (v, w)), (two(X, Y), (t(4, 44), t(18)[0])))
    close(vjp(lambda x: (x * 2,), X, v)[0], (X * 2,))


def test_a_single_element_needs_no_vector():
    x = t(2.0)
    close(vjp(cube, X), (t(9.0)[0], 3 * X**2))
    close(jvp(lambda x: x**3, x), (t(8), t(12)))
    for product in (vhp, hvp):
        close(product(cube, x), (t(8.0)[0], t(12)))


def test_what_does_not_depend_counts_as_zero():
    zero = torch.zeros(2, dtype=torch.float64)
    for function in (lambda x: torch.ones(2).double(), lambda x: x.detach() * 0 + 1):
        close(vjp(function, X, X), (t(1, 1), zero))
        close(jvp(function, X, X), (t(1, 1), zero))
    for product in (vhp, hvp):
        close(product(linear, X, X), (t(9.0)[0], zero))
        close(product(lambda x: torch.ones(1), X, X)[1], zero)
    close(vjp(lambda x, y: cube(x), (X, Y))[1], (3 * X**2, torch.zeros(3).double()))


# Graphs


def test_graphs_only_where_asked_for():
    v = t(1.0, 1.0)
    for x in (X, leaf(1.0, 2.0)):
        for function in ALL:
            extra = (v,) if function in (jvp, hvp, vhp) else ()
            plain, graph = function(cube, x, *extra), function(cube, x, *extra, create_graph=True)
            flat = has_graph(plain) if isinstance(plain, tuple) else (has_graph(plain),)
            assert not any(flat) and x.grad is None
            flat = has_graph(graph) if isinstance(graph, tuple) else (has_graph(graph),)
            assert all(flat)
    with torch.no_grad():
        assert jacobian(cube, X, create_graph=True).requires_grad and not torch.is_grad_enabled()
        close(hvp(cube, X, v)[1], 6 * X)


def test_functions_are_shown_tensors_that_require_a_gradient():
    x = leaf(1.0, 2.0)
    seen = []

    def function(x):
        seen.append((x.requires_grad, x.is_leaf))
        return cube(x)

    jacobian(function, X)
    jacobian(function, x)
    jacobian(function, x, create_graph=True)
    jacobian(function, X, create_graph=True)
    assert seen == [(True, True), (True, True), (True, False), (True, True)]
    with pytest.raises(ZeroDivisionError):
        jacobian(lambda x: 1 / 0, X)
    assert torch.is_grad_enabled()
    refuses(
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
        jacobian,
        lambda x: x.mul_(2),
        X,
    )
    assert X.tolist() == [1, 2]


@pytest.mark.parametrize(
    "call, by_x, by_v",
    [
        (lambda x, v: jacobian(lambda x: x**3, x, create_graph=True), [6, 12], None),
        (lambda x, v: jacobian(lambda x: x**3, x, True, vectorize=True), [6, 12], None),
        (lambda x, v: hessian(cube, x, create_graph=True), [6, 6], None),
        (lambda x, v: hessian(cube, x, True, vectorize=True), [6, 6], None),
        (lambda x, v: vjp(lambda x: x**3, x, v, create_graph=True)[1], [6, 24], [3, 12]),
        (lambda x, v: jvp(lambda x: x**3, x, v, create_graph=True)[1], [6, 24], [3, 12]),
        (lambda x, v: hvp(cube, x, v, create_graph=True)[1], [6, 12], [6, 12]),
        (lambda x, v: vhp(cube, x, v, create_graph=True)[1], [6, 12], [6, 12]),
    ],
)
def test_results_can_be_differentiated(call, by_x, by_v):
    x, v = leaf(1.0, 2.0), leaf(1.0, 2.0)
    call(x, v).sum().backward()
    assert x.grad.tolist() == by_x
    assert v.grad is None if by_v is None else v.grad.tolist() == by_v


def wave(x):
    return (x.sin() * x.exp()).prod()


@pytest.mark.parametrize("way", [LOOP, BATCH])
def test_hessians_by_differences(way):
    assert torch.autograd.gradcheck(lambda x: hessian(wave, x, create_graph=True, **way), leaf(0.3, 0.7))


@pytest.mark.parametrize("product", PRODUCTS[1:])
def test_products_by_differences(product):
    inputs = (leaf(0.3, 0.7), leaf(1.0, 2.0))
    assert torch.autograd.gradcheck(lambda x, v: product(wave, x, v, create_graph=True)[1], inputs)


# Strict mode


def test_strict_mode_accepts_what_depends():
    v = t(1.0, 1.0)
    quartic = lambda x: (x**4).sum()  # noqa: E731
    for create_graph in (False, True):
        named = {"strict": True, "create_graph": create_graph}
        close(jacobian(cube, X, **named), 3 * X**2)
        close(hessian(quartic, X, **named), (12 * X**2).diag())
        close(vjp(cube, X, **named)[1], 3 * X**2)
        close(jvp(cube, X, v, **named)[1], (3 * X**2).sum())
        close(vhp(quartic, X, v, **named)[1], 12 * X**2)
        close(hvp(quartic, X, v, **named)[1], 12 * X**2)


NO_OUTPUT = (
    "Output 0 of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode."
)
NOT_ALLOWED = "This is not allowed in strict mode"
NO_JACOBIAN = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to "
    f"input {{}} is independent of the input. {NOT_ALLOWED}. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear "
    "function for example)."
)


def first_only(x, y):
    return cube(x)


def quadratic(x):
    return (x * x).sum()


def separate(x, y):
    return cube(x) + linear(y)


class Unrelated(torch.autograd.Function):
    """Its gradient depends on another tensor than its input."""

    @staticmethod
    def forward(ctx, x):
        return x.sum()

    @staticmethod
    def backward(ctx, g):
        return g.detach() * t(1.0, 2.0).requires_grad_()


class Frozen(torch.autograd.Function):
    """Its gradient is without a graph."""

    @staticmethod
    def forward(ctx, x):
        return x.sum()

    @staticmethod
    def backward(ctx, g):
        return g.detach().expand(3)


class OneSided(torch.autograd.Function):
    """The gradients of both inputs depend on the first one only."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x)
        return (x**2).sum() + y.sum()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g.detach() * x**2, g.detach() * x**3


class Deaf(torch.autograd.Function):
    """Its gradient depends on its input, but not on the gradient that comes back."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensors[0] ** 2


class DeafTwice(torch.autograd.Function):
    """The derivative of its gradient does not depend on the gradient that comes back."""

    @staticmethod
    def forward(ctx, y):
        ctx.save_for_backward(y)
        return y.sum()

    @staticmethod
    def backward(ctx, g):
        return Deaf.apply(ctx.saved_tensors[0])


@pytest.mark.parametrize(
    "text, calls",
    [
        (NO_OUTPUT, [(f, lambda x: torch.ones(()), X) for f in (jacobian, hessian, vjp)]),
        (NO_OUTPUT, [(f, lambda x: torch.ones(()), X, X) for f in (jvp, hvp, vhp)]),
        (NO_OUTPUT.replace("0", "1"), [(jacobian, lambda x: (x * 2, x.detach()), X)]),
        (
            f"Output 0 of the user-provided function is independent of input 1. {NOT_ALLOWED}.",
            [(jacobian, first_only, (X, Y))],
        ),
        (
            f"Output 1 of the user-provided function is independent of input 0. {NOT_ALLOWED}.",
            [(jacobian, lambda x, y: (x * y, y**2), (X, X))],
        ),
        (
            f"The output of the user-provided function is independent of input 1. {NOT_ALLOWED}.",
            [(vjp, first_only, (X, Y)), *((f, first_only, (X, Y), (X, Y)) for f in (jvp, vhp, hvp))],
        ),
        (
            "The gradient with respect to input 1 is independent of the inputs of the user-provided "
            f"function. {NOT_ALLOWED}.",
            [(jvp, lambda x, y: cube(x) + Frozen.apply(y), (X, Y), (X, Y))],
        ),
        (
            "The gradient with respect to the input is independent of entry 1 in the grad_outputs when using "
            f"the double backward trick to compute forward mode gradients. {NOT_ALLOWED}.",
            [(jvp, lambda x: (x * 2, Y[0].clone().requires_grad_() * 1), X, X)],
        ),
        (NO_JACOBIAN.format(0), [(hessian, linear, X), (vhp, linear, X, X), (hvp, linear, X, X)]),
        (NO_JACOBIAN.format(1), [(hessian, separate, (X, Y)), (hessian, first_only, (X, Y))]),
        (
            f"The jacobian of the user-provided function is independent of input 1. {NOT_ALLOWED}.",
            [(vhp, OneSided.apply, (X, X), (X, X))],
        ),
        (
            "The hessian of the user-provided function is independent of entry 0 in the grad_jacobian. "
            f"{NOT_ALLOWED} as it prevents from using the double backward trick to replace forward mode AD.",
            [(hvp, Unrelated.apply, X, X)],
        ),
        (
            "The hessian of the user-provided function is independent of entry 1 in the grad_jacobian. "
            f"{NOT_ALLOWED} as it prevents from using the double backward trick to replace forward mode AD.",
            [(hvp, lambda x, y: cube(x) + DeafTwice.apply(y), (X, X), (X, X))],
        ),
    ],
)
def test_strict_mode_refuses(text, calls):
    for function, *args in calls:
        refuses(RuntimeError, text, function, *args, strict=True)


@pytest.mark.parametrize(
    "what, calls",
    [
        (
            "jacobian",
            [(jacobian, lambda x: x * 3, X), (jacobian, linear, X), (vjp, linear, X), (jvp, linear, X, X)],
        ),
        ("jacobian", [(hessian, quadratic, X)]),
        ("hessian", [(vhp, quadratic, X, X), (hvp, quadratic, X, X)]),
    ],
)
def test_strict_mode_refuses_graphs_of_constants(what, calls):
    text = (
        f"The {what} of the user-provided function is independent of input 0. {NOT_ALLOWED} when "
        "create_graph=True."
    )
    for function, *args in calls:
        function(*args)
        refuses(RuntimeError, text, function, *args, strict=True, create_graph=True)


# Bad input


def test_options():
    text = (
        'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more '
        'outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use '
        '"reverse-mode".'
    )
    refuses(AssertionError, text, jacobian, cube, X, strategy="sideways")
    text = 'Expected strategy to be either "forward-mode" or "reverse-mode".'
    refuses(AssertionError, text, hessian, cube, X, outer_jacobian_strategy="sideways")
    where = "torch.autograd.functional.jacobian:"
    forward = {jacobian: {"strategy": "forward-mode"}, hessian: {"outer_jacobian_strategy": "forward-mode"}}
    for function, named in forward.items():
        text = (
            f'{where} `create_graph=True` and `strategy="forward-mode"` are not supported together (yet). '
            'Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
        refuses(NotImplementedError, text, function, cube, X, create_graph=True, vectorize=True, **named)
        text = (
            f'{where} `strict=True` and `strategy="forward-mode"` are not supported together (yet). Please '
            'either set `strict=False` or `strategy="reverse-mode"`.'
        )
        refuses(RuntimeError, text, function, cube, X, strict=True, vectorize=True, **named)
        text = (
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
            "`vectorize=True`."
        )
        refuses(NotImplementedError, text, function, cube, X, **named)
        text = (
            f"{where} `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )
        refuses(RuntimeError, text, function, cube, X, strict=True, vectorize=True)
    refuses(AssertionError, "Expected at least one tensor", jacobian, lambda: X, (), **FORWARD)


@pytest.mark.parametrize("function", ALL)
def test_inputs_and_outputs_are_tensors(function):
    v = () if function in (jacobian, hessian) else (X,)
    name = function.__name__
    for bad, found in (([X], "list"), (3.0, "float"), (None, "NoneType")):
        text = (
            f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the given "
            f"inputs has type <class '{found}'>."
        )
        refuses(TypeError, text, function, cube, bad)
        where = "The outputs of the user-provided function given to"
        text = (
            f"{where} {name} must be either a Tensor or a tuple of Tensors but the given outputs of the "
            f"user-provided function has type <class '{found}'>."
        )
        refuses(TypeError, text, function, lambda x, b=bad: b, X, *v)
        text = f"The v given to {name} must be either a Tensor or a tuple of Tensors but the given v has type"
        if v and bad is not None:
            refuses(TypeError, f"{text} <class '{found}'>.", function, cube, X, bad)
    text = (
        f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the value at index 1"
    )
    refuses(TypeError, f"{text} has type <class 'int'>.", function, cube, (X, 3))
    text = f"{where} {name} must be either a Tensor or a tuple of Tensors but the value at index 1 has type"
    refuses(TypeError, f"{text} <class 'int'>.", function, lambda x: (x, 3), X, *v)
    with pytest.raises(RuntimeError, match="nly Tensors of floating point"):
        function(torch.exp, torch.tensor(1), *(torch.tensor(1) for _ in v))


@pytest.mark.parametrize("function", SCALAR_ONLY)
def test_hessians_are_of_single_elements(function):
    v = () if function is hessian else (X,)
    text = f"The function given to {function.__name__} should return a single Tensor"
    refuses(RuntimeError, text, function, lambda x: (cube(x),), X, *v)
    text = f"The Tensor returned by the function given to {function.__name__} should contain a single element"
    refuses(RuntimeError, text, function, torch.exp, X, *v)


@pytest.mark.parametrize("function", PRODUCTS)
def test_vectors_fit(function):
    missing = (
        "the user-provided function returns a single Tensor"
        if function is vjp
        else "the input to the user-provided function is a single Tensor"
    )
    text = f"The vector v can only be None if {missing} with a single element."
    plain = torch.exp if function is vjp else cube
    refuses(RuntimeError, text, function, plain, X)
    refuses(RuntimeError, "The given v should contain a single Tensor.", function, plain, X, (X, X))
    refuses(
        RuntimeError,
        "v has invalid size: should be torch.Size([2]) but got torch.Size([3]).",
        function,
        plain,
        X,
        Y,
    )
    pair = (lambda x: (x * 2, x.sum())) if function is vjp else mixed
    inputs = X if function is vjp else (X, Y)
    text = "v is a tuple of invalid length: should be 2 but got 1."
    refuses(RuntimeError, text, function, pair, inputs, X)
    text = "Entry 0 in v has invalid size: should be torch.Size([2]) but got torch.Size([3])."
    refuses(RuntimeError, text, function, pair, inputs, (Y, Y))
