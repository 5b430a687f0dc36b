"""Measure this package against its peers and print tables: time and peak memory side by side, in one run.

    python tests/benchmarks/compare.py --source LOG [--parts ingest,train,ask] [--rounds 3]

Every run is a process of its own; contestants take turns. The peers need the extra `bench`. Figures are for reading:
nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from comparing import asking, clustering, ingesting, running, scaling, training
from comparing.contest import compete, save
from comparing.machine import machine_line
from comparing.measure import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comparing.contest import Contestant, Entry


def note(text: str) -> None:
    """Say on stderr what was measured just now."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a script's progress


def show(text: str) -> None:
    """Print a result."""
    print(text, flush=True)  # noqa: T201 - a script's result


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="a log, as `lastfm-dask synth` writes it")
    parser.add_argument(
        "--with-rejects", type=Path, help="the same log by `synth --rejects 300`, for ingest to read too"
    )
    parser.add_argument(
        "--parts",
        default="ingest",
        help="of ingest, train, run, ask, all_users, cluster, scale; comma between",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--scales",
        default="0.05,1,3",
        help="sizes of the logs that scale makes and ingests, in times the published one; 10 needs 50 GB of disk",
    )
    parser.add_argument("--iterations", type=int, default=3, help="of training")
    parser.add_argument(
        "--only", default="", help="of ingest's peers those whose script's name holds one of these"
    )
    parser.add_argument(
        "--work", type=Path, help="a folder for what is made on the way; else a temporary one"
    )
    parser.add_argument("--save", type=Path, help="a folder for all figures as JSON")
    return parser.parse_args()


@dataclass
class Bench:
    """What the parts share: the source, and what is made of it once, when a part first needs it."""

    options: argparse.Namespace
    work: Path

    @cached_property
    def dataset(self) -> Path:
        """The source's dataset."""
        return self._made("log.dataset", "ingest", str(self.options.source), "-o")

    @cached_property
    def model(self) -> Path:
        """A model of the default preset, of a few iterations."""
        few = ("--iterations", str(self.options.iterations))
        return self._made("log.model", "train", str(self.dataset), *few, "-o")

    @cached_property
    def npz(self) -> Path:
        """The same model as implicit saves its own."""
        return self._made("log.npz", "export", str(self.model), "--npz")

    def _made(self, name: str, *arguments: str) -> Path:
        path = self.work / name
        note(f"making {name}")
        done = run(ingesting.ours(*arguments, str(path)), self.work / f"{name}.log")
        if done.exit_code:
            msg = f"{name} could not be made: {done.stderr[-1000:]}"
            raise RuntimeError(msg)
        return path

    def contest(
        self, part: str, contestants: Sequence[Contestant], source: Path | None = None
    ) -> dict[str, Entry]:
        """Let contestants compete, on the source or another log, and save the figures."""
        machine = machine_line()
        entries = compete(contestants, self.options.rounds, self.work / part, note)
        if self.options.save:
            self.options.save.mkdir(parents=True, exist_ok=True)
            save(self.options.save / f"{part}-{(source or self.options.source).stem}.json", machine, entries)
        return entries


def ingest_part(bench: Bench) -> str:
    """Reading, statistics, mappings, matrix: ours and the peers."""
    only = [word for word in bench.options.only.split(",") if word]
    entries = bench.contest("ingest", ingesting.contestants(bench.options.source, only))
    clean = f"{ingesting.table(entries)}\n\nIn short:\n\n{ingesting.short_table(entries)}"
    if bench.options.with_rejects is None:
        return clean
    found = ingesting.contestants(bench.options.with_rejects, only)
    return f"{clean}\n\nWith rejects:\n\n{ingesting.table(bench.contest('ingest-rejects', found, bench.options.with_rejects))}"


def train_part(bench: Bench) -> str:
    """Training: ours and implicit's `fit`."""
    return training.table(
        bench.contest("train", training.contestants(bench.dataset, bench.options.iterations))
    )


def run_part(bench: Bench) -> str:
    """From the log to the notebook's answers."""
    return running.table(bench.contest("run", running.contestants(bench.options.source)))


def ask_part(bench: Bench) -> str:
    """One answer: from process start, and from an open model."""
    made = (bench.dataset, bench.model, bench.npz)
    fresh = asking.fresh_table(bench.contest("ask", asking.fresh_contestants(*made)))
    return f"{fresh}\n\n{asking.open_table(bench.contest('open', asking.open_contestants(*made)))}"


def all_users_part(bench: Bench) -> str:
    """Answers for all users."""
    made = (bench.dataset, bench.model, bench.npz)
    return asking.all_users_table(bench.contest("all_users", asking.all_users_contestants(*made)))


def cluster_part(bench: Bench) -> str:
    """Ingest on threads, and on a cluster of this machine."""
    with clustering.cluster(bench.work / "cluster") as (scheduler_file, pids):
        found = clustering.contestants(bench.options.source, scheduler_file, pids)
        return clustering.table(bench.contest("cluster", found))


def scale_part(bench: Bench) -> str:
    """Ingest by size: time and memory by stage, what grows first, and what larger logs would take."""
    folder = bench.work / "scale"
    folder.mkdir()
    scales = sorted(map(float, bench.options.scales.split(",")))
    sizes = [scaling.measure(scale, bench.options.rounds, folder, note) for scale in scales]
    if bench.options.save:
        scaling.save(sizes, bench.options.save)
    return scaling.table(sizes)


PARTS = {
    "ingest": ingest_part,
    "train": train_part,
    "run": run_part,
    "ask": ask_part,
    "all_users": all_users_part,
    "cluster": cluster_part,
    "scale": scale_part,
}


def compare(options: argparse.Namespace, work: Path) -> None:
    """Run the parts that were asked for, and print each one's table when it is done."""
    size = options.source.stat().st_size
    show(
        f"Machine: {machine_line()}\n\nSource: {options.source.name}, {size:,} bytes; {options.rounds} rounds\n"
    )
    bench = Bench(options, work)
    for part in options.parts.split(","):
        show(f"## {part}\n\n{PARTS[part](bench)}\n")


def main() -> None:
    """Compare."""
    options = parsed()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        compare(options, Path(work))


if __name__ == "__main__":
    main()
