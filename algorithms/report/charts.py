"""Curves and bars as inline SVG, drawn by matplotlib; colours come from the page's CSS.

Placeholder colours are drawn and then replaced by CSS variables, so that one picture serves the
light and the dark page.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SERIES = 6
_METADATA = ("Date", "Creator", "Format", "Type")  # left out: they tell the reader nothing
_INK, _GRID, _PAGE = "#010203", "#040506", "#070809"
_COLOURS = [f"#0a0b{index:02x}" for index in range(SERIES)]


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's line."""

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line to compare with: an expert, the start."""

    label: str
    y: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One run's bar: what its parts measure, in the order in which they are named."""

    label: str
    parts: Sequence[float]


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured number with its interval, in a row of a panel."""

    row: int
    series: int
    mean: float
    low: float
    high: float


def chart(
    name: str,
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    levels: Sequence[Level] = (),
    percent: bool = False,
) -> str:
    """Curves over one x; curves of one label share a colour and, if several, get their mean.

    Args:
        name: Unique in the page; the picture's inner names start with it.
        curves: Lines to draw.
        x_label: What the x axis counts.
        y_label: What the y axis shows.
        levels: Horizontal lines with their names at the right.
        percent: y is a share: the axis runs from 0 to 100 %.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(5.4, 3.3), layout="constrained")
        axes = figure.add_subplot()
        for label in dict.fromkeys(curve.label for curve in curves):
            _draw(axes, [curve for curve in curves if curve.label == label])
        for level in levels:
            axes.axhline(level.y, color=_INK, linewidth=0.9, linestyle=(0, (1, 2.5)), alpha=0.75)
            axes.annotate(
                level.label,
                (1.01, level.y),
                xycoords=("axes fraction", "data"),
                va="center",
                color=_INK,
                fontsize=8.5,
            )
        _dress(axes, x_label, y_label, percent)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _themed(picture.getvalue(), name, f"{y_label} over {x_label}")


def _draw(axes: Axes, curves: Sequence[Curve]) -> None:
    colour = _COLOURS[curves[0].colour % SERIES]
    for curve in curves:
        axes.plot(curve.x, curve.y, color=colour, linewidth=0.8, alpha=0.35)
    if len(curves) == 1:
        x, y = np.asarray(curves[0].x, float), smooth(curves[0].y)
    else:  # the mean over seeds, where all of them have got to
        x = np.linspace(
            max(curve.x[0] for curve in curves), min(curve.x[-1] for curve in curves), 200
        )
        y = np.mean([np.interp(x, curve.x, smooth(curve.y)) for curve in curves], axis=0)
    label = curves[0].label + (f", {len(curves)} runs" if len(curves) > 1 else "")
    axes.plot(x, y, color=colour, linewidth=2.2, label=label, solid_capstyle="round")


def bars(name: str, rows: Sequence[Bar], parts: Sequence[str], *, rest: str, x_label: str) -> str:
    """Horizontal bars, the first at the top, their parts end to end in the series' colours.

    Args:
        name: Unique in the page; the picture's inner names start with it.
        rows: The bars.
        parts: What the parts are called, as many as each bar has.
        rest: The name of the part that has no colour of its own.
        x_label: What is measured.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(10.8, 0.9 + 0.5 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        _dress(axes, x_label, "", percent=False)
        widest = max(sum(row.parts) for row in rows) or 1.0
        for place, row in enumerate(rows):
            left = 0.0
            for index, (part, width) in enumerate(zip(parts, row.parts, strict=True)):
                if not width:
                    continue
                colour = _GRID if part == rest else _COLOURS[index % SERIES]
                axes.barh(place, width, left=left, height=0.62, color=colour)
                if width > 0.08 * widest:  # where there is room to read it
                    share = f"{100 * width / sum(row.parts):.0f} %"
                    middle = left + width / 2
                    ink = _INK if part == rest else _PAGE
                    axes.text(middle, place, share, ha="center", va="center", color=ink)
                left += width
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=0)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _themed(picture.getvalue(), name, f"{x_label}, by phase, for each run")


def dots(name: str, rows: Sequence[str], panels: Mapping[str, Sequence[Dot]], about: str) -> str:
    """Numbers with intervals in rows, the first at the top; panels stand side by side.

    Args:
        name: Unique in the page; the picture's inner names start with it.
        rows: What the rows are called.
        panels: What each measures, and its numbers.
        about: What the picture shows, for those who do not see it.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(10.8, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes_P = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (measure, shown) in zip(axes_P, panels.items(), strict=True):
            _dress(axes, measure, "", percent=False)
            for series in sorted({dot.series for dot in shown}):
                mine = [dot for dot in shown if dot.series == series]
                places = [dot.row + 0.22 * (series - 1) for dot in mine]
                colour = _COLOURS[series % SERIES]
                lows, highs = [dot.low for dot in mine], [dot.high for dot in mine]
                axes.hlines(places, lows, highs, color=colour, linewidth=1.6, alpha=0.6)
                means = [dot.mean for dot in mine]
                axes.plot(means, places, "o", color=colour, markersize=3.4)
            axes.axvline(0.0, color=_INK, linewidth=0.8)
            axes.set_yticks(range(len(rows)), rows)
        axes_P[0].set_ylim(len(rows) - 0.4, -0.6)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _themed(picture.getvalue(), name, escape(about))


def smooth(values: Sequence[float], window: int = 5) -> np.ndarray:
    """The mean of each value and its neighbours, fewer at the ends.

    >>> smooth([0.0, 3.0, 0.0], window=3).tolist()
    [1.5, 1.0, 1.5]
    """
    given, half = np.asarray(values, float), window // 2
    return np.array([given[max(0, i - half) : i + half + 1].mean() for i in range(len(given))])


def _dress(axes: Axes, x_label: str, y_label: str, percent: bool) -> None:
    axes.set_xlabel(x_label, color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.tick_params(colors=_INK, length=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value / 1000:g} k" if value >= 2000 else f"{value:g}"
    )
    if percent:
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def _themed(svg: str, name: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]  # without the XML prologue, which has no place within a page
    for index, colour in enumerate(_COLOURS):
        svg = svg.replace(colour, f"var(--series-{index})")
    svg = svg.replace(_INK, "var(--ink-2)").replace(_GRID, "var(--grid)")
    svg = svg.replace(_PAGE, "var(--page)")
    svg = svg.replace(' id="', f' id="{name}-').replace('xlink:href="#', f'xlink:href="#{name}-')
    svg = svg.replace("url(#", f"url(#{name}-").replace("'DejaVu Sans'", "inherit")
    head, _, rest = svg.partition(">")
    return f'<svg role="img" aria-label="{title}"{head.removeprefix("<svg")}>{rest}'
