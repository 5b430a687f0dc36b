"""Measure this package against its peers and print tables: time and peak memory side by side, in one run.

    python tests/benchmarks/compare.py --source LOG [--parts ingest,train,ask] [--rounds 3]

Every run is a process of its own; contestants take turns. The peers need the extra `bench`. Figures are for reading:
nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from comparing import ingesting
from comparing.contest import compete, save
from comparing.machine import machine_line


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
        "--parts", default="ingest", help="of ingest, train, ask, everybody, cluster; comma between"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="of ingest's peers those whose script's name holds one of these"
    )
    parser.add_argument(
        "--work", type=Path, help="a folder for what is made on the way; else a temporary one"
    )
    parser.add_argument("--save", type=Path, help="a folder for all figures as JSON")
    return parser.parse_args()


def compare(options: argparse.Namespace, work: Path) -> None:
    """Run the parts that were asked for."""
    machine = machine_line()
    size = options.source.stat().st_size
    show(f"Machine: {machine}\n\nSource: {options.source.name}, {size:,} bytes; {options.rounds} rounds\n")
    for part in options.parts.split(","):
        if part == "ingest":
            found = ingesting.contestants(options.source, [word for word in options.only.split(",") if word])
            entries = compete(found, options.rounds, work / part, note)
            show(f"## {part}\n\n{ingesting.table(entries)}\n")
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            save(options.save / f"{part}-{options.source.stem}.json", machine, entries)


def main() -> None:
    """Compare."""
    options = parsed()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        compare(options, Path(work))


if __name__ == "__main__":
    main()
