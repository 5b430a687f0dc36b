"""A user added by hand: checked against the names of the log, and encoded like a block of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.dataset.likes import checked_like
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.errors import BadInputError, UnknownNameError
from lastfm_dask.ingestion.listens import NO_TIME
from lastfm_dask.interactions.encoding import record_batch
from lastfm_dask.interactions.names import lower

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from lastfm_dask.ingestion.names import Names
    from lastfm_dask.interactions.schema import Schema


def refuse_incomplete(user: str | None, likes: Mapping[str, int]) -> None:
    """Raise BadInputError for a user without favourites, favourites without a user, or an id that no log can contain."""
    if user is not None and not likes:
        msg = f"the user {user!r} has no favourites: name some with --like NAME=PLAYS"
        raise BadInputError(msg)
    if likes and user is None:
        msg = f"{len(likes)} favourites, but no user who likes them: name one with --add-user ID"
        raise BadInputError(msg)
    if user is not None and (not user or any(sign in user for sign in "\t\n\r\0") or not _is_unicode(user)):
        msg = f"the id {user!r} of the user to add is empty, holds a tab, a line end or NUL, or is not UTF-8"
        raise BadInputError(msg)


def _is_unicode(text: str) -> bool:
    """Whether a text is Unicode, not the undecodable bytes of a command line."""
    return all(not "\ud800" <= sign <= "\udfff" for sign in text)


def added_rows(
    user: str, likes: Mapping[str, int], users: Names, artists: Names, schema: Schema
) -> pa.RecordBatch:
    """Return a new user's rows as an encoded block.

    Raises
    ------
    UnknownNameError
        The user is known already, or an artist is not: all unknown ones in one message, with near names.
    BadInputError
        Plays are out of range.
    """
    import numpy as np

    if users.find(user) is not None:
        msg = f"a user {user!r} is in the log already: choose another id for the one to add"
        raise UnknownNameError(msg, name=user)
    vocabulary = Vocabulary.of(artists.array.combine_chunks(), "artist")
    favourites = [checked_like(name, count) for name, count in likes.items()]
    stored = [name if schema.keep_case else lower(name) for name, _ in favourites]
    unknown = [name for name, index in zip(stored, vocabulary.find_all(stored), strict=True) if index is None]
    if unknown:
        raise _unknown(unknown, vocabulary)
    plays = [count for _, count in favourites]
    n_rows = len(plays)
    stored_plays = np.array(plays, np.float32).view(np.int32) if schema.is_real else plays
    return record_batch(
        {
            "users": [user],
            "user_rows": [n_rows],
            "user_plays": [sum(plays)],
            "artists": stored,
            "artist_rows": [1] * n_rows,
            "artist_plays": plays,
            "artist_codes": range(n_rows),
            "plays": stored_plays,
            "times": [NO_TIME] * n_rows if schema.with_time else (),
            "counts": [-1, n_rows, plays.count(1)],
        }
    )


def _unknown(names: Sequence[str], vocabulary: Vocabulary) -> UnknownNameError:
    lines = []
    for name in names:
        near = vocabulary.near(name)
        hint = f": did you mean {', '.join(repr(n) for n in near)}?" if near else ""
        lines.append(f"no artist is called {name!r}{hint}")
    return UnknownNameError("; ".join(lines), name=names[0], near=vocabulary.near(names[0]))
