"""A model that an earlier run left, as training's result: so that `run` goes on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import clear_finished, open_directory, read_receipts
from lastfm_dask.training.result import train_result

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.result import TrainResult
    from lastfm_dask.training.settings import TrainSettings


def trained(path: Path, dataset: Dataset, settings: TrainSettings) -> TrainResult | None:
    """Return what training made of a dataset by these settings and left at `path`; None if it is of others.

    Raises
    ------
    StoreError
        If no model can be opened there.
    """
    content = open_directory(path, layout.MODEL).content
    clear_finished(path)
    asked = content.get("training", {}).get("asked", content["settings"])
    if asked != settings.to_dict() or content["dataset"]["fingerprint"] != dataset.fingerprint:
        return None
    return train_result(path, content, read_receipts(path))
