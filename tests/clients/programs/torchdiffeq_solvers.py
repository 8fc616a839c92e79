# Requires: torchdiffeq scipy
# Every solver on a nonlinear system, with gradients through the solver; options, tuples, backwards in time.
import torch
from torchdiffeq import odeint

torch.set_printoptions(precision=8)
torch.manual_seed(0)
A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64, requires_grad=True)
y0 = torch.tensor([2.0, 0.5], dtype=torch.float64, requires_grad=True)
t = torch.linspace(0.0, 2.0, 6, dtype=torch.float64)


def f(t, y):
    return (y**3) @ A + 0.1 * torch.sin(t)


ADAPTIVE = ("dopri8", "dopri5", "bosh3", "fehlberg2", "adaptive_heun")
FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams")
for method in ADAPTIVE + FIXED:
    options = None if method in ADAPTIVE else {"step_size": 0.05}
    A.grad = y0.grad = None
    try:
        y = odeint(f, y0, t, rtol=1e-6, atol=1e-8, method=method, options=options)
    except ValueError as e:
        print(method, str(e)[:40])
        continue
    y.pow(2).sum().backward()
    print(method, tuple(y.shape), y.dtype)
    print(y[-1].detach(), y0.grad)
    print(A.grad)

with torch.no_grad():
    for solver in ("RK45", "LSODA", "BDF"):
        y = odeint(f, y0, t, method="scipy_solver", options={"solver": solver})
        print(solver, [f"{v:.4f}" for v in y[-1].tolist()])
    back = odeint(f, y[-1], t.flip(0), method="dopri5")
    print("back", [f"{v:.3f}" for v in back[-1].tolist()])
    pair = odeint(
        lambda t, s: (s[1], -s[0]), (torch.ones(2, 3), torch.zeros(2, 3)), torch.tensor([0.0, 1.0, 2.0])
    )
    print([p.shape for p in pair], [f"{v:.5f}" for v in pair[0][:, 0, 0].tolist()])
    grid = odeint(
        f,
        y0,
        t,
        method="rk4",
        options={"grid_constructor": lambda f, y, t: torch.linspace(0, 2, 11, dtype=t.dtype)},
    )
    print(grid[-1])
    cubic = odeint(f, y0, t, method="rk4", options={"step_size": 0.3, "interp": "cubic"})
    print(cubic[2])
    jump = odeint(f, y0, t, method="dopri5", options={"jump_t": torch.tensor([0.5]), "max_num_steps": 1000})
    print(jump[-1])
    single = odeint(lambda t, y: -y, torch.ones(3), torch.linspace(0, 1, 3))
    print(single.dtype, [f"{v:.4f}" for v in single[:, 0].tolist()])
for bad in (lambda: odeint(f, y0, t, method="nothing"), lambda: odeint(f, y0, torch.tensor([0.0, 1.0, 1.0]))):
    try:
        bad()
    except (ValueError, AssertionError) as e:
        print(type(e).__name__, str(e).splitlines()[0][:60])


def time_to(t1):
    return odeint(f, y0, torch.stack([torch.zeros_like(t1), t1]))[-1].sum()


t1 = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
(dt,) = torch.autograd.grad(time_to(t1), t1)
print("d/dt1", dt)
print(
    torch.autograd.gradcheck(lambda y: odeint(f, y, t[:2], method="rk4", options={"step_size": 0.1}), (y0,))
)
