"""What answers hold, and what is projected of them: names, lists that are shown, item weights, popularity."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from making import make_dataset, random_plays
from models import small_model
from scipy.sparse import random as random_matrix

from lastfm_dask.cli.stats import user_rows
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender import all_users_files, plan
from lastfm_dask.recommender.all_users import Batch, BatchSettings
from lastfm_dask.recommender.blend import Blend, Lists
from lastfm_dask.recommender.item_weights import of_matrix
from lastfm_dask.recommender.plan import RecommendingShape, answer_bytes, blended_bytes, recommending_bytes
from lastfm_dask.recommender.ranking import Ranking
from lastfm_dask.serve.plan import ServingShape, serving_bytes

SHAPE = RecommendingShape(1 << 20, 1 << 20, 1 << 24, 64, 10, 32 * MIB, longest_name_bytes=100)


def peak_of(work) -> int:
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"n_weights": 1 << 22},
        {"n_weights": 1 << 22, "by_popularity": True},
        {"longest_name_bytes": 1 << 16},
        {"manifest_bytes": 1 << 30},
    ],
)
def test_what_a_model_holds_more_is_projected(change):
    more = replace(SHAPE, **change)
    assert answer_bytes(more) > answer_bytes(SHAPE)
    if "longest_name_bytes" not in change:
        settings = BatchSettings(512, 2)
        assert recommending_bytes(more, settings) > recommending_bytes(SHAPE, settings)


def test_a_question_to_the_server_holds_what_a_blend_does():
    shape = ServingShape(1 << 20, 64, MIB)
    blended = replace(shape, blended_bytes=blended_bytes(replace(SHAPE, n_weights=1 << 22)))
    assert serving_bytes(blended, 2, 8, 0) == serving_bytes(shape, 2, 8, 0) + 2 * blended.blended_bytes


@pytest.mark.parametrize("share_popularity", [0.0, 0.5])
@pytest.mark.parametrize("n_artists", [3000, 20_000])
def test_a_blend_holds_no_more_than_projected(n_artists, share_popularity):
    rng, n_listed = np.random.default_rng(0), 500
    weights = of_matrix(
        random_matrix(n_artists, n_artists, 400 / n_artists, format="csr", rng=rng, dtype=np.float32)
    )
    listeners = rng.integers(1, 99, n_artists)
    blend = Blend(weights, 1.0, 1.0, share_popularity, listeners)
    factors = rng.normal(size=(n_artists, 4)).astype(np.float32)
    ranking = Ranking.of(factors, np.linalg.norm(factors, axis=1))
    assert len(ranking.position) == n_artists
    items = np.sort(rng.choice(n_artists, n_listed, replace=False)).astype(np.int32)
    lists = Lists(np.array([0, n_listed]), items, np.ones(n_listed, np.float32))
    shape = RecommendingShape(
        1, n_artists, n_listed, 4, 10, 0, len(weights.data), by_popularity=bool(share_popularity)
    )
    peak = peak_of(lambda: blend.best(ranking, np.ones((1, 4)), lists, 10))
    projected = answer_bytes(shape, longest=n_listed) - answer_bytes(replace(shape, n_artists=0, n_weights=0))
    assert peak <= projected <= 3 * peak


def test_one_user_s_rows_hold_no_more_than_projected(tmp_path):
    n_artists = 3000
    matrix = random_plays(n_users=2, n_artists=n_artists, per_user=1, n_groups=1).tolil()
    matrix[0, :] = np.arange(1, n_artists + 1)
    names = [f"{'long ' * 60}{i}" for i in range(n_artists)]
    dataset = make_dataset(tmp_path / "x.dataset", matrix.tocsr(), artists=names)
    dataset.statistics["artists_per_user"] = {"max": n_artists}
    found = user_rows(dataset, "user00000")
    assert len(found["rows"]) == n_artists
    peak = peak_of(lambda: user_rows(dataset, "user00000"))
    assert peak <= plan.listing_plan(dataset).projected_bytes


def test_groups_of_long_names_are_cut_by_bytes_and_keep_every_list(monkeypatch):
    rng = np.random.default_rng(0)
    names = [("long" * 50 if i % 7 == 0 else "a") + str(i) for i in range(40)]
    users = ["user" * (i % 5) for i in range(60)]
    model = SimpleNamespace(
        artists=Vocabulary.of(pa.array(names), "artist"), users=Vocabulary.of(pa.array(users), "user")
    )
    items = rng.integers(-1, 40, (60, 5)).astype(np.int32)
    scores = rng.random((60, 5))
    batches = [Batch(start, items[start : start + 20], scores[start : start + 20]) for start in (0, 20, 40)]
    monkeypatch.setattr(all_users_files, "GROUP_BYTES", 900)
    groups = list(all_users_files._of_few_bytes(model, [batches[:2], batches[2:]]))
    assert np.array_equal(np.concatenate([batch.items for group in groups for batch in group]), items)
    assert groups[0][0].start == 0
    for group in groups:
        lists = [
            [len(names[i]) + len(users[user]) for i in row if i >= 0]
            for batch in group
            for user, row in zip(batch.rows, batch.items, strict=True)
        ]
        assert sum(map(sum, lists[:-1])) <= 900
    assert len(groups) > 4


def test_a_model_s_own_numbers_decide(tmp_path):
    model = small_model(tmp_path)
    assert model.manifest.content["longest_names"] is None
    shape = plan.shape_of_model(model, 10, model.artists.plain_bytes)
    # A dataset of before says nothing of its longest name.
    assert shape.longest_name_bytes == model.artists.plain_bytes
    assert shape.manifest_bytes == (tmp_path / "lastfm.model" / "manifest.json").stat().st_size
    answer = plan.fit_answer(model, Budget(1 << 40, 0), by_user=False, n=5)
    assert answer.stages == {"answer": answer_bytes(replace(shape, n=5))}
