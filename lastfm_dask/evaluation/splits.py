"""Held-out interactions: four seeded splits of a matrix, exact, reproducible, in bounded memory.

Every interaction gets a role: the model learns from it (`TRAIN`), the model sees it only when it answers
(`HISTORY`, only for new users), or it is held out (`HELD_OUT`). Roles are pure functions of the
row lengths and a seed: neither threads nor the size of the blocks worked on change them. The parts are written
as memory-mapped files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Roles = npt.NDArray[np.uint8]

Method = Literal["random", "last", "time", "new-users"]
ALIASES = {"leave-k-out": "last", "new-listeners": "new-users"}
"""Earlier names of methods, which still work."""

TRAIN, HELD_OUT, HISTORY = 0, 1, 2

BLOCK_NNZ = 1 << 18
"""Interactions worked on at once, unless one user has more. The random split depends on it, so it is part
of what a seed means; the others do not."""


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """What is held out.

    Raises
    ------
    BadInputError
        If the method is unknown or a figure is out of its range.
    """

    method: Method = "random"
    """`random`: a share of all interactions. `last`: `n_held_out` artists of every user who has more, the most
    recently heard where the dataset has times, else drawn at random. `time`: the most recent share of interactions.
    `new-users`: half of the list of a share of the users, whose other half the model sees only
    when it answers (strong generalization, cold start)."""
    fraction: float = 0.2
    """The share of interactions (`random`, `time`) or of users (`new-users`), above 0 and below 1."""
    n_held_out: int = 1
    """Artists held out of each user's list (`last`)."""
    seed: int = 42

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", ALIASES.get(self.method, self.method))
        if self.method not in get_args(Method):
            msg = f"no split is called {self.method!r}: choose one of {', '.join(get_args(Method))}"
            raise BadInputError(msg)
        if not 0 < self.fraction < 1:
            msg = f"a fraction of {self.fraction} can't be held out: it must be above 0 and below 1"
            raise BadInputError(msg)
        if self.n_held_out < 1:
            msg = f"{self.n_held_out} artists can't be held out of each list: at least 1"
            raise BadInputError(msg)
        if self.seed < 0:
            msg = f"{self.seed} is not a seed: it must be 0 or above"
            raise BadInputError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return what describes the split: the method, the figure that it uses, and the seed."""
        figure = {"n_held_out": self.n_held_out} if self.method == "last" else {"fraction": self.fraction}
        return {"method": self.method, **figure, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a matrix: csr_matrix each, of the whole matrix' shape, float32, memory-mapped."""

    settings: SplitSettings
    train: csr_matrix
    """What models learn from."""
    history: csr_matrix
    """The user's known artists when the model answers; the same object as `train`, except for new
    users."""
    held_out: csr_matrix
    """What recommendations should find."""

    @property
    def folds_in(self) -> bool:
        """Whether users are answered only from their history, because the model was not trained on them."""
        return self.history is not self.train


def make_split(
    user_items: csr_matrix,
    settings: SplitSettings,
    folder: Path,
    times: npt.NDArray[np.int64] | None = None,
) -> Split:
    """Split a matrix into memory-mapped parts.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        The plays, columns sorted, no duplicates. Read, never written.
    settings : SplitSettings
    folder : Path
        An empty folder where the parts are written; it must stand as long as the split is used.
    times : int64, shape (nnz,), optional
        When each interaction was last heard (a dataset's `last_listen.npy`).

    Raises
    ------
    BadInputError
        If there is nothing that could be held out, or the split needs times and there are none.
    """
    import numpy as np

    roles = assign_roles(user_items.indptr, settings, times)
    n_train, n_held_out = (int(np.count_nonzero(roles == role)) for role in (TRAIN, HELD_OUT))
    if not n_train or not n_held_out:
        msg = (
            f"{user_items.nnz} interactions of {user_items.shape[0]} users leave nothing to train on or to hold out "
            f"by the split {settings.to_dict()}: evaluate on more data, or hold out another share"
        )
        raise BadInputError(msg)
    train = write_part(user_items, roles, TRAIN, folder / "train")
    held_out = write_part(user_items, roles, HELD_OUT, folder / "held_out")
    history = train
    if settings.method == "new-users":
        history = write_part(user_items, roles, HISTORY, folder / "history")
    return Split(settings, train, history, held_out)


def assign_roles(
    indptr: npt.NDArray[np.integer], settings: SplitSettings, times: npt.NDArray[np.int64] | None = None
) -> Roles:
    """Return each interaction's role, uint8, in the order of the matrix.

    `random` holds out round(fraction * nnz) interactions, `last` exactly `n_held_out` of every user who has
    more than that, `new-users` the larger half of round(fraction * n) of the n users who have two artists
    or more; each set of that size is equally likely. `time` holds out what was last heard after a moment, the latest
    that leaves no more than round((1 - fraction) * nnz) interactions and those of that very moment to train on.
    """
    import numpy as np

    rng = np.random.default_rng(settings.seed)
    if settings.method == "time":
        return _roles_by_time(times, settings.fraction)
    if settings.method == "random":
        return _random_roles(int(indptr[-1]), settings.fraction, rng)
    lengths = np.diff(indptr)
    if settings.method == "last":
        n_held_out = np.where(lengths > settings.n_held_out, settings.n_held_out, 0)
        return _hold_out_of_rows(indptr, n_held_out, rng, times)
    able = np.flatnonzero(lengths >= 2)
    chosen = np.zeros(len(lengths), dtype=bool)
    chosen[rng.choice(able, round(settings.fraction * len(able)), replace=False)] = True
    roles = _hold_out_of_rows(indptr, np.where(chosen, lengths - lengths // 2, 0), rng)
    for first, last in row_blocks(indptr, BLOCK_NNZ):
        block = roles[indptr[first] : indptr[last]]
        block[np.repeat(chosen[first:last], lengths[first:last]) & (block == TRAIN)] = HISTORY
    return roles


def _random_roles(n_interactions: int, fraction: float, rng: np.random.Generator) -> Roles:
    """Choose an exact share: how many fall into each block is drawn first, then which ones."""
    import numpy as np

    roles = np.zeros(n_interactions, dtype=np.uint8)
    left = round(fraction * n_interactions)
    for start in range(0, n_interactions, BLOCK_NNZ):
        size = min(BLOCK_NNZ, n_interactions - start)
        beyond = n_interactions - start
        n = int(rng.hypergeometric(left, beyond - left, size))
        roles[start + rng.choice(size, n, replace=False, shuffle=False)] = HELD_OUT
        left -= n
    return roles


def _roles_by_time(times: npt.NDArray[np.int64] | None, fraction: float) -> Roles:
    """Hold out the most recent share: everything after one moment, so that training never sees the future."""
    import numpy as np

    if times is None:
        msg = (
            "the split time needs the times of listens, and this dataset has none: ingest a log with a time column"
            " (--events), or evaluate with --split random, last or new-users"
        )
        raise BadInputError(msg)
    if not len(times):
        return np.zeros(0, dtype=np.uint8)
    n_kept = len(times) - round(fraction * len(times))
    place = max(n_kept - 1, 0)
    moment = np.partition(times, place)[place]
    return np.where(times > moment, np.uint8(HELD_OUT), np.uint8(TRAIN))


def _hold_out_of_rows(
    indptr: npt.NDArray[np.integer],
    n_held_out: npt.NDArray[np.integer],
    rng: np.random.Generator,
    times: npt.NDArray[np.int64] | None = None,
) -> Roles:
    """Choose `n_held_out[i]` interactions of every row i: the latest, and the smallest of its random keys among equals."""
    import numpy as np

    roles = np.zeros(int(indptr[-1]), dtype=np.uint8)
    for first, last in row_blocks(indptr, BLOCK_NNZ):
        start, stop = int(indptr[first]), int(indptr[last])
        lengths = np.diff(indptr[first : last + 1])
        rows = np.repeat(np.arange(last - first), lengths)
        # One key an interaction, in order: the stream is the same however the rows fall into blocks.
        keys = rng.random(stop - start)
        order = np.lexsort((keys, rows) if times is None else (keys, ~times[start:stop], rows))
        rank = np.arange(stop - start) - np.repeat(indptr[first:last] - start, lengths)
        roles[start + order[rank < n_held_out[first:last][rows]]] = HELD_OUT
    return roles


def write_part(user_items: csr_matrix, roles: Roles, role: int, folder: Path) -> csr_matrix:
    """Write the interactions that have a role to a folder, and return them memory-mapped.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists)
    roles : uint8, shape (nnz,)
    role : int
        The one that is written.
    folder : Path
        Made; holds `user_items/{indptr,indices,data}.npy`, as a dataset does.
    """
    import numpy as np

    from lastfm_dask.dataset.arrays import create_array
    from lastfm_dask.dataset.layout import USER_ITEMS
    from lastfm_dask.dataset.matrix import open_user_items

    indptr = user_items.indptr
    part_indptr = np.zeros_like(indptr, subok=False)
    n_kept = int(np.count_nonzero(roles == role))
    (folder / USER_ITEMS[0]).parent.mkdir(parents=True)
    indices = create_array(folder / USER_ITEMS[1], (n_kept,), user_items.indices.dtype)
    data = create_array(folder / USER_ITEMS[2], (n_kept,), user_items.data.dtype)
    done = 0
    for first, last in row_blocks(indptr, BLOCK_NNZ):
        start, stop = int(indptr[first]), int(indptr[last])
        kept = roles[start:stop] == role
        before = np.concatenate(([0], np.cumsum(kept)))
        part_indptr[first + 1 : last + 1] = done + before[indptr[first + 1 : last + 1] - start]
        n = int(before[-1])
        indices[done : done + n] = user_items.indices[start:stop][kept]
        data[done : done + n] = user_items.data[start:stop][kept]
        done += n
    np.save(folder / USER_ITEMS[0], part_indptr)
    for written in (indices, data):
        written.flush()
    rows, columns = user_items.shape
    return open_user_items(folder, (rows, columns))


def largest_held_out(lengths: npt.NDArray[np.integer], settings: SplitSettings) -> int:
    """Return how many interactions a split holds out at most, from each user's number of artists."""
    import numpy as np

    if settings.method in ("random", "time"):
        return round(settings.fraction * int(lengths.sum(dtype=np.int64)))
    if settings.method == "last":
        return int(np.minimum(lengths, settings.n_held_out).sum(dtype=np.int64))
    chosen = round(settings.fraction * int(np.count_nonzero(lengths >= 2)))
    longest = np.sort(lengths)[len(lengths) - chosen :]
    return int((longest - longest // 2).sum(dtype=np.int64))
