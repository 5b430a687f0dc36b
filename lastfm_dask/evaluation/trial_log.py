"""The trials of a search that was interrupted: a file beside the output, whole after every trial, that a next run reads.

The sampler is seeded, so a run that gets the same figures asks for the same settings: what was measured before need
not be trained again, and the search ends with the bytes that it would have had. The file goes with the search's end.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset.arrays import BLOCK_NNZ
from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.dataset.store import installed_versions

if TYPE_CHECKING:
    from pathlib import Path

    from scipy.sparse import csr_matrix

    from lastfm_dask.evaluation.search import Trial, TuneSettings


@dataclass(slots=True)
class TrialLog:
    """What is known of a search's trials, in their order.

    Attributes
    ----------
    path : Path
        The file.
    key : str
        What figures follow from. A file of another key does not count, and is replaced.
    """

    path: Path
    key: str
    _known: list[dict[str, Any]] = field(default_factory=list)
    resumed_after: int = 0
    """Trials that an interrupted run had measured."""

    @classmethod
    def beside(cls, output: Path, plays: csr_matrix, settings: TuneSettings) -> TrialLog:
        """Open the log of the search for an output; empty where no run left one of this data and these settings."""
        log = cls(output.with_name(f".{output.name}.trials"), _key(plays, settings))
        try:
            found = json.loads(log.path.read_text(encoding="utf-8"))
            if found["key"] == log.key:
                log._known = [{"value": None, **trial} for trial in found["trials"]]
        except (OSError, ValueError, KeyError, TypeError):
            log._known = []
        log.resumed_after = len(log._known)
        return log

    def knows(self, trial: Trial) -> bool:
        """Say whether a trial of this number and these settings was measured; what follows another one is forgotten."""
        known = self._known[trial.number : trial.number + 1]
        if known and {**known[0], "value": None} == {**trial.to_dict(), "value": None}:
            return True
        del self._known[trial.number :]
        self.resumed_after = min(self.resumed_after, trial.number)
        return False

    def value(self, number: int) -> float | None:
        """Return the figure of a trial that is known."""
        value: float | None = self._known[number]["value"]
        return value

    def keep(self, trial: Trial) -> None:
        """Add a trial that was measured."""
        self._known.append(trial.to_dict())
        with complete_or_absent(self.path, replace=True) as part:
            part.write_text(json.dumps({"key": self.key, "trials": self._known}), encoding="utf-8")

    def remove(self) -> None:
        """Remove the file: the search has ended."""
        self.path.unlink(missing_ok=True)


def _key(plays: csr_matrix, settings: TuneSettings) -> str:
    """Return a checksum of the plays and of all that figures follow from; the number of trials is not among it."""
    asked = {name: value for name, value in asdict(settings).items() if name != "n_trials"}
    versions = {**installed_versions(), "optuna": metadata.version("optuna")}
    said = json.dumps([asked, versions, plays.shape], sort_keys=True)
    checksum = hashlib.sha256(said.encode())
    for array in (plays.indptr, plays.indices, plays.data):
        for start in range(0, len(array), BLOCK_NNZ):
            checksum.update(np.ascontiguousarray(array[start : start + BLOCK_NNZ]).data)
    return checksum.hexdigest()
