"""One budget for every command: what there is, what a plan takes of it, and the one refusal.

A folder's `plan.py` states how many bytes each stage holds with some settings. `fit` walks such plans, from the
fastest to the smallest, and returns the first that keeps to the budget. Nothing here knows an algorithm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from lastfm_dask.display import Shown, Table
from lastfm_dask.errors import BudgetError
from lastfm_dask.memory import limits
from lastfm_dask.memory.sizes import Size, format_size, limit_for, limit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed import DataclassInstance


SPARE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """What a command may use; memory and disk in bytes.

    Attributes
    ----------
    allowed : int
        Anonymous and shared memory that this process may hold.
    reserved : int
        What it holds before its data: the interpreter and the libraries that are imported.
    cpus : int
        Threads that may compute.
    free_disk : int or None
        Free where files are written; None if that is not known.
    disk_in_memory : bool
        Whether that disk's pages count as memory (a tmpfs).
    source : str
        Where `allowed` was found.
    spare : int
        Of `allowed`, what no plan takes: a control group is charged with the pages of files that are in use and with
        the kernel's tables as well, and one that is filled to the brim reads the same pages again and again.
    """

    allowed: int
    reserved: int
    cpus: int = 1
    free_disk: int | None = None
    disk_in_memory: bool = False
    source: str = ""
    spare: int = 0

    @classmethod
    def measured(
        cls, folder: Path | None = None, *, memory_bytes: int | None = None, threads: int | None = None
    ) -> Budget:
        """Return the budget of this process at this moment: call it after its libraries are imported.

        Parameters
        ----------
        folder : Path, optional
            Where files are written; without it the disk is not looked at.
        memory_bytes, threads : int, optional
            What the caller asked to keep to.
        """
        from lastfm_dask.memory import disk
        from lastfm_dask.memory.meter import anon_bytes

        allowed = limits.allowed_memory(memory_bytes)
        return cls(
            allowed=allowed.bytes,
            reserved=anon_bytes(),
            cpus=limits.cpus(threads).count,
            free_disk=disk.free_bytes(folder) if folder is not None and folder.is_dir() else None,
            disk_in_memory=folder is not None and disk.lives_in_memory(folder),
            source=allowed.source,
            spare=SPARE_BYTES if allowed.in_group else 0,
        )


S = TypeVar("S", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Shown, Generic[S]):
    """What a command will hold, stage by stage, and the settings by which it keeps to that.

    Attributes
    ----------
    stages : dict of str to int
        Projected bytes by stage, in order. A candidate holds what its data takes; a plan that `fit` returned
        includes what is reserved, and the files where the disk lives in memory.
    disk_bytes : int
        What its files take at most.
    settings : dataclass
        How many threads work, and how large the pieces are.
    budget : Budget
        What it was fitted to.
    """

    stages: dict[str, int]
    disk_bytes: int
    settings: S
    budget: Budget = field(default=Budget(0, 0), kw_only=True)
    page_bytes: int = field(default=0, kw_only=True)
    """Pages of files that are read again and again in no order: a control group without room for them reads from the
    disk all the time."""

    @property
    def worst_stage(self) -> str:
        """The stage that holds most."""
        return max(self.stages, key=self.stages.__getitem__)

    @property
    def projected_bytes(self) -> int:
        """What the worst stage holds."""
        return max(self.stages.values())

    @property
    def needed_bytes(self) -> int:
        """What must be allowed: what is held, and in a control group what it is charged for pages of files."""
        return self.projected_bytes + (max(self.budget.spare, self.page_bytes) if self.budget.spare else 0)

    def _table(self) -> Table:
        rows = [(stage, Size(n_bytes)) for stage, n_bytes in self.stages.items()]
        title = f"Plan: at most {format_size(self.projected_bytes)} of memory, in stage {self.worst_stage}"
        return Table(title, ("stage", "projected"), rows, facts=self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """Return what the plan keeps to, and how: names and texts."""
        budget = self.budget
        source = f" ({budget.source})" if budget.source else ""
        settings = ", ".join(f"{name} {value}" for name, value in asdict(self.settings).items())
        found = [("allowed", f"{format_size(budget.allowed)}{source}"), ("settings", settings)]
        if self.disk_bytes:
            free = "" if budget.free_disk is None else f", {format_size(budget.free_disk)} are free"
            found.append(("disk", format_size(self.disk_bytes) + free))
        return found

    def lines(self) -> list[str]:
        """Return the plan as a person reads it, before any work."""
        allowed = format_size(self.budget.allowed)
        lines = [
            f"plan: stage {stage} projected {format_size(projected)}, allowed {allowed}"
            for stage, projected in self.stages.items()
        ]
        if self.disk_bytes and self.budget.free_disk is not None:
            free = format_size(self.budget.free_disk)
            lines.append(f"plan: disk projected {format_size(self.disk_bytes)}, free {free}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "allowed_bytes": self.budget.allowed,
            "allowed_source": self.budget.source,
            **asdict(self.settings),
            "disk_bytes": self.disk_bytes,
            "stages": [
                {"stage": stage, "projected_bytes": projected} for stage, projected in self.stages.items()
            ],
        }


P = TypeVar("P", bound="Plan[Any]")


def fit(candidates: Iterable[P], budget: Budget, *, work: str, elsewhere: str) -> P:
    """Return the first candidate that keeps to the budget.

    Parameters
    ----------
    candidates : iterable of Plan
        From the fastest to the one that needs least; one at least.
    budget : Budget
        What there is.
    work : str
        What is planned, for the message: "stage scan of WORK needs …".
    elsewhere : str
        What to do where the disk is too small, beside making room there.

    Raises
    ------
    BudgetError
        If no candidate fits: with the stage, what was projected, what is allowed, and the smallest limit that
        would do.
    """
    too_large: list[P] = []
    for candidate in candidates:
        plan = _in_budget(candidate, budget)
        if plan.needed_bytes > budget.allowed:
            too_large.append(plan)
        elif budget.free_disk is None or plan.disk_bytes <= budget.free_disk:
            return plan
        else:
            raise _too_little_disk(plan, work, elsewhere)
    # Not always the last: smaller blocks hold more names in all, which counts where the disk is memory.
    raise _too_little_memory(min(too_large, key=lambda plan: plan.needed_bytes), work)


def smallest(planned: Callable[[Budget], P], budget: Budget) -> tuple[P, int]:
    """Return the plan that needs least, and the limit to ask for: what a refusal would name.

    Parameters
    ----------
    planned : callable
        Returns the plan for a budget, or raises BudgetError.
    budget : Budget
        What there is; how much memory is allowed does not matter, nor what is free on the disk.
    """
    budget = replace(budget, free_disk=None)
    try:
        planned(replace(budget, allowed=0))
    except BudgetError as error:
        needed = error.smallest_bytes or 0
        return planned(replace(budget, allowed=needed)), limit_for(needed)
    msg = "a plan that needs no memory"
    raise AssertionError(msg)


def _in_budget(candidate: P, budget: Budget) -> P:
    """Return a candidate with what is held beside its data."""
    held = budget.reserved + (candidate.disk_bytes if budget.disk_in_memory else 0)
    stages = {stage: n_bytes + held for stage, n_bytes in candidate.stages.items()}
    return replace(candidate, stages=stages, budget=budget)


def _too_little_memory(plan: Plan[Any], work: str) -> BudgetError:
    needed, allowed = plan.projected_bytes, plan.budget.allowed
    smallest = plan.needed_bytes
    pages = f" and {format_size(smallest - needed)} for pages of files" if smallest > needed else ""
    where = f"--memory {limit_text(smallest)}, the pod's limit"
    if plan.budget.source == limits.ADDRESS_SPACE:
        # Which counts in KiB.
        where = f"ulimit -v {limits.addresses_for(limit_for(smallest), plan.disk_bytes) >> 10}, or unlimited"
    msg = (
        f"stage {plan.worst_stage} of {work} needs {format_size(needed)} ({needed} bytes) with the smallest settings{pages},"
        f" allowed are {format_size(allowed)}: give it {limit_for(smallest)} bytes or more ({where})"
    )
    return BudgetError(
        msg, stage=plan.worst_stage, projected_bytes=needed, allowed_bytes=allowed, smallest_bytes=smallest
    )


def _too_little_disk(plan: Plan[Any], work: str, elsewhere: str) -> BudgetError:
    needed, free = plan.disk_bytes, plan.budget.free_disk or 0
    msg = (
        f"{work} needs {format_size(needed)} ({needed} bytes) on disk, {format_size(free)} are free: make room"
        f" there, or {elsewhere}"
    )
    return BudgetError(msg, stage="disk", projected_bytes=needed, allowed_bytes=free, smallest_bytes=needed)


class Steps(Protocol):
    """Called with the stage, how much of it is done, and how much there is; from any thread, one at a time."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Show it."""


class Progress:
    """Receives the progress of a command. This one ignores it: override what you want to see."""

    def planned(self, plan: Plan[Any], resumed_blocks: int = 0) -> None:
        """Receive the plan before any work, and how many blocks an earlier run left."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Receive how much of a stage is done, and how much there is; from any thread, one at a time."""

    def of(self, stage: str) -> Callable[[int, int], None]:
        """Return a function that reports one stage's steps: how much is done, and how much there is."""
        return lambda done, total: self(stage, done, total)
