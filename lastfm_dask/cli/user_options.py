"""Options of commands that answer for one user: a user of the model, or a new user by their likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastfm_dask.cli.options import PATH, like_option
from lastfm_dask.cli.output import echo
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.results import User

F = TypeVar("F", bound="Callable[..., Any]")


def user_options(function: F) -> F:
    """Add --user, --like and --like-file."""
    for option in reversed(
        (
            click.option("--user", metavar="ID", help="A user the model was trained on."),
            like_option,
            click.option(
                "--like-file",
                type=PATH,
                help="A file of likes, one a line: a name, or a name, TAB and plays.",
            ),
        )
    ):
        function = option(function)
    return function


def likes_of(model: Recommender, likes: Sequence[str], like_file: Path | None) -> dict[str, int] | None:
    """Return plays by name, summed over repeated names; None without likes.

    Raises
    ------
    BadInputError
        The file can't be read, or a like is malformed.
    """
    from lastfm_dask.dataset.likes import read_like_file, read_likes

    if not likes and like_file is None:
        return None
    plays = read_likes(likes, model.knows_artist)
    if like_file is not None:
        try:
            text = like_file.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            msg = f"the file of likes {like_file} can't be read: {getattr(error, 'strerror', None) or error}"
            raise BadInputError(msg, path=str(like_file)) from error
        for name, count in read_like_file(text.split("\n"), str(like_file)):
            plays[name] = plays.get(name, 0) + count
    return plays


def one_user(user: str | None, likes: dict[str, int] | None) -> None:
    """Raise click's usage error unless either a user or likes are given."""
    if (user is None) == (likes is None):
        msg = "choose a user: either --user, or --like (or --like-file)"
        raise click.UsageError(msg)


def title_of(what: str, user: User) -> str:
    """Return a table's title."""
    return f"{what} for {user}"


def echo_unknown(user: User) -> None:
    """Print unknown names with similar ones, on stderr."""
    from lastfm_dask.dataset.vocabulary import did_you_mean

    for name in user.unknown:
        echo(f"not known: {name.name!r}{did_you_mean(name.near)}", err=True)
