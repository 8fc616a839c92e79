"""What autograd.Function makes of marks, views and gradients that are odd or wrong; types and texts are "
"torch's."""

import warnings

import numpy as np
import pytest

import pullback as torch
from pullback.autograd import function

Function = torch.autograd.Function
VIEW = (
    "Output 0 of Made is a view and is being modified inplace. This view was created inside a custom "
    "Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would "
    "override the custom backward associated with the custom Function, leading to incorrect gradients. This "
    "behavior is forbidden. You can fix this by cloning the output of the custom Function."
)


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def make(forward, backward=None, **more):
    methods = {"forward": staticmethod(forward)}
    if backward:
        methods["backward"] = staticmethod(backward)
    return type("Made", (Function,), methods | more)


def passing(ctx, g, *more):
    return g


def refuses(kind, text, call, *args):
    with pytest.raises(kind) as e:
        call(*args)
    assert str(e.value).split("\n")[0] == text


def marked(mark, value, result=None):
    def forward(ctx, x):
        getattr(ctx, mark)(value(x))
        return x * 2 if result is None else result(x)

    return make(forward, passing)


def test_marks_of_the_wrong_kind():
    x = leaf(1.0, 2.0)
    text = "mark_dirty can only accept variables, but argument 0 is of type int"
    refuses(RuntimeError, text, marked("mark_dirty", lambda x: 3).apply, x)
    text = "mark_non_differentiable only accepts variable arguments, but got int"
    refuses(RuntimeError, text, marked("mark_non_differentiable", lambda x: 3).apply, x)
    text = "set_materialize_grads received an invalid combination of arguments - got (), but expected (bool)"
    refuses(TypeError, text, marked("set_materialize_grads", lambda x: "a").apply, x)
    for mark in ("save_for_backward", "save_for_forward"):
        text = f"{mark} can only save variables, but argument 0 is of type list"
        refuses(TypeError, text, marked(mark, lambda x: [x]).apply, x)
    assert x._version == 0 and x.grad is None


def test_dirty_tensors():
    def triple(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x

    Triple = make(triple, lambda ctx, g: g * 3)
    x = leaf(1.0, 2.0)
    text = "a view of a leaf Variable that requires grad is being used in an in-place operation."
    refuses(RuntimeError, text, Triple.apply, x[:1])
    many = (
        "Output 0 of Unbind is a view and is being modified inplace. This view is the output of a function "
        "that returns multiple views. Such functions do not allow the output views to be modified inplace. "
        "You should replace the inplace operation by an out-of-place one."
    )
    refuses(RuntimeError, many, Triple.apply, (x * 1).unbind(0)[0])
    Two = make(lambda ctx, x: (triple(ctx, x), x * 2), lambda ctx, g, h: g * 3 + h * 6)
    with pytest.raises(
        RuntimeError, match="If your Function modifies inplace an input that is a view of another"
    ):
        Two.apply((x * 1)[:1])
    Loose = marked("mark_dirty", lambda x: x)
    text = (
        "Some elements marked as dirty during the forward method were not returned as output. The inputs "
        "that are modified inplace must all be outputs of the Function."
    )
    refuses(RuntimeError, text, Loose.apply, x * 1)

    def forward(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y

    with pytest.warns(UserWarning, match="received a tensor that was not an input"):
        make(forward, passing).apply(x * 1)
    plain = torch.ones(2)
    assert Triple.apply(plain) is plain and plain.tolist() == [3, 3]

    def weighted(ctx, x, y):  # writes into a tensor that asked for no gradient
        ctx.mark_dirty(y)
        return y.mul_(x)

    y = torch.ones(2)
    out = make(weighted, lambda ctx, g: (g, g)).apply(x.detach().requires_grad_(), y)
    assert out is y and y.requires_grad and not y.is_leaf


def test_results_that_are_views_keep_their_base_but_do_not_change():
    x = leaf(1.0, 2.0)
    for forward in (lambda ctx, x: x, lambda ctx, x: x.view(-1)):
        t = x * 1
        out = make(forward, passing).apply(t)
        assert out is not t and out._base is t and out._is_view()
        refuses(RuntimeError, VIEW, out.mul_, 2)
        out.sum().backward()
    t = x * 1
    first, _ = make(lambda ctx, x: (x[:1], x[1:]), lambda ctx, g, h: torch.cat([g, h])).apply(t)
    with pytest.raises(
        RuntimeError, match="This view is the output of a function that returns multiple views"
    ):
        first.mul_(2)
    out = make(lambda ctx, x: x, passing).apply(t)
    t.mul_(2)
    with pytest.raises(
        RuntimeError, match="Output 0 of Made is a view and its base or another view of its base"
    ):
        out.sum()
    plain = torch.ones(2)
    same = make(lambda ctx, x: x, passing).apply(plain)
    assert same is not plain and same._base is plain and not same.requires_grad
    same.mul_(2)
    assert plain.tolist() == [2, 2]


def test_an_input_marked_as_constant():
    out = marked("mark_non_differentiable", lambda x: x, lambda x: x).apply(leaf(1.0))
    assert not out.requires_grad and out.tolist() == [1]


def test_gradients_for_inputs_that_want_none():
    x, w = leaf(1.0, 2.0), torch.ones(2)
    make(lambda ctx, x, w: x * w, lambda ctx, g: (g, torch.ones(7))).apply(x, w).sum().backward()
    assert x.grad.tolist() == [1, 1] and w.grad is None


def test_wrong_gradients():
    def run(result, n=1):
        made = make(lambda ctx, *args: args[0] * 2, lambda ctx, g: result(g))
        x = leaf(1.0, 2.0)
        made.apply(x, *[3] * (n - 1)).sum().backward()
        return x.grad

    wrong_count = "function MadeBackward returned an incorrect number of gradients (expected {}, got {})"
    refuses(RuntimeError, wrong_count.format(1, 2), run, lambda g: (g, g))
    refuses(RuntimeError, wrong_count.format(2, 1), run, lambda g: g, 2)
    refuses(RuntimeError, wrong_count.format(3, 2), run, lambda g: (g, None), 3)
    refuses(RuntimeError, wrong_count.format(1, 0), run, lambda g: ())
    refuses(RuntimeError, "expected Variable or None (got list)", run, lambda g: [g])
    text = (
        "Function MadeBackward returned an invalid gradient at index 0 - got [] but expected shape "
        "compatible with [2]"
    )
    refuses(RuntimeError, text, run, lambda g: torch.ones(()))
    assert run(lambda g: (g, None)).tolist() == [1, 1] and run(lambda g: None) is None


def test_backward_and_vjp():
    x = leaf(1.0)
    vjp = staticmethod(lambda ctx, g: g * 9)
    make(lambda ctx, x: x * 2, vjp=vjp).apply(x).backward()
    assert x.grad.tolist() == [9]
    text = (
        "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
        "implement one of them."
    )
    refuses(RuntimeError, text, make(lambda ctx, x: x * 2, passing, vjp=vjp).apply(x).backward)
    assert Function.vjp is Function.backward


def test_defaults_of_what_may_be_overridden():
    text = "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
    refuses(NotImplementedError, text, Function.jvp, None)
    text = (
        "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
        "generate_vmap_rule=True."
    )
    refuses(NotImplementedError, text, Function.vmap, None, None)
    refuses(NotImplementedError, "setup_context is not implemented.", Function.setup_context, None, (), None)
    with pytest.warns(DeprecationWarning):
        made = Function()
    with pytest.raises(
        RuntimeError, match="Legacy autograd function with non-static forward method is deprecated"
    ):
        made(leaf(1.0))


class Power(Function):
    @staticmethod
    def forward(x, exponent=3):
        return x**exponent

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.exponent = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.exponent * x ** (ctx.exponent - 1), None


def test_setup_context_sees_defaults_and_keywords_by_position():
    for args, named, expected in (((), {}, 12), ((2,), {}, 4), ((), {"exponent": 1}, 1)):
        x = leaf(2.0)
        Power.apply(x, *args, **named).backward()
        assert x.grad.tolist() == [expected]
    refuses(TypeError, "missing a required argument: 'x'", Power.apply)


def test_keywords_are_inputs_too():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = make(lambda ctx, x, w=None: x * w, lambda ctx, g: (g * 3, g * 5)).apply(x, w=w)
    assert out.grad_fn.needs_input_grad == (True, True)
    out.sum().backward()
    assert x.grad.tolist() == [3, 3] and w.grad.tolist() == [5, 5]


def test_structures_are_left_alone():
    x, seen = leaf(1.0), []

    def forward(ctx, parts, names):
        seen.append((parts, names, ctx.needs_input_grad))
        return parts[0] * 2

    out = make(forward, lambda ctx, g: (None, None)).apply([x], {"a": x})
    assert seen[0] == ([x], {"a": x}, (False, False)) and not out.requires_grad
    result = make(
        lambda ctx, x: (x * 2, [x * 3], None, 4), lambda ctx, g, *rest: (seen.append(rest), g)[1]
    ).apply(x)
    assert isinstance(result[1], list) and not result[1][0].requires_grad and result[2:] == (None, 4)
    result[0].backward()
    assert seen[1] == (None, None, None)


def test_what_ctx_keeps_outside_of_graphs():
    kept = []

    def forward(ctx, x):
        ctx.save_for_backward(x)
        kept.append(ctx)
        return x * 2

    made = make(forward, passing)
    with torch.no_grad():
        made.apply(leaf(1.0))
    made.apply(torch.ones(1))
    assert [c.saved_tensors for c in kept] == [(), ()] and kept[0].to_save is None
    assert [c.needs_input_grad for c in kept] == [(True,), (False,)]
    assert type(kept[0]) is made._backward_cls and type(kept[0]).__name__ == "MadeBackward"
    out = made.apply(leaf(1.0))
    out.grad_fn.note = 5
    assert kept[2].note == 5 and out.grad_fn.note == 5
    with pytest.warns(DeprecationWarning, match="'saved_variables' is deprecated; use 'saved_tensors'"):
        assert len(out.grad_fn.saved_variables) == 1
    with pytest.raises(AttributeError, match="'MulBackward0' object has no attribute 'note'"):
        (leaf(1.0) * 2).grad_fn.note  # noqa: B018


def test_ctx_answers_for_its_node_in_backward():
    seen = []

    def backward(ctx, g):
        seen.append((ctx.name(), len(ctx.next_functions), ctx.metadata))
        return g

    out = make(lambda ctx, x: x * 2, backward).apply(leaf(1.0))
    out.grad_fn.metadata["k"] = 1
    out.backward()
    assert seen == [("MadeBackward", 1, {"k": 1})]


def test_arrays_of_inputs_in_forward_and_backward():
    """Nothing is recorded in forward, so that numpy() is allowed there."""

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.exp(x.numpy()))

    x = leaf(0.0, 1.0)
    Exp = make(forward, lambda ctx, g: g * torch.from_numpy(np.exp(ctx.saved_tensors[0].numpy())))
    Exp.apply(x).sum().backward()
    assert x.grad.tolist() == pytest.approx([1, 2.7182817459106445])
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        x.numpy()


def test_a_backward_that_runs_another():
    def backward(ctx, g):
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            (slope,) = torch.autograd.grad((x**3).sum(), x)
        return g * slope

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    x = leaf(1.0, 2.0)
    Cubed = make(forward, backward)
    Cubed.apply(Cubed.apply(x)).sum().backward()
    assert x.grad.tolist() == [9, 9 * 2**8]


def test_a_function_that_raises_leaves_everything_as_it_was():
    for made in (make(lambda ctx, x: 1 / 0, passing), make(lambda ctx, x: x * 2, lambda ctx, g: 1 / 0)):
        x = leaf(1.0)
        with pytest.raises(ZeroDivisionError):
            made.apply(x).backward()
        assert torch.is_grad_enabled() and x.grad is None and x._version == 0


def test_inference_tensors_cannot_be_saved():
    with torch.inference_mode():
        t = torch.ones(2)

    def forward(ctx, x, t):
        ctx.save_for_backward(t)
        return x * 2

    with pytest.raises(
        RuntimeError, match=r"Inference tensors cannot be saved for backward. Please do not use"
    ):
        make(forward, passing).apply(leaf(1.0, 2.0), t)


def test_old_names():
    class Old(function.InplaceFunction):
        forward = staticmethod(lambda ctx, x: x * 2)
        backward = staticmethod(lambda ctx, g: g * 2)

    x = leaf(1.0)
    Old.apply(x).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert x.grad.tolist() == [2] and Old(True).inplace and not Old().inplace

    class Nested(function.NestedIOFunction):
        @staticmethod
        def forward_extended(ctx, pair, options):
            return {"sum": pair[0] + pair[1], "scaled": [pair[0] * options["k"]]}

        @staticmethod
        def backward_extended(ctx, g):
            return (g["sum"] + g["scaled"][0] * 7, g["sum"]), {"k": None}

    a, b = leaf(1.0), leaf(2.0)
    out = Nested.apply((a, b), {"k": 7})
    assert out["sum"].tolist() == [3] and out["scaled"][0].tolist() == [7]
    (out["sum"] + out["scaled"][0]).sum().backward()
    assert a.grad.tolist() == [8] and b.grad.tolist() == [1]
    for name in ("forward_extended", "backward_extended"):
        with pytest.raises(NotImplementedError, match=f"You must implement {name}"):
            getattr(function.NestedIOFunction, name)(None)
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        torch.autograd.Variable(torch.ones(1), volatile=True)


def test_nodes_are_not_made_by_hand():
    with pytest.raises(TypeError, match="Can't instantiate abstract class Node"):
        torch.autograd.graph.Node()
    node = leaf(1.0).exp().grad_fn
    with pytest.raises(TypeError, match="cannot create 'ExpBackward0' instances"):
        type(node)()
    assert isinstance(node, torch.autograd.graph.Node) and not isinstance(3, torch.autograd.graph.Node)
    with pytest.raises(AttributeError, match="'ExpBackward0' object has no attribute 'variable'"):
        node.variable  # noqa: B018
