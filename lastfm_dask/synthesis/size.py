"""The size of a synthetic log, in proportion to the real one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources import published

_ARTISTS_EXPONENT = 0.533
"""Artists against listeners: 17,632 at 1,892 (HetRec 2K), 5,460 at 205 (the published excerpt), both on this line."""
_QUIRKS_FROM_USERS = 100


@dataclass(frozen=True, slots=True)
class LogSize:
    """The size of a log.

    Parameters
    ----------
    n_users : int
        Listeners, those apart whose id is a date.
    n_artists : int
        Artist names as written, at most one for each row.
    n_rows : int
        Lines, exactly.
    n_rejects : int or None
        Lines that are not rows, spread evenly over the log; None for the published log's two, where it is large enough
        to have its quirks.

    Raises
    ------
    BadInputError
        If the three contradict each other.
    """

    n_users: int = published.N_USERS
    n_artists: int = published.N_ARTIST_NAMES
    n_rows: int = published.N_LINES
    n_rejects: int | None = None

    def __post_init__(self) -> None:
        least, most = self.n_users + self.n_dated, self.n_users * self.n_artists
        if self.n_users < 1 or self.n_artists < 1:
            msg = f"{self.n_users} users and {self.n_artists} artists: there must be one of each at least"
            raise BadInputError(msg)
        if not max(least, self.n_artists) <= self.n_rows <= most:
            msg = (
                f"{self.n_rows} rows can't be had with {self.n_users} users and {self.n_artists} artists: each has one "
                f"row at least, and no user an artist twice; choose {max(least, self.n_artists)} to {most} rows"
            )
            raise BadInputError(msg)
        if not 0 <= (self.n_rejects or 0) <= self.n_rows:
            msg = f"{self.n_rejects} rejects in {self.n_rows} rows: choose 0 to {self.n_rows}"
            raise BadInputError(msg)
        if self.n_artists > 1 << 23:
            msg = f"{self.n_artists} artists are too many: at most {1 << 23}"
            raise BadInputError(msg)

    @property
    def n_dated(self) -> int:
        """Listeners whose id is a date: two in the published log, none in a log of a few listeners."""
        return 2 if self.n_users >= _QUIRKS_FROM_USERS else 0

    @classmethod
    def for_users(
        cls,
        n_users: int,
        *,
        n_artists: int | None = None,
        n_rows: int | None = None,
        n_rejects: int | None = None,
    ) -> LogSize:
        """Return the size in proportion to the published log's, but for what is given.

        Parameters
        ----------
        n_users : int
            Listeners; 359,347 give the published log's size.
        n_artists, n_rows : int, optional
            Take these in place of what follows from the listeners.
        n_rejects : int, optional
            See `LogSize`.
        """
        share = n_users / published.N_USERS
        rows = max(round(published.N_LINES * share), 1) if n_rows is None else n_rows
        artists = (
            min(rows, max(round(published.N_ARTIST_NAMES * share**_ARTISTS_EXPONENT), 1))
            if n_artists is None
            else n_artists
        )
        return cls(n_users, artists, rows, n_rejects)
