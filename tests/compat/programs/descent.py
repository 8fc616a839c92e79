# Gradient descent by hand, printed to the last digit, and with momentum through an optimizer.
import torch

torch.manual_seed(0)
x = torch.linspace(-1, 1, 20).reshape(-1, 1)
y = 0.5 * x**2 - 1.5 * x + 0.25
p = torch.zeros(3, requires_grad=True)
for step in range(60):
    prediction = p[0] * x**2 + p[1] * x + p[2]
    loss = ((prediction - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        p -= 0.3 * p.grad
    p.grad.zero_()
    if step % 10 == 0:
        print(step, loss.item())
print(p)
q = torch.nn.Parameter(torch.randn(3))
optimizer = torch.optim.SGD([q], lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
for step in range(40):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(torch.cat([x**2, x, torch.ones_like(x)], 1) @ q, y.squeeze())
    loss.backward()
    optimizer.step()
print(q)
print(f"{loss.item():.6f}")
print(optimizer)
