# Requires: pytorch_ranger lion_pytorch adabelief_pytorch tabulate madgrad prodigyopt torch_optimizer
# Requires: torch_ema
# Optimizers written against torch.optim.Optimizer: losses of a small network, and what their states hold.
import contextlib
import io
import warnings

import torch
import torch.nn as nn

warnings.simplefilter("ignore")
with contextlib.redirect_stdout(io.StringIO()):
    import torch_optimizer
    from adabelief_pytorch import AdaBelief
    from lion_pytorch import Lion
    from madgrad import MADGRAD, MirrorMADGRAD
    from prodigyopt import Prodigy
    from pytorch_ranger import Ranger, RangerQH, RangerVA
    from torch_ema import ExponentialMovingAverage


def train(name, make, steps=12):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)).double()
    x = torch.rand(32, 4, dtype=torch.float64)
    y = torch.stack([x.sum(1), (x * x).sum(1)], 1)
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = make(model.parameters())
    average = ExponentialMovingAverage(model.parameters(), decay=0.9)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward(create_graph=name in ("Adahessian",))
        return loss

    losses = []
    for _ in range(steps):
        loss = closure()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        losses.append(f"{loss.item():.6f}")
    state = optimizer.state_dict()["state"]
    keys = sorted(str(k) for k in (state.get(0) or {}))
    with average.average_parameters():
        averaged = nn.functional.mse_loss(model(x), y).item()
    print(name, losses[:3], losses[-1], f"{averaged:.6f}", keys)


train("Ranger", lambda p: Ranger(p, lr=1e-2, weight_decay=0.01))
train("RangerQH", lambda p: RangerQH(p, lr=1e-2))
train("RangerVA", lambda p: RangerVA(p, lr=1e-2))
train("Lion", lambda p: Lion(p, lr=1e-3, weight_decay=0.1))
train("AdaBelief", lambda p: AdaBelief(p, lr=1e-2, eps=1e-12, rectify=True, print_change_log=False))
train("MADGRAD", lambda p: MADGRAD(p, lr=1e-2))
train("MirrorMADGRAD", lambda p: MirrorMADGRAD(p, lr=1e-2))
train("Prodigy", lambda p: Prodigy(p, lr=1.0))
for name in (
    "A2GradExp A2GradInc A2GradUni AccSGD AdaBelief AdaBound AdaMod Adafactor Adahessian AdamP AggMo Apollo "
    "DiffGrad LARS Lamb MADGRAD NovoGrad PID QHAdam QHM RAdam Ranger SGDP SGDW SWATS Yogi"
).split():
    try:
        train(name, lambda p, name=name: getattr(torch_optimizer, name)(p))
    except Exception as e:
        print(name, type(e).__name__, str(e).splitlines()[0])
