"""Artists on a plane: near each other where their vectors point the same way. Pure.

Principal components of the directions (classical scaling of their cosines), so the same artists always lie the same
way; what overlaps is then pushed apart a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_ROUNDS = 60
_LEAST_GAP = (0.2, 0.055)
"""How far apart two labels must be across or down, as shares of the map."""


def places(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return a place on the plane for each vector, shape (n, 2), both coordinates within 0 to 1."""
    if not len(vectors):
        return np.zeros((0, 2))
    lengths = np.linalg.norm(np.asarray(vectors, np.float64), axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1)
    left, strengths, _ = np.linalg.svd(directions - directions.mean(axis=0), full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    n = min(2, len(strengths))
    plane[:, :n] = left[:, :n] * strengths[:n]
    # A component's sign is arbitrary: the first artist lies left and above.
    plane *= np.where(plane[0] > 0, -1.0, 1.0)
    return _apart(_spread(plane))


def _spread(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, size = plane.min(axis=0), np.ptp(plane, axis=0)
    return np.where(size > 1e-9, (plane - low) / np.where(size > 1e-9, size, 1), 0.5)


def _apart(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Push labels that overlap apart, up and down; those that lie alike keep their order."""
    across, down = _LEAST_GAP
    for _ in range(_ROUNDS):
        gap = plane[:, None] - plane[None]
        upper = (gap[..., 1] < 0) | ((gap[..., 1] == 0) & np.tri(len(plane), k=-1, dtype=bool).T)
        overlap = np.clip(down - np.abs(gap[..., 1]), 0, None) * (np.abs(gap[..., 0]) < across)
        np.fill_diagonal(overlap, 0)
        if not overlap.any():
            break
        plane[:, 1] += (np.where(upper, -overlap, overlap) / 2).sum(axis=1)
        plane[:, 1] = np.clip(plane[:, 1], 0, 1)
    return plane
