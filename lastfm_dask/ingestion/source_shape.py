"""The numbers of a source that decide what ingest needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceShape:
    """The numbers of a source that decide what ingest needs; estimated from a sample before the work.

    Attributes
    ----------
    source_bytes : int
        Unpacked.
    n_rows, n_users, n_artists : int
        Rows, and distinct names.
    user_bytes, artist_bytes : int
        Bytes of a name, on average.
    with_mbid, with_time : bool
        Whether MBIDs and times are read.
    is_real : bool
        Whether plays are real values.
    utf8_percent : int
        What 100 bytes of the source take as UTF-8; 0 for a source that is UTF-8.
    by_records : bool
        Whether fields may be quoted, and hold line ends.
    """

    source_bytes: int
    n_rows: int
    n_users: int
    n_artists: int
    user_bytes: int = 40
    artist_bytes: int = 16
    with_mbid: bool = False
    with_time: bool = False
    is_real: bool = False
    utf8_percent: int = 0
    by_records: bool = False
    longest: int = 0
    """Rows of the user who has most."""
    most_listeners: int = 0
    """Rows of the artist who has most."""
    n_mbids: int = 0
    """Distinct pairs of artist and MBID."""
    held_bytes: int = 0
    """What an earlier dataset holds that is appended to: its names, and a block of its rows."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a line, on average; one at least."""
        return max(1, self.source_bytes // max(1, self.n_rows))


def n_blocks(source: SourceShape, block_bytes: int) -> int:
    """Return how many blocks a source has."""
    return max(1, -(-source.source_bytes // block_bytes))


def block_names(source: SourceShape, block_bytes: int) -> tuple[int, int]:
    """Return how many distinct users and artists a block has, at most.

    Users come in runs; distinct artists grow with about the root of the rows. Twice that, and never above the rows.
    """
    blocks = n_blocks(source, block_bytes)
    n_rows = -(-source.n_rows // blocks)
    n_users = min(n_rows, source.n_users, 2 * -(-source.n_users // blocks))
    return n_users, min(n_rows, source.n_artists, int(2 * source.n_artists / blocks**0.5) + 1)
