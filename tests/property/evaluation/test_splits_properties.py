"""A split's parts are the whole matrix, each interaction once, for any matrix, method, and block."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_matrix

from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation import splits
from lastfm_dask.evaluation.splits import SplitSettings, make_split

matrices = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 9)), elements=st.integers(0, 9).map(float)
)
settings = st.builds(
    SplitSettings,
    st.sampled_from(["random", "last", "new-users"]),
    st.floats(0.05, 0.95),
    st.integers(1, 3),
    st.integers(0, 2**63),
)


@given(matrices, settings, st.integers(1, 12))
def test_the_parts_are_the_whole(dense, settings, block):
    plays = csr_matrix(dense)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(splits, "BLOCK_NNZ", block):
        try:
            split = make_split(plays, settings, Path(folder))
        except BadInputError:
            assume(False)
        parts = [split.train, split.held_out, *([split.history] if split.folds_in else [])]
        assert np.array_equal(sum(part.toarray() for part in parts), dense)
        assert sum(part.nnz for part in parts) == plays.nnz
        for part in parts:
            assert part.shape == plays.shape
            assert part.dtype == np.float32
            # What scipy itself finds, not what the matrix was told of itself.
            copy = csr_matrix((part.data, part.indices, part.indptr), shape=part.shape)
            assert copy.has_canonical_format
