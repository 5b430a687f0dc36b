"""What a model's lists are like beyond accuracy, how two models differ on the same users, and figures by user.

- `gini`: the Gini index of how often each artist is listed, 0 where all are listed equally often, near 1 where a few
  fill the lists (Shani, Gunawardana 2011, "Evaluating recommendation systems", section 3.3).
- `popularity`: the mean listeners, in the training part, of the artists that are listed.
- `novelty`: their mean self-information, -log2(listeners / users), in bits (Zhou et al. 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.recommender.rerank import self_information

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Items = npt.NDArray[np.integer]


def gini(counts: Items) -> float:
    """Return the Gini index of how often each artist is listed, shape (n_artists,); 0 where none is."""
    n, total = len(counts), float(counts.sum())
    if not total:
        return 0.0
    ranks = 2.0 * np.arange(1, n + 1) - n - 1
    return float(ranks @ np.sort(counts)) / (n * total)


def beyond_accuracy(items: Items, listeners: Items, n_users: int, ks: Sequence[int]) -> dict[str, float]:
    """Return Gini index, mean popularity and novelty of lists, at each length.

    Parameters
    ----------
    items : int, shape (n_lists, at least max(ks))
        Columns; below zero where a list ends early.
    listeners : int, shape (n_artists,)
        Of the training part.
    n_users : int
        Its users.
    ks : sequence of int
        Lengths of the lists.
    """
    found = {}
    for k in ks:
        listed = items[:, :k][items[:, :k] >= 0]
        known = listeners[listed]
        found[f"gini@{k}"] = gini(np.bincount(listed, minlength=len(listeners)))
        found[f"popularity@{k}"] = float(known.mean()) if len(listed) else 0.0
        found[f"novelty@{k}"] = float(self_information(known, n_users).mean()) if len(listed) else 0.0
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one model is than another on the same users, with a paired bootstrap interval of 95 %."""

    model: str
    than: str
    metric: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.model} against {self.than}: {self.metric} {self.value:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def difference(
    names: tuple[str, str], metric: str, values: tuple[Floats, Floats], seed: int, n_resamples: int
) -> Difference:
    """Return the mean difference of two models' figures by user; users are drawn with replacement, in pairs."""
    by_user = values[0] - values[1]
    rng = np.random.default_rng(seed)
    n = len(by_user)
    means = [float(by_user[rng.integers(n, size=n)].mean()) for _ in range(n_resamples)]
    mean = float(by_user.mean())
    low, high = np.percentile(means, [2.5, 97.5]) if means else (mean, mean)
    return Difference(*names, metric, mean, float(low), float(high))


def write_per_user(path: Path, users: Sequence[str], by_model: Mapping[str, Mapping[str, Floats]]) -> None:
    """Write a Parquet file: a row for each model and user, and a column for each figure; whole or not at all.

    Raises
    ------
    StoreError
        If the file exists or can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lastfm_dask.dataset.files import complete_or_absent

    with complete_or_absent(path) as part:
        writer: Any = None
        try:
            for model, figures in by_model.items():
                columns = {"model": [model] * len(users), "user": list(users), **figures}
                table = pa.table(columns)
                writer = writer or pq.ParquetWriter(part, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
