"""The optimizers besides SGD and Adam: trajectories, states and texts. Expected results are PyTorch's.

``others.json`` is written anew by ``python tests/optim/test_others.py`` where torch is installed.
"""

import copy
import json
import pathlib

import pytest

FILE = pathlib.Path(__file__).with_name("others.json")

ALL = {"weight_decay": 0.1, "maximize": True, "lr": 0.001}
CASES = {
    "rmsprop": ("RMSprop", {}),
    "rmsprop_centered": ("RMSprop", {"centered": True, "alpha": 0.8}),
    "rmsprop_all": ("RMSprop", {"momentum": 0.9, "centered": True, **ALL}),
    "adagrad": ("Adagrad", {}),
    "adagrad_all": ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3, **ALL}),
    "adadelta": ("Adadelta", {}),
    "adadelta_all": ("Adadelta", {"rho": 0.5, "eps": 1e-4, **ALL}),
    "adamax": ("Adamax", {}),
    "adamax_all": ("Adamax", {"betas": (0.3, 0.6), **ALL}),
    "nadam": ("NAdam", {"momentum_decay": 0.1}),
    "nadam_all": ("NAdam", {"decoupled_weight_decay": True, **ALL}),
    "nadam_decay": ("NAdam", {"weight_decay": 0.1}),
    "radam": ("RAdam", {}),
    "radam_all": ("RAdam", {"decoupled_weight_decay": True, "betas": (0.5, 0.9), **ALL}),
    "rprop": ("Rprop", {}),
    "rprop_all": ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-4, 0.1), "maximize": True, "lr": 0.001}),
    "asgd": ("ASGD", {}),
    "asgd_all": ("ASGD", {"t0": 5, "lambd": 1e-2, **ALL}),
    "lbfgs": ("LBFGS", {"lr": 0.3}),
    "lbfgs_short": ("LBFGS", {"max_iter": 3, "history_size": 2, "lr": 0.5}),
    "lbfgs_wolfe": ("LBFGS", {"line_search_fn": "strong_wolfe"}),
    "lbfgs_wolfe_short": (
        "LBFGS",
        {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2, "lr": 0.1},
    ),
}


def valley(torch):
    """Two parameters, and a loss whose gradients are products and sums."""
    torch.manual_seed(0)
    a = torch.rand(5, 3).double().requires_grad_()
    b = torch.rand(5, 1).double().requires_grad_()
    return [a, b], lambda: ((a * b - 0.3) * (a * b - 0.3) + 0.01 * a * a).sum()


def run(torch, name, options, steps=30):
    """Losses, parameters and state."""
    params, loss = valley(torch)
    optimizer = getattr(torch.optim, name)(params, **options)
    losses = []

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(10 if name == "LBFGS" else steps):
        losses.append(optimizer.step(closure).item())
    flat = {}
    for i, own in optimizer.state_dict()["state"].items():
        for key, value in own.items():
            if key not in ("al", "old_dirs", "old_stps", "ro", "prev_loss"):
                flat[f"{i}.{key}"] = value.tolist() if hasattr(value, "tolist") else value
    names = {k: sorted(own) for k, own in optimizer.state_dict()["state"].items()}
    return {
        "losses": losses,
        "params": [p.tolist() for p in params],
        "state": flat,
        "names": [names[k] for k in sorted(names)],
        "text": repr(optimizer),
    }


def close(x, y):
    if isinstance(y, dict):
        return x.keys() == y.keys() and all(close(x[k], y[k]) for k in y)
    if isinstance(y, list):
        return len(x) == len(y) and all(map(close, x, y))
    return x == y if isinstance(y, str) else abs(x - y) <= 1e-9 + 1e-7 * abs(y)


@pytest.mark.parametrize("case", CASES)
def test_trajectory(case):
    import pullback

    expected = json.loads(FILE.read_text())[case]
    got = json.loads(json.dumps(run(pullback, *CASES[case])))
    for key, value in expected.items():
        assert close(got[key], value), (key, got[key], value)


@pytest.mark.parametrize("case", [name for name in CASES if not name.startswith("lbfgs")])
def test_state_is_taken_over(case):
    import pullback as torch

    name, options = CASES[case]
    params, loss = valley(torch)
    optimizer = getattr(torch.optim, name)(params, **options)

    def steps(optimizer, loss, n):
        for _ in range(n):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    steps(optimizer, loss, 3)
    others, other_loss = valley(torch)
    with torch.no_grad():
        for p, q in zip(others, params, strict=True):
            p.copy_(q)
    second = getattr(torch.optim, name)(others, lr=5.0)
    second.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(optimizer, loss, 3)
    steps(second, other_loss, 3)
    for p, q in zip(others, params, strict=True):
        assert torch.allclose(p, q, rtol=1e-6)  # a loaded state has the parameter's type, a number too


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_differentiable(name):
    """The learning rate's gradient through three steps, against its slope."""
    import pullback as torch

    def final(lr):
        w = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
        x = w.clone()
        optimizer = getattr(torch.optim, name)([x], lr=lr, differentiable=True)
        for _ in range(3):
            (g,) = torch.autograd.grad((x.clone() ** 4).sum(), x, create_graph=True)
            x.grad = g
            optimizer.step()
        return x.sum()

    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(final(lr), lr)
    h = 1e-5
    with torch.no_grad():
        low, high = (torch.tensor(0.1 + s, dtype=torch.float64) for s in (-h, h))
    slope = (final(high) - final(low)) / (2 * h)
    assert abs(g - slope) < 1e-6 * (1 + abs(slope))


BAD = [
    ("RMSprop", {"lr": -1}, ValueError, "Invalid learning rate: -1"),
    ("RMSprop", {"eps": -1}, ValueError, "Invalid epsilon value: -1"),
    ("RMSprop", {"momentum": -1}, ValueError, "Invalid momentum value: -1"),
    ("RMSprop", {"alpha": -1}, ValueError, "Invalid alpha value: -1"),
    ("RMSprop", {"weight_decay": -1}, ValueError, "Invalid weight_decay value: -1"),
    ("RMSprop", {"lr": (2,)}, ValueError, "Tensor lr must be 1-element"),
    (
        "RMSprop",
        {"capturable": True},
        AssertionError,
        "If capturable=True, params and state_steps must be on",
    ),
    ("Adagrad", {"lr_decay": -1}, ValueError, "Invalid lr_decay value: -1"),
    ("Adagrad", {"initial_accumulator_value": -1}, ValueError, "Invalid initial_accumulator_value value: -1"),
    ("Adagrad", {"fused": True, "foreach": True}, RuntimeError, "`fused` and `foreach` cannot be `True`"),
    ("Adagrad", {"fused": True, "differentiable": True}, RuntimeError, "`fused` does not support `diff"),
    ("Adadelta", {"rho": 2}, ValueError, "Invalid rho value: 2"),
    ("Adamax", {"betas": (1, 0)}, ValueError, "Invalid beta parameter at index 0: 1"),
    ("NAdam", {"betas": (0, 1)}, ValueError, "Invalid beta parameter at index 1: 1"),
    ("NAdam", {"momentum_decay": -1}, ValueError, "Invalid momentum_decay value: -1"),
    ("RAdam", {"betas": (0, 1)}, ValueError, "Invalid beta parameter at index 1: 1"),
    ("Rprop", {"etas": (2, 1)}, ValueError, "Invalid eta values: 2, 1"),
    ("ASGD", {"weight_decay": -1}, ValueError, "Invalid weight_decay value: -1"),
    ("LBFGS", {"lr": -1}, ValueError, "Invalid learning rate: -1"),
    ("LBFGS", {"lr": (2,)}, ValueError, "Tensor lr must be 1-element"),
    ("LBFGS", {"line_search_fn": "x"}, RuntimeError, "only 'strong_wolfe' is supported"),
]


@pytest.mark.parametrize(("name", "options", "kind", "text"), BAD)
def test_bad_options(name, options, kind, text):
    import pullback as torch

    params, loss = valley(torch)
    if isinstance(options.get("lr"), tuple):
        options = {"lr": torch.ones(2)}
    with pytest.raises(kind) as error:
        optimizer = getattr(torch.optim, name)(params, **options)
        loss().backward()
        optimizer.step(*([loss] if name == "LBFGS" else []))
    assert str(error.value).startswith(text)


def test_lbfgs_takes_one_group():
    import pullback as torch

    params, _ = valley(torch)
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        torch.optim.LBFGS([{"params": [p]} for p in params])


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    results = {name: run(torch, *case) for name, case in CASES.items()}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items()) + "\n}\n"
    )
