"""Programs written for torch, run unmodified: they print what PyTorch 2.13 printed for them."""

import subprocess
import sys

import pytest

LINE = """\
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

rng = np.random.RandomState(0)
x = torch.from_numpy(rng.rand(100, 1).astype(np.float32))
y = 2 * x + 1 + torch.from_numpy(rng.normal(0, 0.1, (100, 1)).astype(np.float32))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


torch.manual_seed(0)
model = Model()
print(model)
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.1)
for epoch in range(200):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 50 == 0:
        print(f"Epoch [{epoch + 1}/200], Loss: {loss.item():.4f}")
print(f"{model.linear.weight.item():.4f} {model.linear.bias.item():.4f}")
with torch.no_grad():
    print(model(torch.tensor([[0.0], [1.0]])))
"""

LINE_OUTPUT = """\
Model(
  (linear): Linear(in_features=1, out_features=1, bias=True)
)
Epoch [50/200], Loss: 0.0537
Epoch [100/200], Loss: 0.0213
Epoch [150/200], Loss: 0.0129
Epoch [200/200], Loss: 0.0107
1.8999 1.0698
tensor([[1.0698],
        [2.9696]])
"""

CLASSES = """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.backends.cudnn.deterministic = True
torch.manual_seed(1)
x = torch.rand(64, 4)
y = (x.sum(1) > 2).long()
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for epoch in range(10):
    for inputs, labels in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
    print(epoch, f"{loss.item():.3f}")
print((model(x).argmax(1) == y).sum().item(), device, y[:8])
"""

CLASSES_OUTPUT = """\
0 0.721
1 0.537
2 0.517
3 0.482
4 0.325
5 0.162
6 0.321
7 0.166
8 0.142
9 0.118
62 cpu tensor([1, 0, 1, 0, 1, 0, 1, 1])
"""


@pytest.mark.parametrize(
    ("program", "output"), [(LINE, LINE_OUTPUT), (CLASSES, CLASSES_OUTPUT)], ids=["line", "classes"]
)
def test_prints_what_torch_prints(program, output, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(program)
    command = [sys.executable, "-m", "pullback", "run", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == output, done.stderr
    assert done.returncode == 0
