"""Held-out interactions: three seeded splits of a matrix, exact, reproducible, in bounded memory.

Every interaction gets a role: the model learns from it (`TRAIN`), it is told to the model only when it answers
(`HISTORY`, new listeners alone), or it is kept back to be found (`HELD_OUT`). Roles are pure functions of the
row lengths and a seed: neither threads nor the size of the blocks worked on change them. The parts are written
as memory-mapped files. What is done with them is `evaluation`'s business.
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

Method = Literal["random", "leave-k-out", "new-listeners"]

TRAIN, HELD_OUT, HISTORY = 0, 1, 2

BLOCK_NNZ = 1 << 18
"""Interactions worked on at once, unless one listener has more. The random split depends on it, so it is part
of what a seed means; the others do not."""


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """What is held out.

    Raises
    ------
    BadInputError
        Where the method is unknown or a figure is out of its range.
    """

    method: Method = "random"
    """`random`: a share of all interactions. `leave-k-out`: as many artists of every listener who has more.
    `new-listeners`: half of the list of a share of the listeners, whose other half the model never learns
    from and is told when it answers."""
    fraction: float = 0.2
    """The share of interactions (`random`) or of listeners (`new-listeners`), above 0 and below 1."""
    n_held_out: int = 1
    """Artists held out of each listener's list (`leave-k-out`)."""
    seed: int = 42

    def __post_init__(self) -> None:
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
            msg = f"{self.seed} is no seed: it must be 0 or above"
            raise BadInputError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return what describes the split: the method, the figure that it uses, and the seed."""
        figure = (
            {"n_held_out": self.n_held_out} if self.method == "leave-k-out" else {"fraction": self.fraction}
        )
        return {"method": self.method, **figure, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a matrix: csr_matrix each, of the whole matrix' shape, float32, memory-mapped."""

    settings: SplitSettings
    train: csr_matrix
    """What models learn from."""
    history: csr_matrix
    """What a listener is known to have when the model answers; the same object as `train`, except for new
    listeners."""
    held_out: csr_matrix
    """What is to be found."""

    @property
    def folds_in(self) -> bool:
        """Whether listeners are answered from their history, because the model never learnt from them."""
        return self.history is not self.train


def make_split(user_items: csr_matrix, settings: SplitSettings, folder: Path) -> Split:
    """Split a matrix into memory-mapped parts.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        The plays, columns sorted, no duplicates. Read, never written.
    settings : SplitSettings
    folder : Path
        An empty folder where the parts are written; it must stand as long as the split is used.

    Raises
    ------
    BadInputError
        Where there is nothing that could be held out.
    """
    import numpy as np

    roles = assign_roles(user_items.indptr, settings)
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
    if settings.method == "new-listeners":
        history = write_part(user_items, roles, HISTORY, folder / "history")
    return Split(settings, train, history, held_out)


def assign_roles(indptr: npt.NDArray[np.integer], settings: SplitSettings) -> Roles:
    """Return each interaction's role, uint8, in the order of the matrix.

    `random` holds out round(fraction * nnz) interactions, `leave-k-out` exactly `n_held_out` of every user who has
    more than that, `new-listeners` the larger half of round(fraction * n) of the n users who have two artists
    or more; each set of that size is equally likely.
    """
    import numpy as np

    rng = np.random.default_rng(settings.seed)
    if settings.method == "random":
        return _random_roles(int(indptr[-1]), settings.fraction, rng)
    lengths = np.diff(indptr)
    if settings.method == "leave-k-out":
        n_held_out = np.where(lengths > settings.n_held_out, settings.n_held_out, 0)
        return _hold_out_of_rows(indptr, n_held_out, rng)
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


def _hold_out_of_rows(
    indptr: npt.NDArray[np.integer], n_held_out: npt.NDArray[np.integer], rng: np.random.Generator
) -> Roles:
    """Choose `n_held_out[i]` interactions of every row i: those with the smallest of its random keys."""
    import numpy as np

    roles = np.zeros(int(indptr[-1]), dtype=np.uint8)
    for first, last in row_blocks(indptr, BLOCK_NNZ):
        start, stop = int(indptr[first]), int(indptr[last])
        lengths = np.diff(indptr[first : last + 1])
        rows = np.repeat(np.arange(last - first), lengths)
        # One key an interaction, in order: the stream is the same however the rows fall into blocks.
        order = np.lexsort((rng.random(stop - start), rows))
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
    from numpy.lib.format import open_memmap

    from lastfm_dask.dataset.layout import USER_ITEMS
    from lastfm_dask.dataset.matrix import open_user_items

    indptr = user_items.indptr
    part_indptr = np.zeros_like(indptr, subok=False)
    n_kept = int(np.count_nonzero(roles == role))
    (folder / USER_ITEMS[0]).parent.mkdir(parents=True)
    indices = open_memmap(folder / USER_ITEMS[1], "w+", user_items.indices.dtype, (n_kept,))
    data = open_memmap(folder / USER_ITEMS[2], "w+", user_items.data.dtype, (n_kept,))
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
    """Return how many interactions a split holds out at most, from each listener's number of artists."""
    import numpy as np

    if settings.method == "random":
        return round(settings.fraction * int(lengths.sum(dtype=np.int64)))
    if settings.method == "leave-k-out":
        return int(np.minimum(lengths, settings.n_held_out).sum(dtype=np.int64))
    chosen = round(settings.fraction * int(np.count_nonzero(lengths >= 2)))
    longest = np.sort(lengths)[len(lengths) - chosen :]
    return int((longest - longest // 2).sum(dtype=np.int64))
