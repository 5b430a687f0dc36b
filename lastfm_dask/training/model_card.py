"""What a model says about itself: the manifest's content, and the model card. `dataset.store` writes the manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.training.result import check_text, choice_text, iterations_text, ranks_by, warnings

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.weighting import ConfidenceRange

VALUE_MEANING = {
    "raw": "confidence = alpha * plays",
    "log": "confidence = alpha * ln(1 + plays)",
    "bm25": "confidence = alpha * idf(artist) * plays * (K1 + 1) / (K1 * norm(user) + plays)",
}


def model_content(
    dataset: Dataset,
    settings: TrainSettings,
    seen: ConfidenceRange,
    *,
    mean_plays: float | None = None,
    metrics: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the `content` of a model's manifest: all that answers need besides the arrays."""
    statistics = dataset.statistics
    return {
        "users": dataset.n_users,
        "artists": dataset.n_artists,
        "nnz": int(statistics["nnz"]),
        "longest_names": dataset.manifest.content.get("longest_names"),
        "settings": settings.to_dict(),
        "confidence": {
            "meaning": VALUE_MEANING[settings.weighting] + ", float32; user_items/data.npy holds plays",
            "orientation": "rows are users, columns are artists",
            "min": seen.lowest,
            "max": seen.highest,
            "mean_plays": mean_plays,
        },
        "dataset": {
            "name": dataset.path.name,
            "fingerprint": dataset.fingerprint,
            "settings": dataset.manifest.content.get("settings", {}),
            "statistics": {
                key: statistics.get(key)
                for key in ("rows_read", "rows_kept", "users", "artists", "nnz", "plays_total")
            },
        },
        "top_artists": statistics.get("top_artists", [])[:10],
        "metrics": metrics or {},
        "training": training or {},
    }


def model_card(content: dict[str, Any]) -> str:
    """Return the text of `MODEL_CARD.md` for a model's content; pure."""
    settings, data = content["settings"], content["dataset"]
    confidence = content["confidence"]
    flags = " ".join(f"--{key} {settings[key]}" for key in _FLAGS)
    if settings["weighting"] == "bm25":
        flags += f" --bm25-k1 {settings['bm25_k1']} --bm25-b {settings['bm25_b']}"
    return _CARD.format(
        users=content["users"],
        artists=content["artists"],
        nnz=content["nnz"],
        fingerprint=data["fingerprint"],
        settings=json.dumps(settings, indent=1, ensure_ascii=False),
        ranks_by=ranks_by(content),
        meaning=confidence["meaning"],
        low=confidence["min"],
        high=confidence["max"],
        training=_training_text(content.get("training"), settings["factors"]),
        metrics=_metrics_text(content["metrics"]),
        flags=flags,
    )


_FLAGS = ("factors", "regularization", "alpha", "iterations", "weighting", "seed")

_CARD = """# Model card

## What it is
Implicit-feedback matrix factorization (alternating least squares; Hu, Koren, Volinsky 2008), trained with
implicit on the CPU. It ranks artists for users by {ranks_by}.

## Data
- {users:,} users, {artists:,} artists, {nnz:,} stored plays; dataset fingerprint `{fingerprint}`.
- Where the data is Last.fm's (360K or HetRec 2K) it is for **non-commercial use only**, and so is everything made from
  it. Cite Last.fm and Oscar Celma, "Music Recommendation and Discovery in the Long Tail" (2010).
- User ids are kept as they are in the source. Treat them as personal data.

## Settings
```json
{settings}
```
{meaning}. Confidences range from {low:g} to {high:g}.

## Training
{training}

## Metrics
{metrics}

## Known limits
- Plays say what somebody heard, not what they like; few plays do not mean dislike.
- Popular artists are recommended more often than their share; the vectors of artists with a handful of listeners mean
  little (`--min-listeners`, `--max-listeners`).
- Artists that are not in the data are unknown. The published data ends in 2008 (Last.fm 360K) and 2011 (HetRec 2K).
- A user who is not in the data is folded in from the names given; unknown names are left out and listed.
- Known users' vectors come from a few steps of conjugate gradients: `explain` shows the residual.

## How to reproduce
On a dataset with this fingerprint, with the package versions in `manifest.json`:
```
lastfm-dask train DATASET -o MODEL {flags}
```
The same seed gives the same factors whatever the number of threads, on the same kind of processor.
"""


def _training_text(training: dict[str, Any] | None, factors: int) -> str:
    if not training:
        return "Not recorded."
    lines = [f"- iterations: {iterations_text(training)}"]
    if training["rule"]:
        lines.insert(0, f"- alpha and regularization were settled from the data: {training['rule']}.")
    if training["known_at_start"]:
        users, artists = training["known_at_start"]
        lines.append(f"- started from another model, which knew {users:,} users and {artists:,} artists")
    lines.append(f"- effective rank of the artists' factors: {training['effective_rank']:.1f} of {factors}")
    lines.append(f"- beside popularity: {check_text(training)}")
    chosen = choice_text(training)
    if chosen:
        lines.append(f"- what ranks was chosen {chosen}")
    return "\n".join([*lines, *(f"- **warning**: {text}" for text in warnings(training, factors))])


def _metrics_text(metrics: dict[str, Any]) -> str:
    if not metrics:
        return (
            "Not measured for this model. `lastfm-dask evaluate DATASET --json` compares the settings with\n"
            "popularity; `lastfm-dask train --metrics FILE` keeps what it printed."
        )
    models = metrics["models"]
    columns = list(next(iter(models.values())))
    lines = ["| model | " + " | ".join(columns) + " |", "| --- " * (1 + len(columns)) + "|"]
    for name, row in models.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[column]:.4f}" for column in columns) + " |")
    split = ", ".join(f"{key} {value}" for key, value in metrics["split"].items())
    return "\n".join([*lines, "", f"Measured on held-out interactions, not on this very model: {split}."])


def read_metrics(path: Path, settings: TrainSettings) -> dict[str, Any]:
    """Return what `evaluate --json` measured, `{"split": …, "models": {name: {metric: value}}}`.

    Raises
    ------
    BadInputError
        If the file can't be read, is not what `evaluate` prints, or measured other settings than these.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        found = {
            str(model["name"]): {key: float(value) for key, value in model.items() if "@" in key}
            for model in raw["models"]
        }
        measured = [model["settings"] for model in raw["models"] if model.get("settings")]
        split = dict(raw["split"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        msg = f"{path} is not what `evaluate --json` prints ({reason}): write its output to a file"
        raise BadInputError(msg, path=str(path)) from error
    if _but_the_name(settings.to_dict()) not in [_but_the_name(other) for other in measured]:
        msg = f"{path} has measured other settings than these, {settings}: evaluate these, or train those"
        raise BadInputError(msg, path=str(path))
    return {"split": split, "models": found}


def _but_the_name(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "preset"}
