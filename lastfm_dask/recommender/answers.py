"""A trained model, opened to answer: recommend, score, similar, explain, for known users and for new ones.

Opening maps files and reads none of them whole; names are read when first needed. Needs only NumPy and Arrow:
neither implicit nor SciPy is imported. `all_users` answers for all users at once.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.blas import one_blas_thread
from lastfm_dask.recommender.blend import Lists
from lastfm_dask.recommender.explain import explanation
from lastfm_dask.recommender.fold_in import NormalEquations
from lastfm_dask.recommender.listing import listed
from lastfm_dask.recommender.model_files import ModelFiles
from lastfm_dask.recommender.ranking import Ranking, exact_scores, most_similar
from lastfm_dask.recommender.rerank import self_information
from lastfm_dask.recommender.results import (
    POPULARITY,
    Explanation,
    Recommendations,
    RecommendedArtist,
    ScoredArtist,
    Scores,
    Similar,
    SimilarArtist,
    User,
)
from lastfm_dask.recommender.users import Filters, ListSettings, Lookup, ModelUser, check_count
from lastfm_dask.training.weighting import Totals, Weigher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    import numpy.typing as npt

    from lastfm_dask.recommender.all_users import Batch
    from lastfm_dask.recommender.users import ListOptions


SHRINK = 10.0
"""Listeners with whom half of an artist's similarity counts, unless another number is asked for."""


class Recommender(ModelFiles):
    """A model directory, opened.

    Parameters
    ----------
    path : path
        What `train` published.

    Attributes
    ----------
    path, manifest, settings
        The directory, its manifest, and the settings it was trained with.

    Raises
    ------
    StoreError
        If the directory is missing, unfinished, damaged, or no model.

    Examples
    --------
    >>> from lastfm_dask import Recommender
    >>> model = Recommender("lastfm.model")
    >>> answer = model.recommend(likes={"sigur rós": 30, "björk": 12}, n=3)
    >>> len(answer.items), answer.fallback
    (3, None)
    >>> best = answer.items[0]
    >>> [best.score] == [one.score for one in model.score([best.artist], likes={"sigur rós": 30, "björk": 12}).scores]
    True
    >>> answer = model.recommend(likes=["sigur ros"])
    >>> answer.fallback, answer.user.unknown[0].near[0]
    ('popularity', 'sigur rós')
    >>> [batch.items.shape for batch in model.recommend_all(n=5)]
    [(40, 5)]
    """

    _filtered: tuple[Filters, Ranking] | None = None
    """The last filters and the artists they left: the next question mostly has the same filters."""

    def recommend(
        self,
        user: str | None = None,
        *,
        likes: Mapping[str, int] | Iterable[str] | None = None,
        n: int = 10,
        **options: Unpack[ListOptions],
    ) -> Recommendations:
        """Return the best artists for a user of the model, or for a new user by what they like.

        Parameters
        ----------
        user : str, optional
            A user of the model; or give `likes`.
        likes : mapping of str to int, or iterable of str, optional
            Artists and plays (30 where only names are given). Names that are not known are listed in the answer;
            if none is, the answer is the most popular artists, and says so.
        n : int
            How many artists at most.
        **options : ListOptions
            `exclude`, `only`, `min_listeners`, `max_listeners`, `include_known`, `diverse`, `novelty`.

        Raises
        ------
        UnknownNameError
            If the user, or an artist to leave out or to list, is not known.
        BadInputError
            If neither or both of `user` and `likes` are given, or `n`, `diverse` or `novelty` is out of its range.
        """
        settings = self.list_settings(n, **options)
        found = self._names.model_user(user, likes)
        if not len(found.items):
            return self._popular(found.user, settings)
        lists = Lists(np.array([0, len(found.items)]), found.items, found.plays)
        with one_blas_thread():
            ranked = listed(self, self._vector(found)[None, :], lists, settings)
        items = ranked.items[0][ranked.items[0] >= 0]
        lines = self._lines(items, ranked.scores[0][: len(items)], settings)
        return Recommendations(found.user, lines, rerank=settings.rerank if settings.rerank.is_on else None)

    def recommend_all(
        self,
        *,
        n: int = 10,
        memory_bytes: int | None = None,
        threads: int | None = None,
        **options: Unpack[ListOptions],
    ) -> Iterator[Batch]:
        """Yield the best artists for all users, in batches of consecutive rows that fit the memory allowed.

        Parameters
        ----------
        n, **options
            As for `recommend`.
        memory_bytes : int, optional
            Use at most this many bytes, and no more than the process is allowed.
        threads : int, optional
            Batches that are worked on at once; all CPUs unless given. The answers do not depend on it.

        Yields
        ------
        Batch
            The users' rows, and their artists and scores as arrays.

        Raises
        ------
        BudgetError
            If even the smallest batch needs more memory than is allowed; before any work.
        """
        from lastfm_dask.recommender.all_users import AllUsers
        from lastfm_dask.recommender.plan import plan_all_users

        all_users = AllUsers(self, self.list_settings(n, **options))
        yield from all_users.batches(
            plan_all_users(all_users, memory_bytes=memory_bytes, threads=threads).settings
        )

    def list_settings(self, n: int = 10, **options: Unpack[ListOptions]) -> ListSettings:
        """Return what `recommend` lists for these arguments, in the model's terms; raises as it does."""
        return self._names.list_settings(n, options)

    def similar(
        self, artist: str, n: int = 10, min_listeners: int | None = None, *, shrink: float = SHRINK
    ) -> Similar:
        """Return the artists most like one, by the cosine of their vectors, shrunk where few listeners support it.

        Parameters
        ----------
        artist : str
            The artist to compare with.
        n : int
            How many artists at most.
        min_listeners : int, optional
            Leave out artists with fewer listeners.
        shrink : float
            Each cosine is multiplied by listeners / (listeners + shrink) of the artist listed (Bell, Koren 2007,
            section 4.1, with an artist's listeners for the users that both share, of which they are the most). An
            artist with one listener has a vector that is its listener's, and is like many by chance. 0: the cosines.

        Raises
        ------
        UnknownNameError
            If the artist is not known; carries near names.
        BadInputError
            If `n` is below 1 or `shrink` below 0.
        """
        if not 0 <= shrink < np.inf:
            msg = f"a shrinkage of {shrink} can't be used: allowed are 0 and more"
            raise BadInputError(msg)
        n = min(check_count(n), self.n_artists)
        index = self._names.artist(artist)
        allowed = None if min_listeners is None else self.listeners >= min_listeners
        trust = self.listeners / np.maximum(self.listeners + shrink, 1) if shrink else None
        found, similarities = most_similar(self.item_factors, self.item_norms, index, n, allowed, trust)
        names = self.artists.names(found)
        lines = zip(names, similarities.tolist(), self.listeners[found].tolist(), strict=True)
        return Similar(self.artists.name(index), tuple(SimilarArtist(*line) for line in lines))

    def score(
        self,
        artists: Iterable[str],
        user: str | None = None,
        *,
        likes: Mapping[str, int] | Iterable[str] | None = None,
        vectors: bool = False,
    ) -> Scores:
        """Return the scores of artists for a user: the dot products of their vectors.

        Parameters
        ----------
        artists : iterable of str
            Whom to score.
        user, likes
            As for `recommend`.
        vectors : bool
            Whether to give the vectors too.

        Raises
        ------
        UnknownNameError
            If the user or an artist is not known, or none of the likes is.
        """
        found = self._names.known_user(user, likes)
        indices = np.array(self._names.artists_of(artists), np.int64)
        vector, rows = self._vector(found), self.item_factors[indices]
        names = self.artists.names(indices)
        scores = self._scored(found, names, indices, exact_scores(vector, rows))
        if not vectors:
            return Scores(found.user, scores)
        by_name = {name: tuple(row.tolist()) for name, row in zip(names, rows, strict=True)}
        return Scores(found.user, scores, tuple(vector.tolist()), by_name)

    def explain(
        self,
        artist: str,
        user: str | None = None,
        *,
        likes: Mapping[str, int] | Iterable[str] | None = None,
    ) -> Explanation:
        """Say how much each artist of a user's list adds to the score of one artist.

        Raises
        ------
        UnknownNameError
            If the user or the artist is not known, or none of the likes is.
        """
        return self.explain_each([artist], user, likes=likes)[0]

    def explain_each(
        self,
        artists: Iterable[str],
        user: str | None = None,
        *,
        likes: Mapping[str, int] | Iterable[str] | None = None,
    ) -> tuple[Explanation, ...]:
        """Explain several artists' scores at once, which takes little longer than one; see `explain`."""
        found = self._names.known_user(user, likes)
        indices = np.array(self._names.artists_of(artists), np.int64)
        targets = self.item_factors[indices]
        scores = exact_scores(self._vector(found), targets)
        with one_blas_thread():
            contributions = self._equations(found).contributions(targets)
        if self.blend is not None:
            contributions = self.blend.contributions(contributions, found.items, found.plays, indices)
            scores = self.blend.score(scores, found.items, found.plays, indices)
        known = self.artists.names(found.items)
        lines = zip(self.artists.names(indices), scores.tolist(), contributions, strict=True)
        return tuple(explanation(found.user, name, score, known, parts) for name, score, parts in lines)

    def knows_artist(self, name: str) -> bool:
        """Say whether an artist has this name, in whatever case where names are kept in lower case."""
        return self._names.is_artist(name)

    def known_artists(self, names: Sequence[str]) -> list[str | None]:
        """Return each name as the model has it; None for names that it does not know."""
        found = self._names.find(names)
        stored = iter(self.artists.names([index for index in found if index is not None]))
        return [None if index is None else next(stored) for index in found]

    def vectors(self, artists: Iterable[str]) -> npt.NDArray[np.float32]:
        """Return artists' vectors, shape (n, factors); raises UnknownNameError."""
        return self.item_factors[np.array(self._names.artists_of(artists), np.int64)]

    def prepare(self) -> None:
        """Read and build now all that questions share, so that threads may ask at once and only read it."""
        self.artists.prepare()
        _ = self.item_gram, self._ranking.position, self.listeners, self.blend
        self._weigher.confidence(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32))

    def ranking(self, filters: Filters) -> Ranking:
        """Return all artists that may be listed, in the order of their vectors' lengths."""
        if filters.is_empty:
            return self._ranking
        # Read and written in one step each: other threads may ask with other filters.
        last = self._filtered
        if last is None or last[0] != filters:
            last = self._filtered = (filters, self._ranking.only(filters.allowed(self.listeners)))
        return last[1]

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking.of(self.item_factors, self.item_norms)

    @cached_property
    def _names(self) -> Lookup:
        content = self.manifest.content
        keep_case = bool(content.get("dataset", {}).get("settings", {}).get("keep_case"))
        return Lookup(self.users, self.artists, self.row, keep_case)

    @cached_property
    def _weigher(self) -> Weigher:
        return Weigher(self.settings, self._totals)

    def _totals(self) -> Totals:
        """Return the whole matrix's statistics as training had them: stored values are counted, not rows."""
        from lastfm_dask.training.weighting import count_columns

        self.check_matrix()
        mean_plays = self.manifest.content["confidence"]["mean_plays"]
        return Totals(self.n_users, float(mean_plays), count_columns(self.matrix[1], self.n_artists))

    def _vector(self, found: ModelUser) -> npt.NDArray[np.float64]:
        """Return a user's vector: as trained for a user of the model, folded in exactly for a new one."""
        if found.row is not None:
            return np.asarray(self.user_factors[found.row], np.float64)
        with one_blas_thread():
            return self._equations(found).vector()

    def _scored(
        self,
        found: ModelUser,
        names: list[str],
        indices: npt.NDArray[np.int64],
        dots: npt.NDArray[np.float64],
    ) -> tuple[ScoredArtist, ...]:
        """Return scores by their parts: the dot products, and item weights where the model has them."""
        if self.blend is None:
            return tuple(map(ScoredArtist, names, indices.tolist(), dots.tolist()))
        blended = self.blend.score(dots, found.items, found.plays, indices)
        parts = self.blend.parts(dots, found.items, found.plays, indices)
        return tuple(
            map(ScoredArtist, names, indices.tolist(), blended.tolist(), *(p.tolist() for p in parts))
        )

    def _equations(self, found: ModelUser) -> NormalEquations:
        ends = np.array([0, len(found.items)])
        confidence = self._weigher.confidence(ends, found.items, found.plays)
        rows = self.item_factors[found.items]
        return NormalEquations.of(self.item_gram, rows, confidence, self.settings.regularization)

    def _lines(
        self, items: npt.NDArray[np.integer], scores: npt.NDArray[np.float64], settings: ListSettings
    ) -> tuple[RecommendedArtist, ...]:
        listeners = self.listeners[items]
        bits = self_information(listeners, self.n_users).tolist()
        shown = bits if settings.rerank.novelty else [None] * len(items)
        columns = (self.artists.names(items), scores.tolist(), items.tolist(), listeners.tolist(), shown)
        return tuple(RecommendedArtist(*line) for line in zip(*columns, strict=True))

    def _popular(self, user: User, settings: ListSettings) -> Recommendations:
        order = np.argsort(-self.listeners, kind="stable")
        items = order[settings.filters.allowed(self.listeners)[order]][: settings.n]
        lines = self._lines(items, self.listeners[items].astype(np.float64), settings)
        return Recommendations(user, lines, POPULARITY)
