"""`recommend`: artists for a user, for a new user, or for all users."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option, threads_option
from lastfm_dask.cli.output import echo, echo_json, print_table
from lastfm_dask.cli.user_options import echo_unknown, likes_of, one_user, title_of, user_options
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.recommender.all_users import AllUsers, BatchSettings
    from lastfm_dask.recommender.all_users_files import WriteResult
    from lastfm_dask.recommender.results import Recommendations


_FILTERS = ("n", "exclude", "min_listeners", "max_listeners", "include_known")


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
@click.option("--all-users", is_flag=True, help="Answer for every user of the model.")
@click.option(
    "--json-lines", is_flag=True, help="With --all-users: a line of JSON for each user (the default)."
)
@click.option("--parquet", type=PATH, help="With --all-users: write this Parquet file.")
@click.option("-o", "--output", type=PATH, help="With --json-lines: write this file, not stdout.")
@click.option("-n", "n", type=click.IntRange(1), default=10, show_default=True, help="How many artists.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Leave out this artist. Repeat it for more.")
@click.option("--min-listeners", type=click.IntRange(0), help="Leave out artists with fewer listeners.")
@click.option("--max-listeners", type=click.IntRange(0), help="Leave out artists with more listeners.")
@click.option("--include-known", is_flag=True, help="List artists that the listener has already, too.")
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

    MODEL is what `train` made. A new listener is given by --like; unknown names are listed with near ones, and
    where none is known the most popular artists are the answer.
    """
    from lastfm_dask.recommender.answers import Recommender

    recommender = Recommender(model)
    plays = likes_of(recommender, likes, like_file)
    filters = {name: options[name] for name in _FILTERS}
    output = _Output(options["json_lines"], options["parquet"], options["output"])
    if all_users:
        if user is not None or plays is not None:
            msg = "--all-users answers for every user: leave out --user and --like"
            raise click.UsageError(msg)
        if output.parquet is not None and (output.json_lines or output.output is not None):
            msg = "--parquet names its own file: leave out --json-lines and --output"
            raise click.UsageError(msg)
        from lastfm_dask.recommender.all_users import AllUsers
        from lastfm_dask.recommender.plan import plan_all_users

        job = AllUsers.of(recommender, **filters)
        plan = plan_all_users(job, memory_bytes=options["memory_bytes"], threads=options["threads"])
        _answer_all_users(job, plan, output, as_json)
        return
    if output.is_given:
        msg = "--json-lines, --parquet and --output go with --all-users"
        raise click.UsageError(msg)
    one_user(user, plays)
    found = recommender.recommend(user, likes=plays, **filters)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show(found)


def _show(found: Recommendations) -> None:
    title = title_of("Recommended", found.user)
    if found.fallback is not None:
        title = "None of the names is known: the most popular artists (the score is their listeners)"
    rows = [(item.artist, item.score, item.listeners) for item in found.items]
    print_table(title, ["artist", "score", "listeners"], rows)
    echo_unknown(found.user)


def _answer_all_users(all_users: AllUsers, plan: Plan[BatchSettings], output: _Output, as_json: bool) -> None:
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.recommender.all_users_files import write_all_users

    to_stdout = output.parquet is None and output.output is None
    lines: IO[str] | Path | None = sys.stdout if to_stdout else output.output
    with shown_progress() as progress:
        progress.planned(plan)
        result = write_all_users(all_users, plan, parquet=output.parquet, json_lines=lines, progress=progress)
    # Lines on stdout are the result: what is said of them goes beside them.
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
