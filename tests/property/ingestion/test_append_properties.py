"""Appending to a dataset: any cut of a log into old and new gives the bytes of the whole."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lastfm_dask.dataset import layout
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.ingestion.options import IngestOptions, Resources
from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.interactions.formats import SchemaOptions

FILES = (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS, layout.SUMMED, layout.REJECTS)
COUNTED = ("statistics", "reconciliation")
PLAYS = [0, 1, 2, 3, 2**24 + 1, 2**31 - 1]
rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from(["a", "A", "b", "", "é"]), st.sampled_from(PLAYS)),
    min_size=2,
    max_size=24,
)


def text(log) -> str:
    return "".join(f"{user}\t\t{artist}\t{plays}\n" for user, artist, plays in log)


def event_text(log) -> str:
    return "".join(f"{user}\t{artist}\t{1000 + time * 7}\n" for user, artist, time in log)


def appended(folder: Path, parts: list[str], given: IngestOptions, block_bytes: int = 64):
    """Ingest the parts one after the other, and both together; return both datasets."""
    names = []
    for number, part in enumerate(parts):
        names.append(folder / f"{number}.tsv")
        names[-1].write_text(part)
    resources = Resources(block_bytes=block_bytes, threads=2)
    whole = ingest(names, folder / "whole.dataset", given, resources=resources)
    ingest(names[0], folder / "0.dataset", given)
    for number, name in enumerate(names[1:], 1):
        more = IngestOptions(schema=given.schema, append_to=folder / f"{number - 1}.dataset")
        last = ingest(name, folder / f"{number}.dataset", more, resources=resources)
    return last, whole


def check(last, whole, files) -> None:
    assert {name: (last.path / name).read_bytes() for name in files} == {
        name: (whole.path / name).read_bytes() for name in files
    }
    for key in COUNTED:
        assert last.manifest.content[key] == whole.manifest.content[key]
    assert last.fingerprint == whole.fingerprint


@given(log=rows, cuts=st.tuples(st.integers(0, 24), st.integers(0, 24)), keep_case=st.booleans())
@example(log=[("u", "a", 2**24 + 1), ("u", "a", 1), ("v", "b", 2**31 - 1)], cuts=(1, 2), keep_case=False)
@settings(max_examples=5)
def test_any_cut_gives_the_bytes_of_the_whole(log, cuts, keep_case):
    ends = [("u", "a", 7), ("v", "b", 1), ("w", "a", 7)]
    first, second = sorted(min(cut, len(log)) for cut in cuts)
    # Each part keeps a row: a log without any is refused.
    parts = [[ends[0], *log[:first]], [*log[first:second], ends[1]], [*log[second:], ends[2]]]
    with tempfile.TemporaryDirectory() as folder:
        given = IngestOptions(schema=SchemaOptions(keep_case=keep_case))
        check(*appended(Path(folder), [text(part) for part in parts], given), FILES)


@given(log=rows, cut=st.integers(1, 23), with_time=st.booleans())
@settings(max_examples=4)
def test_events_too_with_their_first_and_last_times(log, cut, with_time):
    ends = [("u", "a", 5), ("v", "a", 5)]
    log = [(user, artist, 9 * plays % 1000) for user, artist, plays in log]
    parts = [[ends[0], *log[:cut]], [ends[1], *log[cut:]]]
    roles = ("user", "artist", "time" if with_time else "-")
    with tempfile.TemporaryDirectory() as folder:
        given = IngestOptions(schema=SchemaOptions(columns=roles, events=True))
        files = (*FILES, *(layout.LISTENS if with_time else ()))
        check(*appended(Path(folder), [event_text(part) for part in parts], given), files)


def test_plays_with_times_keep_both(tmp_path):
    given = IngestOptions(schema=SchemaOptions(columns=("user", "artist", "plays", "time")))
    parts = ["u\ta\t5\t100\nu\ta\t2\t50\nu\tb\t1\t70\n", "u\tb\t3\t10\nv\ta\t4\t20\nu\ta\t9\t60\n"]
    check(*appended(tmp_path, parts, given), (*FILES, *layout.LISTENS))


def test_a_user_with_very_many_rows(tmp_path):
    rng = np.random.default_rng(3)
    log = [
        ("u", f"a{n}", int(plays))
        for n, plays in zip(rng.integers(0, 40, 150_000), rng.integers(1, 5, 150_000), strict=True)
    ]
    check(
        *appended(
            tmp_path, [text(log[:140_000]), text([("v", "x", 1), *log[140_000:]])], IngestOptions(), 1 << 20
        ),
        FILES,
    )


def test_what_cannot_be_appended_to_is_refused_with_the_reason(tmp_path):
    log = tmp_path / "log.tsv"
    log.write_text(text([("u", "a", 1)]))
    old = ingest(log, tmp_path / "old.dataset").path
    for schema, said in (
        (SchemaOptions(keep_case=True), "do not keep their case"),
        (SchemaOptions(with_mbid=True), "MBIDs"),
        (SchemaOptions(columns=("user", "-", "artist", "plays"), values="float"), "real values"),
        (SchemaOptions(columns=("user", "-", "artist", "-"), events=True), "--events"),
    ):
        with pytest.raises(BadInputError, match=said):
            ingest(log, tmp_path / "new.dataset", IngestOptions(schema=schema, append_to=old))
    manifest = json.loads((old / "manifest.json").read_text())
    manifest.update(version=1, checksum="")
    del manifest["files"][layout.SUMMED]
    (old / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="format version 1, which does not keep the rows that were summed"):
        ingest(log, tmp_path / "new.dataset", IngestOptions(append_to=old))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.tsv", "old.dataset"]


@pytest.mark.parametrize("name", [layout.USERS, layout.DATA, layout.REJECTS])
def test_damage_is_not_carried_into_a_new_dataset(tmp_path, name):
    (tmp_path / "log.tsv").write_text(text([("u", "a", 1), ("v", "b", 2), ("v", "", 2)]))
    old = ingest(tmp_path / "log.tsv", tmp_path / "old.dataset")
    data = bytearray((old.path / name).read_bytes())
    data[len(data) // 2 if name != layout.DATA else -2] ^= 1
    (old.path / name).write_bytes(data)
    with pytest.raises(StoreError, match=name):
        ingest(tmp_path / "log.tsv", tmp_path / "new.dataset", IngestOptions(append_to=old.path))
    assert {path.name for path in tmp_path.iterdir()} == {"log.tsv", "old.dataset"}
