# A tour of tensors: creation, types, shapes, indexing, reductions, and how they print.
import numpy as np
import torch

torch.manual_seed(7)
x = torch.rand(3, 4)
print(x, x.shape, x.dtype, x.device)
print(torch.arange(10), torch.arange(0, 1, 0.3), torch.linspace(0, 1, 5), torch.eye(3))
print(x[0], x[:, 1], x[1:, ::2], x[-1, -1], x[[0, 2]], x[x > 0.5])
x[0, 0] = 100.0
print(x, x.T.shape, x.reshape(2, 6), x.view(-1)[:3])
print(x.sum(), x.mean(0), x.std(dim=1), x.max(1), x.argmin(), x.norm())
i = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(i, i / 2, i // 2, i % 2, i * 1.5, i.float(), i > 2, (i > 2).any(), i.sum())
print(torch.cat([i, i], 0), torch.stack([i, i]).shape, torch.split(i, 2, 1), i.unsqueeze(0).shape)
print(torch.tensor([1e-8, 1.0, 1e8]), torch.tensor([float("nan"), float("inf"), -1.0]), torch.zeros(0, 3))
print(torch.rand(1000), torch.randn(2, 2, dtype=torch.float64), torch.ones(2, dtype=torch.bool))
a = np.arange(4.0)
t = torch.from_numpy(a)
t *= 2
print(a, t, t.numpy() + 1, t.tolist(), t[1].item())
print(torch.where(x > 0.5, x, -x).clamp(-1, 1), torch.softmax(x[1:], 1), torch.tril(torch.ones(3, 3)))
print(torch.randperm(8), torch.randint(0, 10, (2, 3)), torch.bernoulli(torch.full((5,), 0.5)))
torch.set_printoptions(precision=2, sci_mode=False)
print(torch.randn(3) * 1000)
