"""A model opened to be asked from several threads at once: everything they share is read before the first question."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.memory import allocator
from lastfm_dask.recommender.plan import blended_bytes, shape_of_model
from lastfm_dask.serve.history import MAX_SHOWN
from lastfm_dask.serve.neighbourhood import places
from lastfm_dask.serve.plan import ServingShape
from lastfm_dask.serve.type_ahead import TypeAhead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.serve.questions import Question

MAX_SUGGESTIONS = 20
_N_EXAMPLES = 5
_EXAMPLE_SIZE = 4
_PARTS = 10
"""How many artists of a list an answer's reasons name."""


def shape_of(model: Recommender) -> ServingShape:
    """Return the numbers that decide what serving a model needs; reads only the sizes of its files."""
    found = shape_of_model(model, 1, model.artists.plain_bytes)
    return ServingShape(
        found.n_artists, found.factors, found.names_bytes, blended_bytes(found), found.manifest_bytes
    )


class Opened:
    """One model and the index of its names.

    Parameters
    ----------
    model : Recommender
        The model. Its path should not lead through a link that may point elsewhere while its files are read.

    Raises
    ------
    StoreError
        It is damaged.
    """

    def __init__(self, model: Recommender) -> None:
        self.model = model
        self.path = model.path
        self.model.prepare()
        self.type_ahead = TypeAhead(self.model.artists, self.model.listeners)
        # Ascending, negated: a number's place among them is its rank.
        self._ranks = -np.sort(-self.model.listeners)
        allocator.trim()

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    def facts(self) -> dict[str, Any]:
        """Return what is said of the model."""
        model = self.model
        return {
            "model": self.name,
            "users": model.n_users,
            "artists": model.n_artists,
            "factors": model.settings.factors,
            "created": model.manifest.created,
            "fingerprint": model.manifest.fingerprint,
            "settings": model.settings.to_dict(),
        }

    def suggest(self, typed: str, n: int) -> dict[str, Any]:
        """Return artists for what was typed so far, and whether they are only near to it."""
        found = self.type_ahead.find(typed, n)
        names = self.model.artists.names(found.columns)
        listeners = self.model.listeners[found.columns].tolist()
        rows = [{"artist": name, "listeners": n} for name, n in zip(names, listeners, strict=True)]
        return {"artists": rows, "near": found.is_near}

    def recommend(self, question: Question) -> dict[str, Any]:
        """Return what `recommend --json` prints, and on request each artist's reasons."""
        likes = question.likes
        found = self.model.recommend(
            likes=likes,
            n=question.n,
            exclude=question.exclude,
            min_listeners=question.min_listeners,
            max_listeners=question.max_listeners,
            novelty=question.novelty,
            diverse=question.diverse,
        )
        answer = found.to_dict()
        if question.explain and found.fallback is None and found.items:
            reasons = self.model.explain_each([item.artist for item in found.items], likes=likes)
            for item, reason in zip(answer["items"], reasons, strict=True):
                item["contributions"] = [asdict(part) for part in reason.contributions[:_PARTS]]
        return answer

    def similar(self, artist: str, n: int, min_listeners: int | None) -> dict[str, Any]:
        """Return what `similar --json` prints."""
        return self.model.similar(artist, n, min_listeners).to_dict()

    def explain(self, artist: str, likes: Mapping[str, int]) -> dict[str, Any]:
        """Return what `explain --json` prints."""
        return self.model.explain(artist, likes=likes).to_dict()

    def score(self, question: Question) -> dict[str, Any]:
        """Return what `score --json` prints."""
        found = self.model.score(question.artists, likes=question.some_likes(), vectors=question.vectors)
        return found.to_dict()

    def neighbourhood(self, artists: tuple[str, ...]) -> dict[str, Any]:
        """Return a place on a plane for each artist, both coordinates within 0 to 1."""
        plane = places(self.model.vectors(artists)).round(4).tolist()
        known = self.model.known_artists(artists)
        return {
            "points": [{"artist": name, "x": x, "y": y} for name, (x, y) in zip(known, plane, strict=True)]
        }

    def match(self, plays: Mapping[str, int]) -> dict[str, Any]:
        """Return which names of a history the model knows, the most played first, and which it does not.

        Where a name is not known as it is written, case and accents do not count.
        """
        known = [
            artist if artist is not None else self._same(name)
            for name, artist in zip(plays, self.model.known_artists(list(plays)), strict=True)
        ]
        matched: dict[str, int] = {}
        unmatched = []
        for (name, count), artist in zip(plays.items(), known, strict=True):
            if artist is None:
                unmatched.append({"name": name, "plays": count})
            else:
                matched[artist] = matched.get(artist, 0) + count
        rows = sorted(matched.items(), key=lambda row: -row[1])
        return {
            "matched": [{"artist": name, "plays": count} for name, count in rows[:MAX_SHOWN]],
            "n_matched": len(rows),
            "unmatched": unmatched[:MAX_SHOWN],
            "n_unmatched": len(unmatched),
        }

    def _same(self, name: str) -> str | None:
        column = self.type_ahead.same(name)
        return None if column is None else self.model.artists.names([column])[0]

    def rank(self, listeners: int) -> int:
        """Return how many artists have more listeners, plus 1."""
        return int(np.searchsorted(-self._ranks, -listeners, side="left")) + 1

    def listeners_of(self, artist: str) -> int:
        """Return how many listeners an artist has; raises UnknownNameError."""
        return int(self.model.listeners[self.model.artists.index(artist)])

    @cached_property
    def examples(self) -> list[list[str]]:
        """Five lists to start from: well-known artists, each with some of those most like it."""
        rows: list[list[str]] = []
        for popular in self.popular:
            name = popular["artist"]
            if any(name in row for row in rows):
                continue
            least = max(int(popular["listeners"]) // 50, 1)
            like = self.similar(name, _EXAMPLE_SIZE - 1, least)["items"]
            rows.append([name, *(one["artist"] for one in like)])
            if len(rows) == _N_EXAMPLES:
                break
        return rows

    @cached_property
    def popular(self) -> list[dict[str, Any]]:
        """The twenty artists with the most listeners."""
        found: list[dict[str, Any]] = self.suggest("", MAX_SUGGESTIONS)["artists"]
        return found
