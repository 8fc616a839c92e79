# Schedules of the learning rate, printed with their state.
import warnings

import torch
from torch import nn
from torch.optim import lr_scheduler

m = nn.Linear(2, 2)


def fresh(**kw):
    return torch.optim.SGD(m.parameters(), lr=0.1, **kw)


def run(name, make, n=8):
    o = fresh(momentum=0.9)
    s = make(o)
    lrs = []
    for _ in range(n):
        lrs.append(o.param_groups[0]["lr"])
        o.step()
        s.step()
    print(name, [round(v, 6) for v in lrs], s.get_last_lr(), s.last_epoch)
    print({k: v for k, v in s.state_dict().items() if not k.startswith("_") and "lambda" not in k})


run("step", lambda o: lr_scheduler.StepLR(o, step_size=3, gamma=0.1))
run("multi", lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 5], gamma=0.5))
run("exp", lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9))
run("cos", lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=4, eta_min=0.01))
run("lambda", lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda e: 0.95**e))


class Warmup(lr_scheduler.LRScheduler):
    def __init__(self, optimizer, warmup, last_epoch=-1):
        self.warmup = warmup
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [b * min(1, (self.last_epoch + 1) / self.warmup) for b in self.base_lrs]


run("own", lambda o: Warmup(o, 4))
o = fresh()
s = lr_scheduler.StepLR(o, 1)

with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    s.step()
    print(len(w), w[0].category.__name__, str(w[0].message)[:80])
print(o.param_groups[0]["lr"], o.param_groups[0]["initial_lr"])
print(o)
