"""The lazy data frame holds the rows that a plain split gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.frame import read_interactions

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    ["u1", "m1", 'The "Beatles', "7"],
    ["u1", "", "nan", "3000000000"],
    ["u2", "m2", "ΟΔΟΣ", "2"],
    ["u2", "m3", "n/a", "x"],
    ["u2", "m3", "n/a", "5"],
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.tsv"
    path.write_bytes("".join("\t".join(line) + "\n" for line in LINES * 50).encode())
    return path


@pytest.mark.parametrize("block_bytes", [64, 1000, 1 << 20])
def test_rows_are_those_of_a_plain_split(log: Path, block_bytes: int) -> None:
    frame = read_interactions(log, SchemaOptions(with_mbid=True), block_bytes=block_bytes)
    found = frame.compute(scheduler="sync")
    wanted = [
        (user, artist.lower(), int(plays), mbid)
        for user, mbid, artist, plays in LINES * 50
        if plays.isdigit() and int(plays) < 2**31
    ]
    assert list(found.itertuples(index=False, name=None)) == wanted
    assert frame.npartitions == -(-log.stat().st_size // block_bytes)


def test_a_compressed_source_is_refused(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "log.tsv.gz"
    path.write_bytes(gzip.compress(b"u\t\ta\t1\n"))
    with pytest.raises(BadInputError, match="unpack"):
        read_interactions(path)
