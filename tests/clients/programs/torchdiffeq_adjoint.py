# Requires: torchdiffeq scipy
# A neural ODE trained by the adjoint method, its gradients against those through the solver, and events.
import torch
import torch.nn as nn
from torchdiffeq import odeint, odeint_adjoint, odeint_event

torch.set_default_dtype(torch.float64)
torch.set_printoptions(precision=7)
torch.manual_seed(0)


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        self.calls = 0
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.3)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        self.calls += 1
        return self.net(y**3) + 0.1 * torch.cos(t)


field = Field()
y0 = torch.tensor([[2.0, 0.0], [1.0, -1.0]], requires_grad=True)
t = torch.linspace(0, 1, 4)
for solve in (odeint, odeint_adjoint):
    for method in ("dopri5", "rk4", "adaptive_heun", "implicit_adams"):
        options = {"step_size": 0.1} if method in ("rk4", "implicit_adams") else {}
        field.zero_grad()
        y0.grad = None
        y = solve(field, y0, t, rtol=1e-7, atol=1e-9, method=method, options=options)
        (y - 1).pow(2).mean().backward()
        norm = sum(p.grad.pow(2).sum() for p in field.parameters()).sqrt()
        print(solve.__name__, method, f"{norm.item():.6f}", [f"{v:.5f}" for v in y0.grad.flatten().tolist()])

t.requires_grad_(True)
y = odeint_adjoint(field, y0, t, adjoint_options={"norm": "seminorm"}, adjoint_rtol=1e-6)
y[-1].sum().backward()
print("dt", [f"{v:.4f}" for v in t.grad.tolist()])

# Training as in the library's own demonstration.
torch.set_default_dtype(torch.float32)
torch.manual_seed(1)
field = Field()
optimizer = torch.optim.RMSprop(field.parameters(), lr=1e-3) if hasattr(torch.optim, "RMSprop") else None
true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
with torch.no_grad():
    start, times = torch.tensor([[2.0, 0.0]]), torch.linspace(0.0, 5.0, 50)
    truth = odeint(lambda t, y: torch.mm(y**3, true_A), start, times, method="dopri5")
optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
for step in range(5):
    index = torch.randint(0, 40, (8,))
    batch_y0 = truth[index]
    batch_y = torch.stack([truth[index + i] for i in range(5)], dim=0)
    optimizer.zero_grad()
    predicted = odeint_adjoint(field, batch_y0, times[:5])
    loss = torch.mean(torch.abs(predicted - batch_y))
    loss.backward()
    optimizer.step()
    print(step, f"{loss.item():.4f}")

# A bouncing ball: the time of impact is differentiated too.
torch.set_default_dtype(torch.float64)


class Ball(nn.Module):
    def __init__(self):
        super().__init__()
        self.gravity = nn.Parameter(torch.as_tensor([9.8]))
        self.height = nn.Parameter(torch.tensor([10.0]))
        self.log_radius = nn.Parameter(torch.log(torch.tensor([0.5])))

    def forward(self, t, state):
        _, vel = state
        return vel, -self.gravity * torch.ones_like(vel)

    def event_fn(self, t, state):
        return state[0] - torch.exp(self.log_radius)


for interface in (odeint, odeint_adjoint):
    ball = Ball()
    t0, state = torch.tensor([0.0]), (ball.height, torch.zeros(1))
    for bounce in range(3):
        event_t, solution = odeint_event(
            ball,
            state,
            t0,
            event_fn=ball.event_fn,
            reverse_time=False,
            atol=1e-8,
            rtol=1e-8,
            odeint_interface=interface,
        )
        state = tuple(s[-1] for s in solution)
        state = (state[0] + 1e-7, -0.9 * state[1])
        t0 = event_t
        print(bounce, f"{event_t.item():.5f}", [f"{s.item():.4f}" for s in state])
    event_t.sum().backward()
    print(
        [
            p.grad if p.grad is None else f"{p.grad.item():.4f}"
            for p in (ball.gravity, ball.height, ball.log_radius)
        ]
    )
