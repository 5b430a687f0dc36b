"""Artists on a plane: near each other where their vectors point the same way. Pure.

Principal components of the directions (classical scaling of their cosines), so the same artists always lie the same
way. Dense parts are stretched, and each label takes the side of its point where it covers least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

WIDTH, HEIGHT = 1000, 900
LINE_HEIGHT = 34
_NARROW, _WIDE = "iljtfrI1.,:;'|!()[] ", "mwMW@%"
_LETTER_WIDTHS = (11.0, 17.0, 27.0)
"""Of narrow letters, of most, and of wide ones and ideographs, on the map."""
_MARGIN = 8
_STRETCH = 0.6
"""How much of a place is its rank among the others: 0 is the plane as it is, 1 spreads all points evenly."""
_GAP = 7


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
    return _stretched(plane)


def _stretched(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, size = plane.min(axis=0), np.ptp(plane, axis=0)
    if not (size > 1e-9).all():
        size = np.where(size > 1e-9, size, np.inf)
    ranks = np.argsort(np.argsort(plane, axis=0, kind="stable"), axis=0, kind="stable") / max(
        len(plane) - 1, 1
    )
    stretched: npt.NDArray[np.float64] = _STRETCH * ranks + (1 - _STRETCH) * (plane - low) / size
    return np.clip(stretched, 0, 1)


@dataclass(frozen=True, slots=True)
class Label:
    """Where a label's text begins, ends or has its middle, by `anchor`, on its base line."""

    x: float
    y: float
    anchor: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""


def place_labels(
    centres: Sequence[tuple[float, float]], sizes: Sequence[float], names: Sequence[str]
) -> list[Label]:
    """Return a label for each point: right of it, left, below or above, where it covers least of what is there.

    Parameters
    ----------
    centres : sequence of (x, y)
        The points, on a map of `WIDTH` by `HEIGHT`.
    sizes : sequence of float
        Their radii.
    names : sequence of str
        What the labels say.
    """
    taken = [(x - size, y - size, x + size, y + size) for (x, y), size in zip(centres, sizes, strict=True)]
    labels = []
    for i, ((x, y), size, name) in enumerate(zip(centres, sizes, names, strict=True)):
        others = taken[:i] + taken[i + 1 :]
        best = min(_sides(x, y, size, _width(name)), key=lambda label: _covered(label.box, others))
        labels.append(best)
        taken.append(best.box)
    return labels


def _width(name: str) -> float:
    narrow, usual, wide = _LETTER_WIDTHS
    return sum(
        narrow if letter in _NARROW else wide if letter in _WIDE or letter >= "\u1100" else usual
        for letter in name
    )


def _sides(x: float, y: float, size: float, width: float) -> list[Label]:
    half, away = LINE_HEIGHT / 2, size + _GAP
    base = y + LINE_HEIGHT * 0.25
    return [
        Label(x + away, base, "start", (x + away, y - half, x + away + width, y + half)),
        Label(x - away, base, "end", (x - away - width, y - half, x - away, y + half)),
        *(
            Label(
                x, base + shift, "middle", (x - width / 2, y + shift - half, x + width / 2, y + shift + half)
            )
            for shift in (away + half - 4, -away - half + 4)
        ),
    ]


def _covered(
    box: tuple[float, float, float, float], others: Sequence[tuple[float, float, float, float]]
) -> float:
    """Return how much of a box lies on others or outside of the map."""
    left, top, right, bottom = box
    outside = sum(
        max(0, beyond)
        for beyond in (_MARGIN - left, right - WIDTH + _MARGIN, _MARGIN - top, bottom - HEIGHT + _MARGIN)
    )
    return outside * LINE_HEIGHT * 4 + sum(
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(bottom, b) - max(top, y))
        for x, y, r, b in others
    )
