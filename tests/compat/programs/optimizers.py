# Optimizers of our own beside the built-in ones, and what they refuse.
import torch
from torch.optim import Optimizer


class MySGD(Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0):
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {"lr": lr, "momentum": momentum}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                d_p = p.grad
                st = self.state[p]
                if group["momentum"] != 0:
                    if "momentum_buffer" not in st:
                        buf = st["momentum_buffer"] = torch.clone(d_p).detach()
                    else:
                        buf = st["momentum_buffer"]
                        buf.mul_(group["momentum"]).add_(d_p)
                    d_p = buf
                p.add_(d_p, alpha=-group["lr"])
        return loss


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in filter(lambda p: p.grad is not None, group["params"]):
                grad, lr, wd, (b1, b2) = p.grad, group["lr"], group["weight_decay"], group["betas"]
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                p.data.mul_(1 - lr * wd)
                m = state["exp_avg"]
                update = m.clone().mul_(b1).add(grad, alpha=1 - b1).sign_()
                p.add_(update, alpha=-lr)
                m.mul_(b2).add_(grad, alpha=1 - b2)


def rosen(v):
    return (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2


for cls, kw in [
    (MySGD, {"lr": 1e-4, "momentum": 0.9}),
    (Lion, {"lr": 1e-2, "weight_decay": 0.01}),
    (torch.optim.Adam, {"lr": 0.05}),
    (torch.optim.Rprop, {"lr": 0.01}),
    (torch.optim.NAdam, {"lr": 0.02}),
    (torch.optim.RAdam, {"lr": 0.02}),
    (torch.optim.Adamax, {"lr": 0.02}),
    (torch.optim.Adadelta, {}),
    (torch.optim.ASGD, {"lr": 1e-4}),
]:
    v = torch.tensor([-1.5, 1.5], requires_grad=True)
    o = cls([v], **kw)
    for i in range(100):
        o.zero_grad()
        l = rosen(v)
        l.backward()
        o.step()
    print(f"{cls.__name__:10s} {l.item():9.4f}", v.detach().tolist())
    print(o)
    print(o.state[v].keys())
sd = o.state_dict()
print(sd["param_groups"], list(sd))
try:
    MySGD([v], lr=-1)
except ValueError as e:
    print(str(e).split("\n")[0])
try:
    MySGD(v)
except TypeError as e:
    print(str(e).split("\n")[0])
try:
    MySGD([v * 2])
except ValueError as e:
    print(str(e).split("\n")[0])
try:
    MySGD([])
except ValueError as e:
    print(str(e).split("\n")[0])
o = MySGD([v], lr=0.1)
o.add_param_group({"params": torch.nn.Parameter(torch.ones(1)), "lr": 0.5})
print(o)
print([g["lr"] for g in o.param_groups], o.defaults)
try:
    o.add_param_group({"params": v})
except ValueError as e:
    print(str(e).split("\n")[0])
