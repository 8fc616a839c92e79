"""A line through noisy points: data 2x + 1 + noise, one nn.Linear(1, 1), mean squared error, plain SGD.

python examples/demo/linear_regression.py --out build/demo
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import charts
import numpy as np
from charts import plt

import pullback as torch
import pullback.nn as nn
import pullback.optim as optim


class LinearRegression(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


def make_points(count: int = 100):
    """x between 0 and 1, y = 2x + 1 with normal noise of 0.1."""
    rng = np.random.RandomState(0)
    x = rng.rand(count, 1).astype(np.float32)
    y = 2 * x + 1 + rng.normal(0, 0.1, (count, 1)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y)


def train(model, x, y, epochs: int, lr: float) -> list[float]:
    """Gradient descent on all points at once; gives the loss of every epoch."""
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    losses = []
    for epoch in range(epochs):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (epoch + 1) % 100 == 0:
            print(f"Epoch [{epoch + 1}/{epochs}], Loss: {loss.item():.4f}")
    return losses


def draw_losses(losses: list[float], folder: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2))
    axes.plot(range(1, len(losses) + 1), losses, color=charts.BLUE, linewidth=2)
    axes.set(title="Mean squared error while training", xlabel="epoch", ylabel="loss", yscale="log")
    axes.set_xlim(-len(losses) * 0.01, len(losses) * 1.01)
    axes.annotate(
        f"{losses[-1]:.4f}",
        (len(losses), losses[-1]),
        xytext=(0, 9),
        textcoords="offset points",
        ha="right",
        color=charts.BLUE,
        fontweight="bold",
    )
    charts.save(figure, folder, "line_loss.png")


def draw_line(model, x, y, folder: Path) -> None:
    ends = torch.tensor([[0.0], [1.0]])
    with torch.no_grad():
        fitted = model(ends).numpy()
    weight, bias = model.linear.weight.item(), model.linear.bias.item()
    figure, axes = plt.subplots(figsize=(7, 4.2))
    axes.scatter(x.numpy(), y.numpy(), s=26, color=charts.BLUE, alpha=0.55, linewidths=0, label="data")
    axes.plot(
        ends.numpy(),
        2 * ends.numpy() + 1,
        color=charts.QUIET,
        linestyle=(0, (4, 3)),
        linewidth=1.5,
        label="y = 2x + 1, before the noise",
    )
    axes.plot(
        ends.numpy(),
        fitted,
        color=charts.ORANGE,
        linewidth=2.5,
        label=f"fitted: y = {weight:.4f}x + {bias:.4f}",
    )
    axes.set(title="A line through 100 noisy points", xlabel="x", ylabel="y")
    axes.legend(loc="upper left")
    charts.save(figure, folder, "line_fit.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder of the pictures")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=0.1)
    options = parser.parse_args()

    torch.manual_seed(0)
    model = LinearRegression()
    print(model)
    x, y = make_points()
    start = time.perf_counter()
    losses = train(model, x, y, options.epochs, options.lr)
    print(f"{options.epochs} epochs in {time.perf_counter() - start:.2f} s")
    print(f"weight {model.linear.weight.item():.4f} (2 before the noise)")
    print(f"bias   {model.linear.bias.item():.4f} (1 before the noise)")
    draw_losses(losses, options.out)
    draw_line(model, x, y, options.out)


if __name__ == "__main__":
    main()
