"""Rejected rows on disk: file, line, reason, and the bytes as they were; the first ones shown in words."""

from __future__ import annotations

import pytest
from reference import read_log, reject_lines
from stages import Work, indexed, names_of

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion.rejects import RejectsWriter
from lastfm_dask.interactions.encoding import record_batch
from lastfm_dask.interactions.formats import FORMATS
from lastfm_dask.interactions.schema import REASONS, Schema

SCHEMA = FORMATS["lastfm-360k"]
FILES = [b"u\t\ta\t5\nbad\xff\tx\r\n" * 3, b"\t\t\t\n\n" + b"y" * 3000 + b"\nu\t\ta\t0", b"\xef\xbb\xbfz\n"]


@pytest.mark.parametrize("block_bytes", [40, 300, 100_000])
@pytest.mark.parametrize("header", [False, True])
def test_lines_are_counted_by_file_from_one_whatever_the_blocks(tmp_path, block_bytes, header):
    schema = Schema(SCHEMA.columns, header=header)
    found, _, output = indexed(tmp_path, FILES, schema, Work(block_bytes, seed=3))
    logs = list(zip(names_of(3), (read_log(data, schema) for data in FILES), strict=True))
    assert (output / layout.REJECTS).read_bytes() == reject_lines(logs)
    assert list(found.rejects) == [reason for reason in REASONS if reason in found.rejects]
    assert sum(found.rejects.values()) == sum(len(log.rejects) for _, log in logs)


def test_names_of_files_are_written_as_they_are(tmp_path):
    batch = record_batch(
        {"reject_lines": [4], "reject_reasons": [REASONS.index("field_count")], "reject_bytes": [b"\xff\tx"]}
    )
    with RejectsWriter(tmp_path / "rejects.tsv", ["caf\udce9"]) as rejects:
        rejects.write(0, 10, batch)
        assert rejects.counts == {"field_count": 1}
    assert (tmp_path / "rejects.tsv").read_bytes() == b"caf\xe9\t15\tfield_count\t\xff\tx\n"


def test_the_first_rejects_are_kept_at_hand(tmp_path):
    n = 300
    lists = {"reject_lines": range(n), "reject_reasons": [0] * n, "reject_bytes": [b"x" * 999] * n}
    with RejectsWriter(tmp_path / "rejects.tsv", ["log.tsv"]) as rejects:
        assert rejects.samples == []
        rejects.write(0, 0, record_batch(lists))
    assert 5 <= len(rejects.samples) < n
    assert rejects.samples[1] == ("log.tsv", 2, "line_too_long", b"x" * 999)
