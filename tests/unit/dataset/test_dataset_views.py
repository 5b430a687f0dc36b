"""A dataset in Python and in the files of other tools: the same rows, names and times everywhere."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix, load_npz

from lastfm_dask.dataset import export, layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.ingestion.options import IngestOptions
from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.interactions.formats import SchemaOptions

ROWS = [("v", "x", 2), ("u", "Y\t", 1), ("v", "y\t", 9), ("u", "x", 4), ("v", "x", 5)]
VALUES = [("v", "x", 7), ("v", "y\t", 9), ("u", "x", 4), ("u", "y\t", 1)]
TIMES = [5000, 1000, 2000, 3000, 9000]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ingest(
        pa.table(dict(zip(("user", "artist", "plays"), zip(*ROWS, strict=True), strict=True))),
        tmp_path_factory.mktemp("views") / "log.dataset",
    )


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    users, artists, _ = zip(*ROWS, strict=True)
    table = pa.table({"user": users, "artist": artists, "time": TIMES})
    given = IngestOptions(
        schema=SchemaOptions(columns=("user=user", "artist=artist", "time=time"), events=True)
    )
    return ingest(table, tmp_path_factory.mktemp("views") / "events.dataset", given)


def test_values_as_arrow_pandas_and_dask(dataset):
    table = dataset.to_arrow()
    assert [tuple(row.values()) for row in table.to_pylist()] == VALUES
    assert table.schema.field("user").type == pa.dictionary(pa.int32(), pa.string())
    assert list(dataset.to_pandas().itertuples(index=False, name=None)) == VALUES
    frame = dataset.interactions()
    assert list(frame.compute().itertuples(index=False, name=None)) == VALUES
    assert frame.dtypes.to_dict() == frame.compute().dtypes.to_dict()


def test_a_dataset_of_a_matrix_keeps_the_order_of_names(tmp_path, dataset):
    matrix = csr_matrix([[0, 3, 3], [0, 0, 0], [1, 0, 2**24]])
    made = Dataset.from_csr(matrix, ["c", "a", "b"], ["Z", "y", "x"], tmp_path / "own.dataset")
    assert made.manifest.content["longest_names"] == {"user": 1, "artist": 1}
    verify_directory(made.path, layout.DATASET)
    assert (list(made.users), list(made.artists)) == (["c", "a", "b"], ["Z", "y", "x"])
    assert (made.user_items != matrix).nnz == 0
    users, artists = (pq.read_table(made.path / name).to_pydict() for name in (layout.USERS, layout.ARTISTS))
    assert users["n_artists"] == [2, 0, 2]
    assert users["plays"] == [6, 0, 2**24 + 1]
    assert users["median_plays"] == [3.0, 0.0, (2**24 + 1) / 2]
    assert (artists["listeners"], artists["plays"]) == ([1, 1, 2], [1, 3, 2**24 + 3])
    again = Dataset.from_csr(dataset.user_items, dataset.users, dataset.artists, tmp_path / "again.dataset")
    assert again.to_arrow().equals(dataset.to_arrow())


@pytest.mark.parametrize(
    ("matrix", "users", "artists", "said"),
    [
        ([[1, -2]], "a", "xy", r"user_items\[0, 1\] is -2.0"),
        ([[1, np.nan]], "a", "xy", r"\[0, 1\] is nan"),
        ([[0, 0]], "a", "xy", "holds no value"),
        ([[1, 2]], "ab", "xy", "2 users for 1 rows"),
        ([[1, 2]], "a", "xx", "the artist 'x' is empty or stands twice"),
    ],
)
def test_a_matrix_that_makes_no_dataset_is_refused(tmp_path, matrix, users, artists, said):
    with pytest.raises(BadInputError, match=said):
        Dataset.from_csr(csr_matrix(matrix), users, artists, tmp_path / "own.dataset")
    assert not list(tmp_path.iterdir())


def test_real_values_stay_real(tmp_path):
    made = Dataset.from_csr(csr_matrix([[0.5, 2]]), ["a"], ["x", "y"], tmp_path / "own.dataset")
    assert made.to_arrow().column("plays").to_pylist() == [0.5, 2.0]


def test_parquet_and_npz(dataset, tmp_path):
    (path,) = export.export_parquet(dataset.path, tmp_path / "out")
    assert [tuple(row.values()) for row in pq.read_table(path).to_pylist()] == VALUES
    assert (load_npz(export.export_npz(dataset.path, tmp_path / "m")) != dataset.user_items).nnz == 0
    with pytest.raises(StoreError, match="exists already"):
        export.export_parquet(dataset.path, tmp_path / "out")
    back = ingest(path, tmp_path / "back.dataset")
    assert back.to_arrow().equals(dataset.to_arrow())


def test_what_an_export_left_that_was_killed_after_it_had_published_goes_with_the_next(
    dataset, tmp_path, monkeypatch
):
    with monkeypatch.context() as killed:
        killed.setattr("lastfm_dask.dataset.files.remove", lambda *_: None)
        export.export_parquet(dataset.path, tmp_path / "out")
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(StoreError, match="exists already"):
        export.export_parquet(dataset.path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_recbole_files_hold_numbers_and_names_apart(dataset, events, tmp_path):
    files = export.export_recbole(dataset.path, tmp_path / "lfm")
    texts = [file.read_text() for file in files]
    assert texts[0] == "user_id:token\titem_id:token\trating:float\n0\t0\t7\n0\t1\t9\n1\t0\t4\n1\t1\t1\n"
    assert texts[1:] == [
        "user_id:token\tuser:token\n0\tv\n1\tu\n",
        "item_id:token\tartist:token\n0\tx\n1\ty \n",
    ]
    timed = export.export_recbole(events.path, tmp_path / "timed")[0].read_text().splitlines()
    assert timed[0].endswith("\ttimestamp:float")
    assert timed[1] == "0\t0\t2\t9000"


def test_lenskit_data(dataset, events, tmp_path):
    export.export_lenskit(dataset.path, tmp_path / "lk")
    schema = json.loads((tmp_path / "lk" / "schema.json").read_text())
    assert schema["relationships"]["listen"]["entities"] == {"user": None, "item": None}
    tables = {name: pq.read_table(tmp_path / "lk" / f"{name}.parquet") for name in ("user", "item", "listen")}
    assert tables["user"].to_pydict() == {"user_id": ["v", "u"]}
    rows = zip(*tables["listen"].to_pydict().values(), strict=True)
    users, artists = list(dataset.users), list(dataset.artists)
    assert [(users[u], artists[a], n) for u, a, n in rows] == VALUES
    export.export_lenskit(events.path, tmp_path / "timed")
    last = pq.read_table(tmp_path / "timed" / "listen.parquet").column("last_listen")
    assert last.cast(pa.int64()).to_pylist() == [9_000_000, 2_000_000, 3_000_000, 1_000_000]
