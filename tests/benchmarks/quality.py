"""Measure the default model against popularity, the notebook, neighbours and tuned EASE, on sets of many shapes.

    LASTFM_DASK_DATA=FOLDER python tests/benchmarks/quality.py [--sets hetrec,"100 users"] [--splits random,new-users]

EASE's lambda and the kind of neighbours are the best in hindsight, so the goal is 0.98 of what nobody could have chosen.
Figures are for reading: nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from measuring_quality.rivals import eases, implicit_neighbours
from measuring_quality.sets import SETS

from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
from lastfm_dask.evaluation.splits import SplitSettings
from lastfm_dask.training.settings import PRESETS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

METRIC = "ndcg@10"
FAMILIES = ("popularity", "notebook", "neighbours", "ease")


def family(name: str) -> str:
    """Return whose best a model counts for."""
    return name if name in FAMILIES[:2] else "ease" if name.startswith("ease") else "neighbours"


def measured(plays: csr_matrix, method: str, seed: int, known: dict[str, float]) -> dict[str, float]:
    """Return the NDCG@10 of the default and of all rivals that are not known yet, by name."""
    models = [candidates.als("default", PRESETS["recommended"])]
    if not known:
        models += [
            candidates.popularity(),
            candidates.als("notebook", PRESETS["notebook"]),
            candidates.neighbours(),
        ]
        models += [*implicit_neighbours(), *eases(plays.shape)]
    settings = EvaluationSettings(SplitSettings(method=method, seed=seed), n_users=1000, n_resamples=0)
    with tempfile.TemporaryDirectory() as place:
        found = evaluate(plays, models, settings, EvaluationRun(folder=Path(place)))
    return {**known, **{model.name: model.metrics[METRIC].value for model in found.models}}


def seeds_for(n_users: int, least: int) -> range:
    """Return seeds enough that few users do not decide by chance."""
    return range(42, 42 + max(least, min(12, 1200 // n_users)))


def line(name: str, method: str, found: dict[str, float]) -> str:
    """Return one row of the table."""
    best = {one: max(v for n, v in found.items() if n != "default" and family(n) == one) for one in FAMILIES}
    which = max((n for n in found if n != "default"), key=found.__getitem__)
    ratio = found["default"] / found[which] if found[which] else 1.0
    flags = ("" if ratio >= 0.98 else " <.98") + (" <POP" if found["default"] < best["popularity"] else "")
    cells = [f"{name}, {method}", *(f"{best[one]:.4f}" for one in FAMILIES), which]
    return "| " + " | ".join([*cells, f"{found['default']:.4f}", f"{ratio:.3f}{flags}"]) + " |"


def main() -> None:
    """Print a table, one row a set and split: means over the seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", help="names, semicolons between: all unless said", default=None)
    parser.add_argument("--splits", default="random,new-users")
    parser.add_argument("--seeds", type=int, default=1, help="splits to average over; small sets take more")
    parser.add_argument(
        "--keep", type=Path, help="a JSON file that keeps the rivals' figures for the next time"
    )
    options = parser.parse_args()
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    print("| set, split | " + " | ".join([*FAMILIES, "best", "default", "of the best"]) + " |")  # noqa: T201
    print("| --- " * 8 + "|")  # noqa: T201
    for name in options.sets.split(";") if options.sets else SETS:
        try:
            plays = SETS[name]()
        except LookupError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)  # noqa: T201
            continue
        for method in options.splits.split(","):
            found = []
            for seed in seeds_for(plays.shape[0], options.seeds):
                key = f"{name}|{method}|{seed}"
                found.append(measured(plays, method, seed, kept.get(key, {})))
                kept[key] = {n: v for n, v in found[-1].items() if n != "default"}
            print(line(name, method, {n: fmean(one[n] for one in found) for n in found[0]}), flush=True)  # noqa: T201
            if options.keep:
                options.keep.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
