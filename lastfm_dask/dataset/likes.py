"""Favourites as people write them, `NAME` or `NAME=PLAYS`, made artists and plays. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PLAYS = 30
MAX_PLAYS = (1 << 31) - 1
_WITH_PLAYS = re.compile(r"(.+)=([0-9]+)", re.DOTALL)


def parse_like(text: str, is_known: Callable[[str], bool]) -> tuple[str, int]:
    """Return the artist and the plays that a favourite names.

    A name that is known as it stands wins over a split at its last `=`, so that `love=30` can be an artist.

    Parameters
    ----------
    text : str
        `NAME` or `NAME=PLAYS`.
    is_known : callable
        Says whether an artist has this very name.

    Raises
    ------
    BadInputError
        Where plays are not 1 to 2^31-1.
    """
    split = _WITH_PLAYS.fullmatch(text)
    if split is None or is_known(text):
        return text, DEFAULT_PLAYS
    name, plays = split.group(1), int(split.group(2))
    if not 1 <= plays <= MAX_PLAYS:
        msg = f"{text!r}: plays are {plays}, allowed are 1 to {MAX_PLAYS}"
        raise BadInputError(msg)
    return name, plays
