"""A contest: several contestants, round after round in turn, each run a process of its own; and its table."""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from comparing.measure import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from comparing.measure import Measured

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do the work.

    Parameters
    ----------
    name : str
        As the table shows it.
    command : callable
        Given the folder of the run, returns the program and its arguments.
    read : callable
        Given what the program printed, returns the figures to show beside time and memory.
    env : mapping
        Added to the environment.
    beside : callable
        Returns the processes that work for it.
    """

    name: str
    command: Callable[[Path], Sequence[str]]
    read: Callable[[str], dict[str, Any]] = lambda _: {}
    env: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[], Sequence[int]] = tuple


@dataclass
class Entry:
    """A contestant's runs, and what it said in the last one that ended well."""

    name: str
    runs: list[Measured] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        """The median wall seconds of the runs that ended well."""
        return statistics.median(run.wall_s for run in self._good)

    @property
    def cpu_s(self) -> float:
        """The median of processor seconds."""
        return statistics.median(run.cpu_s for run in self._good)

    @property
    def _good(self) -> list[Measured]:
        return [run for run in self.runs if run.exit_code == 0]

    @property
    def failed(self) -> bool:
        """Whether a run ended with an error."""
        return len(self._good) < len(self.runs)

    def median_of(self, key: str) -> float | None:
        """Return the median of a number that the contestant said."""
        values = [said[key] for said in self.said if said.get(key) is not None]
        return statistics.median(values) if values else None

    def row(self, base_s: float | None) -> list[str]:
        """Return name, wall and its range, ratio to the base, processor seconds, and the two peaks, as text."""
        if not self._good:
            return [self.name, f"failed ({self.runs[-1].exit_code})", "", "", "", ""]
        walls = [run.wall_s for run in self._good]
        return [
            self.name,
            f"{self.wall_s:.1f} ({min(walls):.1f}–{max(walls):.1f})",
            f"{self.wall_s / base_s:.2f}" if base_s else "",
            f"{self.cpu_s:.1f}",
            f"{max(run.peak_held_bytes for run in self._good) / MIB:,.0f}",
            f"{max(run.peak_rss_bytes for run in self._good) / MIB:,.0f}",
        ]


HEADS = ["how", "wall s (least–most)", "to ours", "CPU s", "held MiB", "VmHWM MiB"]


def compete(
    contestants: Sequence[Contestant], rounds: int, work: Path, note: Callable[[str], None]
) -> dict[str, Entry]:
    """Run all contestants in turn, `rounds` times, and return their entries by name.

    The folder of a run is removed before the contestant's next one; the last one's stay.
    """
    entries = {contestant.name: Entry(contestant.name) for contestant in contestants}
    for number in range(rounds):
        # Every second round goes backwards, so that none is always the one that finds warm caches.
        for place, contestant in list(enumerate(contestants))[:: 1 if number % 2 == 0 else -1]:
            folder = work / str(place)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            measured = run(
                contestant.command(folder), folder / "log", env=contestant.env, beside=contestant.beside()
            )
            entry = entries[contestant.name]
            entry.runs.append(measured)
            if measured.exit_code == 0:
                entry.said.append(contestant.read(measured.stdout))
            note(
                f"round {number + 1}: {contestant.name}: {measured.wall_s:.1f} s, CPU {measured.cpu_s:.1f} s, held"
                f" {measured.peak_held_bytes / MIB:,.0f} MiB, exit {measured.exit_code}"
                + (f"\n{measured.stderr[-1000:]}" if measured.exit_code else "")
            )
    return entries


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def save(path: Path, machine: str, entries: Mapping[str, Entry]) -> None:
    """Write all runs as JSON."""
    runs = {
        name: [
            {key: value for key, value in asdict(run).items() if key not in ("stdout", "stderr")}
            for run in entry.runs
        ]
        for name, entry in entries.items()
    }
    said = {name: entry.said for name, entry in entries.items()}
    path.write_text(
        json.dumps({"machine": machine, "runs": runs, "said": said}, ensure_ascii=False, indent=1)
    )
