"""A model that an earlier run left, as training's result: so that `run` goes on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import clear_finished, open_directory, read_receipts
from lastfm_dask.training.train import TrainResult

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.settings import TrainSettings


def trained(path: Path, dataset: Dataset, settings: TrainSettings) -> TrainResult | None:
    """Return what training made of a dataset by these settings and left at `path`; None where it is of others.

    Raises
    ------
    StoreError
        Where no model can be opened there.
    """
    content = open_directory(path, layout.MODEL).content
    clear_finished(path)
    if content["settings"] != settings.to_dict() or content["dataset"]["fingerprint"] != dataset.fingerprint:
        return None
    receipts = read_receipts(path)
    stages = {stage["stage"]: stage for stage in receipts["stages"]}
    confidence = content["confidence"]
    return TrainResult(
        path=path,
        settings=settings,
        n_users=content["users"],
        n_artists=content["artists"],
        nnz=content["nnz"],
        confidence_min=confidence["min"],
        confidence_max=confidence["max"],
        prepare_s=stages["prepare"]["wall_s"],
        fit_s=stages["fit"]["wall_s"],
        iteration_s=tuple(stages["fit"].get("iteration_s", ())),
        allowed_bytes=receipts["allowed_bytes"],
        stages=receipts["stages"],
    )
