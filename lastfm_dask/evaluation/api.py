"""Evaluation and tuning of a dataset, for Python: what the commands of the same names do, with results as objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation import evaluate as evaluating
from lastfm_dask.evaluation import tune as tuning
from lastfm_dask.training.settings import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from lastfm_dask.evaluation.candidates import Candidate
    from lastfm_dask.evaluation.evaluate import Evaluation
    from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
    from lastfm_dask.evaluation.search import TuneSettings
    from lastfm_dask.evaluation.tune import Tuning
    from lastfm_dask.training.settings import TrainSettings


def evaluate(
    dataset: Dataset | str | PathLike[str],
    settings: TrainSettings | None = None,
    *,
    compare: Sequence[str] = (),
    measured: EvaluationSettings | None = None,
    run: EvaluationRun | None = None,
) -> Evaluation:
    """Measure what `train` would make of a dataset on held-out interactions, popularity beside it.

    Parameters
    ----------
    dataset : Dataset or path
        What `ingest` published.
    settings : TrainSettings, optional
        The preset `recommended` unless given.
    compare : sequence of str
        Presets, `neighbours` or `ease`, measured beside it.
    measured : EvaluationSettings, optional
        The split, the lengths of the lists, the users, the resamples.
    run : EvaluationRun, optional
        Memory, threads, the folder for temporary files, progress.

    Raises
    ------
    BadInputError
        If the data leaves nothing to hold out, or the split `time` finds no times.
    BudgetError
        Before any work, where more memory or disk is needed than there is.

    Examples
    --------
    >>> import lastfm_dask
    >>> found = lastfm_dask.evaluate("lastfm.dataset", compare=["neighbours"])
    >>> [model.name for model in found.models]
    ['recommended', 'popularity', 'neighbours']
    """
    opened = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    models = candidates_of(settings or preset(DEFAULT_PRESET), compare)
    return evaluating.evaluate(opened.user_items, models, measured, run, opened.last_listen)


def tune(
    dataset: Dataset | str | PathLike[str],
    output: str | PathLike[str],
    settings: TuneSettings | None = None,
    *,
    run: EvaluationRun | None = None,
) -> Tuning:
    """Search for the settings that recommend best on a dataset, and write the file that `train` takes as settings.

    Parameters
    ----------
    dataset : Dataset or path
        What `ingest` published.
    output : path
        The settings file; it must not exist.
    settings : TuneSettings, optional
        What to search, and the figure to maximize.
    run : EvaluationRun, optional
        Memory, threads, the folder for temporary files, progress.
    """
    opened = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    return tuning.tune(opened.user_items, Path(output), settings, run)


def candidates_of(settings: TrainSettings, compare: Sequence[str]) -> list[Candidate]:
    """Return what to measure: the model, popularity, and the models to compare."""
    found = [candidates.als(settings.preset, settings), candidates.popularity()]
    by_name = {candidates.NEIGHBOURS: candidates.neighbours, candidates.EASE: candidates.ease}
    for name in dict.fromkeys(compare):
        if name in by_name:
            found.append(by_name[name]())
        elif name != settings.preset:
            found.append(candidates.als(name, preset(name)))
    return found
