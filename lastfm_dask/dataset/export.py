"""A dataset in files that other tools read: one Parquet table, SciPy's `.npz`, RecBole's atomic files, LensKit's data.

Users and artists are known by their numbers in RecBole's files, whose fields can't hold tabs; their names are in files beside them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.files import clear_left, complete_or_absent
from lastfm_dask.dataset.interactions import is_real, value_blocks

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

INTERACTIONS = "interactions.parquet"
_LENSKIT_VERSION = "2025.3"


def export_npz(dataset: Path, target: Path) -> Path:
    """Write the matrix as `scipy.sparse.load_npz` reads it; return the file.

    Raises
    ------
    StoreError
        If the dataset can't be opened, the target exists, or the disk is full.
    """
    opened = Dataset(dataset)
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    matrix: dict[str, Any] = dict(zip(("indptr", "indices", "data"), opened.csr, strict=True))
    shape = np.array([opened.n_users, opened.n_artists])
    with complete_or_absent(target) as part:
        np.savez(part, format=np.array(b"csr"), shape=shape, **matrix)
    return target


def export_parquet(dataset: Path, folder: Path) -> list[Path]:
    """Write `interactions.parquet`: user, artist, plays, and the first and last listen where the dataset has times.

    Raises
    ------
    StoreError
        If the dataset can't be opened, the file exists, or the disk is full.
    """
    names = ("user", "artist", "plays")
    target = folder / INTERACTIONS
    opened = Dataset(dataset)
    if folder.is_dir():
        clear_left(folder)
        with complete_or_absent(target) as part:
            _write_values(opened, part, names, by_name=True)
        return [target]
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    # A new folder takes its name with the file in it, in one step.
    with complete_or_absent(folder) as part:
        part.mkdir()
        _write_values(opened, part / INTERACTIONS, names, by_name=True)
    return [target]


def export_recbole(dataset: Path, folder: Path) -> list[Path]:
    """Write NAME.inter, NAME.user and NAME.item in a folder called NAME, as RecBole's atomic files.

    Raises
    ------
    StoreError
        If the dataset can't be opened, the folder exists, or the disk is full.
    """
    opened = Dataset(dataset)
    times = _listens(opened)
    with complete_or_absent(folder) as part:
        part.mkdir()
        with (part / f"{folder.name}.inter").open("wb") as file:
            head = "user_id:token\titem_id:token\trating:float"
            file.write((head + ("\ttimestamp:float" if times else "") + "\n").encode())
            for users, artists, plays, place in value_blocks(opened):
                columns = [users, artists, plays]
                if times:
                    columns.append(times["last_listen"][place] // 1000)
                file.write(_lines(columns))
        for file_name, names, key in (("user", opened.users, "user_id"), ("item", opened.artists, "item_id")):
            with (part / f"{folder.name}.{file_name}").open("wb") as file:
                file.write(f"{key}:token\t{names.column}:token\n".encode())
                texts = names.array
                for first in range(0, len(texts), 1 << 16):
                    some = texts.slice(first, 1 << 16)
                    file.write(_lines([np.arange(first, first + len(some)), _in_one_field(some)]))
    return [folder / f"{folder.name}.{ending}" for ending in ("inter", "user", "item")]


def export_lenskit(dataset: Path, folder: Path) -> list[Path]:
    """Write a folder that LensKit's `Dataset.load` reads: entities user and item, interactions `listen` with a count.

    Raises
    ------
    StoreError
        If the dataset can't be opened, the folder exists, or the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = Dataset(dataset)
    attributes = {"count": {"layout": "scalar"}}
    if _listens(opened):
        attributes |= {"first_listen": {"layout": "scalar"}, "last_listen": {"layout": "scalar"}}
    schema = {
        "version": _LENSKIT_VERSION,
        "name": folder.name,
        "default_interaction": "listen",
        "entities": {name: {"id_type": "str", "attributes": {}} for name in ("user", "item")},
        "relationships": {
            "listen": {
                "entities": {"user": None, "item": None},
                "interaction": True,
                "repeats": "forbidden",
                "attributes": attributes,
            }
        },
    }
    with complete_or_absent(folder) as part:
        part.mkdir()
        (part / "schema.json").write_text(json.dumps(schema) + "\n", encoding="utf-8")
        for entity, names in (("user", opened.users), ("item", opened.artists)):
            table = pa.table({f"{entity}_id": names.array})
            pq.write_table(table, part / f"{entity}.parquet", compression="zstd")
        _write_values(opened, part / "listen.parquet", ("user_num", "item_num", "count"), by_name=False)
    return [folder / name for name in ("schema.json", "user.parquet", "item.parquet", "listen.parquet")]


def _write_values(dataset: Dataset, path: Path, names: tuple[str, str, str], *, by_name: bool) -> None:
    """Write all values as Parquet, a block a row group; users and artists by name or by number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = (dataset.users.array, dataset.artists.array) if by_name else ()
    code = pa.string() if by_name else pa.int32()
    times = _listens(dataset)
    schema = pa.schema(
        [
            (names[0], code),
            (names[1], code),
            (names[2], pa.float32() if is_real(dataset) else pa.int64()),
            *((name, pa.timestamp("ms", "UTC")) for name in times),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for users, artists, plays, place in value_blocks(dataset):
            codes: list[Any] = [pa.array(users), pa.array(artists)]
            if by_name:
                codes = [names.take(part) for names, part in zip(texts, codes, strict=True)]
            listens = [
                pa.array(np.array(array[place])).cast(pa.timestamp("ms", "UTC")) for array in times.values()
            ]
            writer.write_batch(pa.record_batch([*codes, plays, *listens], schema=schema))


def _listens(dataset: Dataset) -> dict[str, Any]:
    """Return the mapped times of first and last listens, where the dataset has them."""
    return dict(zip(("first_listen", "last_listen"), dataset.listens or (), strict=False))


def _lines(columns: list[Any]) -> memoryview:
    """Return the bytes of lines with these fields, tabs between them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pc.cast(pa.array(column), pa.large_string()) for column in columns]
    fields = pc.binary_join_element_wise(*texts, pa.scalar("\t", pa.large_string()))
    empty, line_end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    lines = pc.binary_join_element_wise(fields, empty, line_end)
    data = lines.buffers()[2]
    return memoryview(data if data is not None else b"")


def _in_one_field(names: pa.StringArray) -> pa.StringArray:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(names, r"[\t\r\n]", " ")
