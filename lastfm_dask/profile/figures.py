"""The charts of a profile's page: bokeh models, all in one style. What they show is `receipts`' and `counts`' work.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; where two meanings meet, the
line's pattern tells them apart as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    HoverTool,
    Label,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from lastfm_dask.memory.sizes import MIB, format_size
from lastfm_dask.profile.receipts import needed_bytes, within_sight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.profile.counts import Histogram, RankCurve
    from lastfm_dask.profile.receipts import Profile

BLUE, SKY, ORANGE, RED, GREEN, INK, FAINT = (
    "#0072b2",
    "#56b4e9",
    "#b06f00",
    "#c1440e",
    "#00795a",
    "#22272e",
    "#6b7280",
)
_BANDS = ("#f1efe9", "#faf9f6")
_ACROSS_SHARE = 0.026
"""What a letter of a stage's name takes of the chart's width on the narrowest screen, 390 pixels."""
_FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def _figure(title_x: str, title_y: str, height: int, **options: Any) -> Any:
    """Return an empty chart in the page's style."""
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=16,
        x_axis_label=title_x,
        y_axis_label=title_y,
        **options,
    )
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = None
        axis.major_tick_line_color = None
        axis.minor_tick_line_color = None
        axis.major_label_text_font = axis.axis_label_text_font = _FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
        axis.major_label_text_color = axis.axis_label_text_color = FAINT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_standoff = 10
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = "#e2dfd7"
    plot.ygrid.grid_line_dash = [2, 3]
    return plot


def _label(plot: Any, x: float, y: float, text: str, **options: Any) -> None:
    style = {"text_font": _FONT, "text_font_size": "12px", "text_color": INK, **options}
    plot.add_layout(Label(x=x, y=y, text=text, **style))


def time_line(profile: Profile) -> Any:
    """Return the chart of memory over time, by stage, against what was projected and what is allowed."""
    stages = profile.stages
    begin = min(stage["start_s"] for stage in stages)
    end = max(stage["start_s"] + stage["wall_s"] for stage in stages)
    top = _top_mib(profile)
    plot = _figure("seconds", "MiB", 380, x_range=Range1d(begin, end), y_range=Range1d(0, top))
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    for number, stage in enumerate(stages):
        left, right = stage["start_s"], stage["start_s"] + stage["wall_s"]
        plot.add_layout(
            BoxAnnotation(
                left=left,
                right=right,
                fill_color=_BANDS[number % 2],
                fill_alpha=1,
                level="image",
                line_color=None,
            )
        )
        _stage_label(plot, stage["stage"], (left + right) / 2, top, (right - left) / (end - begin))
    _areas(plot, stages)
    _bounds(plot, profile, top)
    return plot


def _stage_label(plot: Any, name: str, middle: float, top: float, share: float) -> None:
    """Write a stage's name at the top of its band: across, upright where that is too narrow, or not at all."""
    if share > _ACROSS_SHARE * len(name):
        _label(plot, middle, top, name, text_align="center", y_offset=-20)
    elif share > 0.015:
        upright = {"angle": np.pi / 2, "text_align": "right", "text_baseline": "middle"}
        _label(plot, middle, top, name, y_offset=-8, **upright)


def _top_mib(profile: Profile) -> float:
    allowed: int = profile.document.get("allowed_bytes") or 0
    highest = max(needed_bytes(profile), allowed if within_sight(profile) else 0)
    return max(1.0, 1.2 * highest / MIB)


def _areas(plot: Any, stages: Sequence[dict[str, Any]]) -> None:
    """Draw what was held, anonymous below and shared on it, and the pages of files as a thin line."""
    samples = [(stage["stage"], sample) for stage in stages for sample in stage.get("samples", ())]
    anon = np.array([sample["anon"] for _, sample in samples], np.float64)
    shared = np.array([sample["shmem"] for _, sample in samples], np.float64)
    files = np.array([sample["file"] for _, sample in samples], np.float64)
    source = ColumnDataSource(
        {
            "t_s": [sample["t_s"] for _, sample in samples],
            "stage": [name for name, _ in samples],
            "anon": anon / MIB,
            "held": (anon + shared) / MIB,
            "files": files / MIB,
            "anon_text": [format_size(int(n)) for n in anon],
            "shared_text": [format_size(int(n)) for n in shared],
            "file_text": [format_size(int(n)) for n in files],
        }
    )
    plot.varea("t_s", 0, "anon", source=source, fill_color=BLUE, fill_alpha=0.75)
    plot.varea("t_s", "anon", "held", source=source, fill_color=SKY, fill_alpha=0.85)
    plot.line("t_s", "files", source=source, line_color=INK, line_alpha=0.6, line_width=1.3, line_dash="1 3")
    top = plot.line("t_s", "held", source=source, line_color=BLUE, line_width=1.6)
    tips = [
        ("stage", "@stage"),
        ("at", "@t_s{0.00} s"),
        ("anonymous", "@anon_text"),
        ("shared", "@shared_text"),
        ("pages of files", "@file_text"),
    ]
    plot.add_tools(HoverTool(renderers=[top], mode="vline", tooltips=tips, point_policy="follow_mouse"))


def _bounds(plot: Any, profile: Profile, top: float) -> None:
    """Draw measured and projected as a line by stage, and what is allowed across, where that is in sight."""
    rows: dict[str, list[Any]] = {
        name: [] for name in ("left", "right", "measured", "projected", "stage", "text")
    }
    for stage in profile.stages:
        projected = stage.get("projected_bytes")
        rows["left"].append(stage["start_s"])
        rows["right"].append(stage["start_s"] + stage["wall_s"])
        rows["measured"].append(stage["measured_bytes"] / MIB)
        rows["projected"].append(float("nan") if projected is None else projected / MIB)
        rows["stage"].append(stage["stage"])
        beside = "" if projected is None else f", projected {format_size(projected)}"
        rows["text"].append(f"measured {format_size(stage['measured_bytes'])}{beside}")
    source = ColumnDataSource(rows)
    plot.segment("left", "measured", "right", "measured", source=source, line_color=INK, line_width=2)
    bound = plot.segment(
        "left",
        "projected",
        "right",
        "projected",
        source=source,
        line_color=ORANGE,
        line_width=2.5,
        line_dash="7 4",
    )
    plot.add_tools(HoverTool(renderers=[bound], tooltips=[("stage", "@stage"), ("", "@text")]))
    allowed = profile.document.get("allowed_bytes")
    if allowed and allowed / MIB < top:
        plot.add_layout(Span(location=allowed / MIB, dimension="width", line_color=RED, line_width=2))


def popularity(curve: RankCurve, named: Sequence[tuple[int, int, str]]) -> Any:
    """Return the chart of listeners by rank, both logarithmic.

    Parameters
    ----------
    curve : RankCurve
        Of the artists' listeners.
    named : sequence of (rank, listeners, name)
        Artists to write beside the curve.
    """
    plot = _figure("rank", "listeners", 360, x_axis_type="log", y_axis_type="log")
    ranks = np.unique(np.concatenate((curve.first_ranks, curve.last_ranks)))
    values = curve.values[np.searchsorted(curve.last_ranks, ranks)]
    keep = _drawn(ranks, 400)
    source = ColumnDataSource({"rank": ranks[keep], "listeners": values[keep]})
    lowest = min(1.0, float(values.min())) * 0.8 if len(values) else 0.8
    plot.varea("rank", lowest, "listeners", source=source, fill_color=BLUE, fill_alpha=0.12)
    line = plot.line("rank", "listeners", source=source, line_color=BLUE, line_width=2.2)
    plot.y_range.start = lowest
    plot.y_range.end = 2 * float(values.max()) if len(values) else 1.0
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            tooltips=[("rank", "@rank{0,0}"), ("listeners", "@listeners{0,0}")],
        )
    )
    _short_numbers(plot.xaxis, plot.yaxis)
    for rank, listeners, name in named:
        plot.scatter([rank], [listeners], size=7, fill_color=BLUE, line_color="white", line_width=1.5)
        _label(plot, rank, listeners, name, x_offset=8, y_offset=4)
    return plot


def _drawn(ranks: Any, most: int) -> Any:
    """Return which of the ends of steps to draw: evenly by their logarithm, and both ends of every long step."""
    if len(ranks) <= most:
        return np.arange(len(ranks))
    wanted = np.searchsorted(ranks, np.geomspace(ranks[0], ranks[-1], most))
    long = np.flatnonzero(ranks[1:] > 1.02 * ranks[:-1])
    return np.unique(np.minimum(np.concatenate((wanted, long, long + 1)), len(ranks) - 1))


def _short_numbers(*axes: Any) -> None:
    """Label ticks as 1, 10, 1k, 10k, which stay apart on narrow screens."""
    for axis in axes:
        axis.formatter = NumeralTickFormatter(format="0.[0]a")


@dataclass(frozen=True, slots=True)
class Words:
    """What a histogram's axes and tips say."""

    value: str
    rows: str = "users"


def bars(found: Histogram, words: Words, middle: float, color: str) -> Any:
    """Return a histogram's chart, its median marked."""
    plot = _figure(words.value, words.rows, 300, x_axis_type="log" if found.logarithmic else "linear")
    left, right = found.edges[:-1], found.edges[1:]
    total = max(1, int(found.counts.sum()))
    source = ColumnDataSource(
        {
            "left": left,
            "right": right,
            "count": found.counts,
            "share": 100 * found.counts / total,
            "from": [f"{edge:,.10g}" for edge in left],
            "to": [f"{edge:,.10g}" for edge in right],
        }
    )
    quads = plot.quad(
        left="left",
        right="right",
        bottom=0,
        top="count",
        source=source,
        fill_color=color,
        fill_alpha=0.85,
        line_color="#ffffff",
        line_width=1,
    )
    top = 1.14 * max(1, int(found.counts.max()))
    plot.y_range = Range1d(0, top)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    _short_numbers(plot.xaxis)
    tips = [(words.value, "@from to below @to"), (words.rows, "@count{0,0} (@share{0.0} %)")]
    plot.add_tools(HoverTool(renderers=[quads], tooltips=tips))
    if np.isfinite(middle):
        plot.add_layout(
            Span(location=middle, dimension="height", line_color=INK, line_width=1.5, line_dash=[4, 3])
        )
        _label(plot, middle, top, f"median {middle:,.10g}", x_offset=6, y_offset=-18)
    return plot
