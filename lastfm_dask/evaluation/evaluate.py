"""How good recommendations are: models trained on a part of a dataset, measured on what was held out.

Plans before any work, splits, and puts the figures together. The split, the metrics, the candidates and the measuring
are in modules of their own.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.display import Shown, Table
from lastfm_dask.evaluation.beyond import Difference, difference
from lastfm_dask.evaluation.candidates import EASE, NEIGHBOURS
from lastfm_dask.evaluation.evaluator import (
    EvaluationRun,
    EvaluationSettings,
    Evaluator,
    ModelReport,
    choose_users,
    temporary_folder,
)
from lastfm_dask.evaluation.plan import EvaluationShape, plan_evaluation
from lastfm_dask.evaluation.splits import largest_held_out, make_split
from lastfm_dask.evaluation.trec import write_qrels
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.meter import Meter, stages_json
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.evaluation.candidates import Candidate
    from lastfm_dask.evaluation.evaluator import Users
    from lastfm_dask.evaluation.metrics import Interval
    from lastfm_dask.evaluation.splits import Split
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.training.plan import FitSettings


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Shown):
    """What `evaluate` found: the split, each model's figures, and each stage's receipt."""

    split: dict[str, Any]
    models: tuple[ModelReport, ...]
    allowed_bytes: int
    stages: list[dict[str, Any]] = field(repr=False)
    """The receipts, stage by stage."""
    users: Users | None = field(default=None, repr=False, compare=False)
    """The rows that were evaluated, in order."""
    n_resamples: int = field(default=1000, repr=False)

    def differences(self, metric: str) -> tuple[Difference, ...]:
        """Return how much better the first model is than each other, on the same users: a paired bootstrap."""
        first, *others = self.models
        seed = int(self.split.get("seed", 0))
        return tuple(
            difference(
                (first.name, other.name),
                metric,
                (first.per_user[metric], other.per_user[metric]),
                seed,
                self.n_resamples,
            )
            for other in others
        )

    def _table(self) -> Table:
        names = self._shown_metrics()
        rows = [
            (
                model.name,
                *(model.metrics[name].value for name in names),
                *(_interval_text(model.metrics[name]) for name in names[:1]),
            )
            for model in self.models
        ]
        columns = ("model", *names, *(f"{name}, 95 %" for name in names[:1]))
        facts = [
            ("split", _split_text(self.split)),
            ("evaluated", f"{self.split['n_users']:,} users, {self.split['n_held_out']:,} values held out"),
        ]
        return Table("Evaluation", columns, rows, "to_pandas() has all figures", facts=facts)

    def _shown_metrics(self) -> list[str]:
        """Return the field's usual figures, for the shortest list."""
        names = list(self.models[0].metrics) if self.models else []
        k = min((name.rpartition("@")[2] for name in names), key=int, default="")
        return [name for name in names if name.endswith(f"@{k}") and "_min@" not in name]

    def to_pandas(self) -> Any:
        """Return every figure of every model as a pandas data frame: a row a model, with the 95 % bounds."""
        import pyarrow as pa

        rows = []
        for model in self.models:
            row: dict[str, Any] = {"model": model.name}
            for name, interval in model.metrics.items():
                row |= {name: interval.value, f"{name} low": interval.low, f"{name} high": interval.high}
            rows.append(row | model.beyond)
        return pa.Table.from_pylist(rows).to_pandas()

    @property
    def _first_metric(self) -> str:
        return next(iter(self.models[0].per_user))

    def to_dict(self) -> dict[str, Any]:
        """Return what `evaluate --json` prints."""
        return {
            "split": self.split,
            "models": [model.to_dict() for model in self.models],
            "differences": [asdict(one) for one in self.differences(self._first_metric)],
            "allowed_bytes": self.allowed_bytes,
            "stages": stages_json(self.stages),
        }


def evaluate(
    user_items: csr_matrix,
    candidates: Sequence[Candidate],
    settings: EvaluationSettings | None = None,
    run: EvaluationRun | None = None,
    times: npt.NDArray[np.int64] | None = None,
) -> Evaluation:
    """Train each candidate on the training part and measure its lists on the held-out part.

    Only users with held-out interactions and a history are evaluated.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        The plays, columns sorted, no duplicates; read, never written.
    candidates : sequence of Candidate
        Their names are distinct.
    settings : EvaluationSettings, optional
    run : EvaluationRun, optional
    times : int64, shape (nnz,), optional
        When each interaction was last heard; the split `time` needs them, and `last` goes by them.

    Raises
    ------
    BadInputError
        If the matrix leaves nothing to hold out, or no user to evaluate.
    BudgetError
        Before any work, where more memory or disk is needed than there is.
    """
    settings, run = settings or EvaluationSettings(), run or EvaluationRun()
    plan = plan_for(user_items, candidates, settings, run)
    run.progress.planned(plan)
    with Meter() as meter, temporary_folder(run) as place:
        with meter.stage("split", projected_bytes=plan.stages["split"], threads=1) as stage:
            run.progress("split", 0, 1)
            split = make_split(user_items, settings.split, place, times)
            users, n_unknown = choose_users(split, settings)
            stage.rows = int(user_items.nnz)
            if run.trec_folder is not None:
                write_qrels(run.trec_folder, users, split.held_out)
            run.progress("split", 1, 1)
        evaluator = Evaluator(split, users, settings, plan, run, meter)
        reports = [evaluator.report(candidate) for candidate in candidates]
        described = describe(split, users, n_unknown)
    return Evaluation(
        described, tuple(reports), plan.budget.allowed, meter.receipts, users, settings.n_resamples
    )


def _interval_text(interval: Interval) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _split_text(split: dict[str, Any]) -> str:
    settings = [f"{key} {value}" for key, value in split.items() if not key.startswith(("n_", "method"))]
    return ", ".join([str(split["method"]), *settings])


def describe(split: Split, users: Users, n_unknown: int) -> dict[str, Any]:
    """Return what a report says of a split: its settings and its sizes."""
    return {
        **split.settings.to_dict(),
        "n_train": int(split.train.nnz),
        "n_held_out": int(split.held_out.nnz),
        "n_users": len(users),
        "n_users_without_history": n_unknown,
    }


def plan_for(
    user_items: csr_matrix,
    candidates: Sequence[Candidate],
    settings: EvaluationSettings,
    run: EvaluationRun,
    *,
    n_splits: int = 1,
) -> Plan[FitSettings]:
    """Return the plan of an evaluation; raises BudgetError if there is none within what is allowed."""
    shape = shape_of(user_items, candidates, settings, n_splits=n_splits)
    if shape.factors:
        # Imported before anything is planned, so that it counts as reserved.
        import lastfm_dask.training.fit  # noqa: F401
    folder = run.folder or Path(tempfile.gettempdir())
    budget = Budget.measured(folder, memory_bytes=run.memory_bytes, threads=run.threads)
    return plan_evaluation(shape, budget)


def shape_of(
    user_items: csr_matrix,
    candidates: Sequence[Candidate],
    settings: EvaluationSettings,
    *,
    n_splits: int = 1,
) -> EvaluationShape:
    """Return the numbers that decide what an evaluation needs."""
    from lastfm_dask.training.ease import has_room

    factors = max((c.settings.factors for c in candidates if c.settings), default=0)
    blends = any(c.settings and c.settings.model != "als" for c in candidates)
    lengths = np.diff(user_items.indptr)
    n_users, n_artists = user_items.shape
    return EvaluationShape(
        n_users=n_users,
        n_artists=n_artists,
        nnz=int(user_items.nnz),
        longest=int(lengths.max(initial=0)),
        most_listeners=int(count_columns(user_items.indices, n_artists).max(initial=0)),
        n_evaluated=min(n_users, settings.n_users or n_users),
        n_held_out=largest_held_out(lengths, settings.split),
        k=max(settings.ks),
        n_ks=len(settings.ks),
        factors=factors,
        neighbours=blends or any(c.name == NEIGHBOURS for c in candidates),
        ease=(blends and has_room(user_items.shape, user_items.nnz))
        or any(c.name == EASE for c in candidates),
        n_models=len(candidates),
        n_splits=n_splits,
        folds_in=settings.split.method == "new-users",
    )
