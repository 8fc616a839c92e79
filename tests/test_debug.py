"""pullback.debug: the lines behind an in-place error, and the operation that made a nan or an infinity."""

import doctest
import gc
import inspect
import pathlib
import threading

import pytest

import pullback as torch
from pullback import _core
from pullback.autograd import anomaly_mode
from pullback.debug import watches
from pullback.errors import InplaceError, NonFiniteError

inf, nan = float("inf"), float("nan")


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


@pytest.fixture(autouse=True)
def _restored():
    yield
    assert _core.watched() == 0


def line_of(function, text):
    """How a traceback shows the line of a function that holds `text`."""
    lines, start = inspect.getsourcelines(function)
    k = next(k for k, line in enumerate(lines) if text in line)
    return f'  File "{__file__}", line {start + k}, in {function.__name__}\n    {lines[k].strip()}'


def test_the_page_about_it():
    page = pathlib.Path(__file__).parent.parent / "docs" / "finding_faults.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted >= 10
    assert result.failed == 0


@pytest.mark.parametrize("module", [anomaly_mode, watches])
def test_the_examples_of_its_functions(module):
    result = doctest.testmod(module)
    assert result.attempted >= 4
    assert result.failed == 0


# ---- locations ---------------------------------------------------------------------------------------------


def saves(x):
    return x.exp()


def changes(y):
    with torch.no_grad():
        y += 1


def changed_text(save, change, *args):
    with torch.debug.locations():
        y = save(*args)
        change(y)
    with pytest.raises(InplaceError) as e:
        y.sum().backward()
    return str(e.value)


def test_the_lines_that_saved_and_changed():
    text = changed_text(saves, changes, leaf(1.0, 2.0))
    assert text.split("\n")[0] == (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[torch.FloatTensor [2]], which is output 0 of Exp, is at version 1; expected version 0 instead. "
        "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
    assert text.endswith(
        f"It was saved by\n{line_of(saves, 'x.exp()')}\nand changed by\n{line_of(changes, 'y += 1')}"
    )


def fills(y):
    y.data_ptr()
    with torch.no_grad():
        y.fill_(1.0)


def draws(y):
    with torch.no_grad():
        y.uniform_()


def assigns(y):
    with torch.no_grad():
        y[0] = 3.0


def copies(y):
    with torch.no_grad():
        y.copy_(torch.zeros(2))


@pytest.mark.parametrize(
    ("change", "text"), [(fills, "fill_"), (draws, "uniform_"), (assigns, "y[0]"), (copies, "copy_")]
)
def test_every_way_of_changing(change, text):
    assert changed_text(saves, change, leaf(1.0, 2.0)).endswith(f"and changed by\n{line_of(change, text)}")


def test_an_optimizer_changes_its_parameters():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([p], lr=0.1)

    def steps(y):
        p.grad = torch.ones(2)
        optimizer.step()

    text = changed_text(lambda x: x * x.exp(), steps, p)
    assert text.endswith(f"and changed by\n{line_of(steps, 'optimizer.step()')}")


class Keeps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x


def keeps(x):
    global kept
    kept = x * 1
    return Keeps.apply(kept)


def changes_what_was_kept(y):
    kept.zero_()


def test_functions_of_the_user():
    text = changed_text(keeps, changes_what_was_kept, leaf(1.0, 2.0))
    assert text.endswith(
        f"It was saved by\n{line_of(keeps, 'Keeps.apply')}\n"
        f"and changed by\n{line_of(changes_what_was_kept, 'kept.zero_()')}"
    )


def test_what_happened_outside_is_not_known():
    y = saves(leaf(1.0))
    with torch.debug.locations():
        changes(y)
    with pytest.raises(InplaceError) as e:
        y.sum().backward()
    assert str(e.value).endswith(f"It was changed by\n{line_of(changes, 'y += 1')}")
    assert "saved by" not in str(e.value)


def test_lines_inside_modules_are_the_users():
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())

        def forward(self, x):
            return self.first(x)

    model = Mine()
    text = changed_text(model, changes, torch.ones(1, 2))
    assert line_of(Mine.forward, "self.first(x)") in text


# ---- nonfinite, forward ------------------------------------------------------------------------------------


def caught(call, *args):
    with pytest.raises(NonFiniteError) as e, torch.debug.nonfinite():
        call(*args)
    return e.value


def divides(x):
    return 1 / x


def test_forward_names_op_element_values_and_line():
    error = caught(divides, torch.tensor([[4.0, 2.0], [0.0, 1.0]]))
    assert isinstance(error, FloatingPointError)
    assert str(error).split("\n")[:4] == [
        "reciprocal made inf at [1, 0] of its result (shape [2, 2])",
        "  input[1, 0] = 0.0",
        *line_of(divides, "1 / x").split("\n"),
    ]
    assert (error.op, error.index, error.value) == ("reciprocal", (1, 0), inf)


FORWARD = {
    "sqrt": (lambda: torch.tensor([1.0, -4.0]).sqrt(), "sqrt made nan at [1]", "input[1] = -4.0"),
    "log": (lambda: torch.tensor([0.0, 1.0]).log(), "log made -inf at [0]", "input[0] = 0.0"),
    "exp": (lambda: torch.tensor(1000.0).exp(), "exp made inf in the single element", "input = 1000.0"),
    "broadcast": (
        lambda: torch.tensor([[1.0], [0.0]]) / torch.tensor([1.0, 0.0]),
        "div made inf at [0, 1]",
        "other[1] = 0.0",
    ),
    "number": (lambda: torch.tensor([1, 2]) / 0, "div made inf at [0]", "other = 0"),
    "sum": (lambda: torch.full((2, 3), 3e38).sum(1), "sum made inf at [0]", "(at [0, 0])"),
    "product": (
        lambda: torch.tensor([[1e30, 0.0]]) @ torch.tensor([[1e30], [5.0]]),
        "mm made inf at [0, 0]",
        "mat2 of shape [2, 1] lies between 5.0 (at [1, 0]) and 1e+30 (at [0, 0])",
    ),
    "mean of nothing": (lambda: torch.ones(0).mean(), "mean made nan", "input of shape [0] has no elements"),
    "list": (lambda: torch.logsumexp(torch.ones(0, 2), 0), "logsumexp made -inf at [0]", "no elements"),
    "double": (lambda: torch.tensor([1e200], dtype=torch.float64).square(), "square made inf", "= 1e+200"),
    "strided": (
        lambda: torch.ones(3, 4).t()[::2].sub(1).reciprocal(),
        "reciprocal made inf at [0, 0]",
        "= 0.0",
    ),
    "nan from infinities": (lambda: torch.tensor([inf]) - torch.tensor([inf]), "sub made nan", "= inf"),
}


@pytest.mark.parametrize("name", FORWARD)
def test_forward(name):
    call, head, values = FORWARD[name]
    error = caught(call)
    assert str(error).startswith(head)
    assert values in str(error)


LARGE = 300_000


def test_every_position_of_every_size_is_looked_at():
    with torch.debug.nonfinite():
        for dtype in (torch.float32, torch.float64):
            for n in (1, 3, 7, 31, 32, 33, 63, 65, 127, 130, 2100):
                for k in {0, 1, n // 2, n - 2, n - 1} & set(range(n)):
                    x = torch.ones(n, dtype=dtype)
                    x[k] = 0
                    with pytest.raises(NonFiniteError) as e:
                        x.log()
                    assert e.value.index == (k,)
        x = torch.ones(LARGE)
        for k in (0, 131_072, LARGE - 1):
            x.fill_(1.0)
            x[k] = -1
            with pytest.raises(NonFiniteError) as e:
                x.sqrt()
            assert e.value.index == (k,)


def test_what_comes_in_may_pass():
    with torch.debug.nonfinite():
        x = torch.tensor([1.0, 2.0, inf, nan])
        assert (x * 2 + 1).isnan().tolist() == [False, False, False, True]
        assert torch.isinf(x[:3].sum())
        scores = torch.zeros(2, 2).masked_fill(torch.tensor([[False, True], [False, False]]), -inf)
        assert scores.softmax(1).tolist() == [[1.0, 0.0], [0.5, 0.5]]
        assert torch.where(x > 1, -inf, 0.0)[1] == -inf
        assert torch.full((2,), inf).clamp(max=inf).tolist() == [inf, inf]
        assert (torch.ones(2) * inf).tolist() == [inf, inf]
    # Another element brought something in: this one was still made here.
    assert caught(lambda: torch.tensor([inf, 0.0]).log()).index == (1,)


def test_nothing_is_changed_in_place():
    x = torch.tensor([1.0, 0.0])
    assert caught(lambda: x.log_()).op == "log"
    assert x.tolist() == [1.0, 0.0]
    assert x._version == 0
    assert caught(lambda: x.div_(0)).index == (0,)
    assert x.tolist() == [1.0, 0.0]


def test_losses_that_clamp_inside_are_finite():
    with torch.debug.nonfinite():
        p = leaf(0.0, 1.0)
        loss = torch.nn.functional.binary_cross_entropy(p, torch.tensor([0.0, 1.0]))
        loss.backward()
        logits = leaf(200.0, -200.0)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0])).backward()
        x = torch.tensor([[1e4, -1e4]], requires_grad=True)
        torch.nn.functional.cross_entropy(x, torch.tensor([1])).backward()
    assert torch.isfinite(loss)


# ---- nonfinite, backward -----------------------------------------------------------------------------------


def classic(x):
    y = torch.where(x > 0, torch.sqrt(x), torch.zeros(3))
    return y.sum()


def test_the_unselected_branch_of_where():
    x = leaf(4.0, 0.0, 1.0)
    error = caught(lambda: classic(x).backward())
    text = str(error)
    where = line_of(classic, "torch.where")
    assert text.split("\n")[:3] == [
        "SqrtBackward0 made nan at [1] of the gradient of `input` (shape [3])",
        "  arriving gradient[1] = 0.0",
        "  result[1] = 0.0",
    ]
    assert (
        f"It was recorded by\n{where}\nThis is zero times infinity: the gradient that arrives is 0, " in text
    )
    assert (
        "because where() did not select this element, but the derivative of sqrt is infinite there." in text
    )
    assert f"The choice was made by\n{where}" in text
    assert "    y = torch.where(selected, sqrt(safe), other)" in text
    assert (error.op, error.index) == ("SqrtBackward0", (1,))
    assert x.grad is None


def test_the_advice_helps():
    x = leaf(4.0, 0.0, 1.0)
    with torch.debug.nonfinite():
        safe = torch.where(x > 0, x, 1.0)
        torch.where(x > 0, safe.sqrt(), 0.0).sum().backward()
    assert x.grad.tolist() == [0.25, 0.0, 0.5]


ZERO_TIMES_INFINITY = {
    "masked_fill": (lambda x: x.sqrt().masked_fill(x == 0, 0.0), "masked_fill() did not select"),
    "indexing": (lambda x: x.sqrt()[x > 0], "did not select"),
    "multiplication": (lambda x: x.sqrt() * (x > 0), "what follows does not depend on this element"),
    "further down": (lambda x: torch.where(x > 0, (x.sqrt() * 2 + 1).tanh(), 0.0), "where() did not select"),
    "power": (lambda x: torch.where(x > 0, x**0.5, 0.0), "where() did not select"),
    "assignment": (lambda x: _assigned(x.sqrt(), x == 0), "did not select"),
}


def _assigned(y, mask):
    y = y * 1
    y[mask] = 0.0
    return y


@pytest.mark.parametrize("name", ZERO_TIMES_INFINITY)
def test_zero_times_infinity(name):
    call, cause = ZERO_TIMES_INFINITY[name]
    text = str(caught(lambda: call(leaf(4.0, 0.0)).sum().backward()))
    assert " made nan at [1] of the gradient of `" in text
    assert cause in text
    assert "zero times infinity" in text


def test_a_steep_derivative():
    error = caught(lambda: leaf(0.0).sqrt().sum().backward())
    assert str(error).startswith("SqrtBackward0 made inf at [0] of the gradient of `input` (shape [1])")
    assert "zero times infinity" not in str(error)
    assert "The slope of sqrt at input = 0.0 is infinite: keep the operand away from it" in str(error)


def test_a_product_on_the_way_back():
    w = torch.full((2, 2), 1e30, requires_grad=True)
    x = torch.zeros(1, 2)

    def run():
        (x @ w).sum().backward(torch.tensor(1e30))

    assert (
        caught(lambda: torch.mm(leaf(1e-30).reshape(1, 1), w[:1]).sum().mul(1e20).backward()).op
        == "MmBackward0"
    )
    with torch.debug.nonfinite():
        run()
    assert w.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_forward_outside():
    loss = classic(leaf(0.0, 1.0, 1.0))
    text = str(caught(loss.backward))
    assert "Run the forward pass within nonfinite() too, to learn which line recorded it." in text
    assert "where() did not select this element" in text


def test_names_of_operands_beside_constants():
    x = leaf(1.0)
    error = caught(lambda: torch.mul(torch.tensor([1e38]), x).sum().backward(torch.tensor(1e2)))
    assert "MulBackward0 made inf at [0] of the gradient of `other` (shape [1])" in str(error)
    assert "  input[0] = 1e+38" in str(error)


def test_sums_of_gradients():
    x = leaf(1.0)
    error = caught(lambda: torch.autograd.backward([x * 3e38, x * 3e38]))
    text = str(error)
    assert text.startswith(
        "add, adding up the gradients of a value that is used more than once, made inf at [0] of its result"
    )
    x = leaf(1.0)
    x.grad = torch.tensor([3e38])
    error = caught(lambda: (x * 3e38).sum().backward())
    assert str(error).startswith("add, adding a gradient to .grad, made inf at [0] of its result (shape [1])")
    assert x.grad.tolist() == [torch.tensor(3e38).item()]


def test_create_graph_and_grad():
    x = leaf(4.0, 0.0, 1.0)
    error = caught(lambda: torch.autograd.grad(classic(x), x, create_graph=True))
    assert error.op == "SqrtBackward0"

    def second():
        (g,) = torch.autograd.grad((leaf0 := leaf(0.0)).pow(1.5).sum(), leaf0, create_graph=True)
        g.sum().backward()

    assert "made inf at [0] of the gradient of" in str(caught(second))


class Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 0.5

    @staticmethod
    def backward(ctx, g):
        return g / 0


def test_a_backward_of_the_user():
    text = str(caught(lambda: Halves.apply(leaf(1.0)).sum().backward()))
    assert text.startswith("div made inf at [0] of its result")
    assert line_of(Halves.backward, "g / 0") in text


def steps(optimizer):
    optimizer.step()


def uses(p):
    return p * 2


@pytest.mark.parametrize("lines", [False, True])
def test_what_an_optimizers_step_has_left(lines):
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.tensor([0.0, 1e10, 0.0])
    optimizer = torch.optim.SGD([p], lr=1e30)

    def run():
        steps(optimizer)
        uses(p)

    if lines:
        with torch.debug.locations():
            text = str(caught(run))
    else:
        text = str(caught(run))
    assert text.split("\n")[:2] == [
        "A parameter (shape [3]) holds -inf at [1]",
        "An optimizer's step has left it there.",
    ]
    assert (line_of(steps, ".step()") in text) is lines
    assert f"It was found when mul used the parameter at\n{line_of(uses, 'p * 2')}" in text


def test_a_parameter_that_came_with_an_infinity_may_pass():
    p = torch.nn.Parameter(torch.tensor([1.0, inf]))
    with torch.debug.nonfinite():
        assert uses(p).tolist() == [2.0, inf]


# ---- the contexts themselves -------------------------------------------------------------------------------


def test_contexts_nest_and_are_restored_when_left_by_an_error():
    watch = torch.debug.nonfinite()
    with pytest.raises(NonFiniteError), watch, torch.debug.locations(), watch:
        assert _core.watched() == _core.WATCH_NONFINITE | _core.WATCH_LINES
        torch.zeros(1).log()
    assert _core.watched() == 0
    assert torch.zeros(1).log().item() == -inf
    with torch.debug.nonfinite():
        with pytest.raises(NonFiniteError):
            torch.zeros(1).log()
        with pytest.raises(NonFiniteError):  # still on
            torch.zeros(1).log()


def test_every_thread_is_watched():
    errors = []

    def work():
        try:
            torch.zeros(1).log()
        except NonFiniteError as e:
            errors.append(e)

    with torch.debug.nonfinite():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(errors) == 1


def network(steps):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.rand(8, 4), torch.rand(8, 1)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return [p.tolist() for p in model.parameters()]


def test_watching_changes_no_bit():
    plain = network(5)
    with torch.debug.nonfinite(), torch.debug.locations(), torch.autograd.set_detect_anomaly(True):
        assert network(5) == plain


def test_watching_does_not_grow():
    with torch.debug.nonfinite(), torch.debug.locations():
        network(3)
        gc.collect()
        gc.disable()
        try:
            before = _core.allocator_statistics()["live_bytes"]
            network(300)
            grown = _core.allocator_statistics()["live_bytes"] - before
        finally:
            gc.enable()
    assert grown < 20_000


def test_under_transformations():
    def loss(x):
        return torch.where(x > 0, x.sqrt(), 0.0).sum()

    x = torch.tensor([[4.0, 1.0], [1.0, 0.0]])
    for call in (
        lambda: torch.func.grad(loss)(x),
        lambda: torch.func.vmap(torch.func.grad(loss))(x),
        lambda: torch.func.vmap(lambda row: (1 / row).sum())(x),
    ):
        assert "made " in str(caught(call))
    with torch.debug.nonfinite():
        assert torch.func.vmap(torch.func.grad(loss))(x[:1]).tolist() == [[0.25, 0.5]]
