# Containers by name, buffers, a hypernetwork, states of optimizers.
from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(1)
enc = nn.Sequential(OrderedDict([("fc", nn.Linear(6, 4)), ("act", nn.Tanh()), ("out", nn.Linear(4, 2))]))
print(enc, enc.fc, enc[-1], len(enc), enc[:2])


class Siamese(nn.Module):
    def __init__(s, e):
        super().__init__()
        s.e = e
        s.margin = nn.Parameter(torch.tensor(1.0), requires_grad=False)

    def forward(s, a, b):
        return (s.e(a) - s.e(b)).pow(2).sum(1).sqrt()

    def loss(s, d, y):
        return (y * d.pow(2) + (1 - y) * torch.clamp(s.margin - d, min=0.0).pow(2)).mean()


net = Siamese(enc)
a, b = torch.randn(2, 10, 6)
y = torch.tensor([1.0, 0] * 5)
o = torch.optim.Adagrad(net.parameters(), 0.1)
for i in range(21):
    d = net(a, b)
    l = net.loss(d, y)
    o.zero_grad()
    l.backward()
    o.step()
    if not i % 10:
        print(f"{i:>3} | {l:.5f} | {d.mean():.3f}")
print(o, list(net.state_dict()), net.margin)
hyper = nn.Linear(1, 6 * 2 + 2)
z = torch.tensor([[0.5]])
wts = hyper(z)[0]
W, bias = wts[:12].view(2, 6), wts[12:]
out = nn.functional.linear(a, W, bias)
out.sum().backward()
print(out[0], hyper.bias.grad)


class Recon(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 6), nn.Sigmoid())
        self.register_buffer("mean", torch.zeros(6))
        self.history = []

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.net(x - self.mean)


r = Recon()
o = torch.optim.RMSprop(r.parameters(), 1e-2, momentum=0.5, centered=True)
x = torch.rand(20, 6)
for i in range(30):
    noisy = x + 0.1 * torch.randn_like(x)
    l = nn.functional.binary_cross_entropy(r(noisy), x)
    o.zero_grad()
    l.backward()
    o.step()
    r.history.append(l.item())
print([f"{v:.3f}" for v in r.history[::10]], r.mean, [k for k, _ in r.named_buffers()], r.state_dict().keys())
print(o.state_dict()["state"][0].keys(), o.param_groups[0].keys())
r.eval()
r2 = Recon()
print(r2.load_state_dict(r.state_dict()), torch.equal(r2.mean, r.mean))
print(r2.train(), r.training)
bt = torch.randn(8, 4)
bt2 = bt + 0.1 * torch.randn(8, 4)


def zn(v):
    return (v - v.mean(0)) / v.std(0)


cc = zn(bt).T @ zn(bt2) / 8
off = cc.flatten()[:-1].view(3, 5)[:, 1:].flatten()
print(cc, off.pow(2).sum() + (cc.diagonal() - 1).pow(2).sum())
