"""`score`: what a model ranks artists by for a user, with its parts and the vectors where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option
from lastfm_dask.cli.output import echo, echo_json, print_table
from lastfm_dask.cli.user_options import echo_unknown, likes_of, one_user, title_of, user_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", type=PATH)
@click.option("--artist", "artists", multiple=True, required=True, help="An artist to score. Repeatable.")
@user_options
@click.option("--vectors", is_flag=True, help="Also print the vectors: those of the ALS part.")
@memory_option
@json_option
def command(
    model: Path,
    artists: tuple[str, ...],
    user: str | None,
    likes: tuple[str, ...],
    like_file: Path | None,
    vectors: bool,
    memory_bytes: int | None,
    as_json: bool,
) -> None:
    """Score artists for a user: the dot product of their vectors, and what a blend adds to it.

    MODEL is what `train` made. A new user, given by --like, gets the vector that their list asks for. With a blend the
    parts that add up to the score are shown beside it: of ALS, of item weights, of popularity.
    """
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import plan_answer

    recommender = Recommender(model)
    plan_answer(recommender, by_user=user is not None, n=len(artists), memory_bytes=memory_bytes)
    plays = likes_of(recommender, likes, like_file)
    one_user(user, plays)
    found = recommender.score(artists, user, likes=plays, vectors=vectors)
    if as_json:
        echo_json(found.to_dict())
        return
    columns, rows = found.table()
    print_table(title_of("Scores", found.user), [name.replace("_", " ") for name in columns], rows)
    echo_unknown(found.user)
    if vectors:
        by_name = {"user": found.user_vector, **found.artist_vectors}
        for name, vector in by_name.items():
            echo(f"{name}: {' '.join(f'{value:.6g}' for value in vector)}")
