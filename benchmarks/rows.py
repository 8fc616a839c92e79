"""What is timed. Each row is a function of the library (torch's API) that returns a callable and how often a
call does the thing, so that times are per thing."""

from __future__ import annotations

ROWS = {}


def row(name, must, aim, beside=None, repeats=True):
    """`beside`: the row without what this one adds; the ratio to it is printed for both libraries.
    `repeats`: every run is like the one before, so that a turn may take as many as it wants."""

    def register(make):
        ROWS[name] = {
            "make": make,
            "must": must,
            "aim": aim,
            "beside": beside,
            "repeats": repeats,
        }
        return make

    return register


def repeat(f, n):
    def run():
        for _ in range(n):
            f()

    return run, n


@row("tiny op, no gradient", 0.15, 0.06)
def tiny(torch):
    a, b = torch.rand(4), torch.rand(4)
    return repeat(lambda: a * b, 2000)


@row("tiny op, recorded", 0.12, 0.05)
def tiny_recorded(torch):
    a, b = torch.rand(4, requires_grad=True), torch.rand(4, requires_grad=True)
    return repeat(lambda: a * b, 2000)


@row("scalar forward + backward", 0.05, 0.02)
def scalar(torch):
    x = torch.tensor(3.0, requires_grad=True)
    return repeat(lambda: (x**2).backward(), 500)


@row("small MSE forward + backward", 0.05, 0.02)
def small_mse(torch):
    x, y = torch.rand(10, 1), torch.rand(10, 1)
    w, b = torch.rand(1, requires_grad=True), torch.rand(1, requires_grad=True)
    return repeat(lambda: ((x * w + b - y) ** 2).mean().backward(), 300)


@row("100 000-node chain, a node", 0.08, 0.03)
def chain(torch):
    x = torch.ones(1, requires_grad=True)

    def run():
        z = x
        for _ in range(100_000):
            z = z * 1.00001
        z.backward()

    return run, 100_000


@row("seed loop, an epoch", 0.08, 0.03)
def seed_loop(torch):
    import numpy as np

    rng = np.random.default_rng(0)
    data = rng.random((100, 1)).astype(np.float32)
    x, y = torch.from_numpy(data), torch.from_numpy(2 * data + 1)
    model, criterion = torch.nn.Linear(1, 1), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step():
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return repeat(step, 100)


def never_seen(torch, strided):
    import itertools

    rows = itertools.count(2)
    columns = 9 if strided else 8  # the other row has not seen the shapes of these results
    w = torch.rand(8, columns, requires_grad=True)

    def run():
        n = next(rows)
        x = torch.rand(8, n).t() if strided else torch.rand(n, 8)
        (x @ w).tanh().mean().backward()

    return repeat(run, 20)


@row("shape never seen, contiguous", 0.5, 0.25, repeats=False)
def never_seen_contiguous(torch):
    return never_seen(torch, False)


@row("shape never seen, strided", 0.5, 0.25, repeats=False)
def never_seen_strided(torch):
    return never_seen(torch, True)


@row("MLP 64-64-64-1, Adam step, batch 32", 0.2, 0.12)
def small_mlp(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.rand(32, 64), torch.rand(32, 1)
    criterion = nn.MSELoss()

    def step():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return repeat(step, 30)


@row("MLP 784-128-10, fused Adam step, batch 64", 0.6, 0.35)
def large_mlp(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    x, y = torch.rand(64, 784), torch.randint(0, 10, (64,))
    criterion = nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return repeat(step, 20)


def watched(torch, made):
    """The same under the search for the first nan: ours looks at every result, torch's at gradients only."""
    run, n = made

    def watching():
        with torch.debug.nonfinite() if hasattr(torch, "debug") else torch.autograd.set_detect_anomaly(True):
            run()

    return watching, n


@row("MLP 64-64-64-1, watched for nan", 0.2, 0.12, beside="MLP 64-64-64-1, Adam step, batch 32")
def small_mlp_watched(torch):
    return watched(torch, small_mlp(torch))


@row("MLP 784-128-10, watched for nan", 0.6, 0.35, beside="MLP 784-128-10, fused Adam step, batch 64")
def large_mlp_watched(torch):
    return watched(torch, large_mlp(torch))


@row("10M-element chain, forward + backward", 0.35, 0.2)
def big_chain(torch):
    x = torch.rand(10_000_000, requires_grad=True)

    def run():
        x.grad = None
        (torch.tanh(x) * torch.sigmoid(x) + torch.exp(-x * x)).sum().backward()

    return run, 1


def product(torch, n):
    a, b = torch.rand(n, n), torch.rand(n, n)
    return repeat(lambda: a @ b, max(1, 200_000_000 // n**3))


@row("matrix product 128", 1.15, 1.0)
def product_128(torch):
    return product(torch, 128)


@row("matrix product 256", 1.15, 1.0)
def product_256(torch):
    return product(torch, 256)


@row("matrix product 512", 1.15, 1.0)
def product_512(torch):
    return product(torch, 512)


@row("matrix product 1024", 1.15, 1.0)
def product_1024(torch):
    return product(torch, 1024)


@row("softmax 4096x1000", 1.2, 0.8)
def softmax(torch):
    x = torch.rand(4096, 1000)
    return repeat(lambda: torch.softmax(x, 1), 5)
