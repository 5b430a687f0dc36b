"""The factor files of one training: started at random or from a model, resumed, fitted, and handed over when whole.

They are in the work directory, which outlives a killed process, until training is done; then they move to the model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import create_array
from lastfm_dask.dataset.store import installed_versions
from lastfm_dask.training.checkpoint import Checkpoint
from lastfm_dask.training.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.dataset.matrix import MappedCsr
    from lastfm_dask.memory.budget import Progress
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.start import StartModel

_FACTORS = (layout.USER_FACTORS, layout.ITEM_FACTORS)


@dataclass(slots=True)
class FitReport:
    """What fitting did."""

    history: History
    resumed_after: int
    """Whole iterations that an interrupted run had left."""
    effective_rank: float
    iteration_s: list[float] = field(default_factory=list)
    """Of the iterations that this run did."""

    def to_dict(self) -> dict[str, Any]:
        """Return what the receipt keeps."""
        return {"iterations": self.history.iterations, "resumed_after": self.resumed_after}

    def settings(self, asked: TrainSettings) -> TrainSettings:
        """Return the settings with the number of iterations that were done."""
        return replace(asked, iterations=self.history.iterations)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a fit works on."""

    dataset: Dataset
    settings: TrainSettings
    """With numbers that are settled, but for iterations."""
    start: StartModel | None
    threads: int
    progress: Progress

    def run(self, matrix: MappedCsr, work: Path, output: Path) -> FitReport:
        """Fit the factors of a matrix of confidences in `work`, and put them and their statistics into `output`."""
        from lastfm_dask.training.fit import first_factors, item_statistics
        from lastfm_dask.training.objective import effective_rank

        files = (work / layout.USER_FACTORS, work / layout.ITEM_FACTORS)
        checkpoint = Checkpoint(work / "checkpoint", files, self._key())
        history = checkpoint.restore()
        resumed_after = history.iterations if history else 0
        if history is None:
            checkpoint.clear()
            shapes = [(rows, self.settings.factors) for rows in matrix.shape]
            factors = [
                create_array(file, shape, np.float32) for file, shape in zip(files, shapes, strict=True)
            ]
            first_factors(self.settings.seed, *factors)
            known = self.start.fill(self.dataset, *factors) if self.start else None
            history = History(known=known)
        else:
            factors = [np.load(file, mmap_mode="r+") for file in files]
        iteration_s: list[float] = []
        history = self._fit(matrix, factors, history, checkpoint, iteration_s)
        gram, norms = item_statistics(factors[1])
        del factors
        for name, file in zip(_FACTORS, files, strict=True):
            file.replace(output / name)
        np.save(output / layout.ITEM_GRAM, gram)
        np.save(output / layout.ITEM_NORMS, norms)
        return FitReport(history, resumed_after, effective_rank(gram), iteration_s)

    def _fit(
        self,
        matrix: MappedCsr,
        factors: list[Any],
        history: History,
        checkpoint: Checkpoint,
        iteration_s: list[float],
    ) -> History:
        from lastfm_dask.training.fit import fit

        history = fit(
            matrix,
            self.settings,
            *factors,
            threads=self.threads,
            after_iteration=iteration_s.append,
            progress=self.progress.of("fit"),
            start=history,
            keep=checkpoint.keep,
        )
        # Settled before the most that it could be: what is done is all there is to do.
        solved = history.iterations * sum(matrix.shape)
        self.progress("fit", solved, solved)
        return history

    def _key(self) -> str:
        """Return what the factors follow from."""
        parts = {
            "dataset": self.dataset.fingerprint,
            "settings": self.settings.to_dict(),
            "start": self.start.fingerprint if self.start else None,
            "versions": installed_versions(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
