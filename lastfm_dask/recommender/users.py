"""The user of a question and what may be listed: names become rows, columns and plays; unknown names are collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from lastfm_dask.dataset.likes import DEFAULT_PLAYS, checked_like, summed
from lastfm_dask.dataset.vocabulary import did_you_mean
from lastfm_dask.errors import BadInputError, UnknownNameError
from lastfm_dask.interactions.names import lower
from lastfm_dask.recommender.rerank import Rerank
from lastfm_dask.recommender.results import Like, UnknownName, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from lastfm_dask.dataset.vocabulary import Vocabulary

    RowOf = Callable[[int], tuple[npt.NDArray[Any], npt.NDArray[np.float32]]]
    Likes = Mapping[str, int] | Iterable[str]


class ListOptions(TypedDict, total=False):
    """What recommendations leave out and how they are ordered; the keyword arguments of all that lists artists.

    Parameters
    ----------
    exclude : iterable of str
        Artists to leave out.
    only : iterable of str, optional
        The only artists that may be listed.
    min_listeners, max_listeners : int, optional
        Leave out artists with fewer or with more listeners.
    include_known : bool
        Whether to list artists that the user has already.
    diverse, novelty : float
        How much variety, and how much artists that few know, count beside the score: 0, the default, to 1 (`rerank`).
    """

    exclude: Iterable[str]
    only: Iterable[str] | None
    min_listeners: int | None
    max_listeners: int | None
    include_known: bool
    diverse: float
    novelty: float


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How many artists a list has, which, and in what order; in the model's terms."""

    n: int
    filters: Filters
    include_known: bool
    rerank: Rerank

    @property
    def n_pool(self) -> int:
        """Artists that are looked for, of which `n` are listed."""
        return self.rerank.pool(self.n)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which artists may be listed."""

    exclude: tuple[int, ...] = ()
    """Columns to leave out."""
    only: tuple[int, ...] | None = None
    """The only columns that may be listed; None: all."""
    min_listeners: int | None = None
    max_listeners: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every artist may be listed."""
        bounds = (self.only, self.min_listeners, self.max_listeners)
        return not self.exclude and all(bound is None for bound in bounds)

    def allowed(self, listeners: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which artists may be listed, by their numbers of listeners; both shape (n_artists,)."""
        allowed = np.full(len(listeners), self.only is None)
        allowed[list(self.only or ())] = True
        if self.min_listeners is not None:
            allowed &= listeners >= self.min_listeners
        if self.max_listeners is not None:
            allowed &= listeners <= self.max_listeners
        allowed[list(self.exclude)] = False
        return allowed


@dataclass(frozen=True, slots=True)
class ModelUser:
    """The user an answer is for, in the model's terms."""

    user: User
    row: int | None
    """The row of a user of the model; None for a new user."""
    items: npt.NDArray[np.integer]
    """Columns of the artists that the user has; empty if nothing is known of a new one."""
    plays: npt.NDArray[np.float32]


class Lookup:
    """Finds users and artists by name.

    Parameters
    ----------
    users, artists : Vocabulary
        The model's names.
    row_of : callable
        Gives the columns and the plays of a user's row.
    keep_case : bool
        Whether artist names were stored as they stood in the source, not in lower case.
    """

    def __init__(self, users: Vocabulary, artists: Vocabulary, row_of: RowOf, keep_case: bool) -> None:
        self.users = users
        self.artists = artists
        self.row_of = row_of
        self.keep_case = keep_case

    def is_artist(self, name: str) -> bool:
        """Say whether an artist has this name, in whatever case where names are stored in lower case."""
        return self.find([name])[0] is not None

    def artist(self, name: str) -> int:
        """Return an artist's column; raises UnknownNameError."""
        return self.artists_of([name])[0]

    def artists_of(self, names: Iterable[str]) -> list[int]:
        """Return the columns of artists; raises UnknownNameError that names all that are not known."""
        names = list(names)
        found = self.find(names)
        unknown = [name for name, index in zip(names, found, strict=True) if index is None]
        if unknown:
            raise self._unknown([UnknownName(name, self.artists.near(name)) for name in unknown])
        return [index for index in found if index is not None]

    def list_settings(self, n: int, options: ListOptions) -> ListSettings:
        """Return what is listed and how; raises UnknownNameError if an artist to leave out or to list is not known."""
        unknown = options.keys() - ListOptions.__annotations__.keys()
        if unknown:
            msg = f"no option is called {', '.join(sorted(unknown))}: allowed are {', '.join(ListOptions.__annotations__)}"
            raise TypeError(msg)
        only = options.get("only")
        filters = Filters(
            tuple(self.artists_of(options.get("exclude", ()))),
            None if only is None else tuple(self.artists_of(only)),
            options.get("min_listeners"),
            options.get("max_listeners"),
        )
        rerank = Rerank(options.get("diverse", 0.0), options.get("novelty", 0.0))
        n = min(check_count(n), len(self.artists))
        return ListSettings(n, filters, options.get("include_known", False), rerank)

    def model_user(self, user: str | None, likes: Likes | None) -> ModelUser:
        """Return a user of the model, or a new user of whom perhaps nothing is known.

        Raises
        ------
        UnknownNameError
            If the user is not known.
        BadInputError
            If neither or both are given, or a like's plays are out of range.
        """
        if (user is None) == (likes is None):
            msg = "choose a user: either one of the model, or a new user by likes"
            raise BadInputError(msg)
        if user is not None:
            row = self.users.index(user)
            return ModelUser(User(user), row, *self.row_of(row))
        return self._new_user(_pairs(likes or ()))

    def known_user(self, user: str | None, likes: Likes | None) -> ModelUser:
        """Return a user as `model_user` does; raises UnknownNameError if none of the likes is known."""
        found = self.model_user(user, likes)
        if not len(found.items):
            raise self._unknown(found.user.unknown)
        return found

    def _new_user(self, likes: list[tuple[str, int]]) -> ModelUser:
        found = self.find([name for name, _ in likes])
        known = [(index, plays) for index, (_, plays) in zip(found, likes, strict=True) if index is not None]
        missing = (name for index, (name, _) in zip(found, likes, strict=True) if index is None)
        unknown = tuple(UnknownName(name, self.artists.near(name)) for name in dict.fromkeys(missing))
        plays = summed(known)
        items = np.array(list(plays), np.int32)
        names = self.artists.names(items)
        user = User(None, tuple(map(Like, names, plays.values())), unknown)
        return ModelUser(user, None, items, np.array(list(plays.values()), np.float32))

    def find(self, names: Sequence[str]) -> list[int | None]:
        """Return the columns of artists, None for names that are not known."""
        found = self.artists.find_all(names)
        if self.keep_case or None not in found:
            return found
        lowered = self.artists.find_all([lower(name) for name in names])
        return [exact if exact is not None else low for exact, low in zip(found, lowered, strict=True)]

    def _unknown(self, names: Sequence[UnknownName]) -> UnknownNameError:
        if not names:
            return UnknownNameError("no artist was named: name one at least")
        parts = [f"no artist is called {name.name!r}{did_you_mean(name.near)}" for name in names]
        return UnknownNameError("; ".join(parts), name=names[0].name, near=names[0].near)


def _pairs(likes: Likes) -> list[tuple[str, int]]:
    """Return names and plays; a text alone would be taken letter by letter, so it is refused."""
    if isinstance(likes, str):
        msg = f"likes is the text {likes!r}: give a list of names, or names with plays"
        raise BadInputError(msg)
    if isinstance(likes, Mapping):
        return [checked_like(name, int(plays)) for name, plays in likes.items()]
    return [checked_like(name, DEFAULT_PLAYS) for name in likes]


def check_count(n: int) -> int:
    """Return how many artists are asked for; raises BadInputError if a list can't be that long."""
    if n < 1:
        msg = f"a list of {n} artists was asked for: ask for 1 or more"
        raise BadInputError(msg)
    return n
