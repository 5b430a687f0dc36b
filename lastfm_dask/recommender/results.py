"""What answers are made of: frozen, typed, and each with the JSON object that the command line prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lastfm_dask.display import Shown, Table

if TYPE_CHECKING:
    from lastfm_dask.recommender.rerank import Rerank

POPULARITY = "popularity"
"""The fallback where nothing is known of a listener: the artists with the most listeners."""


@dataclass(frozen=True, slots=True)
class Like:
    """An artist that a new user likes, as the model knows it."""

    artist: str
    plays: int


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that the model does not know, and those that may have been meant."""

    name: str
    near: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object; bytes of a command line that are not Unicode are escaped."""
        return {"name": self.name.encode("utf-8", "backslashreplace").decode(), "near": list(self.near)}


@dataclass(frozen=True, slots=True)
class User:
    """Whom an answer is for: a user of the model, or a new user by what they like."""

    name: str | None = None
    likes: tuple[Like, ...] = ()
    unknown: tuple[UnknownName, ...] = ()
    """Names among the likes that the model does not know."""

    def to_dict(self) -> dict[str, Any]:
        """Return `{"user": …}` or `{"like": […]}`."""
        return {"like": [asdict(like) for like in self.likes]} if self.name is None else {"user": self.name}

    def __str__(self) -> str:
        """Return whom the answer is for, as a person says it."""
        if self.name is not None:
            return self.name
        likes = ", ".join(f"{like.artist} ({like.plays:,})" for like in self.likes[:5])
        more = f" and {len(self.likes) - 5} more" if len(self.likes) > 5 else ""
        return f"a user who likes {likes}{more}" if likes else "a new user"

    def unknown_note(self) -> str:
        """Return a line about the names that are not known; empty if all are."""
        names = (
            f"{one.name!r}" + (f" (near: {', '.join(one.near)})" if one.near else "") for one in self.unknown
        )
        return f"not known: {'; '.join(names)}" if self.unknown else ""

    def unknown_list(self) -> list[dict[str, Any]]:
        """Return the JSON list of unknown names."""
        return [name.to_dict() for name in self.unknown]


@dataclass(frozen=True, slots=True)
class RecommendedArtist:
    """One line of a recommendation."""

    artist: str
    score: float
    """The dot product of the user's and the artist's vectors; the listeners where popularity stood in."""
    index: int
    """The artist's column."""
    listeners: int
    novelty: float | None = None
    """-log2(listeners / users) in bits, where novelty was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object; `novelty` only where it was asked for."""
        line = asdict(self)
        return line if self.novelty is not None else {k: v for k, v in line.items() if k != "novelty"}


@dataclass(frozen=True, slots=True, repr=False)
class Recommendations(Shown):
    """Artists for one user, the best first."""

    user: User
    items: tuple[RecommendedArtist, ...]
    fallback: str | None = None
    """`popularity` where none of the likes is known, else None."""
    rerank: Rerank | None = None
    """How the order was changed for variety or novelty; None if the score alone decides."""

    def _table(self) -> Table:
        rows = [(item.artist, item.score, item.listeners) for item in self.items]
        title = "The most popular artists" if self.fallback else "Recommended"
        return Table(
            f"{title} for {self.user}", ("artist", "score", "listeners"), rows, self.user.unknown_note()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `recommend --json` prints."""
        return {
            **self.user.to_dict(),
            "items": [item.to_dict() for item in self.items],
            "unknown": self.user.unknown_list(),
            "fallback": self.fallback,
            **({} if self.rerank is None else asdict(self.rerank)),
        }


@dataclass(frozen=True, slots=True)
class SimilarArtist:
    """One line of `similar`."""

    artist: str
    similarity: float
    """The cosine of the angle between both artists' vectors, -1 to 1, shrunk by its support."""
    listeners: int


@dataclass(frozen=True, slots=True, repr=False)
class Similar(Shown):
    """The artists most like one, the most similar first."""

    artist: str
    items: tuple[SimilarArtist, ...]

    def _table(self) -> Table:
        rows = [(item.artist, item.similarity, item.listeners) for item in self.items]
        return Table(f"Most like {self.artist}", ("artist", "similarity", "listeners"), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return what `similar --json` prints."""
        return asdict(self) | {"items": [asdict(item) for item in self.items]}


@dataclass(frozen=True, slots=True)
class ScoredArtist:
    """One line of `score`."""

    artist: str
    index: int
    score: float
    als: float | None = None
    """The part of the dot product of vectors, where the model is a blend."""
    item_weights: float | None = None
    """The part of item weights, where the model is a blend."""
    popularity: float | None = None
    """The part of how many listeners the artist has, where the model is a blend; the parts add up to the score."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object; the parts only where the model is a blend."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, repr=False)
class Scores(Shown):
    """Scores of some artists for one user, in the order in which they were asked for."""

    user: User
    scores: tuple[ScoredArtist, ...]
    user_vector: tuple[float, ...] = field(repr=False, default=())
    """The user's factors, where vectors were asked for."""
    artist_vectors: dict[str, tuple[float, ...]] = field(repr=False, default_factory=dict)

    def _table(self) -> Table:
        columns, rows = self.table()
        return Table(f"Scores for {self.user}", columns, rows, self.user.unknown_note())

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the columns and rows to show: scores, and their parts where the model is a blend."""
        columns: tuple[str, ...] = ("artist", "index", "score")
        if any(one.als is not None for one in self.scores):
            columns = (*columns, "als", "item_weights", "popularity")
        return columns, [tuple(getattr(one, name) for name in columns) for one in self.scores]

    def to_dict(self) -> dict[str, Any]:
        """Return what `score --json` prints; `vectors` only where they were asked for."""
        vectors = {name: list(vector) for name, vector in self.artist_vectors.items()}
        return {
            **self.user.to_dict(),
            "scores": [score.to_dict() for score in self.scores],
            "unknown": self.user.unknown_list(),
            **({"vectors": {"user": list(self.user_vector), "artists": vectors}} if self.user_vector else {}),
        }


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much one artist of a user's list adds to a score."""

    artist: str
    contribution: float


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Shown):
    """Where a score comes from; contributions and remainder add up to it."""

    user: User
    artist: str
    score: float
    contributions: tuple[Contribution, ...]
    """One for each artist of the user's list, the largest first."""
    remainder: float
    """What the solver left over when the user's vector was trained; zero but for rounding for a new user."""

    def _table(self) -> Table:
        rows = [(one.artist, one.contribution) for one in self.contributions]
        title = f"Why {self.artist} scores {self.score:.4f} for {self.user}"
        return Table(title, ("artist", "contribution"), rows, f"remainder {self.remainder:.3g}")

    def to_dict(self) -> dict[str, Any]:
        """Return what `explain --json` prints."""
        return {
            **self.user.to_dict(),
            "artist": self.artist,
            "score": self.score,
            "contributions": [asdict(one) for one in self.contributions],
            "remainder": self.remainder,
            "unknown": self.user.unknown_list(),
        }
