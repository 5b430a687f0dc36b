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
from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender import all_users, all_users_files, plan
from lastfm_dask.recommender.all_users import AllUsers, Batch, BatchSettings
from lastfm_dask.recommender.blend import Blend, Lists
from lastfm_dask.recommender.item_weights import of_matrix
from lastfm_dask.recommender.plan import RecommendingShape, answer_bytes, blended_bytes, recommending_bytes
from lastfm_dask.recommender.ranking import Ranked, Ranking, SeenItems
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


@pytest.mark.parametrize(
    ("n_artists", "n_giants", "giant", "batch_users", "n"),
    [
        (1000, 0, 0, 512, 10),
        (20_000, 1, 3000, 512, 10),
        (20_000, 1, 3000, 512, 1000),
        (20_000, 40, 3000, 512, 10),
        (300_000, 1, 250_000, 16, 10),
    ],
)
def test_a_batch_with_long_lists_holds_no_more_than_projected(n_artists, n_giants, giant, batch_users, n):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(n_artists, 16)).astype(np.float32)
    ranking = Ranking.of(factors, np.linalg.norm(factors, axis=1))
    assert len(ranking.position) == n_artists
    # The longest vectors, so that nothing of the first blocks is left for those who have them.
    lists = [np.sort(ranking.order[:giant])] * n_giants
    lists += [np.sort(rng.choice(n_artists, 5, replace=False)) for _ in range(batch_users - n_giants)]
    n_users, nnz = 100 * batch_users, n_giants * giant + 5 * 100 * batch_users
    most = BatchSettings(batch_users, 1).values(n_users, nnz)
    first, last = next(row_blocks(np.cumsum([0, *map(len, lists)]), most))
    indptr = np.cumsum([0, *map(len, lists[first:last])])
    seen = SeenItems(indptr, np.concatenate(lists[first:last]))
    vectors = rng.normal(size=(last - first, 16)).astype(np.float32)
    peak = peak_of(lambda: ranking.best(vectors, n, seen))
    shape = RecommendingShape(n_users, n_artists, nnz, 16, n, 0, longest=max(giant, 5))
    one, two = (recommending_bytes(shape, BatchSettings(batch_users, threads)) for threads in (1, 2))
    assert peak <= two - one


def test_a_batch_of_long_lists_has_fewer_users(monkeypatch):
    indptr = np.cumsum([0, *[1] * 60, *[100] * 4, *[1] * 36])
    model = SimpleNamespace(
        n_users=100,
        matrix=(indptr, np.zeros(indptr[-1], np.int32), np.ones(indptr[-1], np.float32)),
        user_factors=np.zeros((100, 2), np.float32),
        check_matrix=lambda: None,
    )

    def all_empty(model, vectors, lists, settings):
        return Ranked(np.full((len(vectors), 1), -1), np.full((len(vectors), 1), np.nan))

    monkeypatch.setattr(all_users, "listed", all_empty)
    at_once = BatchSettings(20, 1)
    most = at_once.values(100, int(indptr[-1]))
    batches = [batch.rows for batch in AllUsers(model, None).batches(at_once)]
    assert [row for rows in batches for row in rows] == list(range(100))
    assert max(map(len, batches)) == 20
    assert all(indptr[rows.stop] - indptr[rows.start] <= most for rows in batches)
    assert len(batches) == 7


@pytest.mark.parametrize("n_listed", [20, 6000])
def test_users_whose_item_weights_reach_much_are_blended_few_at_once(n_listed):
    rng, n_artists, n_users = np.random.default_rng(0), 20_000, 32
    weights = of_matrix(
        random_matrix(n_artists, n_artists, 20 / n_artists, format="csr", rng=rng, dtype=np.float32)
    )
    factors = rng.normal(size=(n_artists, 4)).astype(np.float32)
    ranking = Ranking.of(factors, np.linalg.norm(factors, axis=1))
    assert len(ranking.position) == n_artists
    rows = [np.sort(rng.choice(n_artists, n_listed, replace=False)) for _ in range(n_users)]
    lists = Lists(np.arange(n_users + 1) * n_listed, np.concatenate(rows), np.ones(n_users * n_listed))
    vectors = rng.normal(size=(n_users, 4)).astype(np.float32)
    blend = Blend(weights, 1.0, 1.0)
    peak = peak_of(lambda: blend.best(ranking, vectors, lists, 10))
    shape = RecommendingShape(
        n_users, n_artists, n_users * n_listed, 4, 10, 0, len(weights.data), longest=n_listed
    )
    one, two = (recommending_bytes(shape, BatchSettings(n_users, threads)) for threads in (1, 2))
    assert peak <= two - one
    alone = [blend.best(ranking, vectors[[row]], lists.rows(row, row + 1), 10).items[0] for row in range(3)]
    assert np.array_equal(blend.best(ranking, vectors, lists, 10).items[:3], alone)


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
