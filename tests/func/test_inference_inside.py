"""Transformations in inference mode, and of functions that read inference tensors: as outside of the mode."""

import pytest

import pullback as torch
from pullback.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap


def cube(x):
    return x**3


def total(x):
    return cube(x).sum()


class Square(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        return g * 2 * x

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return t * 2 * x


TRANSFORMED = {
    "grad": (grad(total), [3.0, 12.0]),
    "jacrev": (lambda x: jacrev(cube)(x).diagonal(), [3.0, 12.0]),
    "jacfwd": (lambda x: jacfwd(cube)(x).diagonal(), [3.0, 12.0]),
    "hessian": (lambda x: hessian(total)(x).diagonal(), [6.0, 12.0]),
    "vjp": (lambda x: vjp(cube, x)[1](x)[0], [3.0, 24.0]),
    "jvp": (lambda x: jvp(cube, (x,), (x,))[1], [3.0, 24.0]),
    "linearize": (lambda x: linearize(cube, x)[1](x), [3.0, 24.0]),
    "grad of grad": (vmap(grad(grad(cube))), [6.0, 12.0]),
    "grad of a Function": (grad(lambda x: Square.apply(x).sum()), [2.0, 4.0]),
    "jvp of a Function": (lambda x: jvp(Square.apply, (x,), (x,))[1], [2.0, 8.0]),
    "vmap of a Function": (vmap(grad(Square.apply)), [2.0, 4.0]),
    "forward over reverse of a Function": (
        lambda x: hessian(lambda x: Square.apply(x).sum())(x).diagonal(),
        [2.0, 2.0],
    ),
    "second order of a Function": (vmap(grad(grad(Square.apply))), [2.0, 2.0]),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_differentiate_in_inference_mode(name):
    run, expected = TRANSFORMED[name]
    plain = torch.tensor([1.0, 2.0])
    with torch.inference_mode():
        made = torch.tensor([1.0, 2.0])
        for x in (plain, made):
            assert run(x).tolist() == expected
    assert run(made).tolist() == expected  # outside, by a tensor that was made inside


def test_modes_are_put_back():
    with torch.inference_mode():
        x, seen = torch.ones(2), []
        grad(lambda x: (seen.append(torch.is_grad_enabled()), x.sum())[1])(x)
        with pytest.raises(ZeroDivisionError):
            grad(lambda x: 1 / 0)(x)
        assert seen == [True]
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        y, pull = vjp(cube, x)
        assert not y.requires_grad and pull(x)[0].tolist() == [3.0, 3.0]
    assert pull(x)[0].tolist() == [3.0, 3.0]
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()


def test_inference_tensors_may_be_read_inside():
    with torch.inference_mode():
        data = torch.tensor([1.0, 2.0])
    assert grad(lambda w: (w * data).sum())(torch.ones(2)).tolist() == [1.0, 2.0]
    model = torch.nn.Linear(2, 1)
    with torch.inference_mode():
        found = grad(lambda p: functional_call(model, p, (data,)).sum())(dict(model.named_parameters()))
    assert found["weight"].tolist() == [[1.0, 2.0]] and found["bias"].tolist() == [1.0]
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        model.weight * data  # no transformation: as ever


def test_a_change_of_what_was_read_is_noticed():
    with torch.inference_mode():
        data = torch.tensor([1.0, 2.0])

        def changed(w):
            y = (w * data).sum()
            with torch.inference_mode():
                data.add_(1)
            return y

        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            grad(changed)(torch.ones(2))
