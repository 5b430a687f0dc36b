"""Matrices in files: the transpose made out of core, and what implicit sees."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from making import random_plays
from scipy.sparse import csr_matrix

from lastfm_dask.dataset.arrays import MappedArray, create_array
from lastfm_dask.dataset.matrix import mapped_pair, transpose_on_disk


def mapped(matrix, folder):
    """Return the same matrix over memory maps, as a dataset opens it."""
    folder.mkdir()
    result = csr_matrix(matrix.shape, dtype=np.float32)
    for name in ("indptr", "indices", "data"):
        np.save(folder / f"{name}.npy", getattr(matrix, name))
        setattr(result, name, np.load(folder / f"{name}.npy", mmap_mode="c"))
    return result


@pytest.mark.parametrize("range_nnz", [1, 7, 100, 1 << 22])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_the_transpose_has_the_arrays_that_scipy_makes(tmp_path, monkeypatch, range_nnz, kind):
    # Small blocks, so that rows lie over several.
    monkeypatch.setattr("lastfm_dask.dataset.arrays.BLOCK_NNZ", 13)
    plays = random_plays(70, 30, seed=2)
    plays.indices, plays.indptr = plays.indices.astype(kind), plays.indptr.astype(kind)
    wanted = plays.T.tocsr()
    found = transpose_on_disk(mapped(plays, tmp_path / "m"), plays.getnnz(axis=0), tmp_path, range_nnz)
    assert found.shape == wanted.shape
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
        assert isinstance(getattr(found, name), np.memmap)
    assert found.indices.dtype == found.indptr.dtype == kind


def test_rows_and_columns_without_values(tmp_path):
    plays = csr_matrix(np.array([[0, 0, 0], [1, 0, 2], [0, 0, 0], [3, 0, 0]], np.float32))
    found = transpose_on_disk(plays, plays.getnnz(axis=0), tmp_path, 1)
    np.testing.assert_array_equal(found.toarray(), plays.toarray().T)


def test_a_pair_is_each_others_transpose_without_a_copy(tmp_path):
    plays = mapped(random_plays(20, 10), tmp_path / "m")
    pair = mapped_pair(plays, plays.T.tocsr())
    assert pair.T.tocsr().T is pair
    assert pair.tocsr() is pair
    assert np.shares_memory(pair.data, plays.data)
    assert isinstance(pair.data, MappedArray)
    assert pair.data.astype("float32") is pair.data
    assert pair.data.astype(np.float64).dtype == np.float64


def test_a_created_array_has_its_room_on_disk(tmp_path):
    path = tmp_path / "a.npy"
    array = create_array(path, (1000, 40), np.float32)
    assert path.stat().st_blocks * 512 >= array.nbytes
    array[3, 4] = 5
    array.flush()
    found = np.load(path)
    assert found.shape == (1000, 40)
    assert found[3, 4] == found.sum() == 5


def test_a_disk_without_room_is_an_error_before_it_is_a_signal(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        create_array(tmp_path / "a.npy", (10,), np.float32)
