"""How the rows of a source became the values of a matrix, as HTML: a ledger that adds up, and what is odd."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.profile.receipts import Profile

_REASONS = {
    "line_too_long": "the line is longer than 1 MiB",
    "field_count": "not as many fields as there are columns",
    "invalid_utf8": "not UTF-8",
    "empty_user": "no user",
    "empty_artist": "no artist",
    "plays_not_a_number": "plays are no number",
    "plays_out_of_range": "plays are not within 1 and 2,147,483,647",
}


def reconciliation(profile: Profile) -> str:
    """Return the section, or nothing for a directory whose manifest does not tell."""
    found = profile.manifest.content.get("reconciliation") or _of_statistics(profile.statistics)
    if not found:
        return ""
    parts = [f'<div class="card"><table class="ledger">{"".join(_rows(found))}</table></div>']
    parts += [
        part for part in (_odd_users(found), _several_mbids(found), _published(found), _files(found)) if part
    ]
    title = "From rows to values"
    text = _balance(found)
    return f'<section id="reconciliation"><h2>{title}</h2><p>{text}</p><div class="pair">{"".join(parts)}</div></section>'


def _of_statistics(statistics: dict[str, Any]) -> dict[str, Any]:
    names = ("rows_read", "rows_kept", "rejects", "nnz")
    if not all(name in statistics for name in names):
        return {}
    return {name: statistics[name] for name in names} | {
        "rows_summed": statistics["rows_kept"] - statistics["nnz"]
    }


def _balance(found: dict[str, Any]) -> str:
    """Return whether the ledger adds up."""
    rejected = sum(found["rejects"].values())
    kept = found["rows_read"] - rejected == found["rows_kept"]
    values = found["rows_kept"] + found.get("rows_added", 0) - found["rows_summed"] == found["nnz"]
    if kept and values:
        return "Every row that was read is accounted for: it was kept, or it stands in rejects.tsv with its reason."
    return "<strong>These numbers do not add up:</strong> the directory was made by a program that miscounts."


def _rows(found: dict[str, Any]) -> list[str]:
    def row(css: str, words: str, sign: str, value: int) -> str:
        return f'<tr class="{css}"><td>{words}</td><td>{sign}{value:,}</td></tr>'

    rows = [row("", "rows read", "", found["rows_read"])]
    for reason, n in found["rejects"].items():
        words = escape(_REASONS.get(reason, reason.replace("_", " ")))
        rows.append(row("less", f"rejected: {words}", "− ", n))
    if not any(found["rejects"].values()):
        rows.append(row("less", "rejected", "− ", 0))
    rows.append(row("total", "rows kept", "", found["rows_kept"]))
    if found.get("rows_added"):
        words = f"rows of {found.get('users_added', 0):,} listener added by hand"
        rows.append(row("less", words, "+ ", found["rows_added"]))
    rows.append(
        row("less", "joined to an earlier row of the same listener and artist", "− ", found["rows_summed"])
    )
    rows.append(row("total", "values in the matrix", "", found["nnz"]))
    return rows


def _list(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], css: str = "") -> str:
    from lastfm_dask.profile.sections import table

    return f'<div class="card {css}"><p class="note">{title}</p>{table(heads, rows, css="wraps")}</div>'


def _odd_users(found: dict[str, Any]) -> str:
    odd = found.get("users_not_sha1") or []
    n_odd = found.get("n_users_not_sha1", len(odd))
    if not odd:
        return ""
    shown = "" if n_odd == len(odd) else f" The first {len(odd):,}:"
    title = (
        f"<strong>{n_odd:,}</strong> user ids are no SHA-1, as the published log’s are. They are kept.{shown}"
    )
    return _list(title, ("user", "rows"), [(escape(item["user"]), f"{item['rows']:,}") for item in odd])


def _several_mbids(found: dict[str, Any]) -> str:
    artists = found.get("artists_with_several_mbids") or []
    if not artists:
        return ""
    title = f"<strong>{found['n_artists_with_several_mbids']:,}</strong> artist names stand beside several MBIDs; most of them:"
    rows = [(escape(item["artist"]), f"{item['n_mbids']:,}") for item in artists]
    return _list(title, ("artist", "MBIDs"), rows)


def _published(found: dict[str, Any]) -> str:
    published = found.get("published")
    if not published:
        return ""
    rows = [
        (
            escape(item["figure"]),
            f"{item['published']:,}",
            f"{item['found']:,}",
            escape(item["why"]) if item["published"] != item["found"] else "",
        )
        for item in published
    ]
    heads = ("", "published", "found", "why they differ")
    return _list("Beside what the published log says of itself:", heads, rows, css="spread")


def _files(found: dict[str, Any]) -> str:
    lines = found.get("lines") or {}
    if len(lines) < 2:
        return ""
    rows = [(escape(path), f"{n:,}") for path, n in lines.items()]
    return _list("Lines by file:", ("file", "lines"), rows)
