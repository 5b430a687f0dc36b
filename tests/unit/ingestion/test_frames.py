"""Frames as sources: whatever library they are of, the dataset is that of their rows."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.ingestion.options import IngestOptions, Resources
from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.interactions.formats import SchemaOptions

COLUMNS = {
    "user": ["a", "b", "a", "c"],
    "artist": ["X", "x", "Y", "x"],
    "plays": [1, 2, 3, 4],
    "other": [0.5] * 4,
}


def as_pandas():
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(COLUMNS)


def as_categories():
    return as_pandas().astype({"user": "category", "artist": "category"})


def as_polars():
    return pytest.importorskip("polars").DataFrame(COLUMNS)


def as_polars_categories():
    pl = pytest.importorskip("polars")
    return as_polars().with_columns(pl.col("artist").cast(pl.Categorical))


def as_dask():
    dd = pytest.importorskip("dask.dataframe")
    return dd.from_pandas(as_pandas(), npartitions=3)


def as_table():
    return pa.table(COLUMNS)


def as_reader():
    return as_table().to_reader(max_chunksize=2)


def as_batch():
    return pa.record_batch(COLUMNS)


@pytest.mark.parametrize(
    "make", [as_pandas, as_categories, as_polars, as_polars_categories, as_dask, as_table, as_reader]
)
def test_a_frame_gives_the_bytes_of_the_text(make, tmp_path):
    text = tmp_path / "log.tsv"
    text.write_text("".join(f"{u}\t\t{a}\t{n}\n" for u, a, n, _ in zip(*COLUMNS.values(), strict=True)))
    wanted = ingest(text, tmp_path / "text.dataset")
    found = ingest(make(), tmp_path / "frame.dataset")
    assert found.fingerprint == wanted.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame.dataset", "log.tsv", "text.dataset"]


def test_the_manifest_and_rejects_name_the_frame(tmp_path):
    table = pa.table({"user": ["a", None], "artist": ["x", "y"], "plays": [1, 2]})
    dataset = ingest(table, tmp_path / "frame.dataset")
    assert dataset.manifest.content["source"]["files"][0]["path"] == "pyarrow.Table"
    line = (dataset.path / "rejects.tsv").read_text()
    assert (
        line
        == 'pyarrow.Table\t2\tempty_user\trow group 0, row 1: {"user": null, "artist": "y", "plays": 2}\n'
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (3, "builtins.int is not a source"),
        (pa.table({"user": ["a"], "artist": ["x"]}), "pyarrow.Table: no column is plainly the plays"),
        (
            pa.table(
                {
                    "user": pa.array([], pa.string()),
                    "artist": pa.array([], pa.string()),
                    "plays": pa.array([], pa.int64()),
                }
            ),
            "no row",
        ),
    ],
)
def test_what_is_not_a_frame_of_plays_is_refused(source, said, tmp_path):
    with pytest.raises(BadInputError, match=said):
        ingest(source, tmp_path / "frame.dataset")
    assert not list(tmp_path.iterdir())


def test_a_cluster_refuses_a_frame(tmp_path):
    with pytest.raises(BadInputError, match="write it as Parquet first"):
        ingest(as_table(), tmp_path / "frame.dataset", resources=Resources(scheduler="tcp://127.0.0.1:9"))


def test_columns_are_named_as_in_a_file(tmp_path):
    given = IngestOptions(schema=SchemaOptions(columns=("user=other", "artist=plays", "plays=user")))
    table = pa.table({"user": [5, 6], "plays": ["p", "q"], "other": np.array([9, 9])})
    dataset = ingest(table, tmp_path / "frame.dataset", given)
    assert (list(dataset.users), list(dataset.artists)) == (["9"], ["p", "q"])


def test_no_frame_library_is_imported_for_an_arrow_table(tmp_path):
    code = (
        "import sys, pyarrow as pa, lastfm_dask\n"
        # Making a table from lists would import pandas by itself.
        "from lastfm_dask.memory.imports import keep_pandas_out; keep_pandas_out()\n"
        f"lastfm_dask.ingest(pa.table({COLUMNS!r}), {str(tmp_path / 'frame.dataset')!r})\n"
        "assert not {'pandas', 'polars', 'dask.dataframe', 'pyarrow.dataset', 'fsspec'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
