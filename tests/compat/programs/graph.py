# What the graph looks like, which tensors keep gradients, and what hooks see.
import warnings

import torch

warnings.simplefilter("ignore")
w = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
h = (w * 2).tanh()
h.retain_grad()
loss = (h**2).mean()
print(loss.grad_fn.name(), h.grad_fn.name(), h.is_leaf, w.is_leaf)
node, depth = loss.grad_fn, 0
while node is not None:
    print("  " * depth + node.name(), len(node.next_functions))
    node, depth = (node.next_functions[0][0] if node.next_functions else None), depth + 1
w.register_hook(lambda g: print("hook", g) or g * 10)
loss.backward(retain_graph=True)
print(w.grad, h.grad, loss.grad)
w.grad.zero_()
loss.backward()
print(w.grad)
try:
    loss.backward()
except RuntimeError as e:
    print(str(e)[:60])
x = torch.tensor(2.0, requires_grad=True)
(g1,) = torch.autograd.grad(x**4, x, create_graph=True)
(g2,) = torch.autograd.grad(g1, x, create_graph=True)
(g3,) = torch.autograd.grad(g2, x)
print(g1.item(), g2.item(), g3.item())
with torch.no_grad():
    print((x * 2).requires_grad)
print((x.detach() * 2).requires_grad, torch.is_grad_enabled())
