"""Exports that other tools read."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from models import N_ARTISTS, N_USERS, small_model

from lastfm_dask.dataset import files
from lastfm_dask.errors import StoreError
from lastfm_dask.recommender.export import export_npz, export_parquet


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("m"))


def test_implicit_loads_the_npz(model, tmp_path):
    from implicit.cpu.als import AlternatingLeastSquares

    path = export_npz(model.path, tmp_path / "model")
    assert path == tmp_path / "model.npz"
    loaded = AlternatingLeastSquares.load(path)
    np.testing.assert_array_equal(loaded.user_factors, model.user_factors)
    np.testing.assert_array_equal(loaded.item_factors, model.item_factors)
    assert (loaded.factors, loaded.regularization, loaded.alpha) == (8, 2.0, 1.0)
    assert loaded.iterations == model.settings.iterations


def test_loaded_it_recommends_what_the_model_does(model, tmp_path):
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    loaded = AlternatingLeastSquares.load(export_npz(model.path, tmp_path / "model.npz"))
    indptr, indices, data = (np.array(array) for array in model.matrix)
    user_items = csr_matrix((data, indices, indptr), shape=(N_USERS, N_ARTISTS))
    for row in (0, 13):
        items, scores = loaded.recommend(row, user_items[row], N=5)
        found = model.recommend(model.users.name(row), n=5).items
        assert [item.index for item in found] == items.tolist()
        np.testing.assert_allclose([item.score for item in found], scores, rtol=1e-5)


def test_parquet_holds_names_and_factors(model, tmp_path):
    users, artists = export_parquet(model.path, tmp_path / "out")
    for path, column, names, factors in (
        (users, "user", model.users, model.user_factors),
        (artists, "artist", model.artists, model.item_factors),
    ):
        table = pq.read_table(path)
        assert table.column_names == [column, "factors"]
        assert table[column].to_pylist() == names.names(range(len(names)))
        np.testing.assert_array_equal(np.array(table["factors"].to_pylist(), np.float32), factors)


def test_what_an_export_left_that_was_killed_after_it_had_published_goes_with_the_next(
    model, tmp_path, monkeypatch
):
    with monkeypatch.context() as killed:
        killed.setattr(files, "remove", lambda *_: None)
        export_parquet(model.path, tmp_path / "out")
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(StoreError, match="exists already"):
        export_parquet(model.path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_overwritten_and_nothing_half_written(model, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(b"mine")
    with pytest.raises(StoreError, match="exists already"):
        export_npz(model.path, path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(StoreError, match="a folder that exists"):
        export_npz(model.path, tmp_path / "none" / "model.npz")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StoreError, match="no room left"):
        export_npz(model.path, tmp_path / "other.npz")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


def test_only_a_model_is_exported(model, tmp_path):
    with pytest.raises(StoreError, match="is wanted"):
        export_npz(model.path.parent / "lastfm.dataset", tmp_path / "x.npz")
    with pytest.raises(StoreError, match="is wanted"):
        export_parquet(model.path.parent / "lastfm.dataset", tmp_path / "out")
