"""What training made, what it took, and what is to be said of it: from the manifest's content and the receipts.

So a model that an earlier run left is described as one that was just trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lastfm_dask.display import Shown, Table
from lastfm_dask.memory.sizes import Size
from lastfm_dask.training.settings import TrainSettings
from lastfm_dask.training.strength import RULE

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.training.check import Check
    from lastfm_dask.training.factors import FitReport

FEW_DIRECTIONS = 3.0
"""Fewer directions than this are hardly more than popularity."""


@dataclass(frozen=True, slots=True, repr=False)
class TrainResult(Shown):
    """What training made and what it took."""

    path: Path
    """The model directory."""
    settings: TrainSettings
    """With the numbers that were settled."""
    n_users: int
    n_artists: int
    nnz: int
    confidence_min: float
    confidence_max: float
    prepare_s: float
    fit_s: float
    iteration_s: tuple[float, ...]
    """Wall seconds of each iteration that the last run did."""
    allowed_bytes: int
    stages: list[dict[str, Any]] = field(repr=False)
    """The receipts, stage by stage."""
    ranks_by: str = field(default="", repr=False)
    """What scores come from: factors, item weights, or both."""
    training: dict[str, Any] = field(default_factory=dict, repr=False)
    """How it went: what was asked, iterations, objective, effective rank, and the check beside popularity."""

    def _table(self) -> Table:
        rows = [(stage["stage"], stage["wall_s"], Size(stage["measured_bytes"])) for stage in self.stages]
        title = (
            f"{self.path}: {self.n_users:,} users, {self.n_artists:,} artists, trained in {self.fit_s:.1f} s"
        )
        return Table(title, ("stage", "seconds", "measured"), rows)

    @property
    def warnings(self) -> list[str]:
        """What a person must know before using the model."""
        return warnings(self.training, self.settings.factors)


def training_report(asked: TrainSettings, fitted: FitReport, checked: Check | None) -> dict[str, Any]:
    """Return what the manifest keeps of how a training went."""
    auto, history = "iterations" in asked.auto, fitted.history
    return {
        "asked": asked.to_dict(),
        "rule": RULE if {"alpha", "regularization"} & set(asked.auto) else None,
        "iterations": history.iterations,
        "max_iterations": asked.max_iterations if auto else asked.iterations,
        "settled": history.has_settled if auto else None,
        "objective": history.objective,
        "ranks": history.ranks,
        "known_at_start": list(history.known) if history.known else None,
        "effective_rank": fitted.effective_rank,
        "check": checked.to_dict() if checked else None,
    }


def train_result(path: Path, content: dict[str, Any], receipts: dict[str, Any]) -> TrainResult:
    """Return the result that a model's manifest content and receipts describe."""
    stages = {stage["stage"]: stage for stage in receipts["stages"]}
    confidence = content["confidence"]
    return TrainResult(
        path=path,
        settings=TrainSettings.from_dict(content["settings"], source=str(path)),
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
        ranks_by=ranks_by(content),
        training=content.get("training", {}),
    )


def iterations_text(training: dict[str, Any]) -> str:
    """Return how many iterations were done, and why no more."""
    done, most = training["iterations"], training["max_iterations"]
    if training["settled"] is None:
        return f"{done}, as asked"
    if training["settled"]:
        return f"settled after {done} of at most {most}"
    return f"{done}, the most that are allowed, and not yet settled"


def ranks_by(content: dict[str, Any]) -> str:
    """Return what a model's scores come from: factors, item weights, or both and the share of the latter."""
    factors, blend = f"{content['settings']['factors']} factors", content.get("blend")
    if blend is None:
        return factors
    popularity = blend.get("popularity", 0)
    if popularity == 1:
        return "popularity"
    kind, strength = blend.get("kind"), blend.get("regularization")
    parts = [factors] if blend.get("share_als") else []
    if blend["share"]:
        name = f"EASE, lambda {strength:g}" if kind == "ease" else "neighbours"
        share = f", share {blend['share']:g}" if parts else ""
        parts.append(f"item weights ({name}){share}")
    if popularity:
        parts.append(f"popularity, share {popularity:g}")
    return " and ".join(parts)


def choice_text(training: dict[str, Any]) -> str | None:
    """Return how it was chosen what ranks: the figures on the held-out sample; None if there was no choice."""
    tried: dict[str, float] = (training.get("second") or {}).get("tried") or {}
    if not tried:
        return None
    best = {
        name: max((value for key, value in tried.items() if key.startswith(name)), default=None)
        for name in ("popularity", "als", "neighbours", "ease")
    }
    alone = ", ".join(f"{name} {value:.4f}" for name, value in best.items() if value is not None)
    return f"by NDCG@10 of reduced models on users held out of a sample, the best with any share: {alone}"


def training_facts(training: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a person wants to know of a training: names and texts; none for a model that does not say."""
    if not training:
        return []
    chosen = choice_text(training)
    facts = [("iterations", iterations_text(training)), ("quality", check_text(training))]
    return [*facts, ("chosen", chosen)] if chosen else facts


def check_text(training: dict[str, Any]) -> str:
    """Return how a reduced model stood beside popularity."""
    check = training["check"]
    if check is None:
        return "not made: too few users have enough artists"
    raised = "" if check["raised"] == 1 else f"; regularization was raised {check['raised']:g}-fold for it"
    return (
        f"NDCG@10 {check['ndcg']:.4f}, popularity {check['popularity_ndcg']:.4f}: a model of a sample"
        f" ({check['share']:.0%} of the data) on {check['n_users']:,} of its users{raised}"
    )


def warnings(training: dict[str, Any], factors: int) -> list[str]:
    """Return what is wrong with a training, with what to do."""
    found = []
    check, rank = training.get("check"), training.get("effective_rank")
    if check and check["ndcg"] < check["popularity_ndcg"]:
        found.append(
            f"popularity ranks better than a model of a sample with these settings (NDCG@10"
            f" {check['popularity_ndcg']:.4f} against {check['ndcg']:.4f} on {check['n_users']:,} users):"
            " measure it with `lastfm-dask evaluate`, and search for settings with `lastfm-dask tune`"
        )
    if rank is not None and rank < min(FEW_DIRECTIONS, factors / 2):
        found.append(
            f"the factors have collapsed: of {factors} directions they use {rank:.1f}, so all users get much the"
            " same list; lower --regularization or raise --alpha, or leave both to training (--alpha auto"
            " --regularization auto)"
        )
    if training.get("ranks_by") == "popularity":
        found.append(
            "nothing that was tried ranks clearly better than popularity, so all users get the most popular artists that"
            " they lack: take more data, or ask for a model (--model als)"
        )
    if training.get("settled") is False:
        found.append(
            f"objective and effective rank have not settled after {training['iterations']} iterations: allow more with --max-iterations"
        )
    return found
