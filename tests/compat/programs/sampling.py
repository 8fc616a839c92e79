# Langevin and Hamiltonian sampling, evolution strategies, particles.
import torch

torch.manual_seed(0)


def U(x):
    return ((x**2).sum(-1) - 1) ** 2 + 0.5 * x[..., 0]


x = torch.randn(5, 2)
for i in range(50):
    x.requires_grad_(True)
    (g,) = torch.autograd.grad(U(x).sum(), x)
    x = (x - 0.05 * g + 0.1**0.5 * 0.3 * torch.randn_like(x)).detach()
print(x, U(x).mean())


def hmc(q, eps=0.1, L=10):
    p = torch.randn_like(q)
    cur = -U(q) - 0.5 * (p**2).sum()
    gr = torch.func.grad(lambda z: U(z))
    qn = q
    p = p - 0.5 * eps * gr(qn)
    for i in range(L):
        qn = qn + eps * p
        p = p - eps * gr(qn) * (1 if i < L - 1 else 0.5)
    new = -U(qn) - 0.5 * (p**2).sum()
    ok = torch.rand(()).log() < new - cur
    return (qn, True) if ok else (q, False)


q = torch.zeros(2)
acc = 0
for i in range(30):
    q, a = hmc(q)
    acc += a
print("accepted", acc, q)
th = torch.tensor([2.0, -2.0])
for i in range(40):
    e = torch.randn(16, 2)
    f = U(th + 0.1 * e)
    th -= 0.05 * ((f - f.mean()) / (f.std() + 1e-8)) @ e / (16 * 0.1)
print("es", th, U(th))


def rbf(x):
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    h = d.median() / torch.tensor(len(x) + 1.0).log()
    return torch.exp(-d / h)


z = torch.randn(8, 1) * 2
for i in range(50):
    zi = z.clone().requires_grad_()
    lp = -0.5 * ((zi - 1) ** 2).sum()
    (s,) = torch.autograd.grad(lp, zi)
    K = rbf(zi)
    (gK,) = torch.autograd.grad(K.sum(), zi)
    z = z + 0.3 * (K.detach() @ s - gK / 2) / len(z)
print(f"svgd {z.mean():.3f} {z.std():.3f}")
pop = torch.rand(6, 3)
best = pop[(pop.sum(1)).argmin()]
print(best, pop.sort(dim=0).values[0], torch.argsort(pop[:, 0]))
x = torch.tensor([1.5, 0.5], requires_grad=True)
opt = torch.optim.SGD([x], lr=0.02, momentum=0.8, dampening=0.1)
traj = []
for i in range(10):
    opt.zero_grad()
    U(x).backward()
    opt.step()
    traj.append(x.detach().clone())
print(torch.stack(traj)[::3])
temp = torch.tensor(1.0)
logits = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
g = -torch.empty(3).exponential_().log()
ysoft = ((logits + g) / temp).softmax(0)
hard = torch.zeros(3).scatter_(0, ysoft.argmax(keepdim=True), 1.0) - ysoft.detach() + ysoft
hard[2].backward()
print(hard, logits.grad)
