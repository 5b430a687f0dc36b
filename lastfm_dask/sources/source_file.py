"""One file of a source: its place, size and version, and its compression by name. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

PARQUET, ARROW = "parquet", "arrow"
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz")
_ZSTD_ARCHIVES = (".tar.zst", ".tzst")
_ZIP = ".zip"
_NOT_READ = (".lzma", ".lz4", ".7z", ".rar")
"""Compressions that are not read: their bytes would look like lines, and an archive's headers like fields."""
COLUMNAR_ENDINGS = {
    ".parquet": PARQUET,
    ".parq": PARQUET,
    ".pq": PARQUET,
    ".arrow": ARROW,
    ".feather": ARROW,
    ".ipc": ARROW,
}
"""Suffixes of columnar files, and the kind that each means."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    Attributes
    ----------
    path : str
        A local path, or an address such as `s3://bucket/key`.
    size_bytes : int
        As stored, compressed or not.
    version : str
        Changes with the file: its modification time in nanoseconds, or its etag.
    compression : str
        Empty, or one of gzip, bzip2, xz, zstd, zip, tar, tar-zstd.
    label : str
        What to call it if it has no lasting path, as for a data frame.
    """

    path: str
    size_bytes: int
    version: str
    compression: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """The name shown to people."""
        return self.label or self.path


def is_remote(path: str) -> bool:
    """Whether a path is an address that fsspec serves."""
    return "://" in path


def compression_of(path: str) -> str:
    """Return a file's compression by its name; empty if there is none.

    Raises
    ------
    BadInputError
        If the name means a compression that is not supported.
    """
    name = path.lower()
    if name.endswith(_NOT_READ):
        read = ", ".join((*_COMPRESSIONS, _ZIP, *_ARCHIVES, *_ZSTD_ARCHIVES))
        msg = f"{path}: unsupported compression; {read} are read: unpack it first"
        raise BadInputError(msg, path=path)
    if name.endswith(_ARCHIVES):
        return "tar"
    if name.endswith(_ZSTD_ARCHIVES):
        return "tar-zstd"
    if name.endswith(_ZIP):
        return "zip"
    return next((kind for ending, kind in _COMPRESSIONS.items() if name.endswith(ending)), "")


def columnar_within(paths: Iterable[str], folder: str) -> list[str]:
    """Return the columnar files among those of a folder, sorted; names that begin with a dot or underscore are skipped.

    Raises
    ------
    BadInputError
        If there is none.
    """
    depth = len(folder.rstrip("/").split("/"))
    paths = sorted(paths)
    found = [
        path
        for path in paths
        if path.lower().endswith(tuple(COLUMNAR_ENDINGS))
        and not any(part.startswith((".", "_")) and "=" not in part for part in path.split("/")[depth:])
    ]
    if not found:
        endings = Counter(path.rsplit("/", 1)[-1].partition(".")[2] for path in paths)
        ending = next((ending for ending, _ in endings.most_common(1) if ending), "tsv")
        msg = (
            f"{folder} is a folder, and no file in this directory ends in {', '.join(COLUMNAR_ENDINGS)}: name the log's files,"
            f" as in {folder.rstrip('/')}/*.{ending}"
        )
        raise BadInputError(msg, path=folder)
    return found
