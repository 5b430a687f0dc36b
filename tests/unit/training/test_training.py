"""Training: plain implicit's factors, whatever the threads, within what was projected, all or nothing."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from making import make_dataset, random_plays
from models import named_dataset
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from lastfm_dask import train
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.errors import BadInputError, BudgetError, StoreError
from lastfm_dask.memory.budget import Progress
from lastfm_dask.training.fit import first_factors, item_statistics, refuse_diverged
from lastfm_dask.training.settings import TrainSettings
from lastfm_dask.training.weighting import Totals, Weigher


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("d") / "d.dataset", random_plays(300, 120, 15, seed=5))


def factors_of(path):
    return np.load(path / layout.USER_FACTORS), np.load(path / layout.ITEM_FACTORS)


@pytest.mark.parametrize("weighting", ["raw", "log", "bm25"])
@pytest.mark.parametrize("threads", [1, 2])
def test_factors_are_those_of_plain_implicit(dataset, tmp_path, weighting, threads):
    """implicit's own fit on the same confidences in memory, its own first factors and its own transpose."""
    from implicit.cpu.als import AlternatingLeastSquares

    settings = TrainSettings(
        factors=12, regularization=0.5, alpha=1.0, iterations=4, weighting=weighting, seed=9
    )
    train(dataset, tmp_path / "m", settings, threads=threads)
    plays = dataset.user_items
    totals = Totals.of(plays.indptr, plays.indices, plays.data, plays.shape[1])
    confidence = Weigher(settings, lambda: totals).confidence(plays.indptr, plays.indices, plays.data)
    matrix = csr_matrix((confidence, plays.indices.copy(), plays.indptr.copy()), shape=plays.shape)
    plain = AlternatingLeastSquares(
        factors=12, regularization=0.5, iterations=4, random_state=9, num_threads=1
    )
    with threadpool_limits(1, "blas"):
        plain.fit(matrix, show_progress=False)
    users, items = factors_of(tmp_path / "m")
    np.testing.assert_array_equal(users, plain.user_factors)
    np.testing.assert_array_equal(items, plain.item_factors)


def test_alpha_is_what_implicit_makes_of_it(dataset, tmp_path):
    from implicit.cpu.als import AlternatingLeastSquares

    settings = TrainSettings(factors=8, alpha=3.0, iterations=3, weighting="raw", seed=1)
    train(dataset, tmp_path / "m", settings)
    plain = AlternatingLeastSquares(factors=8, regularization=40.0, alpha=3.0, iterations=3, random_state=1)
    with threadpool_limits(1, "blas"):
        plain.fit(csr_matrix(dataset.user_items), show_progress=False)
    for found, wanted in zip(
        factors_of(tmp_path / "m"), (plain.user_factors, plain.item_factors), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_equal_seeds_give_equal_models_and_others_do_not(dataset, tmp_path):
    settings = TrainSettings(factors=8, iterations=2)
    for name, seed, threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        train(dataset, tmp_path / name, settings.changed(seed=seed), threads=threads)
    a, b, c = (verify_directory(tmp_path / name, layout.MODEL) for name in "abc")
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_first_factors_are_those_of_implicit_whatever_the_blocks(monkeypatch):
    monkeypatch.setattr("lastfm_dask.dataset.arrays.BLOCK_VALUES", 50)
    generator = np.random.default_rng(3)
    wanted = [generator.random(shape, dtype=np.float32) * 0.01 for shape in ((37, 8), (11, 8))]
    found = [np.empty_like(array) for array in wanted]
    first_factors(3, *found)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_of_items(monkeypatch):
    monkeypatch.setattr("lastfm_dask.dataset.arrays.BLOCK_VALUES", 50)
    factors = np.random.default_rng(0).normal(size=(101, 8)).astype(np.float32)
    gram, norms = item_statistics(factors)
    wide = factors.astype(np.float64)
    np.testing.assert_allclose(gram, wide.T @ wide, rtol=1e-12)
    np.testing.assert_allclose(norms, np.linalg.norm(wide, axis=1), rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_factor_that_is_no_number_is_refused(wrong):
    factors = np.zeros((10, 4), np.float32)
    refuse_diverged(factors)
    factors[7, 2] = wrong
    with pytest.raises(BadInputError, match="diverged"):
        refuse_diverged(factors)


def test_a_model_is_whole(dataset, tmp_path):
    settings = TrainSettings(factors=8, iterations=2, weighting="bm25")
    plans, told = [], []

    class Told(Progress):
        def planned(self, plan, *_):
            plans.append(plan)

        def __call__(self, *step):
            told.append(step)

    result = train(dataset, tmp_path / "m", settings, progress=Told())
    manifest = verify_directory(tmp_path / "m", layout.MODEL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    content = manifest.content
    assert TrainSettings.from_dict(content["settings"]) == settings
    assert content["dataset"]["fingerprint"] == dataset.fingerprint
    assert content["confidence"]["min"] == result.confidence_min > 0
    assert content["confidence"]["mean_plays"] == pytest.approx(dataset.user_items.sum() / dataset.n_users)
    assert manifest.versions["implicit"]
    for name in (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS):
        assert (dataset.path / name).samefile(tmp_path / "m" / name)
    assert list(plans[0].stages) == ["prepare", "fit"]
    n_rows = 2 * (dataset.n_users + dataset.n_artists)
    assert told[-1] == ("fit", n_rows, n_rows)
    assert {stage for stage, _, _ in told} == {"check", "prepare", "fit"}
    assert len(result.iteration_s) == 2
    card = (tmp_path / "m" / layout.MODEL_CARD).read_text(encoding="utf-8")
    for wanted in ("non-commercial", dataset.fingerprint, "--bm25-k1 100.0", "--seed 42", "Known limits"):
        assert wanted in card


def test_receipts_keep_what_was_projected_and_measured(dataset, tmp_path):
    train(dataset, tmp_path / "m", TrainSettings(factors=8, iterations=2))
    receipts = json.loads((tmp_path / "m" / layout.RECEIPTS).read_text())
    assert [stage["stage"] for stage in receipts["stages"]] == ["prepare", "fit"]
    for stage in receipts["stages"]:
        assert stage["reserved_bytes"] <= stage["measured_bytes"] <= stage["projected_bytes"]
        assert stage["projected_bytes"] <= receipts["allowed_bytes"]


def test_a_dataset_on_another_disk_is_copied(dataset, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    train(dataset, tmp_path / "m", TrainSettings(factors=4, iterations=1))
    verify_directory(tmp_path / "m", layout.MODEL)
    assert not (dataset.path / layout.DATA).samefile(tmp_path / "m" / layout.DATA)


def test_too_little_memory_is_refused_before_any_work(dataset, tmp_path):
    with pytest.raises(BudgetError, match="allowed are") as caught:
        train(dataset, tmp_path / "m", memory_bytes=1 << 20)
    assert list(tmp_path.iterdir()) == []
    error = caught.value
    assert error.allowed_bytes == 1 << 20
    assert error.smallest_bytes == error.projected_bytes > error.allowed_bytes
    # The smallest limit that would do does, as long as nothing more was imported meanwhile.
    train(dataset, tmp_path / "m", TrainSettings(iterations=1), memory_bytes=error.smallest_bytes + (4 << 20))


def test_too_little_disk_is_refused_before_any_work(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("lastfm_dask.memory.disk.free_bytes", lambda _: 1000)
    with pytest.raises(BudgetError, match="on disk") as caught:
        train(dataset, tmp_path / "m")
    assert caught.value.stage == "disk"
    assert list(tmp_path.iterdir()) == []


def test_an_artist_that_all_users_has_is_refused_under_bm25_and_nothing_left(tmp_path):
    plays = random_plays(30, 20).tolil()
    plays[:, 4] = 3
    dataset = make_dataset(tmp_path / "d", csr_matrix(plays))
    with pytest.raises(BadInputError, match=r"not above zero .*'artist 4' \(column 4\)"):
        train(dataset, tmp_path / "m", TrainSettings(weighting="bm25"))
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_what_can_not_be_written_is_refused(dataset, tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(StoreError, match="exists already"):
        train(dataset, tmp_path / "m")
    with pytest.raises(StoreError, match="not a folder"):
        train(dataset, tmp_path / "none" / "m")
    with pytest.raises(StoreError, match="not a directory"):
        train(tmp_path / "none", tmp_path / "n")


def test_nothing_to_train_on(tmp_path):
    dataset = make_dataset(tmp_path / "d", csr_matrix((0, 0), dtype=np.float32))
    with pytest.raises(BadInputError, match="nothing to train on"):
        train(dataset, tmp_path / "m")


def test_metrics_of_these_settings_are_kept_and_of_others_refused(tmp_path):
    dataset = named_dataset(tmp_path / "d")
    settings = TrainSettings(factors=4, iterations=1)
    measured = {
        "split": {"method": "random", "seed": 42},
        "models": [
            {
                "name": "recommended",
                "ndcg@10": 0.25,
                "recall@10": 0.2,
                "settings": settings.to_dict(),
                "fit_s": 1.0,
            },
            {"name": "popularity", "ndcg@10": 0.08, "recall@10": 0.07, "settings": None, "fit_s": 0.1},
        ],
    }
    (tmp_path / "e.json").write_text(json.dumps(measured))
    train(dataset, tmp_path / "m", settings, metrics=tmp_path / "e.json")
    content = verify_directory(tmp_path / "m", layout.MODEL).content
    assert content["metrics"]["models"]["popularity"] == {"ndcg@10": 0.08, "recall@10": 0.07}
    assert "| recommended | 0.2500 | 0.2000 |" in (tmp_path / "m" / layout.MODEL_CARD).read_text()
    with pytest.raises(BadInputError, match="other settings"):
        train(dataset, tmp_path / "n", settings.changed(factors=5), metrics=tmp_path / "e.json")
    (tmp_path / "e.json").write_text("[]")
    with pytest.raises(BadInputError, match="not what `evaluate --json` prints"):
        train(dataset, tmp_path / "n", settings, metrics=tmp_path / "e.json")
