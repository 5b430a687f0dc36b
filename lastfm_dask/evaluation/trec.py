"""Lists and held-out artists as `trec_eval` and its relatives read them.

Users and artists are named by their index in the dataset: names hold spaces, which these files can't. A list has no
scores here, so that a line's score counts down with its rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

QRELS = "qrels.txt"


def write_qrels(folder: Path, users: npt.NDArray[np.integer], held_out: csr_matrix) -> None:
    """Write what was held out of these rows: `user 0 artist 1`, a line an interaction.

    Parameters
    ----------
    folder : Path
        Where `qrels.txt` goes; it exists.
    users : int, shape (n,)
        The rows of the matrix that are evaluated.
    held_out : csr_matrix, shape (n_users, n_artists)
        All rows.
    """
    with (folder / QRELS).open("w", encoding="ascii") as file:
        for user in users.tolist():
            artists = held_out.indices[held_out.indptr[user] : held_out.indptr[user + 1]]
            file.writelines(f"{user} 0 {artist} 1\n" for artist in artists.tolist())


def write_run(
    folder: Path, model: str, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
) -> None:
    """Write a model's lists to `MODEL.run`: `user Q0 artist rank score model`.

    Parameters
    ----------
    folder : Path
        Where the file goes; it exists.
    model : str
        The model's name.
    users : int, shape (n,)
        Whose lists these are.
    items : int, shape (n, k)
        Columns, best first; below zero where a list ends early.
    """
    k = items.shape[1]
    with (folder / f"{model}.run").open("w", encoding="ascii") as file:
        for user, listed in zip(users.tolist(), items, strict=True):
            file.writelines(
                f"{user} Q0 {artist} {rank} {k + 1 - rank} {model}\n"
                for rank, artist in enumerate(listed[listed >= 0].tolist(), 1)
            )
