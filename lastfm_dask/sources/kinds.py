"""File kinds that are not read, recognized by their first bytes, and what to do about each. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from lastfm_dask.sources.source_file import SourceFile

HEAD_BYTES = 512
"""How many of a file's first bytes are needed to recognize its kind."""
_TO_PARQUET = "write its columns as Parquet or as text first"
_BY_NAME = "add the ending {0} to its name, by which it is unpacked"
_BINARY = (
    (rb"PAR1", "a Parquet file", "unpack it first: Parquet compresses by itself and is read by ranges"),
    (rb"ARROW1\0", "an Arrow file", "unpack it first: it is read by ranges"),
    (rb"PARE", "an encrypted Parquet file", "write it without encryption first"),
    (rb"FEA1", "a Feather file of version 1", "write it again as version 2 (pyarrow.feather.write_feather)"),
    (
        rb"\xff\xff\xff\xff",
        "an Arrow stream, which can't be read at several places at once",
        "write it as an Arrow file (pyarrow.ipc.new_file) or as Parquet",
    ),
    (rb"\x93NUMPY", "a NumPy array", _TO_PARQUET),
    (
        rb"PK\x03\x04(?s:.*)(\[Content_Types\]\.xml|xl/)",
        "an Excel workbook",
        "save the sheet as CSV UTF-8 first",
    ),
    (rb"PK\x03\x04(?s:.*)\.npy", "an archive of NumPy arrays", _TO_PARQUET),
    (rb"PK\x03\x04", "a zip archive", _BY_NAME.format(".zip")),
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel or Office file",
        "save the sheet as CSV UTF-8 first",
    ),
    (rb"ORC(?s:.*)[\0-\x08]", "an ORC file", f"{_TO_PARQUET} (pyarrow.orc.read_table)"),
    (rb"Obj\x01", "an Avro file", _TO_PARQUET),
    (rb"SQLite format 3\0", "an SQLite database", "export the table as CSV first (sqlite3 -csv -header)"),
    (rb"\x80[\x02-\x05][\x80-\xffKX}\](c]", "a Python pickle", "write the frame with its to_parquet first"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _TO_PARQUET),
    (rb"RDX[23]\n", "a file of R", "write the data frame with write.csv first"),
    (rb"%PDF-", "a PDF document", "fetch the table itself, as text"),
    (rb"\x1f\x8b\x08", "compressed with gzip", _BY_NAME.format(".gz (.tar.gz for an archive)")),
    (rb"BZh[1-9]1AY&SY", "compressed with bzip2", _BY_NAME.format(".bz2")),
    (rb"\xfd7zXZ\0", "compressed with xz", _BY_NAME.format(".xz")),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd", _BY_NAME.format(".zst")),
    (rb"\x04\x22\x4d\x18", "compressed with lz4", "unpack it first"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (rb"Rar!\x1a\x07", "a rar archive", "unpack it first"),
    (rb"(?s:.{257})ustar", "a tar archive", _BY_NAME.format(".tar")),
)
_SPACE = rb"(\xef\xbb\xbf)?\s*"
_TEXT = (
    (_SPACE + rb"<(!doctype html|html)\b", "a web page", "a download may have failed: fetch the file itself"),
    (_SPACE + rb"<\?xml\b", "XML", "write one row a line first, as text or JSON lines"),
    (
        _SPACE + rb"\[\s*([{\[]|\Z)",
        "one JSON array",
        "write one object a line first (jq -c '.[]' FILE > FILE.jsonl)",
    ),
    (
        _SPACE + rb"\{\s*\n",
        "JSON over several lines",
        "write one object a line first (jq -c . FILE > FILE.jsonl)",
    ),
)


def binary_kind(head: bytes) -> str:
    """Return what a file is and what to do if its first bytes are not text; otherwise an empty string."""
    return _found(_BINARY, head)


def refuse_binary(file: SourceFile, head: bytes) -> None:
    """Raise BadInputError if a file's first bytes, unpacked, are not text."""
    if kind := binary_kind(head):
        msg = f"{file.path} {'holds' if file.compression else 'is'} {kind}"
        raise BadInputError(msg, path=file.path)


def text_kind(head: bytes) -> str:
    """Return what a text is and what to do if it does not look like rows; otherwise an empty string."""
    return _found(_TEXT, head)


def _found(kinds: tuple[tuple[bytes, str, str], ...], head: bytes) -> str:
    return next(
        (
            f"{what}: {remedy}"
            for pattern, what, remedy in kinds
            if re.match(pattern, head[:HEAD_BYTES], re.IGNORECASE if kinds is _TEXT else 0)
        ),
        "",
    )
