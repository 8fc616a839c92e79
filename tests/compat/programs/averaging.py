# Tied weights and averages of weights.
import copy

import torch
from torch import nn

torch.manual_seed(0)


class AE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(6, 3, bias=False)
        self.dec_bias = nn.Parameter(torch.zeros(6))
        self.register_parameter("unused", None)
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        self.steps += 1
        return nn.functional.linear(torch.tanh(self.enc(x)), self.enc.weight.t(), self.dec_bias)


class EMA:
    def __init__(self, model, decay=0.9):
        self.decay = decay
        self.shadow = {n: p.clone().detach() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model):
        for n, p in model.named_parameters():
            self.shadow[n].lerp_(p, 1 - self.decay)

    def apply_to(self, model):
        out = copy.deepcopy(model)
        for n, p in out.named_parameters():
            p.data.copy_(self.shadow[n])
        return out


model = AE()
ema = EMA(model)
opt = torch.optim.SGD(model.parameters(), 0.05, 0.9)
X = torch.randn(50, 3) @ torch.randn(3, 6)
for i in range(30):
    opt.zero_grad()
    l = (model(X) - X).square().mean()
    l.backward()
    opt.step()
    ema.update(model)
print(l, model.steps, model)
e = ema.apply_to(model)
print(f"{(e(X) - X).square().mean().item():.4f} {(model(X) - X).square().mean().item():.4f}", e.steps)
print(model.state_dict().keys(), model.unused)


class LM(nn.Module):
    def __init__(self, V=7, D=4):
        super().__init__()
        self.emb = nn.Embedding(V, D)
        self.out = nn.Linear(D, V, bias=False)
        self.out.weight = self.emb.weight

    def forward(self, i):
        return self.out(self.emb(i))


lm = LM()
print(
    len(list(lm.parameters())),
    lm.out.weight is lm.emb.weight,
    lm.state_dict().keys(),
    [n for n, _ in lm.named_parameters(remove_duplicate=False)],
)
nn.CrossEntropyLoss()(lm(torch.tensor([1, 2, 3])), torch.tensor([2, 3, 4])).backward()
print(lm.emb.weight.grad)
c = copy.deepcopy(lm)
print(c.out.weight is c.emb.weight, sum(p.numel() for p in c.parameters()))
avg = copy.deepcopy(lm)
models = [LM() for _ in range(3)]
for n, p in avg.named_parameters():
    p.data = sum(dict(m.named_parameters())[n].data for m in models) / 3
print(avg.emb.weight[0], avg.out.weight is avg.emb.weight)
