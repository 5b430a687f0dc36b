"""Names shown in place of artist ids, from a file beside the log such as HetRec's `artists.dat`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.headers import marked_encoding
from lastfm_dask.interactions.names import lower
from lastfm_dask.interactions.schema import UTF8

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.ingestion.names import Names


def read_names(path: Path, delimiter: str, *, keep_case: bool, encoding: str = UTF8) -> dict[str, str]:
    """Return the names by id that a file's lines give in their first two fields; a header is harmless.

    A file with tabs in most of its lines is split at tabs, whatever the log's delimiter is. In a file with commas,
    fields may be quoted.

    Raises
    ------
    BadInputError
        If the file can't be read, is of another encoding, or no line has an id and a name.
    """
    names = {}
    try:
        data = path.read_bytes()
        text = data.decode(marked_encoding(data) or encoding).removeprefix("\ufeff")
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror}; --artist-names expects a file of artist ids and names"
        raise BadInputError(msg, path=str(path)) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not {encoding} (byte {error.start}): say with --encoding how the log and its names are written"
        raise BadInputError(msg, path=str(path)) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if 2 * sum("\t" in line for line in lines) > sum(map(bool, lines)):
        delimiter = "\t"
    for fields in csv.reader(lines) if delimiter == "," else (line.split(delimiter) for line in lines):
        if len(fields) >= 2 and fields[0] and fields[1]:
            artist, name = fields[:2] if keep_case else map(lower, fields[:2])
            names[artist] = name
    if not names:
        msg = f"{path} has no line with an artist id, {delimiter!r} and a name"
        raise BadInputError(msg, path=str(path))
    return names


def show_names(artists: Names, names: dict[str, str]) -> int:
    """Show names in place of ids; return how many ids have none and are shown as they are.

    Names stay distinct: if several ids share a name, the first keeps it, and the others get their id appended.
    """
    import pyarrow as pa

    ids = artists.array.to_pylist()
    shown: dict[str, None] = {}
    for artist in ids:
        name = names.get(artist, artist)
        while name in shown:
            name = f"{name} ({artist})"
        shown[name] = None
    artists.replace(pa.array(list(shown), pa.string()))
    return sum(artist not in names for artist in ids)
