"""The helper that runs commands in real memory cgroups, with allocations of a known size."""

from __future__ import annotations

import json
import signal
import sys

from cgroups import run_limited

from lastfm_dask.memory.limits import allowed_memory

MIB = 1 << 20
TAKE = "import sys; held = b'x' * (int(sys.argv[1]) << 20); print(len(held))"
ALLOWED = """
import json
from lastfm_dask.memory.limits import allowed_memory
allowed = allowed_memory()
print(json.dumps([allowed.bytes, allowed.source]))
"""


def test_what_fits_runs_and_is_counted() -> None:
    outcome = run_limited([sys.executable, "-c", TAKE, "40"], 64 * MIB)
    assert (outcome.code, outcome.stdout, outcome.oom_kills) == (0, f"{40 * MIB}\n", 0), outcome
    assert outcome.peak_bytes is None or 40 * MIB <= outcome.peak_bytes <= 64 * MIB


def test_what_does_not_fit_is_killed() -> None:
    outcome = run_limited([sys.executable, "-c", TAKE, "80"], 64 * MIB)
    assert outcome.code == -signal.SIGKILL
    assert outcome.oom_kills == 1


def test_exit_codes_and_both_outputs_come_back() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"
    outcome = run_limited([sys.executable, "-c", code], 64 * MIB)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (4, "out\n", "err\n")


def test_the_group_is_what_the_process_finds_allowed() -> None:
    # Whatever bounds the machine has beside, this one is the smallest, unless the machine is smaller still.
    outcome = run_limited([sys.executable, "-c", ALLOWED], 128 * MIB)
    bytes_, source = json.loads(outcome.stdout)
    if allowed_memory().bytes > 128 * MIB:
        # The interpreter counts its own pages a moment later than the group does.
        assert 120 * MIB <= bytes_ <= 128 * MIB
        assert "lastfm-dask-test" in source
