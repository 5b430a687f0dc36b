"""`lastfm-dask ingest` as people run it: every kind of source and option, what it prints, and how it refuses."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import zstandard
from command_line import fail, succeed, succeed_json
from ingesting import lines
from reference import map_rows, read_log, reject_lines

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.interactions.formats import FORMATS
from lastfm_dask.sources.archives import ARCHIVE_MEMBER

if TYPE_CHECKING:
    from pathlib import Path

STATISTICS = [
    "rows_read",
    "rows_kept",
    "rejects",
    "users",
    "artists",
    "nnz",
    "plays_total",
    "played_once",
    "dense_bytes",
    "csr_bytes",
    "top_artists",
    "artists_per_user",
    "median_plays_per_user",
]
LOG = b"".join(lines())


def archive(member: str, data: bytes, mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        for name, content in (("lastfm/README.txt", b"hello"), (member, data)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A dataset of LOG, read as it is."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "log.tsv").write_bytes(LOG)
    succeed("ingest", folder / "log.tsv", "-o", folder / "log.dataset")
    return folder / "log.dataset"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_plain_log_becomes_what_dictionaries_hold(plain):
    dataset = Dataset(plain)
    schema = FORMATS["lastfm-360k"]
    mapped = map_rows(read_log(LOG, schema).rows, schema)
    assert dataset.users.names(range(dataset.n_users)) == list(mapped.users)
    assert dataset.artists.names(range(dataset.n_artists)) == list(mapped.artists)
    indptr, indices, data = mapped.csr()
    matrix = dataset.user_items
    assert (matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()) == (indptr, indices, data)
    assert names_in(plain.parent) == {"log.tsv", "log.dataset"}
    assert succeed("verify", plain)


PACKED = {
    "log.tsv.gz": gzip.compress(LOG),
    "log.two.gz": gzip.compress(LOG[:1000]) + gzip.compress(LOG[1000:]),
    "log.tsv.bz2": bz2.compress(LOG),
    "log.zst": zstandard.compress(LOG),
    "log.frames.zst": zstandard.compress(LOG[:777]) + zstandard.compress(LOG[777:]),
    "published.tar.gz": archive(f"lastfm-dataset-360K/{ARCHIVE_MEMBER}", LOG),
    "published.tgz": archive(ARCHIVE_MEMBER, LOG),
    "published.tar": archive(f"a/b/{ARCHIVE_MEMBER}", LOG, "w"),
    "published.tar.bz2": archive(f"./{ARCHIVE_MEMBER}", LOG, "w:bz2"),
}


OFTEN = (
    "log.two.gz",
    "log.frames.zst",
    "published.tar.gz",
    "missing",
    "no match",
    "empty",
    "no row",
    "no log inside",
)
"""The others are slow only in their number: what they call has tests of its own."""


def some_slow(names):
    return [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some_slow(PACKED))
def test_packed_logs_give_the_same_bytes_as_plain_ones(plain, tmp_path, name):
    (tmp_path / name).write_bytes(PACKED[name])
    found = succeed_json(
        "ingest", tmp_path / name, "-o", tmp_path / "x", "--block-size", 9000, "--threads", 2
    )
    assert found["fingerprint"] == Dataset(plain).fingerprint
    assert names_in(tmp_path) == {name, "x"}


def test_the_same_bytes_for_any_blocks_and_threads(tmp_path):
    data = (
        LOG[: len(LOG) // 2] + b"bad\n" + LOG[len(LOG) // 2 :] + b"\xff\t\ta\t1\nz\t\ta\t1\r\n" + LOG[:5000]
    )
    (tmp_path / "log.tsv").write_bytes(data)
    names = [*layout.DATASET.identity, layout.REJECTS]
    found = []
    for number, (size, threads) in enumerate((("16MiB", 1), ("3000", 2), ("777", 3))):
        succeed("ingest", "log.tsv", "-o", number, "--block-size", size, "--threads", threads, cwd=tmp_path)
        found.append([(tmp_path / str(number) / name).read_bytes() for name in names])
    assert found[0] == found[1] == found[2]
    assert found[0][-1].count(b"\n") == 3


def test_index_keeps_to_its_projection_however_many_blocks_hold_few_names(tmp_path):
    lines = b"".join(b"u%04d\t\ta%03d\t1\n" % (i // 16, i % 16) for i in range(16_000))
    (tmp_path / "log.tsv").write_bytes(lines)
    found = succeed_json("ingest", "log.tsv", "-o", "x", "--block-size", 180, cwd=tmp_path)
    stage = next(stage for stage in found["stages"] if stage["stage"] == "index")
    assert stage["measured_bytes"] <= stage["projected_bytes"]


def test_globs_and_several_files_are_one_source_in_order(plain, tmp_path):
    cut = LOG.index(b"\n", len(LOG) // 2) + 1
    for name, part in (("b1.tsv", LOG[:cut]), ("b2.tsv", LOG[cut:]), ("b0.tsv", b"")):
        (tmp_path / name).write_bytes(part)
    (tmp_path / "b2.gz").write_bytes(gzip.compress(LOG[cut:]))
    wanted = Dataset(plain).fingerprint
    sources = [["b*.tsv"], ["b1.tsv", "b2.tsv"], ["b0.tsv", "b1.tsv", "b2.gz"]]
    for number, source in enumerate(sources):
        found = succeed_json("ingest", *source, "-o", f"{number}.dataset", cwd=tmp_path)
        assert found["fingerprint"] == wanted
        assert sum(found["reconciliation"]["lines"].values()) == found["rows_read"]
    swapped = succeed_json("ingest", "b2.tsv", "b1.tsv", "-o", "other.dataset", cwd=tmp_path)
    assert swapped["fingerprint"] != wanted
    assert swapped["plays_total"] == Dataset(plain).statistics["plays_total"]


def test_other_columns_delimiters_headers_and_case(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"plays;who;x;by\n3;ann;;Die \xc3\x84rzte\n4;bob;y;die \xc3\xa4rzte\n")
    layout_options = ("--columns", "plays,user,-,artist", "--delimiter", ";", "--header")
    found = succeed_json("ingest", "log.csv", "-o", "lower", *layout_options, cwd=tmp_path)
    assert (found["users"], found["artists"], found["plays_total"], found["rejects"]) == (2, 1, 7, {})
    found = succeed_json("ingest", "log.csv", "-o", "kept", *layout_options, "--keep-case", cwd=tmp_path)
    assert [artist["artist"] for artist in found["top_artists"]] == ["Die Ärzte", "die ärzte"]
    no_header = [*layout_options[:-1], "--no-header"]
    found = succeed_json("ingest", "log.csv", "-o", "row", *no_header, cwd=tmp_path)
    assert found["rejects"] == {"plays_not_a_number": 1}


def test_hetrec_shows_names_and_keeps_them_apart(tmp_path):
    (tmp_path / "user_artists.dat").write_bytes(
        b"userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t5\r\n3\t51\t7\r\n3\t53\t1\r\n4\t9\t1\r\n"
    )
    (tmp_path / "artists.dat").write_bytes(
        b"id\tname\turl\n51\tDuran Duran\tx\n52\tMorcheeba\ty\n53\tduran duran\tz\n"
    )
    arguments = ("ingest", "user_artists.dat", "--format", "hetrec-2k")
    found = succeed_json(*arguments, "-o", "x", "--artist-names", "artists.dat", cwd=tmp_path)
    dataset = Dataset(tmp_path / "x")
    names = dataset.artists.names(range(4))
    assert names == ["duran duran", "morcheeba", "duran duran (53)", "9"]
    assert found["reconciliation"]["n_users_not_sha1"] == 3
    succeed(*arguments, "-o", "ids", cwd=tmp_path)
    assert Dataset(tmp_path / "ids").artists.names(range(4)) == ["51", "52", "53", "9"]
    said = fail(3, *arguments, "-o", "y", "--artist-names", "missing.dat", cwd=tmp_path)
    assert "missing.dat" in said


def test_the_most_frequent_mbid_is_kept(tmp_path):
    schema = FORMATS["lastfm-360k"]
    (tmp_path / "log.tsv").write_bytes(LOG)
    found = succeed_json("ingest", "log.tsv", "-o", "x", "--with-mbid", "--block-size", 5000, cwd=tmp_path)
    schema = replace(schema, with_mbid=True)
    mapped = map_rows(read_log(LOG, schema).rows, schema)
    table = pq.read_table(tmp_path / "x" / layout.ARTISTS).to_pydict()
    wanted = [mapped.mbid_of(artist) for artist in range(len(mapped.artists))]
    assert list(zip(table["mbid"], table["n_mbids"], strict=True)) == wanted
    assert found["reconciliation"]["n_artists_with_several_mbids"] == sum(n > 1 for _, n in wanted)


def test_rejected_rows_are_kept_beside_the_data_counted_and_bounded(tmp_path):
    data = (
        LOG
        + b"one\ttwo\n\t\tbj\xc3\xb6rk\t3\n\xff\t\ta\t3\nu\t\t\t3\nu\t\ta\tmany\nu\t\ta\t0\n"
        + b"x" * 3_000_000
    )
    (tmp_path / "log.tsv").write_bytes(data)
    wanted = read_log(data, FORMATS["lastfm-360k"])
    found = succeed_json("ingest", "log.tsv", "-o", "x", cwd=tmp_path)
    assert len(found["rejects"]) == len(wanted.rejects) == 7
    assert found["rows_read"] == found["rows_kept"] + sum(found["rejects"].values()) == wanted.n_lines
    assert (tmp_path / "x" / layout.REJECTS).read_bytes() == reject_lines([("log.tsv", wanted)])
    succeed("ingest", "log.tsv", "-o", "y", "--max-rejects", 7, cwd=tmp_path)
    for options in (("--max-rejects", 6), ("--strict",)):
        said = fail(3, "ingest", "log.tsv", "-o", "z", *options, cwd=tmp_path)
        assert f"log.tsv, line {wanted.rejects[0][0]}: field_count" in said
        assert "7 of" in said
    assert names_in(tmp_path) == {"log.tsv", "x", "y"}


def test_json_has_the_keys_that_are_promised(plain):
    found = succeed_json("ingest", plain.parent / "log.tsv", "-o", plain.parent / "json.dataset")
    assert set(STATISTICS) <= set(found)
    stages = [stage["stage"] for stage in found["stages"]]
    assert stages == ["scan", "index", "assemble", "summarize", "publish"]
    keys = {"stage", "wall_s", "reserved_bytes", "projected_bytes", "measured_bytes", "file_bytes"}
    assert all(keys <= set(stage) for stage in found["stages"])
    summary = found["reconciliation"]
    assert summary["rows_read"] == summary["rows_kept"] + sum(summary["rejects"].values())
    assert summary["nnz"] == summary["rows_kept"] + summary["rows_added"] - summary["rows_summed"]
    assert found["allowed_bytes"] > max(stage["measured_bytes"] for stage in found["stages"])
    (plain.parent / "json.dataset").rename(plain.parent.parent / "json.moved")


def test_text_shows_the_reconciliation_and_where_the_dataset_is(tmp_path):
    (tmp_path / "log.tsv").write_bytes(b"sep 20, 2008\t\ta\t5\n" + LOG + b"bad\n")
    said = succeed("ingest", "log.tsv", "-o", "x", cwd=tmp_path)
    for words in (
        "rows read",
        "field_count",
        "rows kept",
        "not SHA-1",
        "'sep 20, 2008' (1 rows)",
        "Wrote x",
    ):
        assert words in said


REFUSED = {
    "missing": (["missing.tsv"], ["missing.tsv"]),
    "a folder": (["."], ["folder"]),
    "no match": (["none-*.tsv"], ["none-*.tsv"]),
    "empty": (["empty.tsv"], ["empty.tsv", "empty"]),
    "empty inside": (["empty.gz"], ["empty.gz"]),
    "header alone": (["header.tsv", "--header"], ["header.tsv"]),
    "no row": (["bad.tsv"], ["line 1: field_count: b'only'", "line 3: empty_artist"]),
    "not packed": (["fake.gz"], ["fake.gz"]),
    "cut short": (["short.gz"], ["short.gz"]),
    "cut short archive": (["short.tar.gz"], ["short.tar.gz"]),
    "no log inside": (["other.tar.gz"], ["lastfm/README.txt", "other/log.tsv"]),
    "format": (["log.tsv", "--format", "cd"], ["cd", "hetrec-2k"]),
    "columns": (["log.tsv", "--columns", "user,plays"], ["artist"]),
    "likes alone": (["log.tsv", "--like", "u2"], ["--add-user"]),
    "odd user": (["log.tsv", "--add-user", "\udcff", "--like", "u2"], ["UTF-8"]),
}


@pytest.mark.parametrize("case", some_slow(REFUSED))
def test_what_cannot_be_read_exits_3_and_leaves_nothing(tmp_path, case):
    files = {
        "log.tsv": LOG,
        "empty.tsv": b"",
        "empty.gz": gzip.compress(b""),
        "header.tsv": b"user\tmbid\tartist\tplays\n",
        "bad.tsv": b"only\ntwo\there\nu\t\t\t5\n",
        "fake.gz": LOG,
        "short.gz": gzip.compress(LOG)[:-200],
        "short.tar.gz": archive(ARCHIVE_MEMBER, LOG)[:-200],
        "other.tar.gz": archive("other/log.tsv", LOG),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    arguments, words = REFUSED[case]
    said = fail(3, "ingest", *arguments, "-o", "x.dataset", cwd=tmp_path)
    for word in words:
        assert word in said
    assert names_in(tmp_path) == set(files)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_source_exits_3(tmp_path):
    (tmp_path / "log.tsv").write_bytes(LOG)
    (tmp_path / "log.tsv").chmod(0)
    assert "Permission denied" in fail(3, "ingest", "log.tsv", "-o", "x", cwd=tmp_path)


def test_an_output_that_is_there_or_has_no_folder_exits_5(plain, tmp_path):
    log = plain.parent / "log.tsv"
    before = (plain / layout.MANIFEST).read_bytes()
    assert "exists already" in fail(5, "ingest", log, "-o", plain)
    assert (plain / layout.MANIFEST).read_bytes() == before
    assert "missing" in fail(5, "ingest", log, "-o", tmp_path / "missing" / "x")
    (tmp_path / "file").write_text("x")
    fail(5, "ingest", log, "-o", tmp_path / "file" / "x")
    assert names_in(tmp_path) == {"file"}
    assert "--output" in fail(2, "ingest", log)


def test_names_of_files_may_be_any_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.tsv")
    (tmp_path / name).write_bytes(LOG + b"bad\n")
    found = succeed_json("ingest", name, "-o", "x", cwd=tmp_path)
    assert found["reconciliation"]["lines"] == {name: found["rows_read"]}
    assert Dataset(tmp_path / "x").manifest.content["source"]["files"][0]["path"] == name
    assert (tmp_path / "x" / layout.REJECTS).read_bytes().startswith(b"caf\xe9.tsv\t")
    assert names_in(tmp_path) == {name, "x"}
