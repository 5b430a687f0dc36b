"""What somebody asks: a JSON body or a query string, held to its bounds and turned into one typed value. Pure.

Both ways name the same things: `{"likes": {"björk": 12}, "n": 5}` is `?like=björk=12&n=5`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from lastfm_dask.dataset.likes import DEFAULT_PLAYS, MAX_PLAYS, read_likes
from lastfm_dask.errors import BadInputError
from lastfm_dask.serve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_BODY_BYTES = 64 << 10
MAX_QUERY_BYTES = 8 << 10
MAX_NAME = 1000
"""Letters of a name."""
MAX_LIKES = 100
MAX_NAMES = 100
"""Artists to leave out, to score, or on a map."""
MAX_N = 100
DEFAULT_N = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks, whichever of these its route needs."""

    likes: dict[str, int] = field(default_factory=dict)
    n: int = DEFAULT_N
    artist: str | None = None
    artists: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_listeners: int | None = None
    max_listeners: int | None = None
    novelty: float = 0.0
    diverse: float = 0.0
    vectors: bool = False
    explain: bool = False

    def the_artist(self) -> str:
        """Return the artist; raises Problem where none was named."""
        if self.artist is None:
            _refuse("artist is missing: name one")
        return self.artist

    def some_likes(self) -> dict[str, int]:
        """Return the likes; raises Problem where there are none."""
        if not self.likes:
            _refuse("likes is missing or empty: name one artist at least, as {name: plays}")
        return self.likes


def read_body(body: bytes, allowed: Iterable[str]) -> Question:
    """Return the question in a JSON object that may have these keys.

    Raises
    ------
    Problem
        The body is not JSON, or a value is not what it may be.
    """
    try:
        content = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        message = f"the body is not JSON in UTF-8 ({str(error)[:120] or 'nested too deeply'})"
        raise Problem(400, "bad_json", message) from error
    if not isinstance(content, dict):
        _refuse(f"the body is {_kind(content)}: send a JSON object")
    return _question(content, allowed)


def read_query(
    pairs: Sequence[tuple[str, str]], allowed: Iterable[str], is_known: Callable[[str], bool] | None = None
) -> Question:
    """Return the question in a query string's names and values that may name these keys; `like` may repeat.

    Raises
    ------
    Problem
        A name is not known, stands twice, or a value is not what it may be.
    """
    allowed = set(allowed)
    several = {"artists"} & allowed
    content: dict[str, Any] = {}
    for name, text in pairs:
        if name == "like" and "likes" in allowed:
            content.setdefault("likes", []).append(text)
        elif name == "exclude" and name in allowed:
            content.setdefault(name, []).append(text)
        elif name == "artist" and several:
            content.setdefault("artists", []).append(text)
        elif name in content:
            _refuse(f"{name} stands twice in the query: give it once")
        else:
            content[name] = _value_of(name, text)
    if "likes" in content:
        likes = _names("likes", content["likes"], MAX_LIKES)
        try:
            content["likes"] = read_likes(likes, is_known)
        except BadInputError as error:
            raise Problem(400, "bad_input", str(error)) from error
    return _question(content, allowed)


def _value_of(name: str, text: str) -> Any:
    """Return a query's text as the type that a body would have; what does not read so stays a text."""
    if name in _NUMBERS and text.lstrip("-").isdecimal() and text.isascii():
        return int(text[:20])
    if name in _SHARES:
        try:
            return float(text[:40])
        except ValueError:
            return text
    return {"true": True, "1": True, "false": False, "0": False}.get(text, text) if name in _FLAGS else text


_NUMBERS = {"n": (1, MAX_N), "min_listeners": (0, 2**63 - 1), "max_listeners": (0, 2**63 - 1)}
_SHARES = ("novelty", "diverse")
_FLAGS = ("vectors", "explain")


def _question(content: Mapping[str, Any], allowed: Iterable[str]) -> Question:
    allowed = set(allowed)
    if unknown := [name for name in content if name not in allowed]:
        _refuse(f"{unknown[0][:80]!r} is not known here: allowed are {', '.join(sorted(allowed))}")
    values: dict[str, Any] = {}
    for name, value in content.items():
        if value is None:
            continue
        if name == "likes":
            values[name] = _likes(value)
        elif name in ("artists", "exclude"):
            values[name] = _names(name, value, MAX_NAMES)
        elif name == "artist":
            values[name] = _name(name, value)
        elif name in _NUMBERS:
            values[name] = _number(name, value)
        elif name in _SHARES:
            values[name] = _share(name, value)
        else:
            values[name] = (
                value if isinstance(value, bool) else _refuse(f"{name} is {_kind(value)}: send true or false")
            )
    return Question(**values)


def _likes(value: Any) -> dict[str, int]:
    if isinstance(value, Mapping):
        if len(value) > MAX_LIKES:
            _refuse(f"likes holds {len(value)} artists, allowed are {MAX_LIKES}")
        return {_name("likes", name): _plays(name, plays) for name, plays in value.items()}
    if isinstance(value, list):
        return dict.fromkeys(_names("likes", value, MAX_LIKES), DEFAULT_PLAYS)
    return _refuse(f"likes is {_kind(value)}: send an object of names and plays, or a list of names")


def _plays(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PLAYS:
        found = value if isinstance(value, int) and -(2**63) < value < 2**63 else _kind(value)
        _refuse(f"the plays of {name[:80]!r} are {found}: send a whole number from 1 to {MAX_PLAYS}")
    return int(value)


def _names(what: str, value: Any, most: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        _refuse(f"{what} is {_kind(value)}: send a list of names")
    if len(value) > most:
        _refuse(f"{what} holds {len(value)} names, allowed are {most}")
    return tuple(_name(what, name) for name in value)


def _name(what: str, value: Any) -> str:
    if not isinstance(value, str):
        _refuse(f"{what} holds {_kind(value)} where a name is wanted")
    if not value.strip() or len(value) > MAX_NAME:
        _refuse(f"{what} holds a name of {len(value)} letters: allowed are 1 to {MAX_NAME}, not all blank")
    return value


def _number(name: str, value: Any) -> int:
    least, most = _NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        found = value if isinstance(value, int) and -(2**63) < value < 2**63 else _kind(value)
        _refuse(f"{name} is {found}: send a whole number from {least} to {most}")
    return int(value)


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        _refuse(f"{name} is {_kind(value)}: send a number from 0 to 1")
    return float(value)


def _kind(value: Any) -> str:
    """Return what a value is, for a message; a long one is cut."""
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    kinds = (
        (bool, "a truth value"),
        ((int, float), "a number out of range"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "null")


def _no_number(text: str) -> NoReturn:
    msg = f"{text} is not a number in JSON"
    raise ValueError(msg)


def _refuse(message: str) -> NoReturn:
    raise Problem(400, "bad_input", message)
