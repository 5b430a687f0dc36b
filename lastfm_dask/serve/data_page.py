"""What the page of the data shows: what the model was trained on, its popularity curve and how much users listen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.profile.counts import Histogram, RankCurve, histogram, rank_curve, read_counts
from lastfm_dask.serve.shown import number
from lastfm_dask.training.result import ranks_by, training_facts

if TYPE_CHECKING:
    from lastfm_dask.serve.opened import Opened

WIDTH, HEIGHT = 600, 240
_LEFT, _BOTTOM, _TOP, _RIGHT = 56, 34, 10, 12


def facts(opened: Opened) -> dict[str, Any]:
    """Return what the page shows; the tables are read batch by batch."""
    path = opened.path
    listeners = read_counts(path / layout.ARTISTS, "listeners")["listeners"]
    users = read_counts(path / layout.USERS, "n_artists", "median_plays")
    curve = rank_curve(listeners)
    half = curve.smallest_part(0.5)
    most = max(opened.popular[0]["listeners"], 1) if opened.popular else 1
    return {
        "facts": opened.facts(),
        "settings": _settings(opened),
        "popular": [{**row, "share": row["listeners"] / most} for row in opened.popular],
        "half": f"{half:,} of {opened.model.n_artists:,} artists have half of all listeners.",
        "curve": _curve(curve),
        "histograms": [
            (
                "Artists of a user",
                f"Half of the users have {users['n_artists'].median():,.0f} or fewer.",
                _bars(histogram(users["n_artists"])),
            ),
            (
                "Median plays of a user",
                f"Half of the medians are {users['median_plays'].median():,.0f} or less.",
                _bars(histogram(users["median_plays"], logarithmic=True)),
            ),
        ],
    }


def _settings(opened: Opened) -> list[tuple[str, str]]:
    """Return how the model ranks and what it was trained with, as names and texts."""
    content, settings = opened.model.manifest.content, opened.model.settings.to_dict()
    if settings["weighting"] != "bm25":
        settings = {name: value for name, value in settings.items() if not name.startswith("bm25")}
    rows = [("ranks by", ranks_by(content)), *training_facts(content.get("training", {}))]
    shown = {name for name, _ in rows}
    rows += [(name.replace("_", " "), _text(value)) for name, value in settings.items() if name not in shown]
    return rows


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "–" if isinstance(value, list | tuple) else str(value)


def _curve(curve: RankCurve) -> dict[str, Any]:
    """Return listeners by rank on two logarithmic axes: a path, and the axes' marks."""
    if not len(curve.values):
        return {"path": "", "across": [], "up": []}
    across = _Axis(1, max(float(curve.last_ranks[-1]), 10), _LEFT, WIDTH - _RIGHT, logarithmic=True)
    up = _Axis(1, max(float(curve.values[0]), 10), HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    corners = [
        f"{across.place(rank):.1f},{up.place(value):.1f}"
        for first, last, value in zip(curve.first_ranks, curve.last_ranks, curve.values, strict=True)
        for rank in dict.fromkeys((int(first), int(last)))
    ]
    # A screen has some hundred columns: one corner in each is enough.
    kept = list({corner.partition(".")[0]: corner for corner in corners}.values())
    return {"path": "M" + " L".join(kept), "across": across.marks(), "up": up.marks()}


def _bars(found: Histogram) -> dict[str, Any]:
    """Return a histogram's bars, and the axes' marks."""
    low, high = float(found.edges[0]), float(found.edges[-1])
    across = _Axis(
        max(low, 0.5) if found.logarithmic else low, high, _LEFT, WIDTH - _RIGHT, found.logarithmic
    )
    up = _Axis(0, max(float(found.counts.max(initial=0)), 1), HEIGHT - _BOTTOM, _TOP, logarithmic=False)
    bars = []
    for i, count in enumerate(found.counts.tolist()):
        left, right = across.place(float(found.edges[i])), across.place(float(found.edges[i + 1]))
        top = up.place(count)
        bars.append(
            {
                "x": round(left + 0.5, 1),
                "y": round(top, 1),
                "width": round(max(right - left - 1, 0.5), 1),
                "height": round(HEIGHT - _BOTTOM - top, 1),
                "title": f"{found.edges[i]:,.0f} to {found.edges[i + 1]:,.0f}: {count:,} users",
            }
        )
    return {"bars": bars, "across": across.marks(), "up": up.marks()}


class _Axis:
    """From numbers to places on the screen."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool) -> None:
        self._low, self._high = low, high if high > low else low + 1
        self._start, self._end = start, end
        self._logarithmic = logarithmic

    def place(self, value: float) -> float:
        """Return where a number lies."""
        low, high = self._low, self._high
        if self._logarithmic:
            value, low, high = (math.log(max(one, 0.5)) for one in (value, low, high))
        return self._start + (value - low) / (high - low) * (self._end - self._start)

    def marks(self) -> list[tuple[float, str]]:
        """Return places and texts of a few round numbers."""
        return [(round(self.place(value), 1), _brief(value)) for value in self._round_numbers()]

    def _round_numbers(self) -> list[float]:
        if self._logarithmic:
            powers = range(math.ceil(math.log10(self._low) - 1e-9), math.floor(math.log10(self._high)) + 1)
            return [10.0**power for power in powers]
        size = self._high - self._low
        step = next(k * 10.0**p for p in range(30) for k in (1, 2, 5) if size / (k * 10.0**p) <= 5)
        first = math.ceil(self._low / step)
        return [i * step for i in range(first, math.floor(self._high / step) + 1)]


def _brief(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return number(int(value))
