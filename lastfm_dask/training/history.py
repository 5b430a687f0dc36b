"""How far a training has come, and when it is done: pure."""

from __future__ import annotations

from dataclasses import dataclass, field

TOLERANCE = 0.005
"""Training has settled once an iteration lowers the objective by less than this share of it."""
MIN_ITERATIONS = 5
"""Iterations before the objective is trusted: from a random start it rests for a while where only popularity is
learnt (measured on data with little else: it settled after 3 iterations, 5 % below what 30 reach)."""
MIN_FROM_A_MODEL = 2
"""The same from a model's factors."""


@dataclass(slots=True)
class History:
    """How far a training has come: what it needs, besides the factors, to go on as if it had never stopped."""

    iterations: int = 0
    """Whole iterations that the factors have been through."""
    objective: list[float] = field(default_factory=list)
    """Before the first iteration and after each one; empty if the number of iterations is given."""
    known: tuple[int, int] | None = None
    """Users and artists whose factors an earlier model gave."""

    @property
    def has_settled(self) -> bool:
        """Whether the last iteration lowered the objective by less than the tolerance."""
        if self.iterations < (MIN_ITERATIONS if self.known is None else MIN_FROM_A_MODEL):
            return False
        if len(self.objective) < 2:
            return False
        before, now = self.objective[-2:]
        return before - now < TOLERANCE * abs(now)
