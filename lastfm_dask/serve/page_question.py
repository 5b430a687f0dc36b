"""The question of the page's address: `?artist=björk&plays=12&artist=…&plays=…&not=…&unknown=40`. Pure.

Blank fields of the form are left out, and names that are given twice are added up.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from lastfm_dask.dataset.likes import DEFAULT_PLAYS, MAX_PLAYS
from lastfm_dask.serve.problems import Problem
from lastfm_dask.serve.questions import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LIKES = 30
MAX_NOT = 50
N_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A list, what must not be answered, and how unknown the answers should be."""

    likes: tuple[tuple[str, int], ...] = ()
    exclude: tuple[str, ...] = ()
    unknown: int = 0
    """0: whatever fits best; 100: artists that hardly anybody listens to."""
    variety: int = 0
    """How much it counts that the answers differ from each other, in per cent."""

    def address(self) -> str:
        """Return the address that holds this question."""
        pairs = [pair for name, plays in self.likes for pair in (("artist", name), ("plays", str(plays)))]
        pairs += [("not", name) for name in self.exclude]
        pairs += [("unknown", str(self.unknown))] if self.unknown else []
        pairs += [("variety", str(self.variety))] if self.variety else []
        return f"/?{urlencode(pairs, errors='replace')}" if pairs else "/"

    def with_like(self, name: str, plays: int = DEFAULT_PLAYS) -> PageQuestion:
        """Return the question with one artist more."""
        return replace(self, likes=(*self.likes, (name, plays))[:MAX_LIKES])

    def without_like(self, name: str) -> PageQuestion:
        """Return the question with one artist fewer."""
        return replace(self, likes=tuple(like for like in self.likes if like[0] != name))

    def instead(self, name: str, other: str) -> PageQuestion:
        """Return the question with another artist in one's place."""
        return replace(self, likes=tuple((other if like == name else like, n) for like, n in self.likes))

    def without_answer(self, name: str) -> PageQuestion:
        """Return the question with one artist that must not be answered."""
        return replace(self, exclude=(*self.exclude, name)[-MAX_NOT:])

    def with_answer(self, name: str) -> PageQuestion:
        """Return the question with one artist that may be answered again."""
        return replace(self, exclude=tuple(one for one in self.exclude if one != name))

    def command(self, model: str, max_listeners: int | None) -> str:
        """Return the command line that asks the same."""
        words = ["lastfm-dask", "recommend", model, "-n", str(N_ANSWERS)]
        words += [word for name, plays in self.likes for word in ("--like", f"{name}={plays}")]
        words += [word for name in self.exclude for word in ("--exclude", name)]
        words += [] if max_listeners is None else ["--max-listeners", str(max_listeners)]
        words += ["--diverse", str(self.variety / 100)] if self.variety else []
        return shlex.join(words)


def read_page_question(pairs: Sequence[tuple[str, str]]) -> PageQuestion:
    """Return the question of an address; raises Problem where it names too much or a number can't be read."""
    artists = [text for name, text in pairs if name == "artist"]
    plays = [text for name, text in pairs if name == "plays"]
    plays += [""] * (len(artists) - len(plays))
    likes: dict[str, int] = {}
    for artist, count in zip(artists, plays, strict=False):
        name = _checked(artist)
        if name:
            likes[name] = min(
                likes.get(name, 0) + _number("plays", count, DEFAULT_PLAYS, 1, MAX_PLAYS), MAX_PLAYS
            )
    exclude = dict.fromkeys(_checked(text) for name, text in pairs if name == "not" and text.strip())
    if len(likes) > MAX_LIKES or len(exclude) > MAX_NOT:
        message = f"the address names {len(likes)} artists and {len(exclude)} to leave out: allowed are {MAX_LIKES} and {MAX_NOT}"
        raise Problem(400, "bad_input", message)
    values = {name: text for name, text in pairs if name in ("unknown", "variety")}
    unknown, variety = (_number(name, values.get(name, ""), 0, 0, 100) for name in ("unknown", "variety"))
    return PageQuestion(tuple(likes.items()), tuple(exclude), unknown, variety)


def _checked(text: str) -> str:
    name = text.strip()
    if len(name) > MAX_NAME:
        raise Problem(400, "bad_input", f"a name has {len(name)} letters: allowed are {MAX_NAME}")
    return name


def _number(what: str, text: str, default: int, least: int, most: int) -> int:
    if not text.strip():
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise Problem(
            400, "bad_input", f"{what} is {text[:40]!r}: give a whole number from {least} to {most}"
        )
    return int(text)
