"""`verify`: right checksums, damage named, and a source compared with the published file and the recorded one."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from making import make_dataset, random_plays

from lastfm_dask.cli.verify import command
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import file_sha256
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.sources import published

if TYPE_CHECKING:
    from pathlib import Path

ROWS = b"u\t\tsigur r\xc3\xb3s\t5\n" * 1000


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "x.dataset", random_plays()).path


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_bytes(ROWS)
    return path


def verify(*arguments) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    if isinstance(result.exception, Exception):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def record_source(dataset: Path, *files: Path, **changes) -> None:
    """Write into a manifest what ingest records of its source."""
    path = dataset / layout.MANIFEST
    manifest = json.loads(path.read_text())
    entries = [
        {"path": str(file), "size_bytes": file.stat().st_size, "version": str(file.stat().st_mtime_ns)}
        | changes
        for file in files
    ]
    manifest["content"]["source"] = {"files": entries}
    # As of an older version, whose manifests have no checksum of themselves.
    del manifest["checksum"]
    path.write_text(json.dumps(manifest))


def publish_instead(monkeypatch, **files: bytes) -> None:
    """Let the published log and archive be our files: the real ones can't be part of a test."""
    log, archive = files.get("log", b"?"), files.get("archive", b"?")
    known = (
        published.PublishedFile(published.LOG.name, hashlib.md5(log).hexdigest()),
        published.PublishedFile(published.ARCHIVE.name, hashlib.md5(archive).hexdigest(), len(archive)),
    )
    monkeypatch.setattr(published, "FILES", known)


def test_a_whole_dataset_verifies(dataset):
    found = json.loads(verify(dataset, "--json"))
    assert {file["file"] for file in found["files"]} == set(layout.DATASET.files)
    assert all(file["sha256"] == file_sha256(dataset / file["file"]) for file in found["files"])
    assert "every checksum matches" in verify(dataset)


@pytest.mark.parametrize("name", layout.DATASET.files)
def test_one_changed_byte_anywhere_is_found(dataset, name):
    path = dataset / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=f"{name} has other bytes"):
        verify(dataset)


def test_a_source_alone_is_hashed(log):
    found = json.loads(verify("--source", log, "--json"))["source"]
    assert found == {
        "path": str(log),
        "size_bytes": len(ROWS),
        "md5": hashlib.md5(ROWS).hexdigest(),
        "sha256": hashlib.sha256(ROWS).hexdigest(),
        "log_md5": None,
        "published": None,
    }
    assert "not a published file" in verify("--source", log)


def test_the_published_log_is_known_plain_and_packed(log, tmp_path, monkeypatch):
    publish_instead(monkeypatch, log=ROWS)
    assert f"This is the published {published.ARCHIVE_MEMBER}" in verify("--source", log)
    packed = tmp_path / "log.tsv.gz"
    packed.write_bytes(gzip.compress(ROWS))
    assert f"The log inside is the published {published.ARCHIVE_MEMBER}" in verify("--source", packed)
    archive = tmp_path / "mine.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(log, f"folder/{published.ARCHIVE_MEMBER}")
    assert (
        json.loads(verify("--source", archive, "--json"))["source"]["published"] == published.ARCHIVE_MEMBER
    )


def test_a_damaged_or_short_archive_is_refused(tmp_path, monkeypatch):
    publish_instead(monkeypatch, archive=ROWS)
    (tmp_path / "other.bin").write_bytes(ROWS[::-1])
    with pytest.raises(BadInputError, match=r"damaged or incomplete.*fetch it again"):
        verify("--source", tmp_path / "other.bin")
    short = tmp_path / published.ARCHIVE.name
    short.write_bytes(gzip.compress(ROWS)[:-20])
    with pytest.raises(BadInputError, match=r"damaged or incomplete.*fetch it again"):
        verify("--source", short)
    short.write_bytes(ROWS)
    assert "This is the published" in verify("--source", short)


def test_the_recorded_source_is_compared(dataset, log):
    record_source(dataset, log)
    assert "the size and the modification time" in verify(dataset, "--source", log)
    os.utime(log, (1, 1))
    assert "the size but not the modification time" in verify(dataset, "--source", log)
    recorded = json.loads(verify(dataset, "--source", log, "--json"))["source"]["recorded"]
    assert (recorded["size_bytes"], recorded["same_version"]) == (len(ROWS), False)
    log.write_bytes(ROWS * 2)
    with pytest.raises(BadInputError, match=rf"has {2 * len(ROWS)} bytes, but .* had {len(ROWS)}"):
        verify(dataset, "--source", log)


def test_another_source_than_the_recorded_is_refused(dataset, log, tmp_path):
    record_source(dataset, log)
    other = tmp_path / "other.tsv"
    other.write_bytes(ROWS)
    with pytest.raises(BadInputError, match=r"not a file that the dataset was made of: .*log\.tsv"):
        verify(dataset, "--source", other)


def test_a_directory_without_a_record_says_nothing_of_it(dataset, log):
    assert json.loads(verify(dataset, "--source", log, "--json"))["source"]["recorded"] is None


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nothing_to_verify_is_wrong_usage(arguments):
    assert CliRunner().invoke(command, arguments).exit_code == 2


def test_a_missing_or_remote_source_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="can't be read"):
        verify("--source", tmp_path / "nothing.tsv")
    with pytest.raises(BadInputError, match="name one file on this machine"):
        verify("--source", "s3://bucket/log.tsv")


def test_a_damaged_compressed_log_is_named(tmp_path):
    path = tmp_path / "log.tsv.gz"
    path.write_bytes(gzip.compress(ROWS)[:-20])
    with pytest.raises(BadInputError, match=r"log\.tsv\.gz can't be unpacked.*fetch it again"):
        verify("--source", path)
