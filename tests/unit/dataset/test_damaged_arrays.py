"""Arrays of the right sizes whose values can't be: found at one pass, and by `verify`, whatever the checksums say."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from contextlib import suppress

import numpy as np
import pytest
from making import accept_sizes
from models import named_dataset, small_model

from lastfm_dask import IngestOptions, SchemaOptions, ingest
from lastfm_dask.cli.verify import command as verify
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.export import export_parquet
from lastfm_dask.dataset.opening import reading
from lastfm_dask.errors import LastfmDaskError, StoreError
from lastfm_dask.ingestion.summed import open_summed
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.training.settings import TrainSettings


def change(path, name, place, value):
    """Put a value into an array, and let the manifest name the checksum that it has then."""
    array = np.load(path / name)
    array[place] = value
    np.save(path / name, array)
    accept_sizes(path)


def verify_names(path, name):
    with pytest.raises(StoreError, match=name):
        verify.main([str(path)], standalone_mode=False)


@pytest.fixture(scope="module")
def blend(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("blend"), TrainSettings(factors=8, model="blend")).path


@pytest.fixture
def model(blend, tmp_path):
    return shutil.copytree(blend, tmp_path / "x.model")


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        (layout.INDPTR, 3, -1),
        (layout.INDPTR, -1, 0),
        (layout.INDICES, 5, 60),
        (layout.INDICES, 5, -1),
        (layout.INDICES, 1, 0),
        (layout.DATA, 7, np.nan),
        (layout.DATA, 7, np.inf),
        (layout.DATA, 7, 0),
    ],
)
def test_a_damaged_matrix_is_found_when_its_arrays_are_asked_for(tmp_path, name, place, value):
    path = named_dataset(tmp_path / "x.dataset").path
    change(path, name, place, value)
    for ask in (lambda d: d.csr, lambda d: d.user_items, lambda d: d.to_arrow()):
        with pytest.raises(StoreError, match=name):
            ask(Dataset(path))
    verify_names(path, name)


@pytest.mark.parametrize(
    ("place", "value"), [((0, 0), 40), ((0, 1), 60), ((0, 3), 0), ((1, 0), -1), ((1, 3), 2**31 - 1)]
)
def test_damaged_summed_rows_are_found_before_they_are_appended_to(tmp_path, place, value):
    path = named_dataset(tmp_path / "x.dataset").path
    np.save(path / layout.SUMMED, np.array([[1, 2, 3, 2], [1, 4, 5, 2]], np.int32))
    accept_sizes(path)
    assert len(open_summed(Dataset(path))) == 2
    change(path, layout.SUMMED, place, value)
    with pytest.raises(StoreError, match=layout.SUMMED):
        open_summed(Dataset(path))
    verify_names(path, layout.SUMMED)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        (layout.USER_FACTORS, (1, 2), np.nan),
        (layout.ITEM_FACTORS, (1, 2), np.inf),
        (layout.ITEM_NORMS, 4, np.nan),
        (layout.ITEM_GRAM, (0, 0), -np.inf),
        (layout.ITEM_NORMS, 4, 0.5),
        (layout.ITEM_GRAM, (1, 2), 0),
        (layout.ITEM_FACTORS, (1, 2), 3),
        (layout.ITEM_WEIGHTS[0], 3, -1),
        (layout.ITEM_WEIGHTS[1], 5, 60),
        (layout.ITEM_WEIGHTS[1], 5, -(2**31)),
        (layout.ITEM_WEIGHTS[2], 5, np.nan),
    ],
)
def test_a_damaged_model_is_found_by_verify(model, name, place, value):
    change(model, name, place, value)
    # Vectors that were changed to other numbers are seen by what was worked out from them.
    verify_names(model, layout.ITEM_NORMS if value == 3 else name)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, -1])
@pytest.mark.parametrize(
    "name", [layout.USER_FACTORS, layout.ITEM_FACTORS, layout.ITEM_NORMS, layout.ITEM_GRAM]
)
def test_vectors_of_any_value_never_crash_what_answers(model, name, value):
    change(model, name, ..., value)
    recommender = Recommender(model)
    for ask in (
        lambda: recommender.recommend(user="user00001"),
        lambda: recommender.recommend(likes={"björk": 3, "radiohead": 5}, diverse=0.3),
        lambda: recommender.similar("björk"),
        lambda: recommender.score(["björk"], user="user00001"),
        lambda: recommender.explain("björk", likes={"radiohead": 5}),
        lambda: list(recommender.recommend_all()),
    ):
        with suppress(LastfmDaskError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask()


def test_a_first_listen_after_the_last_is_found_by_verify(tmp_path):
    (tmp_path / "log").write_text("u,1600000000,a\nu,1700000000,a\nv,1650000000,a\n")
    options = IngestOptions(
        schema=SchemaOptions(columns=("user", "time", "artist"), delimiter=",", events=True)
    )
    dataset = ingest(tmp_path / "log", tmp_path / "x.dataset", options=options)
    first, last = dataset.listens
    assert (first <= last).all()
    verify.main([str(dataset.path)], standalone_mode=False)
    change(dataset.path, layout.FIRST_LISTEN, 0, last[0] + 1)
    verify_names(dataset.path, layout.FIRST_LISTEN)


@pytest.mark.parametrize(
    ("name", "value"), [(layout.ITEM_WEIGHTS[0], 2**31 - 1), (layout.ITEM_WEIGHTS[1], -1)]
)
def test_damaged_item_weights_never_reach_native_code(model, name, value):
    change(model, name, slice(1, -1), value)
    recommender = Recommender(model)
    for ask in (
        lambda: recommender.recommend(likes={"björk": 3, "radiohead": 5}),
        lambda: recommender.score(["björk"], likes={"radiohead": 5}),
        lambda: list(recommender.recommend_all()),
    ):
        with pytest.raises(StoreError, match=r"item_weights.* damaged"):
            ask()


def test_an_export_that_fails_leaves_no_folder(tmp_path):
    path = named_dataset(tmp_path / "x.dataset").path
    change(path, layout.DATA, 7, np.nan)
    with pytest.raises(StoreError, match=layout.DATA):
        export_parquet(path, tmp_path / "new")
    assert [found.name for found in tmp_path.iterdir()] == ["x.dataset"]


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    def refuse():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.raises(StoreError, match=r"can't be read: Permission denied") as error, reading(tmp_path):
        refuse()
    assert "damaged" not in str(error.value)
