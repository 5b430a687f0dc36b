"""Names cut by rows and bytes, and what is gathered of long names."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pytest

from lastfm_dask.dataset import nearness
from lastfm_dask.dataset.name_pieces import name_pieces
from lastfm_dask.dataset.vocabulary import Vocabulary

NAMES = ["", "a", "long" * 30, "b" * 9, "", "é", "last"] * 3


@pytest.mark.parametrize("as_chunks", [False, True])
@pytest.mark.parametrize(("most_rows", "most_bytes"), [(1, 100), (4, 1), (5, 20), (100, 1000)])
def test_pieces_are_all_names_in_order_and_bounded(most_rows, most_bytes, as_chunks):
    names = pa.chunked_array([NAMES[:5], NAMES[5:]]) if as_chunks else pa.array(NAMES)
    pieces = [piece.to_pylist() for piece in name_pieces(names, most_rows, most_bytes)]
    assert [name for piece in pieces for name in piece] == NAMES
    for piece in pieces:
        assert 0 < len(piece) <= most_rows
        assert sum(len(name.encode()) for name in piece[1:]) < most_bytes


def test_letters_of_long_names_are_gathered_in_pieces():
    names = pa.array([f"{'y' * 60_000}{i}" for i in range(200)])
    tracemalloc.start()
    letters = nearness.FoldedNames(names)._letters
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(letters) == len(names)
    assert peak <= 30 * (nearness._BYTES_AT_ONCE + 60_001) < 2 * names.nbytes


def test_a_vocabulary_s_names_come_in_order_however_long_they_are(monkeypatch):
    monkeypatch.setattr("lastfm_dask.dataset.vocabulary._BYTES_AT_ONCE", 7)
    assert list(Vocabulary.of(pa.array(NAMES), "artist")) == NAMES
