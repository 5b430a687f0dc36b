"""The spool: whole blocks or none, kept for a run with the same key, started over for another."""

from __future__ import annotations

from lastfm_dask.ingestion.spool import Spool
from lastfm_dask.interactions.encoding import column, record_batch

KEY = {"files": [["x", 1]], "block_bytes": 5}


def block(n: int):
    return record_batch({"plays": range(n), "users": [f"user {i}" for i in range(n)]})


def spooled(tmp_path, numbers=(2, 0, 1)) -> Spool:
    (tmp_path / "spool").mkdir(exist_ok=True)
    spool = Spool(tmp_path / "spool", KEY)
    for number in numbers:
        spool.put(number, [block(number)])
    return spool


def test_blocks_come_back_whatever_order_they_came_in(tmp_path):
    spool = spooled(tmp_path)
    assert spool.resumed == 0
    for number in range(3):
        assert number in spool
        assert spool.get(number) == [block(number)]
    assert 3 not in spool
    files = list((tmp_path / "spool").glob("*.arrow"))
    assert spool.written_bytes() == sum(len(path.read_bytes()) for path in files)
    assert len(files) == 3


def test_what_is_got_is_mapped_and_not_read_into_memory(tmp_path):
    import pyarrow as pa

    spool = spooled(tmp_path, (1000,))
    before = pa.total_allocated_bytes()
    (batch,) = spool.get(1000)
    assert pa.total_allocated_bytes() - before < 64
    assert column(batch, "plays").sum() == sum(range(1000))


def test_an_equal_key_resumes_and_another_begins_anew(tmp_path):
    first = spooled(tmp_path)
    again = Spool(tmp_path / "spool", dict(reversed(KEY.items())))
    assert (again.resumed, again.fingerprint) == (3, first.fingerprint)
    larger = Spool(tmp_path / "spool", KEY | {"block_bytes": 6})
    assert (larger.resumed, larger.block_bytes, larger.fingerprint) == (3, 5, first.fingerprint)
    other = Spool(tmp_path / "spool", KEY | {"block_bytes": 4})
    assert (other.resumed, 0 in other, other.block_bytes) == (0, False, 4)
    assert other.fingerprint != first.fingerprint
    assert Spool(tmp_path / "spool", KEY | {"files": []}).resumed == 0


def test_a_block_put_twice_is_the_later_one(tmp_path):
    spool = spooled(tmp_path, (0,))
    spool.put(0, [block(7)])
    assert spool.get(0) == [block(7)]


def test_halves_and_blocks_that_cannot_be_read_do_not_count(tmp_path):
    spooled(tmp_path, (0, 1, 2, 3))
    paths = sorted((tmp_path / "spool").glob("*.arrow"))
    paths[1].rename(paths[1].with_suffix(".part"))
    paths[2].write_bytes(b"")
    paths[3].write_bytes(paths[3].read_bytes()[:-1])
    again = Spool(tmp_path / "spool", KEY)
    assert again.resumed == 1
    assert [number in again for number in range(4)] == [True, False, False, False]


def test_a_marker_that_was_not_written_whole_begins_anew(tmp_path):
    spooled(tmp_path)
    marker = tmp_path / "spool" / "key.json"
    marker.write_text(marker.read_text()[:-3])
    assert Spool(tmp_path / "spool", KEY).resumed == 0
