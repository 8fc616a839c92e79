# Requires: torchinfo
# Tables of models: sizes of outputs, numbers of parameters, options, nested and reused modules.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchinfo import ModelStatistics, summary


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(n, 2 * n), nn.Linear(2 * n, n), nn.Dropout(0.1)

    def forward(self, x):
        return x + self.drop(self.second(F.relu(self.first(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(8, 16)
        self.blocks = nn.ModuleList([Block(16) for _ in range(2)])
        self.act = nn.GELU()
        self.head = nn.Sequential(nn.Linear(16, 4), nn.LogSoftmax(dim=-1))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x, twice=False):
        x = self.act(self.inputs(x))
        for block in self.blocks:
            x = block(x)
            x = block(x) if twice else x
        return self.head(x)


mlp = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
summary(mlp, input_size=(64, 784))
print(summary(mlp, verbose=0))
net = Net()
net.inputs.weight.requires_grad_(False)
result = summary(
    net,
    input_size=(2, 8),
    col_names=(
        "input_size",
        "output_size",
        "num_params",
        "params_percent",
        "kernel_size",
        "mult_adds",
        "trainable",
    ),
    col_width=18,
    row_settings=("var_names", "depth", "ascii_only"),
    verbose=0,
)
print(result)
print(
    isinstance(result, ModelStatistics), result.total_params, result.trainable_params, result.total_mult_adds
)
print(summary(net, input_data=torch.ones(1, 3, 8), depth=1, twice=True, verbose=0))
print(
    summary(net, input_data=[torch.ones(1, 8)], mode="train", verbose=0, cache_forward_pass=True),
    net.training,
)
print(summary(nn.Bilinear(3, 4, 5), input_size=[(2, 3), (2, 4)], verbose=0))
print(summary(nn.Linear(3, 2).double(), input_size=(1, 3), dtypes=[torch.double], verbose=0))
print(summary(nn.Linear(3, 2), input_size=(3,), batch_dim=0, device="cpu", verbose=2))
try:
    summary(nn.Linear(3, 2), input_size=(1, 4), verbose=0)
except RuntimeError as e:
    print(str(e).splitlines()[0])
