"""From what each artist of a list adds, and the score that is shown, to an explanation that adds up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.recommender.results import Contribution, Explanation, User

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def explanation(
    user: User, artist: str, score: float, names: Sequence[str], contributions: npt.NDArray[np.float64]
) -> Explanation:
    """Return the explanation of a score.

    Parameters
    ----------
    user : User
        Whom the score is for.
    artist : str
        Whose score it is.
    score : float
        As `recommend` and `score` show it.
    names : sequence of str
        The artists of the user's list.
    contributions : float64, shape (len(names),)
        What each adds to the exact solution's score.

    Returns
    -------
    Explanation
        Contributions from the largest to the lowest. The remainder is what the shown score has beyond their sum:
        what conjugate gradients left over when a user's vector was trained, and what the artists' vectors moved
        afterwards, in the last half-iteration; for a new user it is rounding alone. Where a blend counts listeners, the
        remainder holds that part too: it is the same whatever is on the list.
    """
    order = np.argsort(-contributions, kind="stable")
    ranked = tuple(Contribution(names[i], float(contributions[i])) for i in order.tolist())
    return Explanation(user, artist, score, ranked, score - float(np.sum(contributions)))
