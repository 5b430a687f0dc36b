"""Stage summarize: the two tables of names and counts, the statistics, and the reconciliation with the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.statistics import Counts, statistics, top_artists
from lastfm_dask.dataset.tables import write_table
from lastfm_dask.sources import published

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.ingestion.assemble import Assembled
    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.mbids import Mbids

_SHA1 = "^[0-9a-f]{40}$"
_SHOWN = 20


def write_tables(found: Index, assembled: Assembled, output: Path) -> dict[str, int]:
    """Write `users.parquet` and `artists.parquet`; return the bytes of the longest user and artist."""
    users, artists = found.users, found.artists
    user_columns = {
        "n_artists": assembled.user_rows,
        "plays": users.plays,
        "median_plays": assembled.median_plays,
    }
    longest = {"user": write_table(output / layout.USERS, "user", users.array, user_columns)}
    artist_columns: dict[str, Any] = {"listeners": assembled.artist_rows, "plays": artists.plays}
    if found.mbids is not None:
        mbid, n_mbids = found.mbids.most_frequent(len(artists))
        artist_columns |= {"mbid": mbid, "n_mbids": n_mbids}
    longest["artist"] = write_table(output / layout.ARTISTS, "artist", artists.array, artist_columns)
    return longest


def dataset_statistics(found: Index, assembled: Assembled) -> dict[str, Any]:
    """Return the statistics of the dataset under work (see `dataset.statistics`)."""
    artists = found.artists
    index_bytes = 4 if int(found.users.rows.sum()) < 1 << 31 else 8
    csr_bytes = (index_bytes + 4) * assembled.nnz + index_bytes * (len(found.users) + 1)
    counts = Counts(
        rows_read=found.rows_read,
        rows_kept=found.rows_kept,
        rejects=found.rejects,
        played_once=assembled.played_once,
        nnz=assembled.nnz,
        csr_bytes=csr_bytes,
    )
    top = top_artists(assembled.artist_rows, artists.plays, artists.pick)
    return statistics(counts, assembled.user_rows, assembled.median_plays, artists.plays, top)


def reconcile(found: Index, assembled: Assembled, files: list[str]) -> dict[str, Any]:
    """Return how the rows of the source became the values of the matrix, and their peculiarities.

    Keys: rows_read, rows_kept, rejects, rows_added, users_added, rows_summed (rows that joined an earlier one of
    the same user and artist), nnz, n_users_not_sha1 and the first of these, lines by file; for a log with the
    published one's line count `published`: what its README says, what was found, and why they differ.
    """
    rows_added = int(found.users.rows.sum()) - found.rows_kept
    odd, n_odd = _not_sha1(found)
    result: dict[str, Any] = {
        "rows_read": found.rows_read,
        "rows_kept": found.rows_kept,
        "rejects": found.rejects,
        "rows_added": rows_added,
        "users_added": int(found.added is not None),
        "rows_summed": found.rows_kept + rows_added - assembled.nnz,
        "nnz": assembled.nnz,
        "n_users_not_sha1": n_odd,
        "users_not_sha1": odd,
        "lines": {files[file]: n for file, n in sorted(found.n_lines.items())},
    }
    if found.mbids is not None:
        result |= _several_mbids(found, found.mbids)
    if sum(found.n_lines.values()) == published.N_LINES:
        result["published"] = _against_published(found, n_odd)
    return result


def _not_sha1(found: Index) -> tuple[list[dict[str, Any]], int]:
    """Return the number of the source's users whose id is not SHA-1, and the first of them with their rows."""
    import numpy as np
    import pyarrow.compute as pc

    odd: list[dict[str, Any]] = []
    n_odd = first = 0
    n_users = len(found.users) - int(found.added is not None)
    # The listens of a pair may be one row together.
    rows = found.users.plays if found.events else found.users.rows
    for chunk in found.users.array.slice(0, n_users).chunks:
        for i in np.flatnonzero(~np.asarray(pc.match_substring_regex(chunk, _SHA1))):
            n_odd += 1
            if len(odd) < _SHOWN:
                odd.append({"user": chunk[int(i)].as_py(), "rows": int(rows[first + i])})
        first += len(chunk)
    return odd, n_odd


def _several_mbids(found: Index, mbids: Mbids) -> dict[str, Any]:
    """Return how many artists have several MBIDs, and those with the most."""
    import numpy as np

    _, n_mbids = mbids.most_frequent(len(found.artists))
    most = np.argsort(-n_mbids, kind="stable")[:_SHOWN]
    most = most[n_mbids[most] > 1]
    names = found.artists.pick(most)
    return {
        "n_artists_with_several_mbids": int(np.count_nonzero(n_mbids > 1)),
        "artists_with_several_mbids": [
            {"artist": name, "n_mbids": int(n_mbids[j])} for name, j in zip(names, most, strict=True)
        ],
    }


def _against_published(found: Index, n_odd: int) -> list[dict[str, Any]]:
    """Return the published README's figures beside what was found, with the reason where they differ."""
    n_users = len(found.users) - int(found.added is not None)
    why_users = (
        f"{n_odd} user ids are not SHA-1 (see users_not_sha1): the README leaves those out"
        if n_odd
        else "the README counts other rows than a plain split on the delimiter gives"
    )
    n_rejected = found.rows_read - found.rows_kept
    rows = [
        ("lines", published.N_LINES, found.rows_read, ""),
        (
            "rows kept",
            published.N_LINES,
            found.rows_kept,
            f"{n_rejected} rows were rejected: see rejects.tsv",
        ),
        ("users", published.N_USERS, n_users, why_users),
        (
            "artists",
            published.N_ARTISTS_WITH_MBID + published.N_ARTISTS_WITHOUT_MBID,
            len(found.artists),
            "the README counts MBIDs, and names without one; here an artist is a lower-cased name",
        ),
    ]
    return [
        {"figure": figure, "published": said, "found": number, "why": why if number != said else ""}
        for figure, said, number, why in rows
    ]
