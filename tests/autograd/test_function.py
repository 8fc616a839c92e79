"""autograd.Function: what users write, its checks and its texts, as in PyTorch."""

import pytest

import pullback as torch

Function = torch.autograd.Function


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def refuses(kind, text, call, *args):
    with pytest.raises(kind) as e:
        call(*args)
    assert str(e.value).split("\n")[0].startswith(text), str(e.value)


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.note = "kept"
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


class Identity(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 7


class Triple(Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 3


def returning(result):
    class Returning(Identity):
        @staticmethod
        def backward(ctx, g):
            return result(g)

    return Returning


def test_the_node():
    x = leaf(1.0, 2.0)
    y = Square.apply(x)
    assert y.grad_fn.name() == type(y.grad_fn).__name__ == "SquareBackward"
    assert y.grad_fn.next_functions[0][0].variable is x and y.grad_fn.saved_tensors[0] is x
    assert y.grad_fn.note == "kept" and y.grad_fn.needs_input_grad == (True,)
    with torch.no_grad():
        assert not Square.apply(x).requires_grad
    assert not Square.apply(torch.ones(1)).requires_grad


def test_derivatives_of_any_order():
    x = torch.tensor([1.0, 2.0], requires_grad=True, dtype=torch.float64)
    y = Square.apply(Square.apply(x)).sum()
    for expected in ([4, 32], [12, 48], [24, 48], [24, 24]):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert y.tolist() == expected
        y = y.sum()
    y = Exp.apply(x).sum()
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert y.tolist() == pytest.approx([2.718281828459045, 7.38905609893065])
        y = y.sum()


def test_freed_and_changed_values():
    x = leaf(1.0, 2.0)
    y = Exp.apply(x)
    y.sum().backward()
    freed = "Trying to backward through the graph a second time (or directly access saved tensors"
    refuses(RuntimeError, freed, y.sum().backward)
    refuses(RuntimeError, freed, lambda: y.grad_fn.saved_tensors)
    y = Exp.apply(x)
    y.add_(1)
    text = (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[torch.FloatTensor [2]], which is output 0 of Exp, is at version 1; expected version 0 instead."
    )
    refuses(RuntimeError, text, y.sum().backward)


def test_arguments_that_are_no_tensors():
    class Scaled(Function):
        @staticmethod
        def forward(ctx, x, w, k, b=None):
            ctx.save_for_backward(x, w, b)
            ctx.k = k
            return x * w * k

        @staticmethod
        def backward(ctx, g):
            x, w, b = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, False) and b is None
            return g * w * ctx.k, g * x * ctx.k, None

    x, w = leaf(1.0, 2.0), torch.tensor([3.0, 4.0])
    y = Scaled.apply(x, w, 2)
    assert y.grad_fn.next_functions[1] == (None, 0)
    y.sum().backward()
    assert x.grad.tolist() == [6, 8] and w.grad is None


def test_several_outputs():
    seen = []

    class Several(Function):
        @staticmethod
        def forward(ctx, x):
            large = x > 1.5
            rest = x * 1
            ctx.mark_non_differentiable(large, rest)
            return x * 2, large, rest, "text", x * 3

        @staticmethod
        def backward(ctx, *grads):
            seen.extend(None if g is None else g.tolist() for g in grads)
            return grads[0] * 2 + grads[4] * 3

    x = leaf(1.0, 2.0)
    a, large, rest, text, c = Several.apply(x)
    assert (a.requires_grad, large.requires_grad, rest.requires_grad, text) == (True, False, False, "text")
    assert c.output_nr == 4 and a.grad_fn is c.grad_fn
    a.sum().backward()
    assert x.grad.tolist() == [2, 2] and seen[0] == [1, 1] and seen[3] is None and seen[4] == [0, 0]


def test_gradients_that_are_not_materialized():
    class Raw(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            assert second is None
            return first * 2

    x = leaf(1.0, 2.0)
    Raw.apply(x)[0].sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_changes_in_place():
    x = leaf(1.0, 2.0)
    t = x * 2
    assert Triple.apply(t) is t and t.grad_fn.name() == "TripleBackward" and t._version == 2
    t.sum().backward()
    assert x.grad.tolist() == [6, 6]
    x.grad = None
    t = x * 2
    Triple.apply(t[0:1])
    assert t.grad_fn.name() == "torch::autograd::CopySlices"
    t.sum().backward()
    assert x.grad.tolist() == [6, 2]
    refuses(
        RuntimeError,
        "a leaf Variable that requires grad has been used in an in-place operation.",
        Triple.apply,
        x,
    )


def test_an_input_as_output():
    x = leaf(1.0, 2.0)
    y = Identity.apply(x)
    assert y is not x and y.grad_fn.name() == "IdentityBackward" and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [7, 7]


def test_what_backward_returns():
    x = leaf(1.0, 2.0)
    run = lambda result: returning(result).apply(x).sum().backward()  # noqa: E731
    text = "function ReturningBackward returned an incorrect number of gradients (expected 1, got 2)"
    refuses(RuntimeError, text, run, lambda g: (g, g))
    text = (
        "Function ReturningBackward returned an invalid gradient at index 0 - got [3] but expected shape "
        "compatible with [2]"
    )
    refuses(RuntimeError, text, run, lambda g: torch.ones(3))
    refuses(RuntimeError, "expected Variable or None (got int)", run, lambda g: 3)
    assert x.grad is None
    run(lambda g: (g, None, None))
    assert x.grad.tolist() == [1, 1]
    run(lambda g: torch.ones(5, 2))  # summed down, as a broadcast gradient
    assert x.grad.tolist() == [6, 6]
    run(lambda g: g.double())
    assert x.grad.tolist() == [7, 7] and x.grad.dtype == torch.float32
    run(lambda g: None)
    assert x.grad.tolist() == [7, 7]

    def fails(g):
        raise KeyError("mine")

    refuses(KeyError, "'mine'", run, fails)
    (x * x).sum().backward()
    assert x.grad.tolist() == [9, 11]


def test_gradients_of_arguments_that_are_no_tensors():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, k):
            return x * k

        @staticmethod
        def backward(ctx, g):
            return g, g

    text = (
        "function WrongBackward returned a gradient different than None at position 2, but the corresponding "
        "forward input was not a Variable"
    )
    refuses(RuntimeError, text, Wrong.apply(leaf(1.0), 2).sum().backward)


def test_missing_halves():
    class Half(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    x = leaf(1.0)
    text = (
        "You must implement either the backward or vjp method for your custom autograd.Function to use it "
        "with"
    )
    refuses(NotImplementedError, text, Half.apply(x).sum().backward)
    text = "You must implement the forward function for custom autograd.Function."
    refuses(NotImplementedError, text, Function.apply, x)
    with pytest.warns(
        DeprecationWarning, match="should not be instantiated. Methods on autograd functions are all"
    ):
        Exp()


@pytest.mark.parametrize("materialize", [True, False])
def test_backward_runs_where_no_gradient_arrives(materialize):
    class Given(Identity):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            seen.append(g if g is None else g.tolist())
            return g

    seen, before = [], []
    x = leaf(1.0, 2.0)
    y = Given.apply(x)
    y.grad_fn.register_prehook(before.append)
    returning(lambda g: None).apply(y * 3).sum().backward()
    assert seen == [[0, 0] if materialize else None] and before == [(None,)]
    assert x.grad is None if not materialize else x.grad.tolist() == [0, 0]


def test_setup_context():
    class Power(Function):
        @staticmethod
        def forward(x, k):
            return x**k

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.k = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.k * x ** (ctx.k - 1), None

    x = leaf(1.0, 2.0)
    Power.apply(x, 3).sum().backward()
    assert x.grad.tolist() == [3, 12]


def test_once_differentiable():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(1.0, 2.0)
    assert torch.autograd.grad(Once.apply(x).sum(), x)[0].tolist() == [2, 4]
    (g,) = torch.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    text = "trying to differentiate twice a function that was marked with @once_differentiable"
    refuses(RuntimeError, text, g.sum().backward)


def test_a_context_is_shown_as_torch_shows_it():
    shown = []

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            shown.append(str(ctx))
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Own(torch.autograd.function.FunctionCtx):
        pass

    y = Doubled.apply(torch.ones(2, requires_grad=True))
    for text in (*shown, repr(y.grad_fn)):
        assert text.startswith("<torch.autograd.function.DoubledBackward object at 0x")
    assert repr(torch.autograd.function.FunctionCtx()).startswith(
        "<torch.autograd.function.FunctionCtx object"
    )
    assert f"<{__name__}." in repr(Own()) and "grad_fn=<DoubledBackward>" in repr(y)


def test_saved_results_lie_on_the_node_for_whoever_asks():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[1]

    x = leaf(1.0, 2.0)
    y = Exp.apply(x)
    assert y.grad_fn.requires_grad
    kept, result = y.grad_fn.saved_tensors
    assert kept is x and result.grad_fn is y.grad_fn
    assert torch.equal(torch.autograd.grad(result.sum(), x)[0], x.detach().exp())


def test_what_forward_recorded_itself_stays_inside():
    w = leaf(3.0)

    class Recording(Function):
        @staticmethod
        def forward(ctx, x):
            with torch.enable_grad():
                inner = x * w
            ctx.mark_non_differentiable(inner)
            with torch.enable_grad():
                return x * w, inner

        @staticmethod
        def backward(ctx, g, _):
            return g * 5

    x = leaf(2.0)
    y, inner = Recording.apply(x)
    assert y.grad_fn.name() == "RecordingBackward" and not inner.requires_grad
    y.backward()
    assert x.grad.item() == 5 and w.grad is None
    assert not any(t.requires_grad for t in Recording.apply(x.detach()))
    with torch.no_grad():
        assert not any(t.requires_grad for t in Recording.apply(x))
