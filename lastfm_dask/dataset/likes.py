"""What a user likes, as people write it: `NAME` or `NAME=PLAYS`, read into `{name: plays}`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DEFAULT_PLAYS = 30
MAX_PLAYS = 2**31 - 1


def read_like(text: str, is_known: Callable[[str], bool] | None = None) -> tuple[str, int]:
    """Return the name and the plays of one like.

    A known name that holds `=` is taken whole. Any other text is split at its last `=`, and a whole number must follow.

    Parameters
    ----------
    text : str
        `NAME` (30 plays) or `NAME=PLAYS`.
    is_known : callable, optional
        Says whether a text is an artist's name; asked only for a text that holds `=`. Without it every `=` splits.

    Raises
    ------
    BadInputError
        The name is empty, or the plays are not a whole number from 1 to 2^31-1.

    Examples
    --------
    >>> read_like("sigur rós=12")
    ('sigur rós', 12)
    >>> read_like("1+1=2", lambda name: name == "1+1=2")
    ('1+1=2', 30)
    """
    name, separator, plays = text.rpartition("=")
    if not separator or (is_known is not None and is_known(text)):
        return checked_like(text, DEFAULT_PLAYS, text)
    if not (plays.isascii() and plays.isdigit()):
        if not name.strip():
            # Nothing comes before the sign, so it can only be part of a name, as in `=`.
            return text, DEFAULT_PLAYS
        msg = (
            f"the like {text!r}: plays are a whole number from 1 to {MAX_PLAYS}, found {plays!r}; write NAME, or"
            " NAME=PLAYS (a name that holds = needs =PLAYS behind it unless it is known)"
        )
        raise BadInputError(msg)
    return checked_like(name, _number(plays), text)


def read_likes(texts: Iterable[str], is_known: Callable[[str], bool] | None = None) -> dict[str, int]:
    """Return plays by name of several likes, added up where a name stands more than once; see `read_like`."""
    plays: dict[str, int] = {}
    for name, count in (read_like(text, is_known) for text in texts):
        plays[name] = plays.get(name, 0) + count
    return plays


def checked_like(name: str, plays: int, text: str | None = None) -> tuple[str, int]:
    """Return a name and plays; raises BadInputError if the name is empty or the plays are out of range."""
    shown = name if text is None else text
    if not name.strip():
        msg = f"the like {shown!r} has no name: write NAME or NAME=PLAYS"
        raise BadInputError(msg)
    if not 1 <= plays <= MAX_PLAYS:
        msg = f"the like {shown!r} has {plays} plays, allowed is 1 to {MAX_PLAYS}"
        raise BadInputError(msg)
    return name, plays


def read_like_file(lines: Iterable[str], path: str = "the file of likes") -> list[tuple[str, int]]:
    """Return the likes of a file: a line is a name (30 plays), or a name, TAB and plays; blank lines are skipped.

    Raises
    ------
    BadInputError
        A line's plays are not a number from 1 to 2^31-1, or no line holds a name; with the line's number.
    """
    likes = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        name, separator, plays = text.rpartition("\t")
        if not separator:
            name, plays = text, str(DEFAULT_PLAYS)
        plays = plays.strip()
        is_number = plays.isascii() and plays.isdigit()
        if not (is_number and 1 <= _number(plays) <= MAX_PLAYS and name.strip()):
            msg = (
                f"{path}, line {number}: {text[:80]!r} is not a like: write a name, or a name, TAB and plays (1 to"
                f" {MAX_PLAYS})"
            )
            raise BadInputError(msg, path=path, line=number)
        likes.append((name, _number(plays)))
    if not likes:
        msg = f"{path} names no artist: write one a line"
        raise BadInputError(msg, path=path)
    return likes


def summed(likes: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return plays by index, those of an artist that is named more than once added up, in order."""
    plays: dict[int, int] = {}
    for index, count in likes:
        plays[index] = min(plays.get(index, 0) + count, MAX_PLAYS)
    return plays


def _number(digits: str) -> int:
    """Return the value of digits, or one above what is allowed; Python refuses to parse very long numbers."""
    return int(digits.lstrip("0")[:12] or "0")
