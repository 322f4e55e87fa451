"""Pictures for docs/: the same figures give the same SVG. matplotlib is the extra `benchmarks`."""

from importlib import import_module
from pathlib import Path
from typing import Any


def panels(count: int) -> tuple[Any, list[Any]]:
    """A figure, and its axes beside each other, with one scale upwards."""
    style = {"svg.hashsalt": "flex-mcp", "svg.fonttype": "none", "font.size": 9}
    import_module("matplotlib").rcParams.update(style)
    pyplot = import_module("matplotlib.pyplot")  # late, and untyped: it may not be installed
    size = (4.2 * count, 3.2)
    figure, axes = pyplot.subplots(
        1, count, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    return figure, list(axes[0])


def save(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
