"""Handwritten digits: 1 797 pictures of 8x8 from scikit-learn, a network of 64-128-10, cross-entropy, Adam.

python examples/demo/digits.py --out build/demo
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import charts
from charts import plt
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import pullback as torch
import pullback.nn as nn
import pullback.optim as optim
from pullback.utils.data import DataLoader, TensorDataset

EXPECTED = 0.96  # of the test pictures; less means that something is broken


def load(batch_size: int):
    """A loader of shuffled training batches, and the test pictures with their labels."""
    digits = load_digits()
    pictures = (digits.data / 16).astype("float32")  # 0 is paper, 1 is ink
    parts = train_test_split(
        pictures, digits.target.astype("int64"), test_size=0.25, random_state=0, stratify=digits.target
    )
    x_train, x_test, y_train, y_test = map(torch.from_numpy, parts)
    return DataLoader(TensorDataset(x_train, y_train), batch_size=batch_size, shuffle=True), x_test, y_test


def accuracy(model, x, y) -> float:
    with torch.no_grad():
        return (model(x).argmax(dim=1) == y).float().mean().item()


def train(model, loader, x_test, y_test, epochs: int, lr: float):
    """Trains in place; gives the mean loss and the test accuracy of every epoch."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses, accuracies = [], []
    progress = tqdm(range(epochs), desc="training", unit="epoch")
    for epoch in progress:
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        losses.append(total / len(loader.dataset))
        accuracies.append(accuracy(model, x_test, y_test))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", accuracy=f"{accuracies[-1]:.2%}", refresh=False)
        if (epoch + 1) % 5 == 0:
            progress.write(
                f"Epoch [{epoch + 1}/{epochs}], Loss: {losses[-1]:.4f}, Test accuracy: {accuracies[-1]:.2%}"
            )
    return losses, accuracies


def draw_training(losses, accuracies, folder: Path) -> None:
    epochs = range(1, len(losses) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(epochs, losses, color=charts.BLUE, linewidth=2)
    left.set(title="Cross-entropy, training part", xlabel="epoch", ylabel="loss", yscale="log")
    right.plot(epochs, [100 * a for a in accuracies], color=charts.ORANGE, linewidth=2)
    right.axhline(100 * EXPECTED, color=charts.QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
    right.text(len(losses), 100 * EXPECTED - 0.4, "expected: 96 %", ha="right", va="top", color=charts.QUIET)
    right.set(title="Accuracy, test part", xlabel="epoch", ylabel="% right")
    right.set_ylim(min(100 * min(accuracies), 90) - 1, 100.5)
    figure.tight_layout(w_pad=4)
    charts.save(figure, folder, "digits_training.png")


def draw_sheet(model, x, y, folder: Path, columns: int = 12, rows: int = 8) -> None:
    """Test pictures with the network's answers: every wrong one first, then right ones in their order."""
    with torch.no_grad():
        chances = torch.softmax(model(x), dim=1)
    answers, sure = chances.argmax(dim=1).tolist(), chances.amax(dim=1).tolist()
    labels, pictures = y.tolist(), x.numpy().reshape(-1, 8, 8)
    order = sorted(range(len(labels)), key=lambda i: answers[i] == labels[i])
    wrong = sum(a != b for a, b in zip(answers, labels, strict=True))

    figure, grid = plt.subplots(rows, columns, figsize=(columns * 0.92, rows * 1.12 + 0.9))
    for axes, i in zip(grid.flat, order, strict=False):
        axes.imshow(pictures[i], cmap="Greys", vmin=0, vmax=1.05, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        missed = answers[i] != labels[i]
        edge, ink, weight, width = (
            (charts.RED, charts.RED, "bold", 2.2) if missed else (charts.FRAME, charts.INK, "normal", 0.8)
        )
        axes.add_patch(
            Rectangle((-0.5, -0.5), 8, 8, fill=False, clip_on=False, edgecolor=edge, linewidth=width)
        )
        text = f"{answers[i]}, is {labels[i]}" if missed else f"{answers[i]}"
        axes.set_xlabel(text, labelpad=5, color=ink, fontweight=weight)
    right = len(labels) - wrong
    figure.suptitle(
        f"{right} of {len(labels)} test digits read right ({right / len(labels):.1%})",
        x=0.07,
        y=0.985,
        ha="left",
        fontsize=15,
        fontweight="bold",
    )
    note = f"All {wrong} mistakes come first, framed in red: the network's answer, then the digit it is"
    figure.text(0.07, 0.933, note, color=charts.QUIET)
    figure.subplots_adjust(left=0.07, right=0.97, top=0.9, bottom=0.05, hspace=0.42, wspace=0.2)
    charts.save(figure, folder, "digits_sheet.png")
    print(f"mean certainty of an answer {sum(sure) / len(sure):.1%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder of the pictures")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args()

    torch.manual_seed(0)
    loader, x_test, y_test = load(options.batch_size)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    print(model)
    start = time.perf_counter()
    losses, accuracies = train(model, loader, x_test, y_test, options.epochs, options.lr)
    print(f"{options.epochs} epochs in {time.perf_counter() - start:.2f} s")
    print(f"test accuracy {accuracies[-1]:.2%} of {len(y_test)} pictures")
    draw_training(losses, accuracies, options.out)
    draw_sheet(model, x_test, y_test, options.out)
    if accuracies[-1] < EXPECTED:
        print(f"expected at least {EXPECTED:.0%} after {options.epochs} epochs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
