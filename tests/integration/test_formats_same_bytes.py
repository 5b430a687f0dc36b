"""Columnar, quoted, recoded, event and JSON sources: the same bytes on threads, in any blocks, and on a cluster."""

from __future__ import annotations

import csv
import io
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import cluster

from lastfm_dask import IngestOptions, Resources, SchemaOptions, ingest
from lastfm_dask.dataset import layout

pytestmark = pytest.mark.slow
N_ROWS = 6000
NAMED = SchemaOptions(columns=("user=user", "artist=artist", "plays=n", "time=t"), values="float")


def rows() -> list[tuple[str, str, str, int]]:
    rng = random.Random(0)
    odd = ["Björk", 'a "b"', "x,y", "two\nlines", "İ", "Σ", "muse"]
    names = [*odd, *(f"artist {i}" for i in range(400))]
    return [
        (
            f"u{rng.randrange(300)}",
            rng.choice(names),
            f"{rng.random() * 5 + 0.1:.3f}",
            rng.randrange(2 * 10**9),
        )
        for _ in range(N_ROWS)
    ]


def quoted() -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("user", "artist", "n", "t"))
    writer.writerows(rows())
    # A quote that is not closed, and lines that are not rows.
    return text.getvalue() + 'u1,"open,1,5\r\nbad\r\n' * 3


def listens() -> str:
    lines = [
        json.dumps({"user_name": user, "listened_at": time, "track_metadata": {"artist_name": artist}})
        for user, artist, _, time in rows()
    ]
    return "\n".join([*lines, "{", ""])


def columnar(kind: str) -> bytes:
    """Return the rows in many groups, and others that are rejected, as a Parquet or an Arrow file."""
    users, artists, plays, times = zip(*rows(), ("", "a", "1", 5), ("u", "a", "-1", 5), strict=True)
    table = pa.table({"user": users, "artist": artists, "n": [*map(float, plays)], "t": times})
    buffer = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, buffer, row_group_size=1000)
    else:
        table = table.set_column(1, "artist", table["artist"].combine_chunks().dictionary_encode())
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    return buffer.getvalue()


SOURCES = {
    "parquet": (lambda: columnar("parquet"), "", NAMED, {}),
    "arrow": (lambda: columnar("arrow"), "", NAMED, {}),
    "quoted": (quoted, "utf-8", NAMED, {"delimiter": ",", "quote": '"'}),
    "quoted utf-16": (quoted, "utf-16", NAMED, {"delimiter": ",", "quote": '"'}),
    "latin-1": (
        lambda: quoted().replace('"', ""),
        "latin-1",
        NAMED,
        {"delimiter": ",", "encoding": "latin-1"},
    ),
    "utf-16": (lambda: quoted().replace('"', ""), "utf-16", NAMED, {"delimiter": ","}),
    "listens": (listens, "utf-8", SchemaOptions(format="listenbrainz"), {}),
}
BYTES = (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS, *layout.LISTENS)


def written(path, name):
    """Write a source; return the options that read it."""
    from dataclasses import replace

    text, encoding, options, changes = SOURCES[name]
    path.write_bytes(text().encode(encoding, "replace") if encoding else text())
    return IngestOptions(replace(options, **changes))


def bytes_of(dataset):
    rejects = [
        line.split(b"\t", 1)[1] for line in (dataset.path / layout.REJECTS).read_bytes().split(b"\n")[:-1]
    ]
    return rejects, *((dataset.path / name).read_bytes() for name in BYTES)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as it:
        yield it


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_the_same_bytes_wherever_it_is_read(tmp_path, shared, name):
    log = tmp_path / "log.txt"
    options = written(log, name)
    whole = ingest(log, tmp_path / "whole", options, resources=Resources(threads=1))
    assert whole.statistics["rows_read"] == whole.statistics["rows_kept"] + sum(
        whole.statistics["rejects"].values()
    )
    assert whole.statistics["rows_kept"] > N_ROWS * 0.9
    wanted = bytes_of(whole)
    for number, resources in enumerate(
        (
            Resources(threads=2, block_bytes=10_007),
            Resources(block_bytes=50_021, scheduler=shared.address),
        )
    ):
        assert bytes_of(ingest(log, tmp_path / f"{number}", options, resources=resources)) == wanted
