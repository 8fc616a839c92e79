# Views, in-place changes and the graph.
import torch

base = torch.zeros(3, 3)
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
row = base[1]
row += w
print(base, row)
print(base.grad_fn.name(), row.grad_fn.name())
(base.sum() * 2 + row.pow(2).sum()).backward()
print(w.grad)
a = torch.ones(4, requires_grad=True)
b = a * 3
b[1:3] = 0
b[0].mul_(2)
b.sum().backward()
print(a.grad)
x = torch.ones(2, requires_grad=True)
y = x.exp()
y.add_(1)
try:
    y.sum().backward()
except RuntimeError as e:
    print(str(e).split(";")[0])
try:
    x.add_(1)
except RuntimeError as e:
    print(str(e).splitlines()[0])
with torch.no_grad():
    x.add_(1)
print(x, x._version)
