# Hooks that log activations and gradients.
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential()
model.add_module("fc1", nn.Linear(3, 4))
model.add_module("act", nn.ReLU())
model.add_module("fc2", nn.Linear(4, 2))
acts = {}


def get(name):
    def hook(mod, inp, out):
        acts[name] = out.detach()
        print(name, tuple(inp[0].shape), "->", tuple(out.shape), f"{out.mean().item():.4f}")

    return hook


handles = [m.register_forward_hook(get(n)) for n, m in model.named_children()]
pre = model.fc1.register_forward_pre_hook(lambda m, a: (a[0] * 2,))


def bw(mod, gi, go):
    print("bw", mod, [None if g is None else tuple(g.shape) for g in gi], [tuple(g.shape) for g in go])


for m in model:
    m.register_full_backward_hook(bw)
x = torch.randn(5, 3, requires_grad=True)
y = model(x)
y.sum().backward()
print(x.grad)
for h in handles:
    h.remove()
pre.remove()
model(x)
print(acts["act"])
print(model._forward_hooks, len(model.fc1._forward_hooks))
t = torch.ones(2, requires_grad=True)
h = t.register_hook(lambda g: print("grad", g) or g * 10)
z = t * 3
z.retain_grad()
z.register_hook(lambda g: g + 1)
z.sum().backward()
print(t.grad, z.grad)
h.remove()
p = torch.nn.Parameter(torch.ones(2))
p.register_post_accumulate_grad_hook(lambda q: print("accumulated", q.grad))
(p * 2).sum().backward()
print(model.fc1.weight.grad.shape, handles[0].id if False else "")


class Recorder:
    def __init__(self, model):
        self.log = []
        [m.register_forward_hook(self) for m in model.modules() if not list(m.children())]

    def __call__(self, m, i, o):
        self.log.append((m._get_name(), list(o.size())))


r = Recorder(model)
model(x)
print(r.log)


def check_nan(m, i, o):
    if torch.isnan(o).any():
        raise RuntimeError(f"nan in {m}")


model.fc2.register_forward_hook(check_nan)
model.fc1.weight.data[0, 0] = float("nan")
try:
    model(x)
except RuntimeError as e:
    print(str(e).split("\n")[0])
g = y.grad_fn
while g is not None and g.next_functions:
    print(g.name(), [type(n[0]).__name__ for n in g.next_functions])
    g = g.next_functions[-1][0] if "T" != g.name()[0] else None
