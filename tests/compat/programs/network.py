# A small network on exclusive or, with dropout, saved and loaded state, and evaluation.
import copy

import torch
from torch import nn, optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1))
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return torch.sigmoid(self.out(self.hidden(x)))


torch.manual_seed(5)
net = Net()
print(net)
print(sum(p.numel() for p in net.parameters()), [n for n, _ in net.named_parameters()])
x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
optimizer = optim.AdamW(net.parameters(), lr=0.05)
for epoch in range(120):
    loss = nn.BCELoss()(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 30 == 0:
        print(epoch, f"{loss.item():.4f}")
net.eval()
with torch.no_grad():
    print(net(x).round().squeeze())
twin = Net().eval()
print(twin.load_state_dict(copy.deepcopy(net.state_dict())))
print(torch.equal(twin(x), net(x)), twin.out.bias)
try:
    twin.load_state_dict({"out.bias": torch.zeros(1)})
except RuntimeError as e:
    print(e)
