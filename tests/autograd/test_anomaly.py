"""Anomaly mode: texts, warnings and metadata are PyTorch's; the nan loss is caught in addition."""

import threading
import traceback
import warnings

import pytest

import pullback as torch

ENABLED = (
    "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
    "debugging."
)
NO_FORWARD = (
    "Error detected in SqrtBackward0. No forward pass information available. Enable detect anomaly during "
    "forward pass for more information."
)
HINT_INSIDE = (
    "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable "
    "in question was changed in there or anywhere later. Good luck!"
)


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def modes():
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def anomaly(check_nan=True):
    return torch.autograd.set_detect_anomaly(True, check_nan)


@pytest.fixture(autouse=True)
def _restored():
    before = modes()
    yield
    assert modes() == before


def failing(call, kind=RuntimeError):
    """The error that a call raises, and the warnings on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(kind) as e:
            call()
    assert all(w.category is UserWarning for w in caught)
    return e.value, [str(w.message) for w in caught]


def first_line(error):
    return str(error).split("\n")[0]


def unselected(x):
    return torch.where(x > 0, x.sqrt(), torch.zeros(2)).sum()


def test_nan_in_a_gradient():
    def run():
        with torch.autograd.detect_anomaly():
            unselected(leaf(0.0, 1.0)).backward()

    error, warned = failing(run)
    assert type(error) is RuntimeError
    assert first_line(error) == "Function 'SqrtBackward0' returned nan values in its 0th output."
    assert warned[0] == ENABLED
    head, _, stack = warned[1].partition("\n")
    assert head == "Error detected in SqrtBackward0. Traceback of forward call that caused the error:"
    line = unselected.__code__.co_firstlineno + 1
    assert stack.endswith(
        f'  File "{__file__}", line {line}, in unselected\n'
        "    return torch.where(x > 0, x.sqrt(), torch.zeros(2)).sum()\n"
    )
    assert f"in {run.__name__}\n    unselected(leaf(0.0, 1.0)).backward()" in stack


def test_the_output_of_a_node_with_several():
    def run():
        with anomaly():
            x, y = leaf(4.0, 1.0), leaf(0.0, 0.0)
            (x.pow(y - 1) * 0).sum().backward(torch.tensor(float("nan")))

    assert first_line(failing(run)[0]) == "Function 'SumBackward0' returned nan values in its 0th output."

    def second():
        with anomaly():
            (leaf(1.0, 1.0).detach() / leaf(0.0, 1.0) * 0).nan_to_num().sum().backward()

    assert first_line(failing(second)[0]) == "Function 'DivBackward0' returned nan values in its 1th output."


def test_forward_outside_the_mode():
    loss = unselected(leaf(0.0, 1.0))

    def run():
        with anomaly():
            loss.backward()

    assert failing(run)[1] == [NO_FORWARD]


def test_infinity_passes_and_nan_passes_without_check():
    with anomaly():
        x = leaf(0.0)
        x.sqrt().sum().backward()
        assert x.grad.tolist() == [float("inf")]
    with anomaly(check_nan=False):
        x = leaf(0.0, 1.0)
        unselected(x).backward()
        assert x.grad.isnan().tolist() == [True, False]


def test_errors_on_the_way_name_the_forward_call():
    def changed():
        with anomaly():
            y = (leaf(2.0) * 2).exp()
            y.add_(1)
            y.sum().backward()

    error, warned = failing(changed)
    assert first_line(error) == (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[torch.FloatTensor [1]], which is output 0 of Exp, is at version 1; expected version 0 instead. "
        + HINT_INSIDE
    )
    assert len(warned) == 1
    assert warned[0].startswith("Error detected in ExpBackward0. Traceback of forward call")
    assert "y = (leaf(2.0) * 2).exp()" in warned[0]

    def hook_fails():
        with anomaly():
            h = leaf(1.0) * 1
            h.register_hook(lambda g: 1 / 0)
            (h * 2).sum().backward()

    error, warned = failing(hook_fails, ZeroDivisionError)
    assert str(error) == "division by zero"
    assert "h = leaf(1.0) * 1" in warned[0]
    assert warned[0].startswith("Error detected in MulBackward0.")

    def freed():
        with anomaly():
            y = (leaf(1.0) * 2).sum()
            y.backward()
            y.backward()

    error, warned = failing(freed)
    assert first_line(error).startswith("Trying to backward through the graph a second time")
    assert warned[0].startswith("Error detected in MulBackward0. Traceback of forward call")


class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        if x[0] < 0:
            raise ValueError("mine")
        return g * float("nan")


def test_functions_of_the_user():
    def run(value):
        with anomaly():
            Broken.apply(leaf(value)).sum().backward()

    error, warned = failing(lambda: run(-1.0), ValueError)
    assert str(error) == "mine"
    assert warned[0].startswith("Error detected in BrokenBackward. Traceback of forward call")
    assert "Broken.apply(leaf(value))" in warned[0]
    error, warned = failing(lambda: run(1.0))
    assert first_line(error) == "Function 'BrokenBackward' returned nan values in its 0th output."

    def changed():
        with anomaly():
            x = leaf(1.0) * 1
            y = Broken.apply(x)
            x.mul_(2)
            y.sum().backward()

    assert HINT_INSIDE in first_line(failing(changed)[0])


def test_metadata():
    x = leaf(0.0)
    assert x.sin().grad_fn.metadata == {}
    with anomaly():
        line = traceback.extract_stack()[-1].lineno + 1
        y = x**1.5
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert list(y.grad_fn.metadata) == ["traceback_"]
    stack = y.grad_fn.metadata["traceback_"]
    assert isinstance(stack, list)
    assert stack[-1] == f'  File "{__file__}", line {line}, in test_metadata\n    y = x**1.5\n'
    assert list(g.grad_fn.metadata) == ["traceback_", "parent_"]
    assert g.grad_fn.metadata["parent_"] is y.grad_fn
    y.grad_fn.metadata["mine"] = 1
    assert y.grad_fn.metadata["mine"] == 1


def test_an_error_in_a_second_backward_names_both_calls():
    def run():
        with anomaly():
            x = leaf(0.0)
            y = x**1.5
            (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            (g * 0).sum().backward()

    error, warned = failing(run)
    name = first_line(error).split("'")[1]
    assert first_line(error).startswith(f"Function '{name}' returned nan values in its ")
    assert warned[0].startswith(f"Error detected in {name}. Traceback of forward call that caused the error:")
    assert warned[0].endswith("(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)\n")
    assert warned[1].startswith(
        "\n\nPrevious calculation was induced by PowBackward0. Traceback of forward call that induced the "
        "previous calculation:\n"
    )
    assert warned[1].endswith("y = x**1.5\n")


@pytest.mark.parametrize("through", ["backward", "autograd.backward", "grad"])
def test_nan_loss(through):
    def run():
        x = leaf(1.0)
        with anomaly():
            loss = (x + float("nan")).sum()
            if through == "backward":
                loss.backward()
            elif through == "grad":
                torch.autograd.grad(loss, x)
            else:
                torch.autograd.backward([x.sum(), loss])

    error, warned = failing(run)
    k = 1 if through == "autograd.backward" else 0
    assert first_line(error) == (
        f"Output {k} given to backward is nan (it comes from SumBackward0), although no gradient is."
    )
    assert "loss = (x + float" in warned[0]


def test_modes_nest_and_are_restored():
    assert modes() == (False, True)
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert modes() == (True, False)
        with torch.autograd.set_detect_anomaly(False):
            assert modes() == (False, True)
        assert modes() == (True, False)
    assert modes() == (False, True)
    torch.autograd.set_detect_anomaly(True)
    assert modes() == (True, True)
    torch.autograd.set_detect_anomaly(False)
    with pytest.warns(UserWarning, match="Anomaly Detection"):
        context = torch.autograd.detect_anomaly(check_nan=False)
    assert modes() == (False, True)
    with pytest.raises(KeyError), context:
        assert modes() == (True, False)
        raise KeyError


def test_the_mode_holds_in_every_thread():
    seen = []
    with anomaly():
        thread = threading.Thread(target=lambda: seen.append((modes(), (leaf(1.0) * 2).grad_fn.metadata)))
        thread.start()
        thread.join()
    assert seen[0][0] == (True, True)
    assert "traceback_" in seen[0][1]


def test_bad_arguments():
    with pytest.raises(TypeError) as e:
        torch.autograd.set_detect_anomaly(1)
    assert str(e.value) == "set_anomaly_enabled(): argument 'enabled' (position 1) must be bool, not int"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'mode'"):
        torch.autograd.set_detect_anomaly()


def test_a_warning_turned_into_an_error_does_not_hide_the_first_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with anomaly(), pytest.raises(RuntimeError, match="returned nan values"):
            unselected(leaf(0.0, 1.0)).backward()
