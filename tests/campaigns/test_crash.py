"""Commands killed, terminated and interrupted at random moments and file operations: the old state, or the new one.

The same command is then run again to its end, and leaves what an undisturbed run leaves and nothing else.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import succeed
from ingesting import lines

from campaigns import forking
from campaigns.table import Table, count, seed
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import verify_directory

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--factors", 4, "--iterations", 2)
SIGNALS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    forking.import_all()
    import lastfm_dask.evaluation.tune
    import lastfm_dask.profile.page
    import lastfm_dask.recommender.export  # noqa: F401

    folder = tmp_path_factory.mktemp("whole")
    (folder / "log.tsv").write_bytes(b"".join(lines(40, 25)))
    succeed("ingest", folder / "log.tsv", "-o", folder / "x.dataset")
    succeed("train", folder / "x.dataset", "-o", folder / "x.model", *QUICK)
    return folder


def jobs(given: Path, out: Path) -> dict[str, tuple[list[object], list[Path]]]:
    """Return commands by name, each with what it makes."""
    log, dataset, model = given / "log.tsv", given / "x.dataset", given / "x.model"
    names = ["user_factors.parquet", "item_factors.parquet"]
    tune = ["--trials", 1, "--max-factors", 8, "--weighting", "log", "--scratch", out]
    return {
        "ingest": (["ingest", log, "-o", out / "n.dataset", "--block-size", 4096], [out / "n.dataset"]),
        "train": (["train", dataset, "-o", out / "n.model", *QUICK], [out / "n.model"]),
        "run": (["run", log, "-o", out / "n", *QUICK], [out / "n" / "log.dataset", out / "n" / "log.model"]),
        "all users": (["recommend", model, "--all-users", "-o", out / "n.jsonl"], [out / "n.jsonl"]),
        "all users, parquet": (
            ["recommend", model, "--all-users", "--parquet", out / "n.parquet"],
            [out / "n.parquet"],
        ),
        "export": (["export", model, "--npz", out / "n.npz"], [out / "n.npz"]),
        "export, parquet": (["export", model, "--parquet", out / "n"], [out / "n" / name for name in names]),
        "profile page": (["profile", dataset, "--html", out / "n.html"], [out / "n.html"]),
        "synth": (["synth", out / "n.tsv", "--users", 50, "--threads", 1], [out / "n.tsv"]),
        "tune": (["tune", dataset, "-o", out / "n.json", *tune], [out / "n.json"]),
    }


def content(path: Path) -> object:
    """Return what must be equal however a file or directory was made."""
    if path.suffix in (".dataset", ".model"):
        return verify_directory(path, layout.DATASET, layout.MODEL).fingerprint
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    if path.suffix == ".html":
        return path.read_text().rstrip().endswith("</html>")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_crashes(whole: Path, scratch: Path, n: int, only: tuple[str, ...] = ()) -> None:
    table = Table("crash")
    out = scratch / "out"
    wanted: dict[str, tuple[float, list[object]]] = {}
    names = [name for name in jobs(whole, out) if name in (only or jobs(whole, out))]
    for number in range(-len(names), n):
        rng = random.Random(f"{seed()}-{number}")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        name = names[number % len(names)]
        command, made = jobs(whole, out)[name]
        if number < 0:
            began = time.monotonic()
            ended = forking.run(*command)
            assert ended.code == 0, ended.err
            wanted[name] = (time.monotonic() - began, [content(path) for path in made])
            continue
        seconds, contents = wanted[name]
        kind = rng.choice(list(SIGNALS))
        if number % 2:
            how, options = "step", {"at_step": (int(rng.random() ** 2 * 120) + 1, kind)}
        else:
            wait_s = rng.uniform(0, 1.1 * seconds)
            how, options = "moment", {"disturb": _sender(wait_s, kind)}
        case = f"{number}: {name}, {kind.name} at a {how}"
        ended = forking.run(*command, **options)
        table.add(name, f"{kind.name}: {ended.code}")
        if ended.code not in SIGNALS[kind] | {0} or ended.traceback:
            table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
        there = [path.exists() for path in made]
        is_run = name == "run"
        if len(set(there)) > 1 and not is_run:
            table.fail(f"{case}: a part of it is there")
        for path, right in zip(made, contents, strict=True):
            if path.exists() and content(path) != right:
                table.fail(f"{case}: {path.name} is not whole")
        again = forking.run(*command)
        goes_on = not all(there) or is_run or name == "profile page"
        if again.code != (0 if goes_on else 5) or again.traceback:
            table.fail(f"{case}: again: {again.code}: {again.err[-300:]}")
        elif [content(path) for path in made] != contents:
            table.fail(f"{case}: again: other content")
        left = [path.name for folder in {out, made[0].parent} for path in folder.glob(".*")]
        if left and goes_on:
            table.fail(f"{case}: leaves {left}")
    table.show()


def _sender(wait_s: float, number: int):
    def send(child: int) -> None:
        time.sleep(wait_s)
        try:
            import os

            os.kill(child, number)
        except ProcessLookupError:
            pass

    return send


@pytest.mark.slow
def test_a_few_crashes(whole, tmp_path):
    run_crashes(whole, tmp_path, 36, ("ingest", "train", "run", "all users", "export, parquet", "export"))


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_crashes(whole, tmp_path):
    run_crashes(whole, tmp_path, count("crash", 200))
