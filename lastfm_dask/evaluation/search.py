"""What is searched, and the search itself: Optuna's TPE sampler asks for models, one after the other.

Optuna is imported only here, when a search begins; it comes with the extra `tune`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation import candidates, evaluator
from lastfm_dask.evaluation.metrics import measure
from lastfm_dask.evaluation.splits import SplitSettings
from lastfm_dask.memory.allocator import trim
from lastfm_dask.training.fit_run import FitRun
from lastfm_dask.training.settings import DEFAULT_PRESET, MODELS, PRESETS, WEIGHTINGS, TrainSettings
from lastfm_dask.training.strength import settle

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from lastfm_dask.evaluation.evaluator import EvaluationRun, Users
    from lastfm_dask.evaluation.splits import Split
    from lastfm_dask.evaluation.trial_log import TrialLog
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.training.plan import FitSettings

TUNED = "tuned"
"""The preset's name in the settings that a search chose."""
MIN_FACTORS = 8
BM25_K1 = (1.0, 1000.0)
BM25_B = (0.0, 1.0)
_N_STARTUP = 12
"""Trials drawn at random, or given, before the sampler learns from them."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """What to search, and the figure to maximize.

    Raises
    ------
    BadInputError
        If a figure is out of its range.
    """

    n_trials: int = 40
    """Models that are trained. The presets come first, the default before the others, settled from the data as far
    as the ranges below allow."""
    split: SplitSettings = field(default_factory=SplitSettings)
    """Held out of the whole dataset; what is left is split in the same way for the search. Its seed is the
    sampler's too."""
    k: int = 10
    """The search is for the highest NDCG@k."""
    n_users: int | None = 10_000
    """Users that are evaluated; None: all."""
    max_factors: int = 256
    weightings: tuple[str, ...] = WEIGHTINGS
    models: tuple[str, ...] = ("auto", "als", "blend", "neighbours")
    """What ranks, as the settings name it; what is added to the factors, and its share, is chosen as `train` does."""
    regularization: tuple[float, float] = (0.01, 1000.0)
    alpha: tuple[float, float] = (0.1, 100.0)

    def __post_init__(self) -> None:
        problems = []
        if self.n_trials < 1:
            problems.append(f"{self.n_trials} trials are asked for, allowed is 1 or more")
        if not MIN_FACTORS <= self.max_factors <= 4096:
            problems.append(f"the most factors are {self.max_factors}, allowed is {MIN_FACTORS} to 4096")
        if not self.weightings or not set(self.weightings) <= set(WEIGHTINGS):
            problems.append(f"weightings are {self.weightings}, allowed is any of {', '.join(WEIGHTINGS)}")
        if not self.models or not set(self.models) <= set(MODELS):
            problems.append(f"models are {self.models}, allowed is any of {', '.join(MODELS)}")
        if problems:
            msg = f"this can't be searched: {'; '.join(problems)}"
            raise BadInputError(msg)

    @property
    def metric(self) -> str:
        """The figure's name."""
        return f"ndcg@{self.k}"

    @property
    def measured(self) -> evaluator.EvaluationSettings:
        """What is measured on what the search never saw."""
        return evaluator.EvaluationSettings(self.split, (self.k,), self.n_users)


@dataclass(frozen=True, slots=True)
class Trial:
    """One model of the search."""

    number: int
    value: float | None
    """The figure; None if these settings can't be trained."""
    settings: TrainSettings

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as a JSON object."""
        return {"trial": self.number, "value": self.value, **searched(self.settings)}


def searched(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that a search varies; BM25's are None under another weighting."""
    found = {
        name: getattr(settings, name) for name in ("factors", "regularization", "alpha", "weighting", "model")
    }
    bm25 = settings.weighting == "bm25"
    return {**found, **{name: getattr(settings, name) if bm25 else None for name in ("bm25_k1", "bm25_b")}}


def new_study(settings: TuneSettings) -> Any:
    """Return a new study."""
    try:
        import optuna
    except ImportError as error:
        msg = (
            "tuning needs Optuna, which is not installed: install the extra, pip install 'lastfm_dask[tune]'"
        )
        raise BadInputError(msg) from error

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        sampler = optuna.samplers.TPESampler(seed=settings.split.seed % 2**32, n_startup_trials=_N_STARTUP)
        return optuna.create_study(direction="maximize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(verbosity)


def first_trials(settings: TuneSettings, plays: csr_matrix) -> list[dict[str, Any]]:
    """Return what is tried first: the presets, the default before the others, as they are settled for some plays."""
    names = sorted(PRESETS, key=lambda name: name != DEFAULT_PRESET)
    found = []
    for preset in (PRESETS[name] for name in names):
        allowed = preset.weighting in settings.weightings and preset.model in settings.models
        if allowed and preset.factors <= settings.max_factors:
            values = searched(settle(plays, preset))
            for name, (low, high) in (
                ("regularization", settings.regularization),
                ("alpha", settings.alpha),
            ):
                values[name] = min(max(values[name], low), high)
            found.append({name: value for name, value in values.items() if value is not None})
    return found


@dataclass(slots=True)
class Search:
    """Trains and measures what a study asks for, on one split."""

    settings: TuneSettings
    split: Split
    plan: Plan[FitSettings]
    run: EvaluationRun
    users: Users = field(init=False)
    n_unknown: int = field(init=False)

    def __post_init__(self) -> None:
        self.users, self.n_unknown = evaluator.choose_users(self.split, self.settings.measured)

    def trials(self, study: Any, log: TrialLog) -> tuple[Trial, ...]:
        """Return all trials in their order; those that the log knows are not trained again."""
        n_trials = self.settings.n_trials
        found: list[Trial] = []
        for first in first_trials(self.settings, self.split.train):
            study.enqueue_trial(first)
        for number in range(n_trials):
            self.run.progress("search", number, n_trials)
            asked = study.ask()
            trial = Trial(number, None, _suggested(asked, self.settings))
            if log.knows(trial):
                trial = replace(trial, value=log.value(number))
            else:
                trial = replace(trial, value=self._value(trial.settings))
                log.keep(trial)
                trim()
            study.tell(asked, trial.value, state=None if trial.value is not None else _failed())
            found.append(trial)
        self.run.progress("search", n_trials, n_trials)
        return tuple(found)

    def _value(self, settings: TrainSettings) -> float | None:
        """Return the figure of some settings, None if they can't be trained."""
        with evaluator.temporary_folder(self.run) as place:
            fit_run = FitRun(place, self.plan.settings.threads, self.plan.settings.range_nnz)
            try:
                ranker = candidates.fit_als(self.split, settings, fit_run)
            except BadInputError:
                return None
            items = evaluator.rank_users(
                ranker, self.split.history, self.users, self.settings.k, threads=self.plan.settings.threads
            )
        held_out = self.split.held_out[self.users]
        return measure(items, held_out, (self.settings.k,), n_resamples=0)[self.settings.metric].value


def _suggested(trial: Any, space: TuneSettings) -> TrainSettings:
    """Ask a trial of Optuna for settings; four digits are enough of a number that a person may read."""

    def number(name: str, low: float, high: float, *, log: bool = True) -> float:
        return float(f"{trial.suggest_float(name, low, high, log=log):.4g}")

    found = {
        "factors": trial.suggest_int("factors", MIN_FACTORS, space.max_factors, log=True),
        "regularization": number("regularization", *space.regularization),
        "alpha": number("alpha", *space.alpha),
        "weighting": trial.suggest_categorical("weighting", list(space.weightings)),
        "model": trial.suggest_categorical("model", list(space.models)),
    }
    if found["weighting"] == "bm25":
        found["bm25_k1"] = number("bm25_k1", *BM25_K1)
        found["bm25_b"] = number("bm25_b", *BM25_B, log=False)
    most = PRESETS[DEFAULT_PRESET].iterations
    return TrainSettings(**found, iterations=most, auto=("iterations",), preset=TUNED)


def _failed() -> Any:
    import optuna

    return optuna.trial.TrialState.FAIL


def best_of(trials: tuple[Trial, ...]) -> TrainSettings:
    """Return the settings of the highest figure, the first where several have it."""
    measured = [trial for trial in trials if trial.value is not None]
    if not measured:
        msg = f"none of {len(trials)} trials could be trained: allow more trials, or the weighting log"
        raise BadInputError(msg)
    return max(measured, key=lambda trial: trial.value or 0.0).settings
