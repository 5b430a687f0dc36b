"""Near names: leaving out what can't be near changes no answer."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from lastfm_dask.dataset.nearness import LEAST_SIMILARITY, FoldedNames, fold

names = st.text(st.sampled_from("abcdé🎵øß THE&\n"), max_size=9)


@given(st.lists(names, max_size=30), names)
def test_the_nearest_are_those_of_comparing_every_name(known, typed):
    scored = [
        (Indel.normalized_similarity(fold(typed), fold_as_stored(name)), i) for i, name in enumerate(known)
    ]
    wanted = sorted((-score, i) for score, i in scored if score >= LEAST_SIMILARITY)
    found = FoldedNames(pa.array(known, pa.string())).nearest(typed, 5)
    assert found == [i for _, i in wanted[:5]]


def fold_as_stored(name: str) -> str:
    """Fold a name with the blanks around it, as an array of names is folded."""
    from lastfm_dask.dataset.nearness import fold_all

    return fold_all(pa.array([name], pa.string()))[0].as_py()
