# Hidden Markov model, Kalman filter, beam search and edit distance.
import torch

torch.manual_seed(0)
A = torch.randn(3, 3, requires_grad=True)
B = torch.randn(3, 4, requires_grad=True)
pi = torch.zeros(3, requires_grad=True)
obs = torch.tensor([0, 1, 3, 2, 2, 1])


def forward(obs):
    la, lb = A.log_softmax(1), B.log_softmax(1)
    a = pi.log_softmax(0) + lb[:, obs[0]]
    for o in obs[1:]:
        a = torch.logsumexp(a[:, None] + la, dim=0) + lb[:, o]
    return a.logsumexp(0)


opt = torch.optim.Adam([A, B, pi], 0.1)
for i in range(30):
    opt.zero_grad()
    l = -forward(obs)
    l.backward()
    opt.step()
    (i % 10 == 0) and print(i, round(l.item(), 4))


@torch.no_grad()
def viterbi(obs):
    la, lb = A.log_softmax(1), B.log_softmax(1)
    d = pi.log_softmax(0) + lb[:, obs[0]]
    bp = []
    for o in obs[1:]:
        v, i = (d[:, None] + la).max(dim=0)
        d = v + lb[:, o]
        bp.append(i)
    path = [d.argmax().item()]
    for i in reversed(bp):
        path.append(i[path[-1]].item())
    return path[::-1], d.max()


print(viterbi(obs))
print(B.softmax(1).detach().numpy().round(2))


def kalman(z, q=0.01, r=0.1):
    x, P, out = torch.zeros(()), torch.ones(()), []
    for v in z:
        P = P + q
        K = P / (P + r)
        x = x + K * (v - x)
        P = (1 - K) * P
        out.append(x)
    return torch.stack(out), P


r = torch.tensor(0.1, requires_grad=True)
xs, P = kalman(torch.tensor([1.0, 1.2, 0.9, 1.1]), r=r)
xs[-1].backward()
print(xs, P, r.grad)
beam = [([], torch.tensor(0.0))]
lp = torch.randn(3, 5).log_softmax(1)
for t in range(3):
    beam = sorted((([*s, k], sc + lp[t, k]) for s, sc in beam for k in range(5)), key=lambda p: -p[1])[:2]
print([(s, f"{v:.3f}") for s, v in beam])
a, b = "kitten", "sitting"
D = torch.zeros(len(a) + 1, len(b) + 1, dtype=torch.int32)
D[:, 0] = torch.arange(len(a) + 1)
D[0] = torch.arange(len(b) + 1)
for i in range(len(a)):
    for j in range(len(b)):
        D[i + 1, j + 1] = min(D[i, j + 1] + 1, D[i + 1, j] + 1, D[i, j] + (a[i] != b[j]))
print(D, D[-1, -1].item())
