"""`lastfm-dask run`: ingest, train, and answer the notebook's questions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli import ingesting
from lastfm_dask.cli.options import PATH, compute_options, json_option, settings_of, settings_options
from lastfm_dask.cli.output import echo

if TYPE_CHECKING:
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.result import TrainResult
    from lastfm_dask.training.settings import TrainSettings

_SETTINGS = (
    "preset",
    "settings_file",
    "factors",
    "regularization",
    "alpha",
    "iterations",
    "max_iterations",
    "weighting",
    "bm25_k1",
)
_N_FAVOURITES = 5
_N_ROWS = 30
"""Of the user who is asked for, the most played first; `stats --user` lists all."""
_N_SHOWN = 10
_MIN_LISTENERS = 5
"""An artist with hardly any listeners shares their vectors, and so resembles whatever else they play."""


@click.command("run")
@click.argument("source", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=PATH, help="The folder to make for both.  [default: SOURCE's name, here]"
)
@ingesting.ingest_options
@settings_options
@click.option("--seed", type=int, help="Seed of the first factors: equal seeds give equal models.")
@compute_options
@json_option
def command(source: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Do it all: ingest SOURCE, train a model, and answer the notebook's questions.

    The folder gets log.dataset and log.model; called again, it goes on from what an interrupted run left. The questions: which artists are the most heard, how many artists a
    user has, and for one user (the one that --add-user appends, or the first of the log) what they play, what
    a few artists score, what is recommended and why, and what is like their favourite.
    """
    from lastfm_dask.cli import ingest, train
    from lastfm_dask.cli.output import echo_json

    settings = settings_of(**{name: options[name] for name in (*_SETTINGS, "bm25_b", "seed")})
    folder = output or Path(Path(source[0]).name.split(".")[0] or "log")
    _make(folder)
    dataset = _left(folder / "log.dataset", source, options)
    if dataset is None:
        dataset = ingest.run_ingest(source, folder / "log.dataset", options)
    result = _trained(dataset, folder / "log.model", settings)
    if result is None:
        result = _train(dataset, folder / "log.model", settings, options)
    answers = _answers(dataset, result, options["add_user"], options["memory_bytes"])
    if as_json:
        echo_json({"ingest": ingest.dataset_json(dataset), "train": train.to_dict(result), **answers})
        return
    _show(dataset, answers)
    _show_next(dataset, result, answers["stats"]["user"])
    ingesting.show_warnings(dataset)


def _make(folder: Path) -> None:
    from lastfm_dask.dataset.writing import refuse_existing
    from lastfm_dask.errors import StoreError

    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        msg = f"{folder} can't be made: {error.strerror}; choose another folder with -o"
        raise StoreError(msg, path=str(folder)) from error
    if not os.path.lexists(folder / "log.dataset"):
        # A model without its dataset can't be one that an earlier run left: refused before any work.
        refuse_existing(folder / "log.model")


def _left(path: Path, source: tuple[str, ...], options: dict[str, Any]) -> Dataset | None:
    """Return the dataset that an earlier run left, if it has this source and these options; None without one.

    Raises
    ------
    StoreError
        It has another source or other options, or is damaged.
    """
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.dataset.store import clear_finished
    from lastfm_dask.dataset.writing import refuse_existing
    from lastfm_dask.ingestion.pipeline import is_made_of

    if not path.exists():
        return None
    clear_finished(path)
    dataset = Dataset(path)
    if not is_made_of(dataset, source, ingesting.ingest_options_of(options)):
        refuse_existing(path)
    echo(f"resuming  {path} from an earlier run with the same source and options", err=True)
    return dataset


def _trained(dataset: Dataset, path: Path, settings: TrainSettings) -> TrainResult | None:
    """Return the model that an earlier run trained on this dataset with these settings; None without one.

    Raises
    ------
    StoreError
        It has another dataset or other settings, or is damaged.
    """
    from lastfm_dask.dataset.store import clear_finished
    from lastfm_dask.dataset.writing import refuse_existing
    from lastfm_dask.training.trained import trained

    if not os.path.lexists(path):
        return None
    clear_finished(path)
    result = trained(path, dataset, settings)
    if result is None:
        refuse_existing(path)
    echo(f"resuming  {path} from an earlier run with the same dataset and settings", err=True)
    return result


def _train(dataset: Dataset, output: Path, settings: TrainSettings, options: dict[str, Any]) -> TrainResult:
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.training.train import train

    with shown_progress() as progress:
        return train(
            dataset,
            output,
            settings,
            memory_bytes=options["memory_bytes"],
            threads=options["threads"],
            progress=progress,
        )


def _answers(
    dataset: Dataset, result: TrainResult, added: str | None, memory_bytes: int | None
) -> dict[str, Any]:
    """Return the answers for one user, by the command that gives each.

    Raises
    ------
    BudgetError
        If they do not fit; the dataset and the model are kept.
    """
    from lastfm_dask.cli.output import echo_warning
    from lastfm_dask.cli.stats import user_rows
    from lastfm_dask.errors import BudgetError
    from lastfm_dask.memory.budget import fit
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import answering_budget, fit_answer, listing_plan

    recommender = Recommender(result.path)
    # A user that was added is the last row.
    index = 0 if added is None else dataset.n_users - 1
    start, end = dataset.user_items.indptr[index : index + 2].tolist()
    budget = answering_budget(memory_bytes=memory_bytes)
    fit([listing_plan(dataset, _N_ROWS)], budget, work="the user's rows", elsewhere="choose another folder")
    fit_answer(recommender, budget, by_user=True, longest=end - start)
    user = added if added is not None else dataset.users.name(0)
    rows = user_rows(dataset, user, _N_ROWS)
    favourites = [row["artist"] for row in rows["rows"][:_N_FAVOURITES]]
    recommended = recommender.recommend(user)
    scored = [*favourites, *(item.artist for item in recommended.items[:1])]
    answers = {
        "stats": rows,
        "score": recommender.score(scored, user).to_dict(),
        "recommend": recommended.to_dict(),
        "similar": recommender.similar(favourites[0], min_listeners=_MIN_LISTENERS).to_dict(),
    }
    if recommended.items:
        artist = recommended.items[0].artist
        try:
            fit_answer(recommender, budget, by_user=True, explains=True, longest=end - start)
            answers["explain"] = recommender.explain(artist, user).to_dict()
        except BudgetError as error:
            echo_warning(f"why {artist} is recommended to {user} is left out: {error}")
    return answers


def _show(dataset: Dataset, answers: dict[str, Any]) -> None:
    from lastfm_dask.cli import ingest, summary
    from lastfm_dask.cli.output import print_table

    user = answers["stats"]["user"]
    ingest.show_reconciliation(dataset)
    summary.print_top_artists(dataset.statistics["top_artists"][:_N_SHOWN], dataset.n_users)
    rows: list[tuple[Any, ...]] = [
        (row["artist"], row["plays"], score["score"])
        for row, score in zip(answers["stats"]["rows"], answers["score"]["scores"], strict=False)
    ]
    print_table(f"what {user} plays most, and its scores", ("artist", "plays", "score"), rows)
    rows = [(item["artist"], item["score"], item["listeners"]) for item in answers["recommend"]["items"]]
    print_table(f"recommended to {user}", ("artist", "score", "listeners"), rows)
    if explained := answers.get("explain"):
        parts = sorted(explained["contributions"], key=lambda part: -abs(part["contribution"]))[:3]
        rows = [(part["artist"], part["contribution"]) for part in parts]
        print_table(f"why {explained['artist']}: what adds most to its score", ("artist", "adds"), rows)
    similar = answers["similar"]
    heads = ("artist", "similarity", "listeners")
    print_table(
        f"most like {similar['artist']}, of those with {_MIN_LISTENERS} listeners or more",
        heads,
        [[item[key] for key in heads] for item in similar["items"][:_N_FAVOURITES]],
    )


def _show_next(dataset: Dataset, result: TrainResult, user: str) -> None:
    """Print what was written, how long training took, and the next commands."""
    path, model = _short(dataset.path), _short(result.path)
    done = result.training.get("iterations", len(result.iteration_s))
    echo(f"Wrote {path} and {model} ({done} iterations in {result.fit_s:.1f} s).\nNext:")
    for line in (
        f"stats {path}",
        f"profile {path}",
        f'recommend {model} --like "{dataset.statistics["top_artists"][0]["artist"]}"',
        f'explain {model} --user "{user}" --artist NAME',
        f"serve {model}",
    ):
        echo(f"  lastfm-dask {line}")


def _short(path: Path) -> Path:
    """Return a path relative to the current folder, if it lies within."""
    try:
        return path.absolute().relative_to(Path.cwd())
    except (ValueError, OSError):
        return path
