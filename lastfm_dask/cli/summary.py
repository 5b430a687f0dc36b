"""A dataset's numbers for people: statistics, the most heard artists, the reconciliation, the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastfm_dask.cli.output import echo_words, print_table
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def print_statistics(statistics: Mapping[str, Any]) -> None:
    """Print the counts, the matrix's size, and the quartiles."""
    share = statistics.get("played_once_share")
    once = "" if share is None else f"  ({100 * share:.2f} % of the rows)"
    dense, csr = statistics["dense_bytes"], statistics["csr_bytes"]
    cells = max(1, statistics["users"] * statistics["artists"])
    print_table(
        "",
        ("what", "value"),
        [
            ("users", f"{statistics['users']:,}"),
            ("artists", f"{statistics['artists']:,}"),
            ("rows kept", f"{statistics['rows_kept']:,} of {statistics['rows_read']:,} read"),
            ("plays", f"{statistics['plays_total']:,}"),
            ("played once", f"{statistics['played_once']:,}{once}"),
            (
                "stored values",
                f"{statistics['nnz']:,}  ({100 * statistics['nnz'] / cells:.4f} % of all cells)",
            ),
            ("matrix", f"{format_size(csr)} as CSR; dense, at one byte a cell, {format_size(dense)}"),
        ],
    )
    heads = ("", *statistics["artists_per_user"])
    print_table(
        "",
        heads,
        [
            (label, *statistics[key].values())
            for label, key in (
                ("artists per user", "artists_per_user"),
                ("median plays", "median_plays_per_user"),
            )
        ],
    )


def print_top_artists(top: Iterable[Mapping[str, Any]], n_users: int) -> None:
    """Print the most heard artists."""
    rows = [
        (
            place,
            artist["artist"],
            artist["listeners"],
            f"{100 * artist['listeners'] / n_users:.1f} %",
            artist["plays"],
        )
        for place, artist in enumerate(top, 1)
    ]
    print_table("the most heard artists", ("", "artist", "listeners", "share", "plays"), rows)


def print_reconciliation(reconciliation: Mapping[str, Any], *, ids_are_sha1: bool = True) -> None:
    """Print how the rows of the source became the values of the matrix.

    Parameters
    ----------
    reconciliation : mapping
        From the manifest.
    ids_are_sha1 : bool
        Whether the format promises that user ids are SHA-1 digests, so that others are reported.
    """
    rejects = [(f"  {reason}", -n) for reason, n in reconciliation["rejects"].items()]
    rows = [
        ("rows read", reconciliation["rows_read"]),
        *rejects,
        ("rows kept", reconciliation["rows_kept"]),
        *([("  rows of added users", reconciliation["rows_added"])] if reconciliation["rows_added"] else []),
        ("  summed into another row of the same user and artist", -reconciliation["rows_summed"]),
        ("stored values", reconciliation["nnz"]),
    ]
    print_table("reconciliation", ("rows", "number"), rows)
    n_odd = reconciliation.get("n_users_not_sha1", 0)
    if n_odd and ids_are_sha1:
        shown = ", ".join(
            f"{odd['user']!r} ({odd['rows']:,} rows)" for odd in reconciliation["users_not_sha1"][:3]
        )
        echo_words(f"{n_odd:,} user ids are not SHA-1 digests: {shown}{', …' if n_odd > 3 else ''}")
    n_several = reconciliation.get("n_artists_with_several_mbids")
    if n_several:
        most = reconciliation["artists_with_several_mbids"][:3]
        shown = ", ".join(f"{artist['artist']!r} ({artist['n_mbids']})" for artist in most)
        echo_words(f"{n_several:,} artists have several MBIDs; the most frequent was kept: {shown}, …")
    if published := reconciliation.get("published"):
        heads = ("figure", "published", "found", "why")
        print_table("against the published README", heads, [[row[key] for key in heads] for row in published])


def print_stages(stages: Iterable[Mapping[str, Any]]) -> None:
    """Print each stage's seconds, and its memory projected and measured, in MiB."""
    rows = []
    for stage in stages:
        projected, measured = stage.get("projected_bytes"), stage.get("measured_bytes")
        broke = "exceeded" if projected and measured and measured > projected else ""
        rows.append(
            (stage["stage"], f"{stage['wall_s']:.2f}", *(_mib(n) for n in (projected, measured)), broke)
        )
    heads = ("stage", "seconds", "projected MiB", "measured MiB", "")
    print_table(
        "",
        heads if any(row[4] for row in rows) else heads[:4],
        [row[: 5 if any(r[4] for r in rows) else 4] for row in rows],
    )


def _mib(n_bytes: int | None) -> float | None:
    return None if n_bytes is None else round(n_bytes / (1 << 20), 1)
