"""Draw the plots of a run: the learning curves in one figure, and every metric on its own.

Importing matplotlib takes most of the time, so it is imported when there is something to draw. One figure serves all
metrics: only what differs between them is drawn anew.
"""

from __future__ import annotations

import io
import logging
import math
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recrun.memory import collection_paused
from recrun.report.files.course import Course, Point
from recrun.report.terminal.lines import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

_DPI: Final = 200
_SIZE: Final = (4.4, 2.9)
_WIDE: Final = (8.8, 2.9)
_ONE_PANEL: Final = ((0.165, 0.16, 0.785, 0.6),)
_TWO_PANELS: Final = ((0.0825, 0.16, 0.39, 0.6), (0.585, 0.16, 0.39, 0.6))
"""Left, bottom, width and height of the axes, as shares of the figure."""
_GREY, _INK, _PAPER = "0.45", "0.1", "white"
_COLORS: Final = {"train": "#0072B2", "valid": "#D55E00", "test": "#009E73"}
"""Of the palette of Okabe and Ito, which the colour-blind can tell apart."""
_OTHER: Final = "#CC79A7"
_FEW: Final = 40
"""Up to so many values are marked one by one."""


@dataclass(frozen=True)
class Heading:
    """What the plots of a run have in common.

    Args:
        title: the model and the data set.
        run: the name of the run, shown smaller.
        best_epoch: the epoch of the run's final model; marked with a dashed line.
    """

    title: str
    run: str = ""
    best_epoch: int | None = None


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with matplotlib's own defaults, whatever the user's settings are, quietly, and leave no trace of it.

    The garbage collector pauses: with torch loaded, it takes a quarter of the time of importing matplotlib.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with collection_paused(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import matplotlib

            look: dict[Any, Any] = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
            look |= {
                "font.size": 10,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.edgecolor": _GREY,
                "axes.grid": True,
                "grid.color": "0.9",
                "axes.axisbelow": True,
                "axes.formatter.limits": (-3, 6),
                "xtick.labelsize": 9,
                "ytick.labelsize": 9,
                "lines.linewidth": 1.8,
                "lines.solid_joinstyle": "bevel",
                "svg.fonttype": "none",
                "svg.hashsalt": "recrun",
            }
            with matplotlib.rc_context(look):
                yield
    finally:
        logger.setLevel(level)


def draw_curves(heading: Heading, courses: Sequence[Course]) -> tuple[bytes, bytes]:
    """Return the learning curves of a run as PNG and as SVG: a panel for each course, with the same epochs.

    Call it within `drawing`.

    Args:
        heading: what to write above.
        courses: the training loss and the criterion, or one of them.
    """
    boxes = _ONE_PANEL if len(courses) == 1 else _TWO_PANELS
    figure = _figure(_SIZE if len(courses) == 1 else _WIDE)
    span = _span(courses)
    for course, box in zip(courses, boxes, strict=True):
        axes = figure.add_axes(box)
        _prepare(axes, span, heading.best_epoch)
        _Panel(axes, heading.best_epoch).show(course)
    _head(figure, heading, boxes[0][0])
    picture = io.BytesIO()
    # Without a date and matplotlib's version in the metadata, the same run gives the same file.
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    canvas: Any = figure.canvas
    canvas.draw()
    return _png(figure), picture.getvalue()


def draw_courses(heading: Heading, courses: Sequence[Course]) -> Iterator[tuple[Course, bytes]]:
    """Yield each course with its plot, a PNG. Call it within `drawing`.

    Args:
        heading: what to write above each of them.
        courses: what to draw, all over the same epochs.
    """
    figure = _figure(_SIZE)
    (box,) = _ONE_PANEL
    axes = figure.add_axes(box)
    _prepare(axes, _span(courses), heading.best_epoch)
    _head(figure, heading, box[0])
    panel = _Panel(axes, heading.best_epoch)
    changing = panel.artists()
    for artist in changing:
        artist.set_animated(True)  # leaves it out of the background
    canvas: Any = figure.canvas
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for course in courses:
        panel.show(course)
        canvas.restore_region(background)
        for artist in changing:
            axes.draw_artist(artist)
        yield course, _png(figure)


class _Panel:
    """Axes that show one course after another."""

    def __init__(self, axes: Axes, best_epoch: int | None) -> None:
        (self._line,) = axes.plot([], [])
        (self._star,) = axes.plot(
            [], [], color=_INK, markeredgecolor=_PAPER, marker="*", markersize=13, linestyle="none", clip_on=False
        )
        self._note: Annotation = axes.annotate("", (0, 0), textcoords="offset points", fontsize=9)
        self._axes = axes
        self._best_epoch = best_epoch

    def artists(self) -> tuple[Any, ...]:
        """Return what differs between courses, in the order in which it is drawn."""
        return (self._axes.yaxis, self._line, self._star, self._note)

    def show(self, course: Course) -> None:
        """Put a course into the axes."""
        points = course.points()
        finite = [value for _, value in points if math.isfinite(value)]
        color = _COLORS.get(course.split, _OTHER)
        self._line.set_data([epoch for epoch, _ in points], [value for _, value in points])
        self._line.set(color=color, marker="o" if len(finite) <= _FEW else "", markersize=4)
        self._axes.set_ylabel(_clean(course.label, 28), parse_math=False)
        low, high = min(finite), max(finite)
        size = max(abs(low), abs(high))
        # Differences that only rounding makes are no curve.
        room = 0.1 * (high - low if high - low > 1e-6 * size else size) or 1.0
        # The smallest training loss is no choice of a model, so it is not marked.
        best = course.best() if course.split != "train" else None
        is_above = best is not None and 2 * best[1] >= low + high
        is_below = best is not None and not is_above
        self._axes.set_ylim(low - (2 if is_below else 1) * room, high + (2 if is_above else 1) * room)
        self._star.set_visible(best is not None)
        self._note.set_visible(best is not None)
        if best is not None:
            self._mark(best, is_above)

    def _mark(self, best: Point, is_above: bool) -> None:
        self._star.set_data([best[0]], [best[1]])
        self._note.xy = best
        self._note.set_text(
            number(best[1]) if best[0] == self._best_epoch else f"{number(best[1])} (epoch {best[0]:,})"
        )
        first, last = self._axes.get_xlim()
        is_left = 2 * best[0] < first + last
        self._note.set_position((7 if is_left else -7, 7 if is_above else -14))
        self._note.set_horizontalalignment("left" if is_left else "right")


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def _span(courses: Sequence[Course]) -> tuple[int, int]:
    epochs = [epoch for course in courses for epoch, _ in course.points()]
    return min(epochs), max(epochs)


def _prepare(axes: Axes, span: tuple[int, int], best_epoch: int | None) -> None:
    """Set up what all courses have in common: the epochs and the best of them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    first, last = span
    room = 0.03 * (last - first)
    axes.set_xlim(first - room, last + room)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.tick_params(colors=_INK, length=3, color=_GREY)
    if best_epoch is not None and first <= best_epoch <= last:
        axes.axvline(best_epoch, color=_GREY, linewidth=1.2, linestyle="--", zorder=0.9)
        near_end = 2 * best_epoch >= first + last
        axes.annotate(
            f"best epoch {best_epoch:,}",
            (best_epoch, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if near_end else 4, -2),
            textcoords="offset points",
            horizontalalignment="right" if near_end else "left",
            verticalalignment="bottom",
            fontsize=8,
            color=_GREY,
        )


def _head(figure: Figure, heading: Heading, left: float) -> None:
    wide = figure.get_figwidth() / _SIZE[0]
    title, run = _clean(heading.title, int(30 * wide)), _clean(heading.run, int(48 * wide))
    figure.text(left, 0.915, title, fontsize=12, fontweight="bold", color=_INK, parse_math=False)
    figure.text(left, 0.845, run, fontsize=8.5, color=_GREY, parse_math=False)


def _png(figure: Figure) -> bytes:
    """Return what has been drawn as PNG, without drawing it again."""
    from matplotlib.image import imsave

    canvas: Any = figure.canvas
    picture = io.BytesIO()
    # Compressed lightly, which takes half of the time; without the version of matplotlib, which would make the same
    # run give other files.
    options: dict[str, Any] = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}}
    imsave(picture, canvas.buffer_rgba(), format="png", dpi=_DPI, **options)
    return picture.getvalue()


def _clean(text: str, length: int) -> str:
    """Return a text on one line, at most `length` characters long, with a box for each that the font does not have."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    line = " ".join("".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text).split())
    line = line if len(line) <= length else line[: length - 1] + "…"
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in line)
