"""Projected bytes of serving a model. Pure: integers in, integers out.

Factors and the matrix are maps of files and do not count. What counts is the names, their indices, the order of all
artists, what each thread holds for its question, histories that are read, and the connections. While a new model is
taken up, the names, the indices and the order count twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.budget import Plan
from lastfm_dask.memory.sizes import MIB, format_size, limit_for, limit_text
from lastfm_dask.recommender.plan import MANIFEST_SHARE
from lastfm_dask.serve.history import MAX_ARTISTS, MAX_AT_ONCE

_NAME_BYTES = 3
"""How often the names are held: as read, folded for near names, and as the type-ahead's text."""
_ARTIST_BYTES = 75
"""By artist: listeners, order and place in it, length, key and position of the name, its letters, its line."""
_OPENING_BYTES = 2
"""How often the names are held in between, while the indices are built."""
_OPENING_ARTIST_BYTES = 80
_QUESTION_BYTES = 40
"""By artist, for a question on a thread: scores, who may be listed, and the order of those."""
_REQUEST_BYTES = 128 << 10
"""By request in flight: its body, its answer, and its connection's buffers."""
_HISTORY_BYTES = 400
"""By artist of a history that is read: its name, its count, and its place in the answer."""
_SMALL_BYTES = 14 * MIB


@dataclass(frozen=True, slots=True)
class ServingShape:
    """The numbers that decide what serving needs."""

    n_artists: int
    factors: int
    names_bytes: int
    """Of the artists' names, not compressed."""
    blended_bytes: int = 0
    """What a question holds of item weights and of popularity, where the model ranks by them too."""
    manifest_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ServingLeast:
    """With what serving needs least."""

    threads: int = 1
    max_requests: int = 8


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """What serving will hold, and what it may."""

    threads: int
    max_requests: int
    reserved_bytes: int
    projected_bytes: int
    allowed_bytes: int

    def to_dict(self) -> dict[str, int]:
        """Return the JSON object that `serve --json` prints."""
        return asdict(self)

    def line(self) -> str:
        """Return the plan as a person reads it, before the model is opened."""
        return (
            f"plan: {self.threads} threads, {self.max_requests} requests at once, projected"
            f" {format_size(self.projected_bytes)}, allowed {format_size(self.allowed_bytes)}"
        )


def serving_bytes(shape: ServingShape, threads: int, max_requests: int, reserved_bytes: int) -> int:
    """Return the projected bytes, what is reserved included."""
    model = _NAME_BYTES * shape.names_bytes + _ARTIST_BYTES * shape.n_artists + 8 * shape.factors**2
    opening = _OPENING_BYTES * shape.names_bytes + _OPENING_ARTIST_BYTES * shape.n_artists
    opening = max(opening, MANIFEST_SHARE * shape.manifest_bytes) + shape.manifest_bytes
    question = _QUESTION_BYTES * shape.n_artists + 64 * shape.factors**2 + shape.blended_bytes
    requests = _REQUEST_BYTES * max_requests + _HISTORY_BYTES * MAX_ARTISTS * MAX_AT_ONCE
    return reserved_bytes + _SMALL_BYTES + 2 * model + opening + threads * question + requests


def least_serving(shape: ServingShape) -> Plan[ServingLeast]:
    """Return what serving needs on one thread with the fewest requests at once, without what is reserved."""
    least = ServingLeast()
    return Plan({"serve": serving_bytes(shape, least.threads, least.max_requests, 0)}, 0, least)


def plan_serving(
    shape: ServingShape, threads: int, max_requests: int, *, reserved_bytes: int, allowed_bytes: int
) -> ServingPlan:
    """Return a plan that keeps to what is allowed: fewer threads first, then fewer requests at once.

    Raises
    ------
    BudgetError
        If one thread and eight requests need more; with the numbers, and the smallest limit that would do.
    """
    while True:
        projected = serving_bytes(shape, threads, max_requests, reserved_bytes)
        if projected <= allowed_bytes:
            return ServingPlan(threads, max_requests, reserved_bytes, projected, allowed_bytes)
        if threads > 1:
            threads -= 1
        elif max_requests > 8:
            max_requests = max(max_requests // 2, 8)
        else:
            raise _refusal(projected, allowed_bytes)


def plan_next(plan: ServingPlan, shape: ServingShape) -> ServingPlan:
    """Return the plan of a server that already runs for a new model: its threads and requests stay as they are.

    Raises
    ------
    BudgetError
        If the new model needs more than is allowed.
    """
    projected = serving_bytes(shape, plan.threads, plan.max_requests, plan.reserved_bytes)
    if projected > plan.allowed_bytes:
        raise _refusal(projected, plan.allowed_bytes)
    return replace(plan, projected_bytes=projected)


def _refusal(projected: int, allowed_bytes: int) -> BudgetError:
    msg = (
        f"serving this model needs {format_size(projected)} ({projected} bytes), allowed are"
        f" {format_size(allowed_bytes)}: give it {limit_for(projected)} bytes or more (--memory {limit_text(projected)}, the pod's limit)"
    )
    return BudgetError(
        msg,
        stage="serve",
        projected_bytes=projected,
        allowed_bytes=allowed_bytes,
        smallest_bytes=projected,
    )
