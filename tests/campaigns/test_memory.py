"""Logs of odd shapes under real memory limits: what is accepted ends well, what is refused names a limit that works.

`-m campaign` tries every shape; LASTFM_DASK_CAMPAIGN sets how many rows a log has, LASTFM_DASK_SEED the seed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import sys
from typing import TYPE_CHECKING

import pytest
from cgroups import run_limited
from shapes import SHAPES, write_log

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
LIMITS_MIB = (128, 200, 256, 512)
SEED = int(os.environ.get("LASTFM_DASK_SEED", "0"))
N_ROWS = int(os.environ.get("LASTFM_DASK_CAMPAIGN", "400000"))
PROGRAM = (sys.executable, "-m", "lastfm_dask")


def tightness(receipts: list[dict]) -> list[float]:
    """Return measured to projected of each stage; the promise is that it is never above 1."""
    ratios = [stage["measured_bytes"] / stage["projected_bytes"] for stage in receipts]
    exceeded = [stage for stage in receipts if stage["measured_bytes"] > stage["projected_bytes"]]
    assert not exceeded, exceeded
    return ratios


def ends_well(command: tuple, limit_bytes: int, output: Path) -> list[float]:
    """Run a command; where it is refused, run it with the limit that it names. Return the tightness."""
    for _ in range(4):
        shutil.rmtree(output, ignore_errors=True)
        done = run_limited([*PROGRAM, *command, "-o", output, "--json"], limit_bytes, timeout_s=400)
        assert done.oom_kills == 0, (limit_bytes, done.stderr[-2000:])
        if done.code != 4:
            break
        # The sample that the first refusal went by may have misled; a limit that is named is never smaller.
        named = int(re.search(r"give it (\d+) bytes", done.stderr).group(1))
        assert named > limit_bytes
        limit_bytes = named
    assert done.code == 0, done.stderr[-2000:]
    return tightness(json.loads(done.stdout)["stages"])


def check(folder: Path, shape: str, n_rows: int, limits_mib: tuple[int, ...]) -> list[float]:
    log = folder / f"{shape}.tsv"
    write_log(log, shape, n_rows, SEED)
    ratios = []
    for limit_mib in limits_mib:
        ratios += ends_well(("ingest", log), limit_mib * MIB, folder / "x.dataset")
    log.unlink()
    train = ("train", folder / "x.dataset", "--factors", "8", "--iterations", "1")
    ratios += ends_well(train, limits_mib[0] * MIB, folder / "x.model")
    return ratios


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["short_lines", "distinct_late", "users_of_one_row"])
def test_the_promise_holds_on_odd_logs(shape, tmp_path):
    check(tmp_path, shape, 60_000, (60, 128))


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_memory_campaign(tmp_path, capsys):
    rows = []
    for shape in SHAPES:
        ratios = check(tmp_path, shape, N_ROWS, LIMITS_MIB)
        rows.append((shape, len(ratios), statistics.median(ratios), max(ratios)))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{'shape':28}{'stages':>8}{'median':>8}{'most':>8}   measured to projected, seed {SEED}\n"
        )
        for shape, n, median, most in rows:
            sys.stdout.write(f"{shape:28}{n:8}{median:8.2f}{most:8.2f}\n")
