"""Progress on a terminal: shown, and without a cost in memory that the plan does not know of."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from command_line import PROGRAM, run

if TYPE_CHECKING:
    from pathlib import Path


def on_a_terminal(*arguments: object) -> tuple[int, bytes]:
    """Run a command whose stderr is a terminal; return its exit code and what was shown there."""
    shown: list[bytes] = []
    reading, writing = os.openpty()

    def read() -> None:
        # Reading from a terminal that nobody writes to any more is an error on Linux.
        try:
            while piece := os.read(reading, 1 << 16):
                shown.append(piece)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    environment = {**os.environ, "TERM": "xterm-256color"}
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env=environment,
        timeout=300,
        check=False,
    )
    os.close(writing)
    reader.join()
    os.close(reading)
    return done.returncode, b"".join(shown)


def test_stages_are_shown_and_keep_to_their_projections(tmp_path: Path) -> None:
    run("synth", tmp_path / "log.tsv", "--users", 9000, "--json")
    code, shown = on_a_terminal("ingest", tmp_path / "log.tsv", "-o", tmp_path / "log.dataset")
    assert code == 0, shown
    for stage in (b"scan", b"index", b"assemble", b"summarize", b"publish", b"100 %"):
        assert stage in shown
    receipts = json.loads((tmp_path / "log.dataset" / "receipts.json").read_text())
    assert [stage["stage"] for stage in receipts["stages"] if stage["exceeded"]] == []
