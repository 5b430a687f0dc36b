"""One evaluation for each of several seeds, together: means, deviations, and differences over all splits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.display import Shown, Table
from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation.beyond import Difference, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from lastfm_dask.evaluation.evaluate import Evaluation
    from lastfm_dask.evaluation.evaluator import EvaluationSettings


@dataclass(frozen=True, slots=True, repr=False)
class SeedsEvaluation(Shown):
    """The evaluations of several splits that differ in their seed."""

    evaluations: tuple[Evaluation, ...] = field(repr=False)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [int(one.split["seed"]) for one in self.evaluations]

    def figures(self, metric: str) -> dict[str, npt.NDArray[np.float64]]:
        """Return a metric of each model, named as in `ndcg@10`, by seed: float64, shape (n_seeds,)."""
        names = [model.name for model in self.evaluations[0].models]
        return {
            name: np.array([one.models[i].metrics[metric].value for one in self.evaluations])
            for i, name in enumerate(names)
        }

    def differences(self, metric: str) -> tuple[Difference, ...]:
        """Return how much better the first model is than each other, over all splits.

        A paired bootstrap over users: one who is evaluated in several splits counts once, with the mean of the
        differences, since splits of one data set are not independent.
        """
        first, *others = (self._by_user(i, metric) for i in range(len(self.evaluations[0].models)))
        names = [model.name for model in self.evaluations[0].models]
        return tuple(
            difference(
                (names[0], name), metric, (first, other), self.seeds[0], self.evaluations[0].n_resamples
            )
            for name, other in zip(names[1:], others, strict=True)
        )

    def _by_user(self, model: int, metric: str) -> npt.NDArray[np.float64]:
        """Return a model's mean figure of each user who was evaluated at all."""
        users = np.concatenate([one.users for one in self.evaluations if one.users is not None])
        figures = np.concatenate([one.models[model].per_user[metric] for one in self.evaluations])
        _, rows = np.unique(users, return_inverse=True)
        means: npt.NDArray[np.float64] = np.bincount(rows, weights=figures) / np.bincount(rows)
        return means

    def _table(self) -> Table:
        metrics = self._metrics()
        by_metric = {metric: self.figures(metric) for metric in metrics}
        rows = [
            (name, *(_mean_and_deviation(by_metric[metric][name]) for metric in metrics))
            for name in by_metric[metrics[0]]
        ]
        facts = [("seeds", ", ".join(map(str, self.seeds)))]
        return Table(
            "Evaluation over several seeds",
            ("model", *metrics),
            rows,
            "mean ± standard deviation",
            facts=facts,
        )

    def _metrics(self) -> list[str]:
        return list(self.evaluations[0].models[0].metrics)

    def to_dict(self) -> dict[str, Any]:
        """Return what `evaluate --json` prints for several seeds."""
        metrics = self._metrics()
        by_metric = {metric: self.figures(metric) for metric in metrics}
        return {
            "seeds": self.seeds,
            "models": [
                {
                    "name": name,
                    **{metric: float(by_metric[metric][name].mean()) for metric in metrics},
                    "sd": {metric: float(by_metric[metric][name].std(ddof=1)) for metric in metrics},
                }
                for name in by_metric[metrics[0]]
            ],
            "differences": [asdict(one) for one in self.differences(metrics[0])],
            "evaluations": [one.to_dict() for one in self.evaluations],
        }


def _mean_and_deviation(values: npt.NDArray[np.float64]) -> str:
    return f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"


def over_seeds(
    evaluate: Callable[[EvaluationSettings], Evaluation], settings: EvaluationSettings, seeds: Sequence[int]
) -> SeedsEvaluation:
    """Evaluate once for each seed.

    Parameters
    ----------
    evaluate : callable
        Evaluates with the settings that it is given.
    settings : EvaluationSettings
        What is measured; the seeds take the place of its split's.
    seeds : sequence of int
        At least two, distinct.

    Raises
    ------
    BadInputError
        If seeds are too few or stand twice.
    """
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        msg = f"seeds are {', '.join(map(str, seeds)) or 'missing'}: give at least two, each once"
        raise BadInputError(msg)
    each = (replace(settings, split=replace(settings.split, seed=seed)) for seed in seeds)
    return SeedsEvaluation(tuple(evaluate(one) for one in each))
