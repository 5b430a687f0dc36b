"""`recommend`: artists for a user, for a new user, or for all users."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option, threads_option
from lastfm_dask.cli.output import echo, echo_json, print_table
from lastfm_dask.cli.user_options import echo_unknown, likes_of, one_user, title_of, user_options
from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from typing import IO

    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.recommender.all_users import AllUsers, BatchSettings
    from lastfm_dask.recommender.all_users_files import WriteResult
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.results import Recommendations


_LISTED = ("n", "min_listeners", "max_listeners", "include_known", "diverse", "novelty")


@dataclass(frozen=True, slots=True)
class _Output:
    """Where the answers for all users go: a Parquet file, a file of JSON lines, or stdout."""

    json_lines: bool
    parquet: Path | None
    output: Path | None

    @property
    def is_given(self) -> bool:
        return self.json_lines or self.parquet is not None or self.output is not None


@click.command()
@click.argument("model", type=PATH)
@user_options
@click.option("--all-users", is_flag=True, help="Recommend to every user of the model.")
@click.option(
    "--json-lines", is_flag=True, help="With --all-users: a line of JSON for each user (the default)."
)
@click.option("--parquet", type=PATH, help="With --all-users: write this Parquet file.")
@click.option("-o", "--output", type=PATH, help="With --json-lines: write this file, not stdout.")
@click.option("-n", "n", type=click.IntRange(1), default=10, show_default=True, help="How many artists.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="NAME|FILE",
    help="Exclude this artist, or the artists in this file, one a line. Repeatable.",
)
@click.option("--only", type=PATH, metavar="FILE", help="List only artists in this file, one a line.")
@click.option(
    "--diverse",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Weight of variety against the score (maximal marginal relevance), 0 to 1.",
)
@click.option(
    "--novelty",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Weight of little-known artists against the score, 0 to 1.",
)
@click.option("--min-listeners", type=click.IntRange(0), help="Exclude artists with fewer listeners.")
@click.option("--max-listeners", type=click.IntRange(0), help="Exclude artists with more listeners.")
@click.option("--include-known", is_flag=True, help="Also list artists that the user has already.")
@memory_option
@threads_option
@json_option
def command(
    model: Path,
    user: str | None,
    likes: tuple[str, ...],
    like_file: Path | None,
    all_users: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Recommend artists to a user, to a list of favourites, or to all users.

    MODEL is what `train` made. Describe a new user by --like; unknown names are listed with similar ones, and if no
    name is known, the most popular artists are recommended. --diverse and --novelty reorder the best 200 artists;
    scores stay as they are.
    """
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import answering_budget, fit_answer, plan_all_users

    recommender = Recommender(model)
    # Before names are read, which the plan counts.
    budget = answering_budget(memory_bytes=options["memory_bytes"], threads=options["threads"])
    if not all_users:
        fit_answer(recommender, budget, by_user=user is not None, n=options["n"])
    plays = likes_of(recommender, likes, like_file)
    listed = {name: options[name] for name in _LISTED}
    listed["exclude"] = _excluded(recommender, options["exclude"])
    if options["only"] is not None:
        listed["only"] = _only(recommender, options["only"])
    output = _Output(options["json_lines"], options["parquet"], options["output"])
    if all_users:
        if user is not None or plays is not None:
            msg = "--all-users answers for every user: drop --user and --like"
            raise click.UsageError(msg)
        if output.parquet is not None and (output.json_lines or output.output is not None):
            msg = "--parquet names its own file: drop --json-lines and --output"
            raise click.UsageError(msg)
        from lastfm_dask.recommender.all_users import AllUsers

        job = AllUsers(recommender, recommender.list_settings(**listed))
        plan = plan_all_users(job, budget=budget)
        _answer_all_users(job, plan, output, as_json)
        return
    if output.is_given:
        msg = "--json-lines, --parquet and --output need --all-users"
        raise click.UsageError(msg)
    one_user(user, plays)
    found = recommender.recommend(user, likes=plays, **listed)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show(found)


def _show(found: Recommendations) -> None:
    title = title_of("Recommended", found.user)
    if found.fallback is not None:
        title = "None of the names is known: showing the most popular artists (the score is their listeners)"
    columns = ["artist", "score", "listeners"]
    rows: list[tuple[object, ...]] = [(item.artist, item.score, item.listeners) for item in found.items]
    if found.rerank is not None and found.rerank.novelty:
        columns.append("novelty, bits")
        rows = [(*row, item.novelty) for row, item in zip(rows, found.items, strict=True)]
    print_table(title, columns, rows)
    echo_unknown(found.user)


def _excluded(model: Recommender, given: tuple[str, ...]) -> list[str]:
    """Return the names to exclude: each argument is an artist, else a file of names."""
    names = []
    for one in given:
        if not model.knows_artist(one) and Path(one).is_file():
            names += _names_in(model, Path(one))
        else:
            names.append(one)
    return names


def _only(model: Recommender, path: Path) -> list[str]:
    names = _names_in(model, path)
    if not names:
        msg = f"{path} names no artist that the model knows: write a name a line, as `stats` shows them"
        raise BadInputError(msg, path=str(path))
    return names


def _names_in(model: Recommender, path: Path) -> list[str]:
    """Return the artists of a file that the model knows; print on stderr how many it does not."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        msg = f"the file of artists {path} can't be read: {getattr(error, 'strerror', None) or error}"
        raise BadInputError(msg, path=str(path)) from error
    named = [name for line in lines if (name := line.removesuffix("\r"))]
    known = [name for name in model.known_artists(named) if name is not None]
    if len(known) < len(named):
        click.echo(f"{path}: {len(named) - len(known)} of {len(named)} artists are not known", err=True)
    return known


def _answer_all_users(all_users: AllUsers, plan: Plan[BatchSettings], output: _Output, as_json: bool) -> None:
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.recommender.all_users_files import write_all_users

    to_stdout = output.parquet is None and output.output is None
    lines: IO[str] | Path | None = sys.stdout if to_stdout else output.output
    with shown_progress() as progress:
        progress.planned(plan)
        result = write_all_users(all_users, plan, parquet=output.parquet, json_lines=lines, progress=progress)
    # Lines on stdout are the result; the summary goes to stderr.
    if as_json:
        echo_json(result.to_dict(), err=to_stdout)
    else:
        echo(_summary(result), err=to_stdout)


def _summary(result: WriteResult) -> str:
    stage = result.stage
    return (
        f"{result.n_users:,} users, {result.n_items:,} artists listed, {stage['wall_s']:.1f} s"
        f" ({result.users_per_s:,.0f} users a second); projected {format_size(stage['projected_bytes'])}, measured"
        f" {format_size(stage['measured_bytes'])}, allowed {format_size(result.plan.budget.allowed)}"
    )
