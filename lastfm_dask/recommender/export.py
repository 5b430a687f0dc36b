"""A model's factors in files that other tools read: implicit's `.npz`, and Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.dataset.files import all_or_none, clear_left, complete_or_absent
from lastfm_dask.errors import StoreError
from lastfm_dask.recommender.model_files import ModelFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from lastfm_dask.dataset.vocabulary import Vocabulary

_GROUP_ROWS = 1 << 14


def export_npz(model: Path, target: Path) -> Path:
    """Write a model as implicit's own `.npz`, which `AlternatingLeastSquares.load` takes; return the file.

    The archive says alpha 1: plays must be weighted before they are given to implicit (`weighting`).

    Raises
    ------
    StoreError
        If the model can't be opened, the target exists, or the disk is full.
    """
    import numpy as np

    files = ModelFiles(model)
    settings = files.settings.to_dict()
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    with complete_or_absent(target) as part:
        np.savez(
            part,
            user_factors=files.user_factors,
            item_factors=files.item_factors,
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
        If the model can't be opened, a file exists, or the disk is full.
    """
    files = ModelFiles(model)
    names = [f"{name}.parquet" for name in ("user_factors", "item_factors")]
    targets = [folder / name for name in names]
    if folder.is_dir() and any(folder.iterdir()):
        clear_left(folder)
        with all_or_none(targets) as parts:
            _write_both(files, parts)
        return targets
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} can't be made: {error.strerror}; choose a folder that can be written"
        raise StoreError(msg, path=str(folder)) from error
    # A new folder takes its name with both files in it, in one step; so does an empty one, which it replaces.
    with complete_or_absent(folder, replace=folder.is_dir()) as part:
        part.mkdir()
        _write_both(files, [part / name for name in names])
    return targets


def _write_both(files: ModelFiles, targets: Sequence[Path]) -> None:
    """Write the users' and the artists' factors, each with its names, to two files."""
    _write_factors(files.user_factors, files.users, targets[0])
    _write_factors(files.item_factors, files.artists, targets[1])


def _write_factors(values: npt.NDArray[np.float32], names: Vocabulary, target: Path) -> None:
    """Write one Parquet file, a group of rows at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    n_factors = values.shape[1]
    schema = pa.schema([(names.column, pa.string()), ("factors", pa.list_(pa.float32(), n_factors))])
    with pq.ParquetWriter(target, schema) as writer:
        for start in range(0, len(values), _GROUP_ROWS):
            block = np.ascontiguousarray(values[start : start + _GROUP_ROWS]).ravel()
            lists = pa.FixedSizeListArray.from_arrays(pa.array(block), n_factors)
            part = names.array.slice(start, _GROUP_ROWS)
            writer.write_table(pa.table([part, lists], schema=schema))
