"""Numbers, sizes, durations and captions of a profile's page as plain text. The template escapes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from lastfm_dask.profile.counts import RankCurve, ValueCounts
    from lastfm_dask.profile.receipts import Profile

_NAMED_RANKS = (1, 30)


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands separated, an en dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def size(value: int | None) -> str:
    """Return bytes in words, an en dash for none."""
    return "–" if value is None else format_size(value)


def seconds(value: float) -> str:
    """Return a duration in words: two decimals below ten seconds, minutes from two of them."""
    if value >= 120:
        return f"{int(value // 60)} min {value % 60:.0f} s"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def named_artists(profile: Profile) -> list[tuple[int, int, str]]:
    """Return rank, listeners and name of the artists to label on the popularity curve."""
    top = profile.statistics.get("top_artists", [])
    return [
        (rank, top[rank - 1]["listeners"], top[rank - 1]["artist"])
        for rank in _NAMED_RANKS
        if rank <= len(top)
    ]


def popularity_caption(curve: RankCurve) -> str:
    """Return what the popularity curve shows, in numbers; empty if there is nothing."""
    if not len(curve.values):
        return ""
    n_artists, half = int(curve.last_ranks[-1]), curve.smallest_part(0.5)
    once = int(curve.last_ranks[-1] - curve.first_ranks[-1] + 1) if curve.values[-1] == 1 else 0
    tail = f" {number(once)} artists have a single listener." if once else ""
    share = f"{100 * half / n_artists:.2g} %"
    return f"Half of all rows belong to {number(half)} of {number(n_artists)} artists ({share}).{tail}"


def artists_caption(counts: ValueCounts) -> str:
    """Return the median and the maximum number of artists a user has, as a sentence."""
    if not len(counts.values):
        return ""
    middle, most = number(counts.median(), 1).removesuffix(".0"), number(counts.values[-1])
    return f"Half of {number(counts.total)} users have at least {middle} artists; the most are {most}."


def plays_caption(counts: ValueCounts) -> str:
    """Return the median and the maximum of the users' median plays, as a sentence."""
    if not len(counts.values):
        return ""
    middle, most = (
        number(value, 1).removesuffix(".0") for value in (counts.median(), float(counts.values[-1]))
    )
    return f"Half of the users have a median of at least {middle} plays an artist; the highest is {most}."
