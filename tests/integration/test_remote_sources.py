"""Remote sources against real servers: S3 (moto's) and HTTP, by `sources`, and by the whole embedded ingest."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("aiohttp", reason="the extra cluster-test is not installed")

from clusters import cluster
from command_line import run
from jobs import fingerprint
from servers import CREDENTIALS, s3_server, web_server

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.inspection import inspect
from lastfm_dask.sources import files as sources

LINES = b"".join(b"user%03d\t\tartist %d\t%d\n" % (i // 40, i % 97, i % 50 + 1) for i in range(8000))


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def tarred(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    pytest.importorskip("moto", reason="the extra cluster-test is not installed")
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """A bucket with a few logs, reached by the environment alone, as a pod would."""
    import fsspec

    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3")
    fs.invalidate_cache()
    if not fs.exists("logs"):
        fs.mkdir("logs")
    fs.pipe({"logs/year/b.tsv": LINES[:5000], "logs/year/a.tsv": LINES, "logs/year/note.txt": b"x"})
    fs.pipe({"logs/packed.tsv.gz": gzip.compress(LINES), "logs/odd[1].tsv": LINES})
    return "s3://logs"


@pytest.fixture
def web():
    with web_server({"log.tsv": LINES, "empty.tsv": b"", "log.tsv.gz": gzip.compress(LINES)}) as server:
        yield server


def ranges_agree(path, data):
    random.seed(0)
    with sources.open_ranges(path) as read:
        places = [(random.randrange(len(data)), random.randrange(1, 20000)) for _ in range(10)]
        for offset, n_bytes in [(0, len(data)), (0, 1), (len(data), 10), (len(data) + 99, 10), *places]:
            got = read(offset, n_bytes)
            assert isinstance(got, bytearray)
            assert got == data[offset : offset + n_bytes], (offset, n_bytes)


def test_s3_is_found_listed_and_read_by_ranges(bucket):
    found = sources.find([f"{bucket}/year/*.tsv"])
    assert [(file.path, file.size_bytes) for file in found] == [
        (f"{bucket}/year/a.tsv", len(LINES)),
        (f"{bucket}/year/b.tsv", 5000),
    ]
    assert all(file.version for file in found)
    ranges_agree(f"{bucket}/year/a.tsv", LINES)
    # A name that looks like a pattern is taken as it is where it exists.
    assert sources.find([f"{bucket}/odd[1].tsv"])[0].size_bytes == len(LINES)


def test_s3_a_file_that_was_replaced_is_seen_and_read_anew(bucket):
    import fsspec

    before = sources.find([f"{bucket}/year/b.tsv"])[0]
    fsspec.filesystem("s3").pipe("logs/year/b.tsv", LINES[:7000])
    after = sources.find([f"{bucket}/year/b.tsv"])[0]
    assert (after.size_bytes, after.version != before.version) == (7000, True)
    ranges_agree(f"{bucket}/year/b.tsv", LINES[:7000])


def test_s3_streams_a_compressed_file(bucket):
    (file,) = sources.find([f"{bucket}/packed.tsv.gz"])
    assert file.compression == "gzip"
    with sources.open_stream(file) as stream:
        assert stream.read() == LINES


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://logs/year/none.tsv", "does not exist"),
        ("s3://nowhere/log.tsv", "does not exist"),
        ("s3://logs/none/*.tsv", "nothing there matches"),
        ("s3://logs/year", "is a folder"),
    ],
)
def test_s3_what_is_missing_is_said_with_its_place(bucket, path, message):
    with pytest.raises(BadInputError, match=message) as caught:
        sources.find([path])
    assert str(caught.value).startswith(path)


def test_s3_without_credentials_or_server_the_next_step_is_named(bucket, monkeypatch):
    import fsspec

    # Its own instance: the file system object of the other tests has its credentials already.
    monkeypatch.setattr(
        "fsspec.filesystem", lambda _: fsspec.get_filesystem_class("s3")(skip_instance_cache=True)
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BadInputError, match=r"s3://logs/year/a\.tsv .*redentials"):
        sources.find([f"{bucket}/year/a.tsv"])


def test_http_is_read_by_ranges_that_the_server_is_seen_to_honour(web):
    (file,) = sources.find([web.url("log.tsv")])
    assert (file.size_bytes, bool(file.version)) == (len(LINES), True)
    ranges_agree(file.path, LINES)
    assert web.requests
    assert all(wanted for _, wanted in web.requests)


def test_http_a_server_without_ranges_is_refused_before_its_file_is_taken(web):
    web.honours_ranges = False
    web.files["log.tsv"] = LINES * 200
    with pytest.raises(BadInputError, match=r"does not honour ranges.*download it"):
        sources.find([web.url("log.tsv")])
    # What is under way in the sockets' buffers can't be taken back.
    assert web.sent_bytes < len(LINES) * 200


def test_http_lists_nothing_so_a_pattern_is_refused_with_that_word(web):
    with pytest.raises(BadInputError, match="name each file"):
        sources.find([web.url("*.tsv")])


def test_http_failures_that_pass_are_tried_again_and_broken_answers_never_taken(web):
    web.n_failures = 2
    assert sources.find([web.url("log.tsv")])[0].size_bytes == len(LINES)
    web.cuts = 2
    with sources.open_ranges(web.url("log.tsv")) as read:
        assert read(10, 100_000) == LINES[10:100_010]


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("none.tsv", None, "does not exist"),
        ("log.tsv", 403, "may not be read .*403"),
        ("log.tsv", 401, "may not be read .*401"),
        ("log.tsv", 418, "can't be read: .*418"),
    ],
)
def test_http_what_is_missing_or_forbidden_is_said_with_its_place(web, name, status, message):
    if status:
        web.status[name] = status
    with pytest.raises(BadInputError, match=message) as caught:
        sources.find([web.url(name)])
    assert str(caught.value).startswith(web.url(name))


def test_http_an_empty_file_is_empty_and_a_compressed_one_streams(web):
    with pytest.raises(BadInputError, match="empty"):
        sources.find([web.url("empty.tsv")])
    (file,) = sources.find([web.url("log.tsv.gz") + "?signature=abc"])
    assert file.compression == "gzip"
    with sources.open_stream(file) as stream:
        assert stream.read() == LINES


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same log on the disk, and what ingest makes of it."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "log.tsv").write_bytes(LINES)
    run("ingest", folder / "log.tsv", "-o", folder / "log.dataset", "--json")
    return fingerprint(folder / "log.dataset")


def test_ingest_from_s3_and_http_embedded_and_on_a_cluster_gives_the_local_files_bytes(
    bucket, endpoint, web, local, tmp_path
):
    env = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
    places = {"s3": f"{bucket}/year/a.tsv", "http": web.url("log.tsv")}
    with cluster(tmp_path / "cluster", env=env) as it:
        for name, place in places.items():
            for engine, options in {"embedded": (), "cluster": ("--scheduler", it.address)}.items():
                output = tmp_path / f"{name}-{engine}.dataset"
                run("ingest", place, "-o", output, "--block-size", "32KiB", "--json", *options, env=env)
                assert fingerprint(output) == local, (name, engine)


@pytest.fixture(scope="module")
def columns():
    """The rows of the log as Parquet and as an Arrow file, in many row groups."""
    rows = [line.split("\t") for line in LINES.decode().splitlines()]
    users, _, artists, plays = zip(*rows, strict=True)
    table = pa.table({"uid": users, "x": [0] * len(rows), "artist": artists, "n": [*map(int, plays)]})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=700)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return {"log.parquet": parquet.getvalue(), "log.arrow": arrow.getvalue()}


NAMED = ("--columns", "user=uid,artist=artist,plays=n")


def test_columns_behind_an_address_give_the_bytes_of_the_local_text(
    bucket, endpoint, web, local, columns, tmp_path
):
    import fsspec

    fsspec.filesystem("s3").pipe({"logs/columns/log.parquet": columns["log.parquet"]})
    web.files |= columns
    env = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
    with cluster(tmp_path / "cluster", env=env) as it:
        on_cluster = ("--scheduler", it.address)
        for number, (place, engine) in enumerate(
            (
                (f"{bucket}/columns", on_cluster),
                (f"{bucket}/columns/*.parquet", ()),
                (web.url("log.parquet"), on_cluster),
                (web.url("log.arrow"), ()),
            )
        ):
            output = tmp_path / f"{number}.dataset"
            run("ingest", place, "-o", output, *NAMED, "--block-size", 32_000, "--json", *engine, env=env)
            assert fingerprint(output) == local, (place, engine)


def test_inspect_looks_behind_addresses_and_into_archives(bucket, web, columns, tmp_path):
    web.files |= {"log.parquet": columns["log.parquet"], "log.zip": zipped("a/log.tsv", LINES)}
    (tmp_path / "log.zip").write_bytes(web.files["log.zip"])
    (tmp_path / "log.tar.gz").write_bytes(tarred("d/user_artists.dat", LINES))
    on_disk = [str(tmp_path / name) for name in ("log.zip", "log.tar.gz")]
    for place in (
        f"{bucket}/year/*.tsv",
        f"{bucket}/packed.tsv.gz",
        web.url("log.parquet"),
        web.url("log.zip"),
        *on_disk,
    ):
        found = inspect(sources.find([place]), place)
        assert found.path == place
        assert len(found.rows) == 10
        assert list(found.rows[0].values())[:3] == ["user000", "artist 0", 1]


@pytest.mark.slow
def test_workers_that_may_not_read_the_source_are_named_before_any_work(bucket, endpoint, tmp_path):
    # The driver has credentials and an endpoint; the workers were started without.
    hidden = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": endpoint,
    }
    hidden |= {
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    with cluster(tmp_path / "cluster", n_workers=1, env=hidden) as it:
        said = run(
            "ingest",
            f"{bucket}/year/a.tsv",
            "-o",
            tmp_path / "log.dataset",
            "--scheduler",
            it.address,
            code=7,
            env={**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint},
        ).stderr
    assert "can't see the source" in said
    assert "credentials" in said
    assert not (tmp_path / "log.dataset").exists()
