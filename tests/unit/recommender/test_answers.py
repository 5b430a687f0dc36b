"""Answers for known and new listeners, against brute force over the model's files."""

from __future__ import annotations

import doctest
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from models import N_ARTISTS, N_USERS, NAMES, exact_vector, small_model

from lastfm_dask.errors import BadInputError, StoreError, UnknownNameError
from lastfm_dask.recommender import answers
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.training import train as training
from lastfm_dask.training.settings import TrainSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def model(folder) -> Recommender:
    return small_model(folder)


def row_of(model, user):
    indptr, indices, data = model.matrix
    row = model.users.index(user)
    return row, indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]


def best(model, vector, seen, n, allowed=None):
    scores = np.asarray(model.item_factors, np.float64) @ vector
    allowed = np.ones(len(scores), bool) if allowed is None else allowed.copy()
    allowed[seen] = False
    order = [j for j in np.argsort(-scores, kind="stable") if allowed[j]]
    return order[:n], scores


@pytest.mark.parametrize("user", [f"user{i:05d}" for i in (0, 7, N_USERS - 1)])
@pytest.mark.parametrize("include_known", [False, True])
def test_a_known_listener_gets_the_best_of_what_is_new(model, user, include_known):
    row, items, _ = row_of(model, user)
    vector = np.asarray(model.user_factors[row], np.float64)
    wanted, scores = best(model, vector, [] if include_known else items, 12)
    found = model.recommend(user, n=12, include_known=include_known)
    assert [item.index for item in found.items] == wanted
    np.testing.assert_allclose([item.score for item in found.items], scores[wanted], rtol=1e-12)
    assert [item.artist for item in found.items] == model.artists.names(wanted)
    counted = np.bincount(model.matrix[1], minlength=N_ARTISTS)
    assert [item.listeners for item in found.items] == counted[wanted].tolist()
    assert found.user.name == user
    assert found.fallback is None


@pytest.mark.parametrize(
    "settings", [TrainSettings(factors=8), TrainSettings(factors=8, weighting="raw", alpha=0.1)]
)
def test_a_new_listener_is_folded_in_exactly(tmp_path, settings):
    model = small_model(tmp_path, settings)
    likes = {"sigur rós": 30, "Björk": 7, "artist 11": 400}
    items = [0, 1, 11]
    vector = exact_vector(model, items, [30, 7, 400])
    wanted, scores = best(model, vector, items, 10)
    found = model.recommend(likes=likes)
    assert [item.index for item in found.items] == wanted
    np.testing.assert_allclose([item.score for item in found.items], scores[wanted], rtol=1e-6)
    assert [(like.artist, like.plays) for like in found.user.likes] == [
        ("sigur rós", 30),
        ("björk", 7),
        ("artist 11", 400),
    ]


def test_folding_in_under_bm25_weighs_as_training_did(tmp_path):
    """implicit's own weighting of the matrix with the listener's row in place of an equal one gives the weights."""
    from implicit.nearest_neighbours import bm25_weight
    from scipy.sparse import csr_matrix

    settings = TrainSettings(factors=8, weighting="bm25", alpha=0.3, bm25_k1=50, bm25_b=0.6)
    model = small_model(tmp_path, settings)
    indptr, indices, data = model.matrix
    plays = csr_matrix((data, indices, indptr), shape=(N_USERS, N_ARTISTS))
    weighted = 0.3 * bm25_weight(plays, K1=50, B=0.6).tocsr()
    row, items, counts = row_of(model, "user00003")
    factors = np.asarray(model.item_factors, np.float64)
    confidence = weighted[row, items].toarray().ravel()
    chosen = factors[items]
    matrix = factors.T @ factors + chosen.T @ np.diag(confidence - 1) @ chosen + 40 * np.eye(8)
    vector = np.linalg.solve(matrix, chosen.T @ confidence)
    likes = dict(zip(model.artists.names(items), counts.astype(int).tolist(), strict=True))
    found = model.score(model.artists.names(range(N_ARTISTS)), likes=likes)
    np.testing.assert_allclose(
        [score.score for score in found.scores], factors @ vector, rtol=1e-4, atol=1e-7
    )


def test_likes_named_twice_are_added_up(model):
    twice = model.recommend(likes={"Sigur RÓS": 10, "sigur rós": 20})
    assert twice == model.recommend(likes={"sigur rós": 30})
    assert model.recommend(likes=["sigur rós"]) == twice


def test_unknown_likes_are_listed_and_the_known_ones_answer(model):
    found = model.recommend(likes={"sigur ros": 3, "radiohead": 5, "zzzzzzzzzz": 1})
    assert [(name.name, name.near[:1]) for name in found.user.unknown] == [
        ("sigur ros", ("sigur rós",)),
        ("zzzzzzzzzz", ()),
    ]
    assert found.items == model.recommend(likes={"radiohead": 5}).items
    assert found.to_dict()["unknown"][0]["near"][0] == "sigur rós"


@pytest.mark.parametrize("likes", [["qqqqq"], [], {}])
def test_nothing_known_gives_popularity_and_says_so(model, likes):
    found = model.recommend(likes=likes, n=5, exclude=["radiohead"], max_listeners=20)
    listeners = model.listeners
    wanted = [j for j in np.argsort(-listeners, kind="stable") if listeners[j] <= 20 and j != 2][:5]
    assert found.fallback == "popularity"
    assert [item.index for item in found.items] == wanted
    assert [item.score for item in found.items] == listeners[wanted].tolist()
    assert found.to_dict()["fallback"] == "popularity"


@pytest.mark.parametrize(("low", "high"), [(None, None), (5, None), (None, 12), (4, 20), (1000, None)])
@pytest.mark.parametrize("exclude", [(), ("artist 9", "Sigur Rós")])
def test_filters(model, low, high, exclude):
    allowed = np.ones(N_ARTISTS, bool)
    if low is not None:
        allowed &= model.listeners >= low
    if high is not None:
        allowed &= model.listeners <= high
    if exclude:
        allowed[[9, 0]] = False
    row, items, _ = row_of(model, "user00005")
    wanted, _ = best(model, model.user_factors[row].astype(float), items, N_ARTISTS, allowed)
    found = model.recommend("user00005", n=N_ARTISTS, exclude=exclude, min_listeners=low, max_listeners=high)
    assert [item.index for item in found.items] == wanted


def test_scores_of_all_answers_are_the_same_numbers(model):
    names = model.artists.names(range(N_ARTISTS))
    for who in ({"user": "user00004"}, {"likes": {"björk": 9, "artist 20": 50}}):
        scored = {score.artist: score.score for score in model.score(names, **who).scores}
        listed = model.recommend(**who, n=N_ARTISTS, include_known=True).items
        assert {item.artist: item.score for item in listed} == scored
        for name in names[::7]:
            assert model.explain(name, **who).score == scored[name]


def test_vectors_give_the_scores(model):
    found = model.score(["radiohead", "nan"], "user00001", vectors=True)
    user = np.array(found.user_vector)
    for score in found.scores:
        assert float(user @ np.array(found.artist_vectors[score.artist])) == pytest.approx(
            score.score, rel=1e-9
        )
    assert set(found.to_dict()["vectors"]["artists"]) == {"radiohead", "nan"}
    assert "vectors" not in model.score(["nan"], "user00001").to_dict()


def test_similar_trusts_an_artist_by_its_listeners(model):
    plain = {item.artist: item for item in model.similar("radiohead", n=N_ARTISTS, shrink=0).items}
    shrunk = model.similar("radiohead", n=N_ARTISTS, shrink=7).items
    wanted = {name: one.similarity * one.listeners / (one.listeners + 7) for name, one in plain.items()}
    np.testing.assert_allclose([one.similarity for one in shrunk], [wanted[one.artist] for one in shrunk])
    assert [one.artist for one in shrunk] == sorted(wanted, key=wanted.__getitem__, reverse=True)


@pytest.mark.parametrize("shrink", [-1, float("nan"), float("inf")])
def test_similar_refuses_a_shrinkage_that_is_none(model, shrink):
    with pytest.raises(BadInputError, match="shrinkage"):
        model.similar("radiohead", shrink=shrink)


def test_similar_is_the_cosine(model):
    factors = np.asarray(model.item_factors, np.float64)
    cosines = factors @ factors[2] / np.linalg.norm(factors, axis=1) / np.linalg.norm(factors[2])
    wanted = [j for j in np.argsort(-cosines, kind="stable") if j != 2][:9]
    found = model.similar("RADIOHEAD", n=9, shrink=0)
    assert found.artist == "radiohead"
    assert [item.artist for item in found.items] == model.artists.names(wanted)
    np.testing.assert_allclose([item.similarity for item in found.items], cosines[wanted], rtol=1e-6)
    assert len(model.similar("radiohead", n=10 * N_ARTISTS).items) == N_ARTISTS - 1
    heard = [j for j in np.argsort(-cosines, kind="stable") if j != 2 and model.listeners[j] >= 9]
    found = model.similar("radiohead", n=N_ARTISTS, min_listeners=9, shrink=0)
    assert [item.artist for item in found.items] == model.artists.names(heard)
    assert model.similar("radiohead", min_listeners=1000).items == ()


def test_all_users_gets_what_each_alone_gets(model):
    users = model.users.names(range(N_USERS))
    alone = [model.recommend(user, n=6, max_listeners=25) for user in users]
    batches = list(model.recommend_all(n=6, max_listeners=25, threads=2))
    rows = list(itertools.chain.from_iterable(batch.rows for batch in batches))
    assert rows == list(range(N_USERS))
    items = np.concatenate([batch.items for batch in batches])
    scores = np.concatenate([batch.scores for batch in batches])
    for row, answer in enumerate(alone):
        n = len(answer.items)
        assert items[row, :n].tolist() == [item.index for item in answer.items]
        assert scores[row, :n].tolist() == [item.score for item in answer.items]
        assert (items[row, n:] == -1).all()
        assert np.isnan(scores[row, n:]).all()


def test_unknown_names_are_errors_with_near_ones(model):
    with pytest.raises(UnknownNameError, match="no user is called 'nobody'"):
        model.recommend("nobody")
    with pytest.raises(UnknownNameError, match="did you mean 'björk'"):
        model.similar("bjork")
    with pytest.raises(
        UnknownNameError, match=r"'sigur ros'.*'sigur rós'.*; no artist is called 'bjork'"
    ) as caught:
        model.score(["sigur ros", "nan", "bjork"], "user00001")
    assert caught.value.name == "sigur ros"
    assert caught.value.near[0] == "sigur rós"
    for ask in (lambda: model.score(["nan"], likes=["xx"]), lambda: model.explain("nan", likes=["xx"])):
        with pytest.raises(UnknownNameError, match="'xx'"):
            ask()
    with pytest.raises(UnknownNameError, match="'radiohaed'"):
        model.recommend("user00001", exclude=["radiohaed"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"user": "user00001", "likes": ["nan"]},
        {"user": "user00001", "n": 0},
        {"likes": "nan"},
        {"likes": {"nan": 0}},
    ],
)
def test_what_can_not_be_answered_is_refused(model, arguments):
    with pytest.raises(BadInputError):
        model.recommend(**arguments)


def test_kept_case_is_not_ignored(tmp_path):
    from models import named_dataset

    from lastfm_dask import train

    dataset = named_dataset(tmp_path / "d", settings={"keep_case": True})
    model = Recommender(train(dataset, tmp_path / "m", TrainSettings(factors=4)).path)
    assert model.knows_artist("radiohead")
    assert not model.knows_artist("Radiohead")


def test_a_model_that_is_none_is_refused(model, tmp_path):
    with pytest.raises(StoreError, match=r"a lastfm_dask\.model is wanted"):
        Recommender(model.path.parent / "lastfm.dataset")
    with pytest.raises(StoreError, match="not a directory"):
        Recommender(tmp_path / "none")


def test_answers_import_neither_implicit_nor_scipy_nor_pandas(model):
    code = (
        "import sys; from lastfm_dask import Recommender; m = Recommender(sys.argv[1]);"
        "m.recommend('user00001'); m.recommend(likes=['nan', 'bjork']); m.similar('nan'); m.explain('nan', 'user00002');"
        "list(m.recommend_all());"
        "import json; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model.path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert not {"implicit", "scipy", "pandas", "dask", "distributed"} & set(json.loads(done.stdout))


def test_no_file_is_changed_by_answers(model):
    from lastfm_dask.dataset import layout
    from lastfm_dask.dataset.store import verify_directory

    model.recommend(likes=dict.fromkeys(NAMES, 5))
    list(model.recommend_all())
    verify_directory(model.path, layout.MODEL)


@pytest.mark.parametrize("module", [answers, training])
def test_examples_run(module, model, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
