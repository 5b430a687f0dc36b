"""A model's factors in files that other tools read: implicit's `.npz`, and Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.dataset.store import disk_full_is_store_error, open_directory, refuse_existing

if TYPE_CHECKING:
    from pathlib import Path


def export_npz(model: Path, target: Path) -> Path:
    """Write a model as implicit's own `.npz`, which `AlternatingLeastSquares.load` takes; return the file.

    The archive says alpha 1: plays must be weighted before they are given to implicit (`weighting`).

    Raises
    ------
    StoreError
        Where the model can't be opened, the target exists, or the disk is full.
    """
    import numpy as np

    manifest = open_directory(model, layout.MODEL)
    settings = manifest.content["settings"]
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    refuse_existing(target)
    arrays = {
        "user_factors": np.load(model / layout.USER_FACTORS, mmap_mode="r"),
        "item_factors": np.load(model / layout.ITEM_FACTORS, mmap_mode="r"),
    }
    with disk_full_is_store_error(target), complete_or_absent(target) as part:
        np.savez(
            part,
            **arrays,
            factors=settings["factors"],
            regularization=settings["regularization"],
            alpha=1.0,
            iterations=settings["iterations"],
            random_state=settings["seed"],
            num_threads=0,
            use_native=True,
            use_cg=True,
            cg_steps=3,
            calculate_training_loss=False,
            dtype="float32",
        )
    return target


def export_parquet(model: Path, folder: Path) -> list[Path]:
    """Write `user_factors.parquet` and `item_factors.parquet`: a name, and its factors as a list of float32.

    Raises
    ------
    StoreError
        Where the model can't be opened, a file exists, or the disk is full.
    """
    open_directory(model, layout.MODEL)
    jobs = (
        (layout.USER_FACTORS, layout.USERS, "user", folder / "user_factors.parquet"),
        (layout.ITEM_FACTORS, layout.ARTISTS, "artist", folder / "item_factors.parquet"),
    )
    for *_, target in jobs:
        refuse_existing(target)
    with disk_full_is_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for factors, names, column, target in jobs:
            _write_factors(model / factors, model / names, column, target)
    return [job[3] for job in jobs]


def _write_factors(factors: Path, names: Path, column: str, target: Path) -> None:
    """Write one Parquet file, a group of rows at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    values = np.load(factors, mmap_mode="r")
    n_factors = values.shape[1]
    schema = pa.schema([(column, pa.string()), ("factors", pa.list_(pa.float32(), n_factors))])
    start = 0
    with complete_or_absent(target) as part, pq.ParquetWriter(part, schema) as writer:
        for batch in pq.ParquetFile(names).iter_batches(batch_size=16384, columns=[column]):
            block = np.ascontiguousarray(values[start : start + len(batch)]).ravel()
            lists = pa.FixedSizeListArray.from_arrays(pa.array(block), n_factors)
            writer.write_table(pa.table([batch.column(0).cast(pa.string()), lists], schema=schema))
            start += len(batch)
