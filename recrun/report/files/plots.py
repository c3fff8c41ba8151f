"""Plot a monitored metric over the epochs."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

Points = Sequence[tuple[int, float]]


def plot_course(title: str, points: Points, best: tuple[int, float] | None = None, chosen: int | None = None) -> bytes:
    """Return a PNG that plots a metric over the epochs.

    A single point is drawn as a marker; values that are not finite leave a gap. Neither pyplot nor any other global
    state of matplotlib is used.

    Args:
        title: the title of the plot.
        points: (epoch, value), sorted by epoch.
        best: the point to mark with a star.
        chosen: the epoch of the run's final model; marked with a dashed line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5.6, 3.4), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.74))
    epochs = [epoch for epoch, _ in points]
    values = [value if math.isfinite(value) else math.nan for _, value in points]
    finite = list(filter(math.isfinite, values))
    axes.plot(epochs, values, color="C0", linewidth=1.5, marker="o" if len(finite) <= 40 else None, markersize=3.5)
    if chosen is not None and len(finite) > 1:
        axes.axvline(chosen, color="0.6", linewidth=1, linestyle="--", zorder=0)
    if best is not None:
        axes.plot([best[0]], [best[1]], color="C3", marker="*", markersize=12, linestyle="none")
        axes.margins(y=0.2)
        is_above = 2 * best[1] >= max(finite) + min(finite)
        axes.annotate(
            f"{best[1]:.4g} at epoch {best[0]}",
            best,
            xytext=(0, 9 if is_above else -17),
            textcoords="offset points",
            horizontalalignment=_side(best[0], epochs),
        )
    if not finite:
        axes.text(0.5, 0.5, "no finite values", transform=axes.transAxes, horizontalalignment="center", color="0.4")
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.grid(True, alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    picture = io.BytesIO()
    # Without matplotlib's version in the metadata, the same run gives the same file.
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _side(epoch: int, epochs: Sequence[int]) -> str:
    """Return the horizontal alignment that keeps a label within the plot."""
    first, last = min(epochs), max(epochs)
    share = 0.5 if first == last else (epoch - first) / (last - first)
    return "left" if share < 0.25 else "right" if share > 0.75 else "center"
