"""Optimizers: trajectories, states and texts. Expected results are PyTorch's.

``expected.json`` is written anew by ``python tests/optim/test_optim.py`` where torch is installed.
"""

import copy
import json
import pathlib
from collections import Counter

import numpy as np
import pytest

FILE = pathlib.Path(__file__).with_name("expected.json")

CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1}),
    "sgd_nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "sgd_maximize": ("SGD", {"lr": 0.001, "momentum": 0.5, "maximize": True}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_decay": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-4}),
    "adam_betas": ("Adam", {"lr": 0.01, "betas": (0.3, 0.6)}),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True}),
    "adam_fused": ("Adam", {"lr": 0.01, "foreach": False}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "adamw_all": ("AdamW", {"lr": 0.01, "amsgrad": True, "maximize": True}),
}


def run(torch, name, options):
    """Parameters and state after 200 steps on a bilinear valley: its gradients are products and sums."""
    torch.manual_seed(0)
    a = torch.rand(5, 3).requires_grad_()
    b = torch.rand(5, 1).requires_grad_()
    optimizer = getattr(torch.optim, name)([a, b], **options)
    for _ in range(200):
        optimizer.zero_grad()
        ((a * b - 0.3) * (a * b - 0.3) + 0.01 * a * a).sum().backward()
        optimizer.step()
    state = optimizer.state_dict()["state"]
    flat = {f"{i}.{k}": v.tolist() for i, s in state.items() for k, v in s.items() if hasattr(v, "tolist")}
    return {"a": a.tolist(), "b": b.tolist(), "state": flat}


def close(x, y):
    if isinstance(y, dict):
        return x.keys() == y.keys() and all(close(x[k], y[k]) for k in y)
    if isinstance(y, list):
        return len(x) == len(y) and all(map(close, x, y))
    return x == y or abs(x - y) <= 1e-9 + 1e-5 * abs(y)


@pytest.mark.parametrize("case", CASES)
def test_trajectory(case):
    import pullback

    expected = json.loads(FILE.read_text())[case]
    got = run(pullback, *CASES[case])
    assert close(got, expected), (got, expected)


ADAM_REPR = """Adam (
Parameter Group 0
    amsgrad: False
    betas: (0.9, 0.999)
    capturable: False
    decoupled_weight_decay: False
    differentiable: False
    eps: 1e-08
    foreach: None
    fused: None
    lr: 0.001
    maximize: False
    weight_decay: 0
)"""


def test_repr_and_state_dict():
    import pullback as torch

    p = torch.nn.Parameter(torch.ones(2))
    assert repr(torch.optim.Adam([p])) == ADAM_REPR
    optimizer = torch.optim.SGD([("p", p)], lr=0.1, momentum=0.9)
    assert optimizer.state_dict() == {
        "state": {},
        "param_groups": [
            {
                "param_names": ["p"],
                "lr": 0.1,
                "momentum": 0.9,
                "dampening": 0,
                "weight_decay": 0,
                "nesterov": False,
                "maximize": False,
                "foreach": None,
                "differentiable": False,
                "fused": None,
                "params": [0],
            }
        ],
    }
    assert next(iter(optimizer.state_dict()["param_groups"][0])) == "param_names"


def test_state_moves_to_another_optimizer():
    import pullback as torch

    def make():
        p = torch.nn.Parameter(torch.ones(3))
        return p, torch.optim.Adam([p], lr=0.1)

    p, first = make()
    q, second = make()
    for _ in range(3):
        p.grad = torch.tensor([1.0, 2.0, 3.0])
        first.step()
    with torch.no_grad():
        q.copy_(p)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for x, optimizer in ((p, first), (q, second)):
        x.grad = torch.tensor([3.0, 2.0, 1.0])
        optimizer.step()
    assert p.tolist() == q.tolist()
    assert second.state[q]["step"].dtype == torch.float32
    assert second.state[q]["step"].item() == 4.0


def errors(torch):
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    p = torch.nn.Parameter(torch.ones(2))
    other = torch.nn.Parameter(torch.ones(2))
    one = sgd([p])
    return [
        (lambda: sgd([]), ValueError, "optimizer got an empty parameter list"),
        (lambda: sgd([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda: sgd([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (
            lambda: sgd([p], nesterov=True),
            ValueError,
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        (lambda: adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda: adam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (
            lambda: sgd(p),
            TypeError,
            "params argument given to the optimizer should be an iterable of Tensors or dicts, "
            "but got torch.FloatTensor",
        ),
        (lambda: sgd([3]), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        (lambda: sgd([p * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (
            lambda: sgd([{"params": [p]}, {"params": [p]}]),
            ValueError,
            "some parameters appear in more than one parameter group",
        ),
        (
            lambda: sgd([("p", p), other]),
            ValueError,
            "all optimizer params should be with/without names. Some param names are missing",
        ),
        (
            lambda: one.load_state_dict({"state": {}, "param_groups": []}),
            ValueError,
            "loaded state dict has a different number of parameter groups",
        ),
        (
            lambda: one.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
            ValueError,
            "loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
        ),
        (
            lambda: adam([p], fused=True, foreach=True),
            RuntimeError,
            "`fused` and `foreach` cannot be `True` together.",
        ),
    ]


def test_errors():
    import pullback

    for call, kind, text in errors(pullback):
        with pytest.raises(kind) as error:
            call()
        assert str(error.value).startswith(text)


def test_closure_hooks_and_groups():
    import pullback as torch

    p, q = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [p], "lr": 0.5}, {"params": [q]}], lr=0.1)
    log = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("post"))

    def closure():
        optimizer.zero_grad()
        loss = (p * 2 + q).sum()
        loss.backward()
        log.append(torch.is_grad_enabled())
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert log == ["pre", True, "post"]
    assert p.item() == 0.0
    assert q.item() == pytest.approx(0.9)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.item() == 0.0


SCHEDULES = {
    "MultiStepLR": ({"milestones": [3, 1, 1], "gamma": 0.5}, [0.025, 0.025, 0.0125]),
    "StepLR": ({"step_size": 2}, [0.1, 0.010000000000000002, 0.010000000000000002, 0.0010000000000000002]),
    "ExponentialLR": ({"gamma": 0.9}, [0.09000000000000001, 0.08100000000000002, 0.07290000000000002]),
    "LambdaLR": ({"lr_lambda": lambda epoch: 0.5**epoch}, [0.05, 0.025, 0.0125]),
    "CosineAnnealingLR": ({"T_max": 2}, [0.05, 0.0, 0.049999999999999996, 0.10000000000000002]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    import pullback as torch

    options, expected = SCHEDULES[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    got = []
    for _ in expected:
        optimizer.step()
        scheduler.step()
        got += scheduler.get_last_lr()
    assert got == expected


@pytest.mark.parametrize(
    "name, rate, after",
    [
        ("StepLR", 0.0010000000000000002, 0.00010000000000000003),
        ("MultiStepLR", 0.0125, 0.0125),
        ("ExponentialLR", 0.05904900000000001, 0.053144100000000014),
        ("LambdaLR", 0.003125, 0.0015625),
        ("CosineAnnealingLR", 0.05000000000000002, 0.0),
    ],
)
def test_schedules_go_to_an_epoch(name, rate, after):
    import pullback as torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **SCHEDULES[name][0])
    optimizer.step()
    with pytest.warns(UserWarning, match=r"^The epoch parameter in `scheduler.step\(\)` was not necessary"):
        scheduler.step(5)
    assert (scheduler.get_last_lr(), scheduler.last_epoch) == ([rate], 5)
    scheduler.step()
    assert scheduler.get_last_lr() == [after]
    with pytest.warns(UserWarning, match="^To get the last learning rate computed by the scheduler"):
        scheduler.get_lr()


def test_states_of_schedules():
    import pullback as torch

    rates = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    common = {"base_lrs": [1.0], "last_epoch": 0, "_step_count": 1, "_is_initial": False}
    common |= {"_get_lr_called_within_step": False, "_last_lr": [1.0]}
    steps = rates.MultiStepLR(optimizer, [3, 1, 1])
    assert str(steps.state_dict()) == str({"milestones": Counter([3, 1, 1]), "gamma": 0.1} | common)
    own = rates.LambdaLR(optimizer, lambda epoch: 1)
    assert str(own.state_dict()) == str(common | {"lr_lambdas": [None]})
    other = rates.MultiStepLR(optimizer, [8])
    other.load_state_dict(steps.state_dict())
    assert other.milestones == {1: 2, 3: 1}

    class Fixed(rates._LRScheduler):
        def get_lr(self):
            assert self._get_lr_called_within_step
            return self.base_lrs

    assert isinstance(Fixed(optimizer), rates.LRScheduler)


def test_schedule_of_a_replaced_step_warns():
    import pullback as torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match=r"^Seems like `optimizer.step\(\)` has been overridden"):
        scheduler.step()


def test_rule_names_its_columns():
    import pullback as torch
    from pullback.optim.rule import update_rule

    @update_rule("p")
    def descend(p, g, *, lr, twice):
        step = g + g if twice else g
        return (p - lr * step,)

    p, g = torch.ones(2), torch.ones(2)
    descend([[p], [g]], lr=0.25, twice=True)
    assert p.tolist() == [0.5, 0.5]
    descend([[p], [g]], twice=False, lr=np.float64(0.25))  # by name, in any order
    assert p.tolist() == [0.25, 0.25]
    q = torch.ones(2)
    descend([[q], [g]], twice=np.True_, lr=0.25)  # a truth value of NumPy's is one
    descend([[q], [g]], twice=np.False_, lr=0.25)
    assert q.tolist() == [0.25, 0.25]
    descend([[p], [g]], lr=True, twice=False)  # a number may be a truth value
    assert p.tolist() == [-0.75, -0.75]
    descend([[p], [g]], twice=False, lr=torch.tensor(0.25))  # or a tensor, which may be differentiated
    assert p.tolist() == [-1.0, -1.0]
    for columns in ([[p]], ([p], [g]), None):
        with pytest.raises(TypeError, match=r"descend takes a list of 2 columns \(p, g\)"):
            descend(columns, lr=0.25, twice=True)
    with pytest.raises(TypeError, match="at most 20 numbers"):
        descend([[p], [g]], **{f"option{k}": 1.0 for k in range(21)})
    with pytest.raises(TypeError, match="unexpected keyword argument 'rate'"):
        descend([[p], [g]], rate=0.25, twice=True)
    with pytest.raises(TypeError, match="must hold tensors"):
        descend([[p], [1.0]], lr=0.25, twice=True)
    with pytest.raises(IndexError):
        descend([[p], []], lr=0.25, twice=True)
    assert p.tolist() == [-1.0, -1.0]
    assert descend.__name__ == "descend" and descend.__wrapped__(p, g, lr=1.0, twice=False)


def test_radam_compares_numpy_numbers():
    import pullback as torch

    ends = []
    for kind in (float, np.float64):
        p = torch.ones(2, requires_grad=True)
        opt = torch.optim.RAdam([p], lr=0.1, betas=(kind(0.9), kind(0.999)))
        for _ in range(7):  # the rectification begins after the fifth step
            p.grad = torch.tensor([1.0, -2.0])
            opt.step()
        ends.append(p.tolist())
    assert ends[0] == ends[1]


if __name__ == "__main__":
    import torch

    results = {case: run(torch, *options) for case, options in CASES.items()}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items()) + "\n}\n"
    )
