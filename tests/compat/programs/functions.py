# Functions with a backward of their own: straight-through, reversed, of higher order, wrong.
import torch
from torch.autograd import Function, gradcheck, gradgradcheck


class BinarizeSTE(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        gi = g.clone()
        gi[x.abs() > 1] = 0
        return gi


class GradReverse(Function):
    @staticmethod
    def forward(ctx, x, lambd):
        ctx.lambd = lambd
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad.neg() * ctx.lambd, None


class Cube(Function):
    @staticmethod
    def forward(x):
        result = x**3
        dx = 3 * x**2
        return result, dx

    @staticmethod
    def setup_context(ctx, inputs, output):
        (x,) = inputs
        _result, dx = output
        ctx.save_for_backward(x, dx)

    @staticmethod
    def backward(ctx, g, gdx):
        x, dx = ctx.saved_tensors
        return g * dx + gdx * 6 * x


x = torch.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
y = BinarizeSTE.apply(x)
print(y)
y.sum().backward()
print(x.grad)
x.grad.zero_()
r = GradReverse.apply(x, 0.5)
print(r, r.grad_fn.name())
(r * torch.arange(4.0)).sum().backward()
print(x.grad)
xd = torch.randn(3, dtype=torch.double, requires_grad=True)
print(gradcheck(lambda t: Cube.apply(t)[0], (xd,)), gradgradcheck(lambda t: Cube.apply(t)[0], (xd,)))
c = Cube.apply(x)[0]
print(c)
(g,) = torch.autograd.grad(c.sum(), x, create_graph=True)
print(g)
print(torch.autograd.grad(g.sum(), x))


class Bad(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g, g


try:
    Bad.apply(x).sum().backward()
except RuntimeError as e:
    print(str(e).split("\n")[0])


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


try:
    gradcheck(Wrong.apply, (torch.ones(2, dtype=torch.double, requires_grad=True),))
except Exception as e:
    print(str(e).split("\n")[0])


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2


o = Once.apply(x)
(g,) = torch.autograd.grad(o.sum(), x, create_graph=True)
print(g, g.requires_grad)
try:
    g.sum().backward()
except RuntimeError as e:
    print(str(e).split("\n")[0])


class Marked(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.add_(1)
        return x

    @staticmethod
    def backward(ctx, g):
        return g


t = torch.zeros(2, requires_grad=True)
u = t.clone()
v = Marked.apply(u)
print(v is u, v)
try:
    Cube()(x)
except Exception as e:
    print(str(e).split("\n")[0])
