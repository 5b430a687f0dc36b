"""Formats by name on lines of their published shapes, and `inspect`, whose command line is run as it stands.

Each sample has the shape that `formats.SOURCES` names; its values are made up.
"""

from __future__ import annotations

import gzip
import json
import shlex
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner

from lastfm_dask import IngestOptions, SchemaOptions, ingest
from lastfm_dask.cli import cli
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import FORMATS
from tests.command_line import fail

SHA = [f"{i:040x}" for i in (10, 11)]
MBID = "0d1e2f3a-0000-4000-8000-00000000000"
LISTEN = {
    "user_id": 7,
    "user_name": "ann",
    "listened_at": 1241478537,
    "track_metadata": {"artist_name": "Muse"},
}


def listens(*rows: dict) -> str:
    return "".join(json.dumps({**LISTEN, **row, "recording_msid": "x"}) + "\n" for row in rows)


LISTENBRAINZ = listens(
    {},
    {"listened_at": 1241478637},
    {"user_name": "bob", "track_metadata": {"artist_name": "Björk", "additional_info": {"tags": ["a", 1]}}},
)
SAMPLES = {
    "lastfm-360k": (
        "log.tsv",
        f'{SHA[0]}\t{MBID}1\tbjörk\t49\n{SHA[0]}\t\t"weird al" yankovic\t7\n{SHA[1]}\t{MBID}1\tBjörk\t3\n',
        {(SHA[0], "björk"): 49, (SHA[0], '"weird al" yankovic'): 7, (SHA[1], "björk"): 3},
    ),
    "hetrec-2k": (
        "user_artists.dat",
        "userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t11690\r\n3\t51\t228\r\n",
        {("2", "51"): 13883, ("2", "52"): 11690, ("3", "51"): 228},
    ),
    "lastfm-1k": (
        "log.tsv",
        (
            f"user_000001\t2009-05-04T23:08:57Z\t{MBID}1\tDeep Dish\t\tFuck Me Im Famous\n"
            f"user_000001\t2009-05-04T13:54:10Z\t\tdeep dish\t\tComposition 0919\n"
            f"user_000002\t2009-05-04T13:54:10Z\t{MBID}2\tUnderworld\t{MBID}3\tBoy, Boy\n"
        ),
        {("user_000001", "deep dish"): 2, ("user_000002", "underworld"): 1},
    ),
    "lfm-1b": (
        "LFM-1b_LEs.txt",
        "31435726\t2\t4\t4\t1385212958\n31435726\t2\t4\t4\t1385212642\n31435727\t9\t4\t4\t1385212325\n",
        {("31435726", "2"): 2, ("31435727", "9"): 1},
    ),
    "lfm-2b": (
        "listening-events.tsv",
        "user_id\ttrack_id\talbum_id\ttimestamp\n1\t5\t8\t2019-02-22 22:19:31\n1\t5\t8\t2019-02-22 23:19:31\n2\t6\t9\t2020-01-30 17:52:29\n",
        {("1", "5"): 2, ("2", "6"): 1},
    ),
    "listenbrainz": ("1.listens", LISTENBRAINZ, {("ann", "muse"): 2, ("bob", "björk"): 1}),
    "audioscrobbler": (
        "user_artist_data.txt",
        "1000002 1 55\r\n1000002 1000006 33\r\n1000019 1 8\r\n",
        {("1000002", "1"): 55, ("1000002", "1000006"): 33, ("1000019", "1"): 8},
    ),
    "msd": (
        "train_triplets.txt",
        f"{SHA[0]}\tSOAKIMP12A8C130995\t1\n{SHA[0]}\tSOAPDEY12A81C210A9\t2\n{SHA[1]}\tSOAKIMP12A8C130995\t5\n",
        {
            (SHA[0], "soakimp12a8c130995"): 1,
            (SHA[0], "soapdey12a81c210a9"): 2,
            (SHA[1], "soakimp12a8c130995"): 5,
        },
    ),
    "movielens": (
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t377\t1\t878887116\n",
        {("196", "242"): 3, ("196", "377"): 1, ("186", "302"): 3},
    ),
    "movielens 1M": (
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n",
        {("1", "1193"): 5, ("1", "661"): 3, ("2", "1193"): 4},
    ),
    "movielens latest": (
        "ratings.csv",
        "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,3.5,964981247\n2,1,0.5,964982703\n",
        {("1", "1"): 4, ("1", "3"): 3.5, ("2", "1"): 0.5},
    ),
}
OTHERS = {
    "quoted csv": (
        "plays.csv",
        'artist,user,plays\n"Simon, Garfunkel",u1,3\n"Muse",u2,4\n"a\nb",u1,5\n',
        {("u1", "simon, garfunkel"): 3, ("u2", "muse"): 4, ("u1", "a\nb"): 5},
    ),
    "ratings": (
        "ratings.csv",
        "user_id;item_id;score;weight\n1;a;x;4.0\n1;b;y;3.5\n2;a;z;0.5\n",
        {("1", "a"): 4, ("1", "b"): 3.5, ("2", "a"): 0.5},
    ),
    "a name that a shell would split": (
        "my 'plays'.txt",
        "ann|Muse|3\nbob|Björk|4\nbob|muse|1\n",
        {("ann", "muse"): 3, ("bob", "björk"): 4, ("bob", "muse"): 1},
    ),
    "json": (
        "plays.jsonl",
        '{"who": {"username": "ann"}, "artist": "Muse", "playcount": 3}\n{"who": {"username": "bob"}, "artist": "A", "playcount": 4}\n',
        {("ann", "muse"): 3, ("bob", "a"): 4},
    ),
}


def values_of(dataset: Dataset) -> dict[tuple[str, str], float]:
    matrix = dataset.user_items.tocoo()
    users, artists = (
        dataset.users.names(range(dataset.n_users)),
        dataset.artists.names(range(dataset.n_artists)),
    )
    return {
        (users[i], artists[j]): value
        for i, j, value in zip(matrix.row, matrix.col, matrix.data.tolist(), strict=True)
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_a_published_shape_is_read_by_its_name(tmp_path, name):
    file, text, wanted = SAMPLES[name]
    (tmp_path / file).write_text(text, newline="")
    options = IngestOptions(SchemaOptions(format=name.split(" ")[0]))
    dataset = ingest(tmp_path / file, tmp_path / "out.dataset", options)
    assert values_of(dataset) == wanted
    assert dataset.statistics["rejects"] == {}


def in_tar(data: bytes, name: str) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, BytesIO(data))
    return buffer.getvalue()


def test_a_dump_of_listenbrainz_is_read_in_its_archive_with_times(tmp_path):
    data = in_tar((LISTENBRAINZ + "bad\n").encode(), "dump-1/listens/2009/5.listens")
    (tmp_path / "dump.tar.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    options = IngestOptions(SchemaOptions(format="listenbrainz"))
    dataset = ingest(tmp_path / "dump.tar.zst", tmp_path / "out.dataset", options)
    assert values_of(dataset) == SAMPLES["listenbrainz"][2]
    assert dataset.statistics["rejects"] == {"invalid_json": 1}
    first, last = (np.load(dataset.path / name) for name in layout.LISTENS)
    assert first.tolist() == [1241478537000, 1241478537000]
    assert last.tolist() == [1241478637000, 1241478537000]
    assert set(layout.LISTENS) <= set(dataset.manifest.files)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", [*SAMPLES, *OTHERS])
def test_what_inspect_proposes_reads_the_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file, text, wanted = (SAMPLES | OTHERS)[name]
    Path(file).write_text(text, newline="")
    found = json.loads(run("inspect", file, "--json"))
    if name in SAMPLES:
        assert found["format"] == name.split(" ")[0]
    assert {column["role"] for column in found["columns"]} >= {"user", "artist"}
    assert len(found["rows"]) == min(10, text.count("\n") - found["header"] - ("a\nb" in text))
    command = shlex.split(found["command"])
    assert command[0] == "lastfm-dask"
    run(*command[1:])
    (output,) = Path().glob("*.dataset")
    assert values_of(Dataset(output)) == wanted
    assert found["command"] in run("inspect", file)


@pytest.mark.parametrize("before", ["# made by hand", "sep=,", "My listens"])
def test_lines_before_the_header_are_said(tmp_path, before):
    file = tmp_path / "log.csv"
    file.write_text(f"{before}\nuser,artist,plays\nu1,muse,3\nu2,muse,4\nu2,air,4\n")
    message = fail(BadInputError.exit_code, "inspect", file)
    assert before in message
    assert "remove what stands before the header" in message


YAMBDA = {"uid": [7, 7, 9], "timestamp": [5, 10, 20], "item_id": [3, 3, 4], "is_organic": [1, 0, 1]}
FRAMES = {
    "yambda": (YAMBDA, {("7", "3"): 2, ("9", "4"): 1}),
    "listenbrainz": (
        {"listened_at": [1241478537] * 3, "user_id": [1, 1, 2], "artist_name": ["Muse", "muse", "Björk"]},
        {("1", "muse"): 2, ("2", "björk"): 1},
    ),
    "ratings": (
        {"user": ["a", "b"], "item": ["x", "y"], "rating": [3.5, 4.0]},
        {("a", "x"): 3.5, ("b", "y"): 4},
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_parquet_is_inspected_and_read_by_its_schema(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    columns, wanted = FRAMES[name]
    pq.write_table(pa.table(columns), "listens.parquet")
    found = json.loads(run("inspect", "listens.parquet", "--json"))
    assert (found["format"], [column["name"] for column in found["columns"]]) == ("parquet", list(columns))
    assert len(found["rows"]) == len(next(iter(columns.values())))
    run(*shlex.split(found["command"])[1:])
    assert values_of(Dataset("listens.dataset")) == wanted
    if name in FORMATS:
        dataset = ingest("listens.parquet", "named.dataset", IngestOptions(SchemaOptions(format=name)))
        assert values_of(dataset) == wanted
        assert (dataset.path / layout.FIRST_LISTEN).exists()


def test_a_format_of_parquet_refuses_text(tmp_path):
    (tmp_path / "log.tsv").write_text("7\t3\n")
    with pytest.raises(BadInputError, match="parquet"):
        ingest(tmp_path / "log.tsv", tmp_path / "x.dataset", IngestOptions(SchemaOptions(format="yambda")))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_inspect_tells_encodings_and_looks_into_packed_files(tmp_path, monkeypatch, encoding):
    monkeypatch.chdir(tmp_path)
    text = "user,artist,plays\r\nann,Björk,3\r\nbob,Sigur Rós,4\r\n"
    Path("log.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    found = json.loads(run("inspect", "log.csv.gz", "--json"))
    assert found["encoding"] == {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}.get(encoding, encoding)
    run(*shlex.split(found["command"])[1:])
    assert values_of(Dataset("log.dataset")) == {("ann", "björk"): 3, ("bob", "sigur rós"): 4}


def test_inspect_shows_times_by_the_calendar(tmp_path):
    path = tmp_path / "listens.csv"
    path.write_text("time,user,artist\n1705573440,u,Muse\n-86400,u,Muse\n")
    assert "2024-01-18T10:24:00.000Z" in run("inspect", str(path))
    assert "1969-12-31T00:00:00.000Z" in run("inspect", str(path))
    assert json.loads(run("inspect", str(path), "--json"))["rows"][0]["time"] == 1_705_573_440_000
