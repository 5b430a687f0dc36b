"""How the rows of a source became the values of a matrix: a balance that adds up, and what is odd, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.profile.receipts import Profile

_REASONS = {
    "line_too_long": "the line is longer than 1 MiB",
    "field_count": "another number of fields than columns",
    "invalid_utf8": "not UTF-8",
    "empty_user": "the user is empty",
    "empty_artist": "the artist is empty",
    "plays_not_a_number": "the plays are not a number",
    "plays_out_of_range": "the plays are not between 1 and 2,147,483,647",
    "unclosed_quote": "a quote is not closed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the balance."""

    kind: str
    """`less` for what is added or taken away, `total` for a sum, empty for the first line."""
    text: str
    sign: str
    value: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A table of something odd or worth knowing, with a sentence before it."""

    number: int | None
    """The number that the sentence begins with; None for none."""
    text: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The balance of a dataset."""

    balances: bool
    lines: Sequence[Line]
    findings: Sequence[Finding] = field(default=())


def reconciliation(profile: Profile) -> Reconciliation | None:
    """Return the balance; None for a directory whose manifest has none, as a model's."""
    found = profile.manifest.content.get("reconciliation") or _of_statistics(profile.statistics)
    if not found:
        return None
    findings = (_odd_users(found), _several_mbids(found), _published(found), _files(found))
    return Reconciliation(_balances(found), _lines(found), [finding for finding in findings if finding])


def _of_statistics(statistics: dict[str, Any]) -> dict[str, Any]:
    names = ("rows_read", "rows_kept", "rejects", "nnz")
    if not all(name in statistics for name in names):
        return {}
    return {name: statistics[name] for name in names} | {
        "rows_summed": statistics["rows_kept"] - statistics["nnz"]
    }


def _balances(found: dict[str, Any]) -> bool:
    kept: bool = found["rows_read"] - sum(found["rejects"].values()) == found["rows_kept"]
    values: bool = found["rows_kept"] + found.get("rows_added", 0) - found["rows_summed"] == found["nnz"]
    return kept and values


def _lines(found: dict[str, Any]) -> list[Line]:
    lines = [Line("", "rows read", "", found["rows_read"])]
    for reason, n in found["rejects"].items():
        text = _REASONS.get(reason, reason.replace("_", " "))
        lines.append(Line("less", f"rejected: {text}", "− ", n))
    if not any(found["rejects"].values()):
        lines.append(Line("less", "rejected", "− ", 0))
    lines.append(Line("total", "rows kept", "", found["rows_kept"]))
    if found.get("rows_added"):
        users = "1 user" if found.get("users_added", 1) == 1 else f"{found['users_added']:,} users"
        lines.append(Line("less", f"rows of {users} added by hand", "+ ", found["rows_added"]))
    text = "summed into an earlier row of the same user and artist"
    lines.append(Line("less", text, "− ", found["rows_summed"]))
    lines.append(Line("total", "values in the matrix", "", found["nnz"]))
    return lines


def _odd_users(found: dict[str, Any]) -> Finding | None:
    odd = found.get("users_not_sha1") or []
    n_odd = found.get("n_users_not_sha1", len(odd))
    if not odd:
        return None
    shown = "" if n_odd == len(odd) else f" The first {len(odd):,}:"
    text = f"user ids are not SHA-1 digests, unlike those of the published log. They are kept.{shown}"
    return Finding(n_odd, text, ("user", "rows"), [(item["user"], f"{item['rows']:,}") for item in odd])


def _several_mbids(found: dict[str, Any]) -> Finding | None:
    artists = found.get("artists_with_several_mbids") or []
    if not artists:
        return None
    rows = [(item["artist"], f"{item['n_mbids']:,}") for item in artists]
    text = "artist names have several MBIDs. Those with the most:"
    return Finding(found["n_artists_with_several_mbids"], text, ("artist", "MBIDs"), rows)


def _published(found: dict[str, Any]) -> Finding | None:
    rows = [
        (
            item["figure"],
            f"{item['published']:,}",
            f"{item['found']:,}",
            item["why"] if item["published"] != item["found"] else "",
        )
        for item in found.get("published") or ()
    ]
    heads = ("", "published", "found", "why they differ")
    text = "The published log's README beside what was found:"
    return Finding(None, text, heads, rows, wide=True) if rows else None


def _files(found: dict[str, Any]) -> Finding | None:
    lines = found.get("lines") or {}
    rows = [(path, f"{n:,}") for path, n in lines.items()]
    return Finding(None, "Lines by file:", ("file", "lines"), rows) if len(lines) > 1 else None
