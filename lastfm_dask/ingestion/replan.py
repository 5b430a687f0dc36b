"""Plans made again from true counts: while names are merged, and once all of them are known.

The sample behind the first plan may be unrepresentative. Nothing is held before it is known to fit; otherwise the run is
refused with a limit that is enough, and the spool is kept for the next try.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lastfm_dask.ingestion import plan as planning
from lastfm_dask.ingestion.distinct import count_distinct
from lastfm_dask.ingestion.names import NamesHeld
from lastfm_dask.memory.budget import fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.plan import IngestPlan
    from lastfm_dask.ingestion.source_shape import SourceShape
    from lastfm_dask.ingestion.spool import Blocks

_REST = ("assemble", "summarize", "publish")
_ELSEWHERE = "choose an output elsewhere"


@dataclass(slots=True)
class MergeGuard:
    """Checks before each merge of names that it fits, and records what merging needed.

    Attributes
    ----------
    needed_bytes : int
        Projected bytes of the largest merge so far, including what is reserved.
    """

    plan: IngestPlan
    spool: Blocks
    n_blocks: int
    needed_bytes: int = field(default=0, init=False)

    def fits(self, users: NamesHeld, artists: NamesHeld, *, alone: bool) -> bool:
        """Whether a batch may be merged; a single piece that does not fit is refused with a limit that is enough.

        Raises
        ------
        BudgetError
            If a single piece does not fit, nor would all names.
        """
        if self._bytes(users, artists) <= self.plan.budget.allowed - self.plan.budget.spare:
            return True
        if alone:
            self._refuse()
        return alone

    def merged(self, users: NamesHeld, artists: NamesHeld) -> None:
        """Record a merge once its distinct names are known."""
        self.needed_bytes = max(self.needed_bytes, self._bytes(users, artists))

    def _bytes(self, users: NamesHeld, artists: NamesHeld) -> int:
        budget = self.plan.budget
        on_disk = self.plan.disk_bytes if budget.disk_in_memory else 0
        mbids = planning.mbid_bytes(self.plan.source) + self.plan.source.held_bytes
        return budget.reserved + on_disk + planning.merging_bytes(users, artists) + mbids

    def _refuse(self) -> None:
        """Raise BudgetError unless all names fit when they are merged piece by piece."""
        counts = [names.at_most() for names in count_distinct(self.spool, self.n_blocks)]
        (n_users, user_bytes), (n_artists, artist_bytes) = counts
        source = replace(self.plan.source, n_users=n_users, n_artists=n_artists)
        piece = planning.piece_rows(source, self.plan.settings)
        piece_bytes = self.plan.settings.block_bytes
        roles = (
            NamesHeld(n, n_bytes, piece, min(piece, n), min(piece_bytes, n_bytes)) for n, n_bytes in counts
        )
        source = replace(
            source,
            user_bytes=-(-user_bytes // max(n_users, 1)),
            artist_bytes=-(-artist_bytes // max(n_artists, 1)),
        )
        _fit_rest(
            self.plan,
            source,
            {"index": planning.merging_bytes(*roles) + planning.mbid_bytes(source)},
        )


def plan_rest(plan: IngestPlan, found: Index) -> IngestPlan:
    """Return the plan of the stages after index, from true counts.

    Raises
    ------
    BudgetError
        If it does not fit even with the smallest settings.
    """
    users, artists = found.users, found.artists
    source = replace(
        plan.source,
        n_rows=max(1, found.rows_read),
        n_users=len(users),
        n_artists=len(artists),
        user_bytes=-(-users.n_bytes // max(len(users), 1)),
        artist_bytes=-(-artists.n_bytes // max(len(artists), 1)),
        longest=int(users.rows.max(initial=0)),
        n_mbids=0 if found.mbids is None else found.mbids.n_pairs,
    )
    return _fit_rest(plan, source, {stage: plan.stages[stage] for stage in ("scan", "index")}, known=True)


def _fit_rest(
    plan: IngestPlan, source: SourceShape, stages: dict[str, int], *, known: bool = False
) -> IngestPlan:
    """Return the fastest settings with which the rest fits, beside stages whose bytes are known."""
    budget = replace(plan.budget, free_disk=None)

    def candidates() -> Iterator[IngestPlan]:
        for threads in range(plan.settings.threads, 0, -1):
            for settings in planning.shrunk(replace(plan.settings, threads=threads)):
                rest = {stage: planning.STAGES[stage](source, settings) for stage in _REST}
                first = {} if known else stages
                yield replace(plan, stages={**first, **rest}, settings=settings, source=source)

    found = fit(candidates(), budget, work="ingest", elsewhere=_ELSEWHERE)
    return replace(found, stages={**stages, **found.stages}) if known else found
