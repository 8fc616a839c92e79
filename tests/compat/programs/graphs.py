# Message passing on a graph, by matrix and by edges.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
edges = torch.tensor([[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]])
ei = torch.cat([edges, edges.flip(0)], 1)
n = 6
A = torch.zeros(n, n)
A[ei[0], ei[1]] = 1
A += torch.eye(n)
d = A.sum(1).pow(-0.5)
Ah = d[:, None] * A * d[None]
print(A, Ah[0])


class GCN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.w1, self.w2 = nn.Linear(i, h, False), nn.Linear(h, o, False)
        nn.init.xavier_uniform_(self.w1.weight)

    def forward(self, x):
        return F.log_softmax(Ah @ self.w2(F.dropout(F.relu(Ah @ self.w1(x)), 0.2, self.training)), 1)


class Msg(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.lin = nn.Linear(2 * d, d)
        self.att = nn.Parameter(torch.empty(1, d))
        nn.init.xavier_normal_(self.att)

    def forward(self, x):
        m = torch.tanh(self.lin(torch.cat([x[ei[0]], x[ei[1]]], 1)))
        s = (m * self.att).sum(1)
        s = (s - s.max()).exp()
        z = torch.zeros(n).index_add(0, ei[1], s)
        a = s / z[ei[1]]
        return torch.zeros_like(x).scatter_add(0, ei[1][:, None].expand_as(m), m * a[:, None])


x = torch.eye(n)
y = torch.tensor([0, 0, 0, 1, 1, 1])
train = torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.bool)
m = GCN(n, 8, 2)
o = torch.optim.Adam(m.parameters(), 0.05, weight_decay=5e-4)
for e in range(40):
    m.train()
    o.zero_grad()
    l = F.nll_loss(m(x)[train], y[train])
    l.backward()
    o.step()
m.eval()
print((m(x).argmax(1) == y).sum().item() / n, m(x).exp()[:, 0])
g = Msg(6)
out = g(x)
out.sum().backward()
print(out.shape, g.att.grad)
deg = torch.bincount(ei[0], minlength=n)
print(deg, torch.unique(ei, dim=1).shape, torch.stack(torch.where(A > 0))[:, :5])
