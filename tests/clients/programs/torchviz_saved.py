# Requires: torchviz graphviz
# The same pictures with the attributes of nodes and the tensors that they save.
import re
import warnings

import torch
import torch.nn as nn

warnings.simplefilter("ignore")
from torchviz import make_dot  # noqa: E402


def show(title, dot):
    """The DOT text with ids counted in the order in which they appear."""
    seen = {}
    text = re.sub(r"\b\d{9,}\b", lambda m: f"n{seen.setdefault(m.group(), len(seen))}", dot.source)
    print(f"--- {title}", len(seen))
    # Strides of a matrix that the way back does not need are () in torch.
    print("\n".join(line for line in text.splitlines() if "_sym_strides" not in line))


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
x, y = torch.randn(5, 4), torch.randn(5, 1)
out = model(x)
loss = nn.functional.mse_loss(out, y)
params = dict(model.named_parameters())
show("attrs", make_dot(loss, params=params, show_attrs=True))
show("saved", make_dot(loss, params=params, show_attrs=True, show_saved=True))
show("several", make_dot((out, loss), params=params))

w = torch.randn(3, 4, requires_grad=True)
b = torch.randn(4, requires_grad=True)
v = (w @ torch.ones(4, 2)).sigmoid().sum(1, keepdim=True).exp() + b.log_softmax(0)
v = v.reshape(2, 6)[:, 1:4].t()
show("views", make_dot(v, params={"w": w, "b": b}, show_attrs=True, show_saved=True))


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


show("function", make_dot(Double.apply(w).mean(), params={"w": w}))
(g,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
show("second order", make_dot((g * g).sum(), params={"w": w}).source and make_dot(w.pow(2).sum()))
