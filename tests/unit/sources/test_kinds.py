"""Files that are not logs: recognized by their first bytes, as libraries write them, and never taken for text."""

from __future__ import annotations

import gzip
import io
import pickle
import sqlite3
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.interactions.inspection import inspect
from lastfm_dask.sources.files import find
from lastfm_dask.sources.kinds import binary_kind, text_kind

if TYPE_CHECKING:
    from pathlib import Path

ROWS = b"u1,muse,3\nu2,air,4\n"
TABLE = pa.table({"user": ["a", "b"], "artist": ["x", "y"], "plays": [1, 2]})


def written(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    def write(buffer):
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, ROWS)

    return written(write)


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "made.db") as connection:
        connection.execute("create table plays (user, artist, plays)")
    connection.close()
    return (folder / "made.db").read_bytes()


def tarred(buffer) -> None:
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("plays.csv")
        entry.size = len(ROWS)
        archive.addfile(entry, io.BytesIO(ROWS))


BINARY = {
    "npy": (written(lambda buffer: np.save(buffer, np.arange(9))), "a NumPy array"),
    "npz": (written(lambda buffer: np.savez(buffer, a=np.arange(9))), "an archive of NumPy arrays"),
    "orc": (written(lambda buffer: pa.orc.write_table(TABLE, buffer)), "an ORC file"),
    "xlsx": (zipped("[Content_Types].xml"), "an Excel workbook"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old Excel"),
    "avro": (b"Obj\x01\x04\x14avro.codec", "an Avro file"),
    "pickle": (pickle.dumps({"user": ["a"]}), "a Python pickle"),
    "old pickle": (pickle.dumps(["a"], protocol=2), "a Python pickle"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "pdf": (b"%PDF-1.7\n1 0 obj\n", "a PDF"),
    "gzip": (gzip.compress(ROWS), ".gz"),
    "zip": (zipped("plays.csv"), ".zip"),
    "tar": (written(tarred), ".tar"),
    "parquet.gz": (gzip.compress(written(lambda buffer: pq.write_table(TABLE, buffer))), "a Parquet file"),
}
TEXT = {
    "html": (b"\n<!DOCTYPE html>\n<html><body>Not found, sorry, 404</body></html>\n", "a web page"),
    "xml": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<lfm status="ok">\n', "XML"),
    "json": (
        b'[{"user": "a", "artist": "x", "plays": 1}, {"user": "b", "artist": "y", "plays": 2}]',
        "jq -c '.[]'",
    ),
    "long.json": (b'[\n  {\n    "user": "a",\n    "artist": "x"\n  }\n]\n', "jq -c '.[]'"),
    "object.json": (b'{\n  "user": "a"\n}\n', "jq -c ."),
}


@pytest.mark.parametrize("ending", BINARY)
def test_a_binary_file_is_refused_with_what_it_is_and_what_to_do(tmp_path, ending):
    data, words = BINARY[ending]
    path = tmp_path / f"log.{ending if ending.endswith('.gz') else 'dat'}"
    path.write_bytes(data)
    for look in (lambda files: resolve(files, SchemaOptions()), inspect):
        with pytest.raises(BadInputError, match="log") as caught:
            look(find([path]))
        assert words in str(caught.value)


def test_a_database_is_refused(tmp_path):
    assert "sqlite3 -csv" in binary_kind(database(tmp_path))


@pytest.mark.parametrize("ending", TEXT)
def test_a_text_that_holds_no_rows_is_not_proposed_as_rows(tmp_path, ending):
    data, words = TEXT[ending]
    (tmp_path / "log.txt").write_bytes(data)
    with pytest.raises(BadInputError) as caught:
        inspect(find([tmp_path / "log.txt"]))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "name", [b"PK", b"Object", b"ORCHID", b"BZhang", b"%PDF", b"[unknown]", b"<html", b"RDX", b"{a}"]
)
def test_names_that_begin_like_another_kind_are_text(name):
    row = name + b"\tmuse\t3\n"
    assert binary_kind(row) == ""
    assert text_kind(row) == "" or name == b"<html"
