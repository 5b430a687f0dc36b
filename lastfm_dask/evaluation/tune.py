"""The search for the settings that recommend best on a dataset: Optuna's TPE, seeded, on this node.

The search uses a split inside the training part of another split: the settings that are found are measured
on interactions that the search never saw, and `evaluate` with the same seed measures on these very interactions.
Needs the extra `tune`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.files import complete_or_absent, refuse_unwritable
from lastfm_dask.display import to_json
from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.evaluate import describe, plan_for
from lastfm_dask.evaluation.evaluator import (
    EvaluationRun,
    Evaluator,
    ModelReport,
    choose_users,
    temporary_folder,
)
from lastfm_dask.evaluation.search import TUNED, Search, Trial, TuneSettings, best_of, new_study
from lastfm_dask.evaluation.splits import Split, make_split
from lastfm_dask.evaluation.trial_log import TrialLog
from lastfm_dask.memory.meter import Meter, stages_json
from lastfm_dask.training.settings import PRESETS, TrainSettings

if TYPE_CHECKING:
    from os import PathLike

    from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found."""

    metric: str
    best: TrainSettings
    trials: tuple[Trial, ...]
    search_split: dict[str, Any]
    split: dict[str, Any]
    """What the models below were measured on; the search never saw it."""
    models: tuple[ModelReport, ...]
    """The chosen settings, the presets, and popularity."""
    allowed_bytes: int
    stages: list[dict[str, Any]] = field(repr=False)
    resumed_after: int = 0
    """Trials that an interrupted search had measured."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `tune --json` prints."""
        return {
            **self.document(),
            "models": [model.to_dict() for model in self.models],
            "allowed_bytes": self.allowed_bytes,
            "stages": stages_json(self.stages),
            "resumed_after": self.resumed_after,
        }

    def document(self) -> dict[str, Any]:
        """Return what a settings file holds: nothing that depends on the time or the machine."""
        return {
            "settings": self.best.to_dict(),
            "metric": self.metric,
            "split": self.split,
            "held_out": {model.name: {n: i.value for n, i in model.metrics.items()} for model in self.models},
            "search_split": self.search_split,
            "trials": [trial.to_dict() for trial in self.trials],
        }


def tune(
    user_items: csr_matrix,
    output: str | PathLike[str],
    settings: TuneSettings | None = None,
    run: EvaluationRun | None = None,
) -> Tuning:
    """Search for the settings with the highest NDCG@k, measure them on what was held out, and write their file.

    A search that is interrupted, asked for again, goes on after its last whole trial, to the same bytes.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        The plays, columns sorted, no duplicates; read, never written.
    output : path
        The settings file, which `train --settings` takes; it must not exist.
    settings : TuneSettings, optional
    run : EvaluationRun, optional

    Raises
    ------
    BadInputError
        Where Optuna is not installed, or the matrix leaves nothing to hold out.
    BudgetError
        Before any work, where more memory or disk is needed than there is.
    StoreError
        If the output exists or can't be written.
    """
    output = Path(output)
    refuse_unwritable(output)
    settings, run = settings or TuneSettings(), run or EvaluationRun()
    study = new_study(settings)
    plan = plan_for(user_items, [largest_of(settings)], settings.measured, run, n_splits=2)
    run.progress.planned(plan)
    with Meter() as meter, temporary_folder(run) as place:
        with meter.stage("split", projected_bytes=plan.stages["split"], threads=1):
            outer, inner = _splits(user_items, settings, place)
        search = Search(settings, inner, plan, run)
        highest = max(plan.stages[stage] for stage in ("fit", "rank", "measure"))
        with meter.stage("search", projected_bytes=highest, threads=plan.settings.threads):
            log = TrialLog.beside(output, user_items, settings)
            trials = search.trials(study, log)
        best = best_of(trials)
        users, n_unknown = choose_users(outer, settings.measured)
        reports = _reports(best, Evaluator(outer, users, settings.measured, plan, run, meter))
        found = Tuning(
            metric=settings.metric,
            best=best,
            trials=trials,
            search_split=describe(inner, search.users, search.n_unknown),
            split=describe(outer, users, n_unknown),
            models=reports,
            allowed_bytes=plan.budget.allowed,
            stages=meter.receipts,
            resumed_after=log.resumed_after,
        )
    write_settings(found, output)
    log.remove()
    return found


def _reports(best: TrainSettings, evaluator: Evaluator) -> tuple[ModelReport, ...]:
    """Return the figures of what was chosen, of popularity, and of the presets."""
    reports = [evaluator.report(one) for one in (candidates.als(TUNED, best), candidates.popularity())]
    for name, preset in PRESETS.items():
        # A preset that can't be trained on this data must not discard what the search has found.
        with suppress(BadInputError):
            reports.append(evaluator.report(candidates.als(name, preset)))
    return tuple(reports)


def write_settings(found: Tuning, output: Path) -> None:
    """Write a settings file, whole or not at all: the settings, and how they were found."""
    with complete_or_absent(output) as part:
        part.write_text(to_json(found.document(), indent=1) + "\n", encoding="utf-8")


def largest_of(settings: TuneSettings) -> candidates.Candidate:
    """Return the largest candidate that a search fits."""
    most = max(settings.max_factors, *(preset.factors for preset in PRESETS.values()))
    model = "als" if settings.models == ("als",) else "blend"
    return candidates.als(TUNED, TrainSettings(factors=most, model=model))


def _splits(user_items: csr_matrix, settings: TuneSettings, place: Path) -> tuple[Split, Split]:
    """Return what is held out of the whole, and what is held out of the rest for the search."""
    (place / "outer").mkdir()
    (place / "inner").mkdir()
    outer = make_split(user_items, settings.split, place / "outer")
    # Another seed: the same draws would favour the same places again.
    inner = replace(settings.split, seed=settings.split.seed + 1)
    return outer, make_split(outer.train, inner, place / "inner")
