"""Datasets made straight from a matrix and names, for tests of what stands on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import file_sha256, publish, work_directory


def random_plays(n_users=60, n_artists=40, per_user=8, seed=0, n_groups=4) -> csr_matrix:
    """Return a user_items matrix with taste groups and a long tail, every row and column taken at least once."""
    rng = np.random.default_rng(seed)
    rows, columns = [], []
    popularity = 1.0 / np.arange(1, n_artists + 1)
    for user in range(n_users):
        liked = popularity * np.where(np.arange(n_artists) % n_groups == user % n_groups, 10.0, 1.0)
        n = min(n_artists, max(1, int(rng.poisson(per_user))))
        chosen = set(rng.choice(n_artists, n, replace=False, p=liked / liked.sum()).tolist())
        chosen.add(user % n_artists) if user < n_artists else None
        rows += [user] * len(chosen)
        columns += sorted(chosen)
    for artist in range(min(n_users, n_artists), n_artists):
        rows.append(artist % n_users)
        columns.append(artist)
    plays = np.ceil(rng.lognormal(3, 1.5, len(rows))).astype(np.float32)
    matrix = csr_matrix((plays, (rows, columns)), shape=(n_users, n_artists), dtype=np.float32)
    # A place drawn twice is summed; the format wants sorted columns.
    matrix.sum_duplicates()
    return matrix


def made_up_receipts(rows: int) -> dict:
    """Return receipts as ingest leaves them: two stages that kept to their projection, with a time line."""
    mib = 1 << 20
    stages = []
    for number, name in enumerate(("scan", "assemble")):
        measured = (80 - 10 * number) * mib
        samples = [
            {
                "t_s": number + t / 10,
                "anon": measured - (9 - t) * mib,
                "file": 50 * mib,
                "shmem": t * mib // 9,
            }
            for t in range(9)
        ]
        stages.append(
            {
                "stage": name,
                "start_s": float(number),
                "wall_s": 0.9,
                "reserved_bytes": 40 * mib,
                "projected_bytes": 96 * mib,
                "measured_bytes": measured,
                "file_bytes": 50 * mib,
                "exceeded": False,
                "rows": rows,
                "rows_per_s": round(rows / 0.9),
                "read_bytes": 40 * rows,
                "written_bytes": 8 * rows,
                "threads": 2,
                "block_bytes": 16 * mib,
                "samples": samples,
            }
        )
    return {
        "allowed_bytes": 128 * mib,
        "allowed_source": "--memory",
        "allocator": "pooled",
        "threads": 2,
        "stages": stages,
    }


def make_dataset(path: Path, user_items: csr_matrix, users=None, artists=None, settings=None) -> Dataset:
    """Publish a dataset directory with this matrix and return it, opened."""
    n_users, n_artists = user_items.shape
    users = [f"user{i:05d}" for i in range(n_users)] if users is None else list(users)
    artists = [f"artist {j}" for j in range(n_artists)] if artists is None else list(artists)
    user_items = csr_matrix(user_items, dtype=np.float32)
    user_items.sort_indices()
    by_user = np.diff(user_items.indptr)
    listeners = np.bincount(user_items.indices, minlength=n_artists)
    plays = np.bincount(user_items.indices, user_items.data, minlength=n_artists).astype(np.int64)
    medians = [float(np.median(row.data)) if row.nnz else 0.0 for row in user_items]
    user_plays = np.asarray(user_items.sum(axis=1), np.int64).ravel()
    order = np.argsort(-listeners, kind="stable")[:30]
    statistics = {
        "rows_read": int(user_items.nnz),
        "rows_kept": int(user_items.nnz),
        "rejects": {},
        "users": n_users,
        "artists": n_artists,
        "nnz": int(user_items.nnz),
        "plays_total": int(plays.sum()),
        "top_artists": [
            {"artist": artists[j], "listeners": int(listeners[j]), "plays": int(plays[j])} for j in order
        ],
    }
    with work_directory(Path(path)) as work:
        output = work.fresh_output()
        (output / "user_items").mkdir()
        np.save(output / layout.INDPTR, user_items.indptr.astype(np.int32))
        np.save(output / layout.INDICES, user_items.indices.astype(np.int32))
        np.save(output / layout.DATA, user_items.data)
        np.save(output / layout.SUMMED, np.zeros((0, 4), np.int32))
        table = {
            "user": users,
            "n_artists": pa.array(by_user, pa.int64()),
            "plays": pa.array(user_plays, pa.int64()),
            "median_plays": pa.array(medians, pa.float64()),
        }
        pq.write_table(pa.table(table), output / layout.USERS)
        table = {
            "artist": artists,
            "listeners": pa.array(listeners, pa.int64()),
            "plays": pa.array(plays, pa.int64()),
        }
        pq.write_table(pa.table(table), output / layout.ARTISTS)
        (output / layout.REJECTS).write_text("file\tline\treason\tbytes\n")
        (output / layout.RECEIPTS).write_text(json.dumps(made_up_receipts(int(user_items.nnz))))
        publish(work, layout.DATASET, {"statistics": statistics, "settings": settings or {}})
    return Dataset(path)


def accept_sizes(folder: Path) -> None:
    """Let the manifest, as of an older version without a checksum of its own, name the sizes and sums that are there."""
    path = folder / layout.MANIFEST
    manifest = json.loads(path.read_text())
    manifest.pop("checksum", None)
    for name in manifest["files"]:
        file = folder / name
        if file.is_file() and not file.is_symlink():
            entry = {"size_bytes": file.stat().st_size, "sha256": file_sha256(file)}
            manifest["files"][name] = entry
    kind = layout.DATASET if manifest["kind"] == layout.DATASET.name else layout.MODEL
    files = {name: layout.FileEntry(**entry) for name, entry in manifest["files"].items()}
    manifest["fingerprint"] = layout.fingerprint(kind, files)
    path.write_text(json.dumps(manifest))
