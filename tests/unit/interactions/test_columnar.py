"""Columnar sources: kinds recognized by bytes, roles by name, types, partitions, and what each kind of bad input says."""

from __future__ import annotations

import decimal
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.ingestion.options import IngestOptions
from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.interactions import columnar_reader, headers
from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.schema import REASONS
from lastfm_dask.sources import files as sources

TABLE = {"uid": ["a", "a", "b"], "item": ["x", "Y", "x"], "n": [1, 2, 3]}
BY_NAME = ("user=uid", "artist=item", "plays=n")


def options(*columns: str, **more) -> SchemaOptions:
    return SchemaOptions(columns=columns or None, **more)


def rows_of(path, given: SchemaOptions):
    files = sources.find([path])
    schema = headers.resolve(files, given)
    return columnar_reader.read_columns(str(path), 0, pq.read_metadata(path).num_rows, schema), schema


def reject_names(rows) -> list[str]:
    return [REASONS[reason] for reason in rows.reject_reasons]


@pytest.fixture
def parquet(tmp_path):
    def write(columns, name="log.parquet", **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, **kwargs)
        return path

    return write


def test_roles_come_from_obvious_names(parquet):
    path = parquet({"user_id": ["a"], "artist_name": ["X"], "playcount": [4], "when": [0]})
    schema = headers.resolve(sources.find([path]), options())
    assert dict(zip(schema.columns, schema.fields, strict=True)) == {
        "user": "user_id",
        "artist": "artist_name",
        "plays": "playcount",
    }


@pytest.mark.parametrize(
    ("columns", "given", "said"),
    [
        (
            {"user_id": ["a"], "user_name": ["a"], "artist": ["x"], "plays": [1]},
            options(),
            "user_id and user_name may each",
        ),
        ({"user": ["a"], "album": ["x"], "plays": [1]}, options(), "no column is plainly the artist"),
        ({"user": ["a"], "artist": ["x"]}, options(), "or --events where each row is one listen"),
        (TABLE, options("user=uid", "artist=itm", "plays=n"), "no single column 'itm'.*uid, item, n"),
        (TABLE, options("user", "artist"), "name them, as in --columns"),
        ({"artist": ["x"], "user": ["a"], "plays": [1]}, options("user", "artist", "plays"), "name them"),
        ({**TABLE, "uid": [[1], [2], [3]]}, options(*BY_NAME), "'uid'.*list<.*nested"),
        (
            {**TABLE, "uid": [1.5, 2.0, None]},
            options(*BY_NAME),
            "'uid' .* holds double, and texts or whole numbers",
        ),
        ({**TABLE, "n": [True, False, True]}, options(*BY_NAME), "'n' .* holds bool, and numbers are wanted"),
        (TABLE, options(*BY_NAME, delimiter=","), "--delimiter: only for text"),
    ],
)
def test_what_is_not_plain_is_refused_with_the_fix(parquet, columns, given, said):
    path = parquet(columns)
    with pytest.raises(BadInputError, match=f"log.parquet: .*{said}"):
        headers.resolve(sources.find([path]), given)


def test_a_file_without_the_column_is_named(parquet, tmp_path):
    parquet(TABLE, "log/1.parquet")
    parquet({"uid": ["a"], "item": ["x"]}, "log/2.parquet")
    with pytest.raises(BadInputError, match=r"2\.parquet: there is no single column 'n'"):
        headers.resolve(sources.find([tmp_path / "log"]), options(*BY_NAME))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("log.parquet", b"user\tartist\tplays\n", "is not Parquet, though its name says so"),
        ("log.parquet", b"PAR1 and no more", "can't be read as Parquet"),
        ("log.any", b"PARE....PARE", "an encrypted Parquet file"),
        ("log.any", b"FEA1....FEA1", "a Feather file of version 1"),
        ("log.any", b"\xff\xff\xff\xff\0\0\0\0", "an Arrow stream"),
        ("log.arrow", b"ARROW1\0\0 and no more", "can't be read as Arrow IPC"),
    ],
)
def test_files_that_are_not_what_they_say_are_refused(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInputError, match=said):
        headers.resolve(sources.find([tmp_path / name]), options(*BY_NAME))


def test_a_file_without_a_row_is_refused(parquet):
    with pytest.raises(BadInputError, match="no row"):
        headers.resolve(
            sources.find([parquet({name: pa.array([], pa.string()) for name in TABLE})]), options(*BY_NAME)
        )


def test_a_damaged_row_group_is_named(parquet):
    path = parquet(
        {"uid": [str(i) for i in range(2000)], "item": ["x"] * 2000, "n": [1] * 2000}, row_group_size=1000
    )
    data = bytearray(path.read_bytes())
    data[500:2500] = b"\xff" * 2000
    path.write_bytes(data)
    schema = headers.resolve(sources.find([path]), options(*BY_NAME))
    with pytest.raises(BadInputError, match=r"log\.parquet, row group 0 can't be read"):
        columnar_reader.read_columns(str(path), 0, 2000, schema)


@pytest.mark.parametrize(
    ("plays", "values", "kept", "rejects"),
    [
        (
            [1, None, 0, -1, 2**31 - 1],
            None,
            [1, 2**31 - 1],
            ["plays_not_a_number", *["plays_out_of_range"] * 2],
        ),
        (pa.array([2**63, 5], pa.uint64()), None, [5], ["plays_out_of_range"]),
        (
            [49.0, 2.5, float("nan"), float("inf"), 0.0],
            None,
            [49],
            [*["plays_not_a_number"] * 3, "plays_out_of_range"],
        ),
        ([49.0, 2.5, float("nan"), -1.0], "float", [49.0, 2.5], ["plays_not_a_number", "plays_out_of_range"]),
        (["7", "x", "8.0", None, ""], None, [7, 8], ["plays_not_a_number"] * 3),
        ([decimal.Decimal("3.00"), decimal.Decimal("3.50")], None, [3], ["plays_not_a_number"]),
        (pa.array([3, 4], pa.uint8()), None, [3, 4], []),
    ],
)
def test_plays_of_any_type_are_judged_as_in_text(parquet, plays, values, kept, rejects):
    n = len(plays)
    path = parquet({"user": ["u"] * n, "artist": ["a"] * n, "plays": plays})
    rows, _ = rows_of(path, options(values=values))
    assert rows.plays.tolist() == kept
    assert reject_names(rows) == rejects


def test_names_that_are_not_utf8_are_rejected(parquet):
    raw = pa.array([b"ok", b"\xff", b"ok", None], pa.binary())
    path = parquet({"user": raw, "artist": ["a", "b", "c", "d"], "plays": [1, 1, 1, 1]})
    rows, _ = rows_of(path, options())
    assert rows.user.to_pylist() == ["ok", "ok"]
    assert reject_names(rows) == ["invalid_utf8", "empty_user"]
    assert (
        rows.reject_bytes[0].as_py() == b'row group 0, row 1: {"user": "\\\\xff", "artist": "b", "plays": 1}'
    )


def test_whole_numbers_are_names_and_artist_names_are_shown(parquet, tmp_path):
    path = parquet({"uid": [10, 7, 10], "item_id": pa.array([3, 1, 3], pa.uint16()), "plays": [1, 2, 5]})
    names = tmp_path / "names.tsv"
    names.write_text("3\tThree\n1\tOne\n")
    given = IngestOptions(schema=options("user=uid", "artist=item_id", "plays=plays"), artist_names=names)
    dataset = ingest(path, tmp_path / "log.dataset", given)
    assert list(dataset.users) == ["10", "7"]
    assert list(dataset.artists) == ["three", "one"]
    assert dataset.user_items.toarray().tolist() == [[6, 0], [0, 2]]


def test_hive_partitions_give_columns(parquet, tmp_path):
    columns = {"artist": ["x", "y"], "plays": [1, 2]}
    parquet(columns, "log/user=anna/year=2020/part-0.parquet")
    parquet(columns, "log/user=b%C3%A9a/year=2020/part-0.parquet")
    parquet(columns, "log/user=__HIVE_DEFAULT_PARTITION__/part-0.parquet")
    parquet(columns, "log/_temporary/part-0.parquet")
    dataset = ingest(tmp_path / "log", tmp_path / "log.dataset")
    assert list(dataset.users) == ["anna", "béa"]
    assert dataset.statistics["rejects"] == {"empty_user": 2}


def test_a_feather_file_is_read_and_events_keep_their_times(tmp_path):
    time = pa.array(np.array([5, 3, 9]) * 1000, pa.timestamp("ms"))
    feather.write_feather(
        pa.table({"uid": ["a", "a", "b"], "item_id": [1, 1, 2], "timestamp": time}), tmp_path / "log.any"
    )
    given = IngestOptions(schema=options("user=uid", "artist=item_id", "time=timestamp", events=True))
    dataset = ingest(tmp_path / "log.any", tmp_path / "log.dataset", given)
    assert dataset.user_items.toarray().tolist() == [[2, 0], [0, 1]]
    first, last = (np.load(dataset.path / f"user_items/{end}_listen.npy") for end in ("first", "last"))
    assert (first.tolist(), last.tolist()) == ([3000, 9000], [5000, 9000])


def test_only_the_columns_that_are_used_are_read(parquet, monkeypatch):
    big = {
        "user": ["u"] * 50,
        "artist": ["a"] * 50,
        "plays": [1] * 50,
        "waste": [bytes([i]) * 100_000 for i in range(50)],
    }
    path = parquet(big, compression="none", use_dictionary=False)
    read = []
    find_rows = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda *args, **kwargs: read.append(kwargs["columns"]) or find_rows(*args, **kwargs),
    )
    rows_of(path, options())
    assert read == [["user", "artist", "plays"]]


def test_the_manifest_records_columns_and_kind(parquet, tmp_path):
    dataset = ingest(parquet(TABLE), tmp_path / "log.dataset", IngestOptions(schema=options(*BY_NAME)))
    settings = json.loads((dataset.path / "manifest.json").read_text())["content"]["settings"]
    assert (settings["kind"], settings["fields"]) == ("parquet", ["uid", "item", "n"])
