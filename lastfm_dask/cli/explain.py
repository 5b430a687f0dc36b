"""`explain`: how much each artist in a user's list adds to a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option
from lastfm_dask.cli.output import echo_json, print_table
from lastfm_dask.cli.user_options import echo_unknown, likes_of, one_user, title_of, user_options

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.recommender.results import Explanation


@click.command()
@click.argument("model", type=PATH)
@click.option("--artist", required=True, help="The artist whose score to explain.")
@user_options
@click.option(
    "-n",
    "n",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Rows in the table; the rest is summed in one. JSON has all.",
)
@memory_option
@json_option
def command(
    model: Path,
    artist: str,
    user: str | None,
    likes: tuple[str, ...],
    like_file: Path | None,
    n: int,
    memory_bytes: int | None,
    as_json: bool,
) -> None:
    """Say how much each artist in a user's list adds to a score.

    MODEL is what `train` made. Contributions and remainder add up to the score that `score` and `recommend` show;
    the remainder is the solver's residual.
    """
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import plan_answer

    recommender = Recommender(model)
    plan_answer(recommender, by_user=user is not None, explains=True, memory_bytes=memory_bytes)
    plays = likes_of(recommender, likes, like_file)
    one_user(user, plays)
    found = recommender.explain(artist, user, likes=plays)
    if as_json:
        echo_json(found.to_dict())
    else:
        _show(found, n)


def _show(found: Explanation, n: int) -> None:
    # The largest contributions first, positive or negative.
    ranked = sorted(found.contributions, key=lambda one: -abs(one.contribution))
    rows = [(one.artist, one.contribution) for one in ranked[:n]]
    if others := ranked[n:]:
        rows.append((f"{len(others)} others", sum(one.contribution for one in others)))
    rows += [("remainder", found.remainder), ("score", found.score)]
    print_table(title_of(f"{found.artist}, explained", found.user), ["artist", "adds"], rows)
    echo_unknown(found.user)
