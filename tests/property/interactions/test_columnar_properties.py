"""Columnar sources: the very bytes of the text with the same rows, however groups, blocks and threads are cut."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stages import SAME_BYTES, Work, build, build_columnar

from lastfm_dask.dataset import layout
from lastfm_dask.interactions import headers
from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.row_groups import batches, cut_groups
from lastfm_dask.interactions.schema import Schema
from lastfm_dask.sources import files as sources
from lastfm_dask.sources.source_file import ARROW, PARQUET

NAMES = ["a", "B", "b", "Å", "ΣΑΣ", "nan", " x", '"q"']
MBIDS = ["", "m1", "m2"]
BAD = [
    ("", "a", 1),
    ("u", "", 1),
    ("u", "a", 0),
    ("u", "a", -3),
    ("u", "a", 2**31),
    (None, "a", 1),
    ("u", None, 1),
]
good_rows = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w", "7"]),
        st.sampled_from(NAMES),
        st.integers(1, 2**31 - 1),
        st.sampled_from(MBIDS),
    ),
    min_size=1,
    max_size=30,
)
kinds = st.sampled_from(["string", "large_string", "dictionary", "shuffled", "binary"])


def shuffled(texts: pa.Array) -> pa.DictionaryArray:
    """Return texts as a dictionary in another order than they come, with names twice, and names that no row has."""
    names = ["unused", *reversed(texts.unique().to_pylist())]
    names = [name for name in names if name is not None]
    places = {name: [i for i, other in enumerate(names + names) if other == name] for name in names}
    codes = [None if text is None else places[text][i % 2] for i, text in enumerate(texts.to_pylist())]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(names + names, pa.string()))


def written(path: Path, rows, kind: str, text: str, group_rows: int) -> None:
    """Write rows as Parquet or Arrow, texts in one of their types."""
    users, artists, plays, mbids = zip(*rows, strict=True)
    types = {
        "string": pa.string(),
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int8(), pa.string()),
        "binary": pa.binary(),
    }

    def texts(values) -> pa.Array:
        column = pa.array(values, pa.string())
        return shuffled(column) if text == "shuffled" else column.cast(types[text])

    columns = {
        "uid": texts(users),
        "mbid": texts(mbids),
        "noise": pa.array(range(len(rows))),
        "artist": texts(artists),
        "n": pa.array(plays, pa.int64()),
    }
    table = pa.table(columns)
    if kind == PARQUET:
        pq.write_table(table, path, row_group_size=group_rows, data_page_size=64)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=group_rows)


def built(folder: Path, files: list[Path], options: SchemaOptions, work: Work):
    found = sources.find(files)
    return build_columnar(folder, found, headers.resolve(found, options), work)


@given(
    rows=good_rows,
    kind=st.sampled_from([PARQUET, ARROW]),
    text=kinds,
    group_rows=st.integers(1, 12),
    block_rows=st.integers(1, 40),
    threads=st.integers(1, 3),
    seed=st.integers(0, 9),
    with_mbid=st.booleans(),
)
@example(
    rows=[("v", "a", 1, "m1"), ("u", "b", 1, "")],
    kind=ARROW,
    text="shuffled",
    group_rows=12,
    block_rows=40,
    threads=1,
    seed=0,
    with_mbid=True,
)
@settings(max_examples=40)
def test_the_bytes_are_those_of_the_text(rows, kind, text, group_rows, block_rows, threads, seed, with_mbid):
    schema = Schema(("user", "mbid", "artist", "plays"), with_mbid=with_mbid)
    lines = "".join(f"{user}\t{mbid}\t{artist}\t{plays}\n" for user, artist, plays, mbid in rows).encode()
    roles = ("user=uid", "artist=artist", "plays=n", *(("mbid=mbid",) if with_mbid else ()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "log.columns"
        written(path, rows, kind, text, group_rows)
        for side in ("text", "columns"):
            (folder / side).mkdir()
        work = Work(block_bytes=16 * block_rows, seed=seed, threads=threads)
        columns = built(folder / "columns", [path], SchemaOptions(columns=roles, with_mbid=with_mbid), work)
        text_built = build(folder / "text", [lines], schema, work)
        same = [name for name in SAME_BYTES if name != layout.REJECTS]
        assert {name: columns.bytes()[name] for name in same} == {
            name: text_built.bytes()[name] for name in same
        }


@given(
    rows=good_rows,
    bad=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(BAD)), min_size=1, max_size=6),
    group_rows=st.integers(1, 12),
    block_rows=st.integers(1, 40),
)
@example(rows=[("u", "a", 1, "")], bad=[(0, BAD[0])], group_rows=1, block_rows=1)
@settings(max_examples=30)
def test_rejects_name_their_reason_row_group_and_row(rows, bad, group_rows, block_rows):
    for place, (user, artist, plays) in bad:
        rows = [*rows[:place], (user, artist, plays, ""), *rows[place:]]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "log.parquet"
        written(path, rows, PARQUET, "string", group_rows)
        columns = SchemaOptions(columns=("user=uid", "artist=artist", "plays=n"))
        found = built(Path(name), [path], columns, Work(block_bytes=16 * block_rows))
        wanted = []
        for number, (user, artist, plays, _) in enumerate(rows):
            reason = (
                "empty_user"
                if not user
                else "empty_artist"
                if not artist
                else "plays_out_of_range"
                if not 1 <= plays < 2**31
                else ""
            )
            if reason:
                place = f"row group {number // group_rows}, row {number % group_rows}: "
                wanted.append((str(path), str(number + 1), reason, place))
        lines = (found.output / layout.REJECTS).read_text().splitlines()
        fields = [line.split("\t") for line in lines]
        assert [tuple(field[:3]) for field in fields] == [row[:3] for row in wanted]
        assert all(field[3].startswith(row[3]) for field, row in zip(fields, wanted, strict=True))
        assert found.found.rows_read == len(rows) == found.found.rows_kept + len(wanted)


@given(groups=st.lists(st.lists(st.integers(0, 20), max_size=6), max_size=4), block_rows=st.integers(1, 15))
def test_blocks_cover_every_row_once_in_order_and_no_small_group_is_cut(groups, block_rows):
    blocks = cut_groups(groups, block_rows)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    covered = [(block.file, row) for block in blocks for row in range(block.start, block.end)]
    assert covered == [(file, row) for file, rows in enumerate(groups) for row in range(sum(rows))]
    assert all(0 < block.end - block.start <= block_rows for block in blocks)
    inner = {
        (file, row)
        for file, rows in enumerate(groups)
        for number, n in enumerate(rows)
        if n <= block_rows
        for row in range(sum(rows[:number]) + 1, sum(rows[: number + 1]))
    }
    starts_of_pieces = {(block.file, block.start) for block in blocks} & inner
    assert all(any(n > block_rows for n in groups[file]) for file, _ in starts_of_pieces)


@given(st.data())
@settings(max_examples=30)
def test_a_thread_reads_any_pieces_in_any_order(data):
    n_rows, group_rows = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 15))
    with tempfile.TemporaryDirectory() as name:
        path = str(Path(name) / "numbers.parquet")
        pq.write_table(pa.table({"n": [str(n) for n in range(n_rows)]}), path, row_group_size=group_rows)
        for _ in range(5):
            start = data.draw(st.integers(0, n_rows - 1))
            end = data.draw(st.integers(start + 1, n_rows))
            found = [
                value
                for batch in batches(path, PARQUET, ("n",), start, end)
                for value in batch.columns.column(0).to_pylist()
            ]
            assert found == [str(n) for n in range(start, end)]
