# Early stopping: states kept, compared, loaded and refused.
import copy
import pickle

import torch
from torch import nn

torch.manual_seed(0)


class EarlyStopping:
    def __init__(self, patience=3, min_delta=0.0):
        self.patience, self.min_delta, self.best, self.count, self.state = (
            patience,
            min_delta,
            float("inf"),
            0,
            None,
        )

    def __call__(self, loss, model):
        if loss < self.best - self.min_delta:
            self.best, self.count, self.state = loss, 0, copy.deepcopy(model.state_dict())
        else:
            self.count += 1
        return self.count >= self.patience


X = torch.randn(40, 5)
y = X[:, :1] * 2 + 0.5 * torch.randn(40, 1)
Xv = torch.randn(20, 5)
yv = Xv[:, :1] * 2 + 0.5 * torch.randn(20, 1)
model = nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 1))
initial = {k: v.clone() for k, v in model.state_dict().items()}
opt = torch.optim.Adam(model.parameters(), lr=0.02)
stop = EarlyStopping()
for ep in range(200):
    model.train()
    opt.zero_grad()
    loss = nn.functional.mse_loss(model(X), y)
    loss.backward()
    opt.step()
    model.eval()
    with torch.inference_mode():
        v = nn.functional.mse_loss(model(Xv), yv).item()
    if stop(v, model):
        print("Early stopping at epoch", ep, f"best {stop.best:.4f}")
        break
print(model.load_state_dict(stop.state))
print(all(torch.equal(a, b) for a, b in zip(stop.state.values(), model.state_dict().values())))
print([(k, (v - initial[k]).abs().max().item() > 0) for k, v in stop.state.items()])
m2 = copy.deepcopy(model)
print(m2[0].weight is model[0].weight, torch.equal(m2[0].weight, model[0].weight), m2[0].weight.grad is None)
sd = model.state_dict()
sd["extra"] = torch.ones(1)
del sd["2.bias"]
try:
    model.load_state_dict(sd)
except RuntimeError as e:
    print(str(e).split("\n")[0])
print(model.load_state_dict(sd, strict=False))
sd = {k: v.t() if v.dim() == 2 else v for k, v in m2.state_dict().items()}
try:
    model.load_state_dict(sd)
except RuntimeError as e:
    print(str(e).split("\n")[0])
osd = copy.deepcopy(opt.state_dict())
print(osd["param_groups"], osd["state"][0]["step"], osd["state"][0].keys())
opt2 = torch.optim.Adam(m2.parameters(), lr=1.0)
opt2.load_state_dict(osd)
print(opt2.param_groups[0]["lr"])

sd2 = pickle.loads(pickle.dumps(model.state_dict()))
print(type(sd2), list(sd2), torch.equal(sd2["0.bias"], model[0].bias))
