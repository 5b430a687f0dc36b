"""The words and tables of a profile's page, as HTML; everything from data is escaped here. Charts come from outside."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from lastfm_dask.memory.sizes import format_size
from lastfm_dask.profile.receipts import exceeded, rows_per_s, share_of_projected, within_sight
from lastfm_dask.profile.reconciliation import reconciliation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lastfm_dask.profile.counts import RankCurve, ValueCounts
    from lastfm_dask.profile.receipts import Profile

_NAMED_RANKS = (1, 30)
_TOP_ROWS = 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart's place in the page, and the sentence that goes with it."""

    place: str
    caption: str = ""


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


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], n_texts: int = 1, css: str = "") -> str:
    """Return a table of cells that are HTML already; the first `n_texts` columns are texts, to the left."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if i < n_texts else ''}>{cell}</{tag}>" for i, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>{cells("th", heads)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def lead(profile: Profile) -> str:
    """Return the sentence below the title: what it was made from, and when."""
    made = escape(profile.manifest.created.replace("T", " ").replace("+00:00", " UTC"))
    sources = profile.manifest.content.get("source", {}).get("files", [])
    if not sources:
        return f"Made {made}."
    names = ", ".join(f"<strong>{escape(file['path'].rpartition('/')[2])}</strong>" for file in sources[:3])
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    return f"Made {made} from {names}{more}, {size(sum(file['size_bytes'] for file in sources))}."


def verdict(profile: Profile) -> str:
    """Return whether every stage kept to its projection."""
    broken = exceeded(profile)
    if broken:
        return f'<div class="verdict broken">{"<br>".join(escape(line[:1].upper() + line[1:]) for line in broken)}</div>'
    peak = max(stage["measured_bytes"] for stage in profile.stages)
    words = f"Every stage kept to its projection; the most that was held was {size(peak)}"
    return (
        f'<div class="verdict kept">{words}, of {size(profile.document.get("allowed_bytes"))} allowed</div>'
    )


def tiles(profile: Profile) -> str:
    """Return the numbers at the head of the page, in rows of four."""
    names = {
        "rows_read": "rows read",
        "users": "users",
        "artists": "artists",
        "nnz": "values in the matrix",
        "plays_total": "plays in all",
    }
    found = [
        (name, number(profile.statistics[key])) for key, name in names.items() if key in profile.statistics
    ]
    found.append(("in all stages", seconds(profile.wall_s)))
    found += _pace_of_dataset(profile) if profile.is_dataset else _pace_of_model(profile)
    found.append(("held at most", size(max(stage["measured_bytes"] for stage in profile.stages))))
    html = [f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in found]
    return "\n".join(html + ['<div class="tile"></div>'] * (-len(html) % 4))


def _pace_of_dataset(profile: Profile) -> list[tuple[str, str]]:
    first = profile.stages[0]
    return [(f"rows a second in {escape(first['stage'])}", number(rows_per_s(first)))]


def _pace_of_model(profile: Profile) -> list[tuple[str, str]]:
    settings = profile.manifest.content.get("settings") or {}
    found = [(name, number(settings[name])) for name in ("factors", "iterations") if name in settings]
    fit = next((stage for stage in profile.stages if stage["stage"] == "fit"), None)
    if fit and settings.get("iterations"):
        found.append(("an iteration", seconds(fit["wall_s"] / settings["iterations"])))
    return found


def all_sections(profile: Profile, drawn: Mapping[str, Drawn]) -> list[str]:
    """Return the page's sections in their order."""
    found = [_time_line(profile, drawn["time_line"]), _stages(profile)]
    if profile.workers:
        found.append(_workers(profile))
    if drawn["popularity"].caption:
        found.append(_popularity(profile, drawn["popularity"]))
        found.append(_listeners(drawn))
    ledger = reconciliation(profile)
    return [*found, ledger] if ledger else found


def _section(name: str, title: str, text: str, *parts: str) -> str:
    inner = "\n".join(parts)
    return f'<section id="{name}"><h2>{title}</h2><p>{text}</p>\n{inner}</section>'


def _time_line(profile: Profile, drawn: Drawn) -> str:
    allowed = profile.document.get("allowed_bytes")
    # Of a control group's file the name tells enough; its path is in the receipts.
    source = escape(str(profile.document.get("allowed_source", "")).rpartition("/")[2])
    text = (
        "What this process held while it worked: memory that only its end gives back. Pages of files, which the"
        " kernel drops and reads again at will, are the dotted line and do not count."
    )
    entries = [
        ("fill", "background:var(--blue);opacity:.75", "anonymous"),
        ("fill", "background:var(--sky)", "shared"),
        ("stroke", "border-color:var(--ink)", "measured, the stage’s peak"),
        ("stroke", "border-color:var(--orange);border-top-style:dashed", "projected before the work"),
        ("stroke", "border-color:var(--soft);border-top-style:dotted", "pages of files"),
    ]
    if allowed is not None:
        beyond = "" if within_sight(profile) else ", beyond the chart"
        words = f"allowed: {size(allowed)}{f' ({source})' if source else ''}{beyond}"
        entries.append(("stroke", "border-color:var(--red)", words))
    legend = "".join(
        f'<li><i class="{kind}" style="{style}"></i>{words}</li>' for kind, style, words in entries
    )
    card = f'<div class="card"><ul class="legend">{legend}</ul>{drawn.place}</div>'
    return _section("time-line", "Memory over time", text, card)


def _stages(profile: Profile) -> str:
    heads = (
        "stage", "wall", "rows/s", "reserved", "measured", "projected", "of it", "file pages", "read", "written",
        "threads", "block",
    )  # fmt: skip
    rows = []
    for stage in profile.stages:
        share = share_of_projected(stage)
        rows.append(
            (
                f"<strong>{escape(stage['stage'])}</strong>",
                seconds(stage["wall_s"]),
                number(rows_per_s(stage)),
                size(stage["reserved_bytes"]),
                size(stage["measured_bytes"]),
                size(stage.get("projected_bytes")),
                "–" if share is None else _bar(share),
                size(stage["file_bytes"]),
                size(stage.get("read_bytes")),
                size(stage.get("written_bytes")),
                number(stage.get("threads")),
                size(stage.get("block_bytes")),
            )
        )
    text = (
        f"Allocator <strong>{escape(str(profile.document.get('allocator', 'unknown')))}</strong>,"
        f" {number(profile.document.get('threads'))} threads. Reserved is what the interpreter and its libraries hold"
        " before a stage’s data; measured and projected include it."
    )
    return _section("stages", "Receipts by stage", text, f'<div class="card">{table(heads, rows)}</div>')


def _bar(share: float) -> str:
    over = " over" if share > 1 else ""
    return (
        f'<span class="bar{over}"><i style="width:{100 * min(1, share):.1f}%"></i></span>{100 * share:.0f} %'
    )


def _workers(profile: Profile) -> str:
    rows = [
        (
            escape(str(worker.get("address", ""))),
            number(worker.get("n_blocks")),
            size(worker.get("peak_held_bytes")),
        )
        for worker in profile.workers
    ]
    text = "Who encoded the blocks of the scan, and the most that each process held at the end of one."
    heads = ("worker", "blocks", "held at most")
    return _section("workers", "Workers", text, f'<div class="card">{table(heads, rows)}</div>')


def _popularity(profile: Profile, drawn: Drawn) -> str:
    top = profile.statistics.get("top_artists", [])[:_TOP_ROWS]
    card = f'<div class="card">{drawn.place}</div>'
    if top:
        most = max(1, *(row["listeners"] for row in top))
        rows = "".join(
            f'<li><i style="width:{100 * row["listeners"] / most:.1f}%"></i><span>{escape(row["artist"])}</span>'
            f"<b>{number(row['listeners'])}</b></li>"
            for row in top
        )
        card = f'<div class="uneven">{card}<div class="card"><h3>Most listeners</h3><ol class="top">{rows}</ol></div></div>'
    return _section("popularity", "A few artists, and a long tail", drawn.caption, card)


def _listeners(drawn: Mapping[str, Drawn]) -> str:
    cards = "".join(
        f'<div class="card"><h3>{title}</h3><p>{drawn[name].caption}</p>{drawn[name].place}</div>'
        for name, title in (
            ("artists_per_user", "Artists of each listener"),
            ("median_plays", "Median plays"),
        )
    )
    text = "How long their lists are, and how often they play what is on them."
    return _section("listeners", "The listeners", text, f'<div class="pair">{cards}</div>')


def named_artists(profile: Profile) -> list[tuple[int, int, str]]:
    """Return rank, listeners and name of the artists to write beside the popularity curve."""
    top = profile.statistics.get("top_artists", [])
    return [
        (rank, top[rank - 1]["listeners"], top[rank - 1]["artist"])
        for rank in _NAMED_RANKS
        if rank <= len(top)
    ]


def popularity_caption(curve: RankCurve) -> str:
    """Return what the popularity curve shows, in numbers; empty where there is nothing."""
    if not len(curve.values):
        return ""
    n_artists, half = int(curve.last_ranks[-1]), curve.smallest_part(0.5)
    once = int(curve.last_ranks[-1] - curve.first_ranks[-1] + 1) if curve.values[-1] == 1 else 0
    tail = f" {number(once)} artists have a single listener." if once else ""
    return (
        f"Half of all rows belong to <strong>{number(half)}</strong> of {number(n_artists)} artists"
        f" ({100 * half / n_artists:.2g} %).{tail}"
    )


def artists_caption(counts: ValueCounts) -> str:
    """Return the middle and the most of the artists of a listener, as a sentence."""
    if not len(counts.values):
        return ""
    middle, most = number(counts.median(), 1).removesuffix(".0"), number(counts.values[-1])
    return f"Half of {number(counts.total)} listeners have at least {middle}; the most are {most}."


def plays_caption(counts: ValueCounts) -> str:
    """Return the middle and the most of the median plays, as a sentence."""
    if not len(counts.values):
        return ""
    middle, most = (
        number(value, 1).removesuffix(".0") for value in (counts.median(), float(counts.values[-1]))
    )
    return f"Half of them play the artist in the middle of their list at least {middle} times; the most is {most}."


def footer(profile: Profile) -> str:
    """Return versions and the fingerprint."""
    versions = " · ".join(
        f"{escape(name)} {escape(text)}" for name, text in profile.manifest.versions.items()
    )
    return f"{versions}<br>Fingerprint {escape(profile.manifest.fingerprint)}"
