"""Training that starts from an earlier model's factors."""

from __future__ import annotations

import numpy as np
import pytest
from making import make_dataset
from scipy.sparse import csr_matrix

from lastfm_dask import train
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import create_array
from lastfm_dask.errors import BadInputError
from lastfm_dask.training.settings import PRESETS
from lastfm_dask.training.start import StartModel

SETTINGS = PRESETS["recommended"].changed(factors=16)
N_USERS, N_ARTISTS = 600, 240


def tastes(n_users, per_user=12, seed=0):
    """Return plays of users of twelve tastes, who hear other artists too."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_users, N_ARTISTS), np.float32)
    for user in range(n_users):
        own = np.arange(user % 12, N_ARTISTS, 12)
        dense[user, rng.choice(own, per_user, replace=False)] = rng.integers(1, 200, per_user)
        dense[user, rng.integers(N_ARTISTS, size=4)] = rng.integers(1, 200, 4)
    return csr_matrix(dense)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    dataset = make_dataset(folder / "d", tastes(N_USERS))
    return train(dataset, folder / "m", SETTINGS, threads=1)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A month later: a tenth more users, and the artists in another order."""
    folder = tmp_path_factory.mktemp("new")
    plays = tastes(N_USERS + N_USERS // 10)[:, ::-1].tocsr()
    plays.sort_indices()
    return make_dataset(folder / "d", plays, artists=[f"artist {j}" for j in range(N_ARTISTS)][::-1])


def test_known_names_get_their_factors_and_new_ones_keep_theirs(old, extended, tmp_path):
    users = create_array(tmp_path / "users.npy", (extended.n_users, 16), np.float32)
    artists = create_array(tmp_path / "artists.npy", (extended.n_artists, 16), np.float32)
    users[:], artists[:] = 7, 7
    known = StartModel.open(old.path, SETTINGS).fill(extended, users, artists)
    assert known == (N_USERS, N_ARTISTS)
    np.testing.assert_array_equal(users[:N_USERS], np.load(old.path / layout.USER_FACTORS))
    assert (users[N_USERS:] == 7).all()
    np.testing.assert_array_equal(artists[::-1], np.load(old.path / layout.ITEM_FACTORS))


def test_last_months_model_settles_in_half_of_the_iterations(old, extended, tmp_path):
    cold = train(extended, tmp_path / "cold", SETTINGS, threads=1)
    warm = train(extended, tmp_path / "warm", SETTINGS, threads=1, start_from=old.path)
    assert warm.training["settled"]
    assert 2 * warm.training["iterations"] <= cold.training["iterations"]
    assert warm.training["known_at_start"] == [N_USERS, N_ARTISTS]
    # As good a solution of the same problem.
    assert warm.training["objective"][-1] <= 1.01 * cold.training["objective"][-1]


def test_another_number_of_factors_is_refused(old, extended, tmp_path):
    with pytest.raises(BadInputError, match="--factors 16"):
        train(extended, tmp_path / "m", SETTINGS.changed(factors=8), start_from=old.path)
