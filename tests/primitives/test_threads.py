"""The number of threads changes no bit: of no op, and of no size above a threshold."""

import hashlib

import numpy as np
import pytest

import pullback as torch
from pullback.checking import checks
from pullback.checking.cases import Draw
from pullback.checking.harness import grad, like


@pytest.fixture(autouse=True)
def threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def digest(tensors):
    h = hashlib.sha256()
    for t in tensors:
        h.update(b"-" if t is None else t.detach().contiguous().numpy().tobytes())
    return h.hexdigest()


def in_both(make):
    """The digest of what `make` returns, with one thread and with two."""
    out = []
    for n in (1, 2):
        torch.set_num_threads(n)
        out.append(digest(make()))
    return out


def test_all_cases():
    for name in checks.built_in():

        def run(name=name):
            results = []
            for call in checks.rule(name).calls(torch.float32):
                outputs = call.run()
                results += outputs + grad(outputs, call.inputs, like(outputs, np.random.RandomState(5)))
            return results

        one, two = in_both(run)
        assert one == two, name


D = Draw("threads")
N = 300_000
WIDE, TALL, SQUARE = D.normal(40, 40_000), D.normal(40_000, 40), D.normal(300, 300)
LINE = D.normal(N)
LARGE = {
    "elementwise chain": lambda m, t: (
        m(t(LINE)).tanh() * m(t(LINE)).sigmoid() + (-m(t(LINE)) * m(t(LINE))).exp()
    ),
    "broadcast": lambda m, t: m(t(WIDE)) * m(t(D_ROW)),
    "sum": lambda m, t: m(t(LINE)).sum(),
    "sum rows": lambda m, t: m(t(WIDE)).sum(1),
    "sum columns": lambda m, t: m(t(TALL)).sum(0),
    "sum middle": lambda m, t: m(t(TALL)).reshape(100, 400, 40).sum(1),
    "mean of a transpose": lambda m, t: m(t(TALL)).t().mean(1),
    "var": lambda m, t: m(t(WIDE)).var(1),
    "var of all": lambda m, t: m(t(LINE)).var(),
    "max": lambda m, t: m(t(TALL)).max(0).values,
    "norm": lambda m, t: m(t(LINE)).norm(),
    "logsumexp": lambda m, t: m(t(TALL)).logsumexp(1),
    "softmax": lambda m, t: m(t(TALL)).softmax(1),
    "log_softmax by columns": lambda m, t: m(t(WIDE)).log_softmax(0),
    "cumsum": lambda m, t: m(t(WIDE)).cumsum(1),
    "sort": lambda m, t: m(t(TALL)).sort(1).values,
    "product": lambda m, t: m(t(SQUARE)) @ m(t(SQUARE)),
    "batched product": lambda m, t: m(t(WIDE)).reshape(160, 100, 100) @ m(t(TALL)).reshape(160, 100, 100),
    "matrix times vector": lambda m, t: m(t(WIDE)) @ m(t(D_LONG)),
    "copy of a transpose": lambda m, t: m(t(TALL)).t().contiguous(),
    "cat": lambda m, t: torch.cat([m(t(WIDE)), m(t(WIDE))], 1),
    "index_select": lambda m, t: m(t(TALL)).index_select(0, torch.tensor(ROWS)),
    "index_add": lambda m, t: torch.zeros(50, 40).index_add(0, torch.tensor(ROWS % 50), m(t(TALL))),
    "gather": lambda m, t: m(t(TALL)).gather(0, torch.tensor(PLACES)),
    "scatter_add": lambda m, t: torch.zeros(40_000, 40).scatter_add(0, torch.tensor(PLACES), m(t(TALL))),
    "mask": lambda m, t: m(t(LINE))[torch.tensor(LINE) > 0],
}
D_ROW, D_LONG = D.normal(40_000), D.normal(40_000)
ROWS, PLACES = D.index(40_000, 40_000), D.index(40_000, 40_000, 40)


@pytest.mark.parametrize("name", LARGE)
def test_above_every_threshold(name):
    def run():
        leaves = []

        def mark(t):
            leaves.append(t.requires_grad_())
            return t

        out = LARGE[name](mark, lambda a: torch.tensor(a, dtype=torch.float32))
        (out * out).sum().backward()
        return [out, *(x.grad for x in leaves)]

    one, two = in_both(run)
    assert one == two
