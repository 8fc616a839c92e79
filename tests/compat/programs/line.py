# A line through noisy points.
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
