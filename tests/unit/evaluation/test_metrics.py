"""Metrics against trec_eval, the library whose definitions they claim; intervals against SciPy's bootstrap."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import bootstrap

from lastfm_dask.evaluation import metrics
from lastfm_dask.evaluation.metrics import coverage, find_hits, measure, score_lists

N_ARTISTS = 60


def random_lists(n_users=80, k=20, seed=0):
    """Return lists of distinct artists, some of which end early, and what was held out, at least one each."""
    rng = np.random.default_rng(seed)
    items = np.array([rng.choice(N_ARTISTS, k, replace=False) for _ in range(n_users)], np.int32)
    for row, length in enumerate(rng.integers(0, 2 * k, n_users)):
        items[row, length:] = -1
    wanted = np.zeros((n_users, N_ARTISTS), np.float32)
    for row in wanted:
        row[rng.choice(N_ARTISTS, rng.integers(1, 30), replace=False)] = 1
    return items, csr_matrix(wanted)


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_trec_eval_gives_the_same(k):
    if platform.machine() != "x86_64":
        pytest.skip("pytrec_eval comes built for x86_64 alone")
    import pytrec_eval

    items, held_out = random_lists()
    hits = find_hits(items, held_out)
    found = score_lists(hits, np.diff(held_out.indptr), k)
    relevant = {
        str(row): {str(artist): 1 for artist in held_out[row].indices.tolist()} for row in range(len(items))
    }
    run = {
        str(row): {str(artist): float(-rank) for rank, artist in enumerate(artists.tolist()) if artist >= 0}
        for row, artists in enumerate(items)
    }
    theirs = {"ndcg": "ndcg_cut", "recall": "recall", "precision": "P", "map": "map_cut"}
    judge = pytrec_eval.RelevanceEvaluator(relevant, {f"{name}.{k}" for name in theirs.values()})
    judged = judge.evaluate(run)
    assert 0 < found["ndcg"].mean() < 1
    for ours, name in theirs.items():
        # A query without any answer is left out by trec_eval; a list of nobody's is worth 0.
        expected = [judged.get(str(row), {}).get(f"{name}_{k}", 0.0) for row in range(len(items))]
        np.testing.assert_allclose(found[ours], expected, atol=1e-12)


def test_a_perfect_list_of_k_scores_one_where_recall_can_not():
    held_out = csr_matrix(np.ones((1, 30), np.float32))
    items = np.arange(10, dtype=np.int32)[None, :]
    found = measure(items, held_out, (10,), n_resamples=0)
    perfect = ("ndcg@10", "precision@10", "recall_min@10", "map_min@10")
    assert [found[name].value for name in perfect] == pytest.approx([1.0] * 4, abs=1e-12)
    assert found["recall@10"].value == found["map@10"].value == 10 / 30


def test_coverage_counts_each_artist_once_and_no_early_end():
    assert coverage(np.array([[0, 1], [1, -1], [-1, -1]]), 10) == 2 / 10


def test_hits_do_not_depend_on_the_block(monkeypatch):
    items, held_out = random_lists()
    whole = find_hits(items, held_out)
    expected = [
        [artist >= 0 and held_out[row, artist] > 0 for artist in items[row]] for row in range(len(items))
    ]
    assert whole.tolist() == expected
    monkeypatch.setattr(metrics, "BLOCK_ROWS", 7)
    assert np.array_equal(find_hits(items, held_out), whole)


def test_intervals_are_those_of_scipys_percentile_bootstrap():
    items, held_out = random_lists(n_users=200)
    found = measure(items, held_out, (10,), seed=1, n_resamples=4000)["ndcg@10"]
    values = score_lists(find_hits(items, held_out), np.diff(held_out.indptr), 10)["ndcg"]
    theirs = bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    error = values.std() / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    # Two draws of 4000 resamples each: a bound's own spread is some hundredths of the standard error.
    assert found.low == pytest.approx(theirs.low, abs=0.15 * error)
    assert found.high == pytest.approx(theirs.high, abs=0.15 * error)


def test_intervals_follow_from_the_seed():
    items, held_out = random_lists()
    assert measure(items, held_out, (5, 10), seed=3, n_resamples=50) == measure(
        items, held_out, (5, 10), seed=3, n_resamples=50
    )
    assert measure(items, held_out, (5, 10), seed=3, n_resamples=50) != measure(
        items, held_out, (5, 10), seed=4, n_resamples=50
    )


def test_no_figure_at_k_depends_on_the_other_ks():
    items, held_out = random_lists()
    several = measure(items, held_out, (20, 5), n_resamples=30)
    alone = measure(items, held_out, (5,), n_resamples=30)
    for name, interval in alone.items():
        expected = (interval.value, interval.low, interval.high)
        assert (several[name].value, several[name].low, several[name].high) == pytest.approx(
            expected, abs=1e-12
        )
