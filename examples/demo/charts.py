"""The look that the demo's pictures share."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files, also on a machine without a display
import matplotlib.pyplot as plt

INK = "#1f2933"
QUIET = "#7b8794"
BLUE = "#2563a8"
ORANGE = "#d9662b"
RED = "#c0262d"
FRAME = "#cbd2d9"
PAPER = "#ffffff"

plt.rcParams.update(
    {
        "figure.facecolor": PAPER,
        "figure.dpi": 130,
        "savefig.dpi": 130,
        "font.size": 11,
        "text.color": INK,
        "axes.edgecolor": FRAME,
        "axes.labelcolor": QUIET,
        "axes.titlecolor": INK,
        "axes.titlesize": 13,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 14,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e8ecf0",
        "grid.linewidth": 0.8,
        "axes.axisbelow": True,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": QUIET,
        "ytick.labelcolor": QUIET,
        "legend.frameon": False,
    }
)


def save(figure, folder: Path, name: str) -> Path:
    """Writes the figure as a PNG and says where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    figure.savefig(path, bbox_inches="tight", pad_inches=0.2)
    plt.close(figure)
    print(f"wrote {path}")
    return path
