"""A dataset made of a matrix and names that are in memory already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import index_type
from lastfm_dask.dataset.statistics import Counts, statistics, top_artists
from lastfm_dask.dataset.store import publish, work_directory
from lastfm_dask.dataset.tables import write_table
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    import numpy.typing as npt
    import pyarrow as pa
    from scipy.sparse import csr_matrix


_MAX_PLAYS = float(1 << 30)
"""Larger plays are taken for real values."""


def write_csr(
    user_items: Any, users: Iterable[object], artists: Iterable[object], output: str | PathLike[str]
) -> Path:
    """Publish a dataset directory with this matrix (see `Dataset.from_csr`); return its path."""
    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    matrix = _checked(user_items)
    names = {
        "user": _names(users, "user", matrix.shape[0]),
        "artist": _names(artists, "artist", matrix.shape[1]),
    }
    whole = bool((matrix.data == np.floor(matrix.data)).all() and matrix.data.max() <= _MAX_PLAYS)
    lengths = np.diff(matrix.indptr).astype(np.int64)
    columns = _columns(matrix, lengths, whole=whole)
    with work_directory(Path(output)) as work:
        folder = work.fresh_output()
        (folder / layout.DATA).parent.mkdir()
        for name, array in zip(layout.USER_ITEMS, (matrix.indptr, matrix.indices, matrix.data), strict=True):
            np.save(folder / name, array)
        np.save(folder / layout.SUMMED, np.zeros((0, 4), np.int32))
        tables = {"user": layout.USERS, "artist": layout.ARTISTS}
        longest_names = {
            role: write_table(folder / table, role, names[role], columns[role])
            for role, table in tables.items()
        }
        (folder / layout.REJECTS).touch()
        receipts: dict[str, Any] = {"allowed_bytes": None, "stages": []}
        (folder / layout.RECEIPTS).write_text(json.dumps(receipts) + "\n", encoding="utf-8")
        content = _content(matrix, columns, names["artist"], whole=whole)
        publish(work, layout.DATASET, {**content, "longest_names": longest_names})
    return Path(output)


def _checked(user_items: Any) -> csr_matrix:
    """Return the matrix in the form that is stored: sorted, summed, float32; the caller's stays as it is."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(user_items, copy=True)
    matrix.sum_duplicates()
    with np.errstate(over="ignore"):
        matrix.data = matrix.data.astype(np.float32)
    wrong = np.flatnonzero(~(np.isfinite(matrix.data) & (matrix.data > 0)))
    if len(wrong):
        row = int(np.searchsorted(matrix.indptr, wrong[0], side="right")) - 1
        msg = (
            f"user_items[{row}, {matrix.indices[wrong[0]]}] is {matrix.data[wrong[0]]}, and {len(wrong)} such values are"
            " stored: positive finite plays are wanted (eliminate_zeros removes stored zeros)"
        )
        raise BadInputError(msg)
    if not matrix.nnz:
        msg = f"user_items of shape {matrix.shape} holds no value: a matrix with plays is wanted"
        raise BadInputError(msg)
    kind = index_type(matrix.nnz)
    matrix.indptr, matrix.indices = matrix.indptr.astype(kind), matrix.indices.astype(kind)
    return matrix


def _names(names: Iterable[object], role: str, n_wanted: int) -> pa.ChunkedArray:
    """Return names as texts; raises BadInputError if they are not one distinct name a row or column."""
    import pyarrow as pa

    texts = [str(name) for name in names]
    if len(texts) != n_wanted:
        msg = f"{len(texts)} {role}s for {n_wanted} {'rows' if role == 'user' else 'columns'}: one name each is wanted"
        raise BadInputError(msg)
    if not all(texts) or len(set(texts)) < len(texts):
        wrong = next(text for text in texts if not text or texts.count(text) > 1)
        msg = f"the {role} {wrong!r} is empty or stands twice: distinct names are wanted"
        raise BadInputError(msg)
    try:
        return pa.chunked_array([pa.array(texts, pa.string())])
    except UnicodeEncodeError as error:
        msg = f"a name of the {role}s is not Unicode ({error}): decode it first"
        raise BadInputError(msg) from error


def _columns(
    matrix: csr_matrix, lengths: npt.NDArray[np.int64], *, whole: bool
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the columns of both tables besides the names."""
    n_users, n_artists = matrix.shape
    kind = np.int64 if whole else np.float64
    rows = np.repeat(np.arange(n_users), lengths)
    plays = matrix.data.astype(kind)
    sums = {"user": np.zeros(n_users, kind), "artist": np.zeros(n_artists, kind)}
    np.add.at(sums["user"], rows, plays)
    np.add.at(sums["artist"], matrix.indices, plays)
    ordered = matrix.data[np.lexsort((matrix.data, rows))].astype(np.float64)
    medians, filled = np.zeros(n_users), lengths > 0
    starts = matrix.indptr[:-1][filled]
    below, above = (lengths[filled] - 1) // 2, lengths[filled] // 2
    medians[filled] = (ordered[starts + below] + ordered[starts + above]) / 2
    listeners = np.bincount(matrix.indices, minlength=n_artists).astype(np.int64)
    return {
        "user": {"n_artists": lengths, "plays": sums["user"], "median_plays": medians},
        "artist": {"listeners": listeners, "plays": sums["artist"]},
    }


def _content(
    matrix: csr_matrix,
    columns: dict[str, dict[str, npt.NDArray[Any]]],
    artists: pa.ChunkedArray,
    *,
    whole: bool,
) -> dict[str, Any]:
    """Return the manifest's content."""
    import pyarrow as pa

    nnz, user, artist = int(matrix.nnz), columns["user"], columns["artist"]
    counts = Counts(
        rows_read=nnz,
        rows_kept=nnz,
        rejects={},
        played_once=int(np.count_nonzero(matrix.data == 1)),
        nnz=nnz,
        csr_bytes=sum(array.nbytes for array in (matrix.indptr, matrix.indices, matrix.data)),
    )
    top = top_artists(
        artist["listeners"], artist["plays"], lambda found: artists.take(pa.array(found)).to_pylist()
    )
    summed = dict.fromkeys(("rows_added", "users_added", "rows_summed"), 0)
    return {
        "source": {"files": []},
        "settings": {"format": "csr", "values": "whole" if whole else "float", "keep_case": True},
        "options": {"artist_names": None, "add_user": None, "likes": {}},
        "statistics": statistics(counts, user["n_artists"], user["median_plays"], artist["plays"], top),
        "reconciliation": {
            "rows_read": nnz,
            "rows_kept": nnz,
            "rejects": {},
            **summed,
            "nnz": nnz,
            "n_users_not_sha1": 0,
            "users_not_sha1": [],
            "lines": {},
        },
        "allowed_bytes": None,
    }
