"""Commands killed, terminated, interrupted and hung up at random moments and file operations: the old state, or the new one.

The same command is then run again to its end, and leaves what an undisturbed run leaves and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import succeed
from ingesting import lines

from campaigns import forking
from campaigns.publisher import publisher
from campaigns.table import Table, count, seed
from lastfm_dask import download
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.sources.published import PublishedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = ("--factors", 4, "--iterations", 2)
SIGNALS = {
    signal.SIGKILL: {-9},
    signal.SIGTERM: {143, -15},
    signal.SIGINT: {130},
    signal.SIGHUP: {129, -1},
}
"""Signals and the codes with which a command may end; negative: before it listened."""
NAMES = (
    "ingest",
    "ingest, appended",
    "download",
    "train",
    "run",
    "all users",
    "all users, parquet",
    "export",
    "export, parquet",
    "export, dataset",
    "export, dataset, parquet",
    "export, recbole",
    "export, lenskit",
    "profile page",
    "synth",
    "synth, parquet",
    "evaluate, users",
    "evaluate, trec",
    "tune",
)
"""Of the commands that are ended."""
IN_PARTS = ("run", "download")
"""Commands that make several things one after the other, each whole, and go on from what is there."""
AGAIN = (*IN_PARTS, "profile page")
"""Commands that may be given again where their output is there."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[Path]:
    forking.import_all()
    import bokeh.embed  # noqa: F401

    import lastfm_dask.dataset.export
    import lastfm_dask.evaluation.tune
    import lastfm_dask.profile.page
    import lastfm_dask.recommender.export  # noqa: F401

    folder = tmp_path_factory.mktemp("whole")
    log = lines(40, 25)
    (folder / "log.tsv").write_bytes(b"".join(log))
    # Some users of the log, with other rows, and some new ones.
    (folder / "more.tsv").write_bytes(b"".join(log[::7] + lines(10, 20, seed=1)))
    succeed("ingest", folder / "log.tsv", "-o", folder / "x.dataset")
    succeed("train", folder / "x.dataset", "-o", folder / "x.model", *QUICK)
    known = download.DATA_SETS["hetrec-2k"]
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for member in known.members:
            archive.writestr(member, b"".join(log))
    body = (folder / "x.zip").read_bytes()
    file = PublishedFile(known.file.name, hashlib.md5(body, usedforsecurity=False).hexdigest())
    with publisher(body) as address, pytest.MonkeyPatch.context() as patch:
        patch.setitem(download.DATA_SETS, "hetrec-2k", replace(known, file=file))
        (folder / "address").write_text(address)
        yield folder


def jobs(given: Path, out: Path) -> dict[str, tuple[list[object], list[Path]]]:
    """Return commands by name, each with what it makes."""
    log, dataset, model = given / "log.tsv", given / "x.dataset", given / "x.model"
    names = ["user_factors.parquet", "item_factors.parquet"]
    tune = ["--trials", 1, "--max-factors", 8, "--weighting", "log", "--model", "als", "--scratch", out]
    more = ["--append-to", dataset, "-o", out / "n.dataset", "--block-size", 4096]
    evaluate = ["evaluate", dataset, "--model", "als", *QUICK, "--scratch", out]
    fetch = ["--accept-terms", "--url", (given / "address").read_text()]
    fetched = ["hetrec2011-lastfm-2k.zip", "user_artists.dat", "artists.dat"]
    return {
        "ingest": (["ingest", log, "-o", out / "n.dataset", "--block-size", 4096], [out / "n.dataset"]),
        "ingest, appended": (["ingest", given / "more.tsv", *more], [out / "n.dataset"]),
        "download": (
            ["download", "hetrec-2k", "-o", out / "n", *fetch],
            [out / "n" / name for name in fetched],
        ),
        "train": (["train", dataset, "-o", out / "n.model", *QUICK], [out / "n.model"]),
        "run": (["run", log, "-o", out / "n", *QUICK], [out / "n" / "log.dataset", out / "n" / "log.model"]),
        "all users": (["recommend", model, "--all-users", "-o", out / "n.jsonl"], [out / "n.jsonl"]),
        "all users, parquet": (
            ["recommend", model, "--all-users", "--parquet", out / "n.parquet"],
            [out / "n.parquet"],
        ),
        "export": (["export", model, "--npz", out / "n.npz"], [out / "n.npz"]),
        "export, parquet": (["export", model, "--parquet", out / "n"], [out / "n" / name for name in names]),
        "export, dataset": (["export", dataset, "--npz", out / "n.npz"], [out / "n.npz"]),
        "export, dataset, parquet": (["export", dataset, "--parquet", out / "n"], [out / "n"]),
        "export, recbole": (["export", dataset, "--recbole", out / "n"], [out / "n"]),
        "export, lenskit": (["export", dataset, "--lenskit", out / "n"], [out / "n"]),
        "profile page": (["profile", dataset, "--html", out / "n.html"], [out / "n.html"]),
        "synth": (["synth", out / "n.tsv", "--users", 50, "--threads", 1], [out / "n.tsv"]),
        "synth, parquet": (
            ["synth", out / "n.parquet", "--users", 50, "--threads", 1],
            [out / "n.parquet"],
        ),
        "evaluate, users": ([*evaluate, "--per-user", out / "n.parquet"], [out / "n.parquet"]),
        "evaluate, trec": ([*evaluate, "--trec", out / "n"], [out / "n"]),
        "tune": (["tune", dataset, "-o", out / "n.json", *tune], [out / "n.json"]),
    }


def content(path: Path) -> object:
    """Return what must be equal however a file or directory was made."""
    if path.suffix in (".dataset", ".model"):
        return verify_directory(path, layout.DATASET, layout.MODEL).fingerprint
    if path.is_dir():
        return {file.name: content(file) for file in path.iterdir()}
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    if path.suffix == ".html":
        return path.read_text().rstrip().endswith("</html>")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Job:
    """A command, what it makes, and what an undisturbed run of it came to."""

    name: str
    command: list[object]
    made: list[Path]
    seconds: float = 0.0
    n_steps: int = 0
    contents: list[object] | None = None


def undisturbed(whole: Path, out: Path, only: tuple[str, ...] = NAMES) -> list[Job]:
    """Run every command once."""
    found = [Job(name, *jobs(whole, out)[name]) for name in only]
    for job in found:
        emptied(out)
        began = time.monotonic()
        ended = forking.run(*job.command, at_step=(0, 0))
        assert ended.code == 0, ended.err
        job.seconds, job.n_steps = time.monotonic() - began, ended.n_steps
        job.contents = [content(path) for path in job.made]
    return found


def emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def crash(table: Table, out: Path, job: Job, kind: signal.Signals, case: str, **options: Any) -> None:
    """Run a command, and let a signal end it; see `look_after`."""
    emptied(out)
    ended = forking.run(*job.command, **options)
    table.add(job.name, f"{kind.name}: {ended.code}")
    if ended.code not in SIGNALS[kind] | {0} or ended.traceback:
        table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
    look_after(table, out, job, case)


def look_after(table: Table, out: Path, job: Job, case: str) -> None:
    """Look at what a command left that did not come to its end, and run it again."""
    there = [path.exists() for path in job.made]
    if len(set(there)) > 1 and job.name not in IN_PARTS:
        table.fail(f"{case}: a part of it is there")
    for path, right in zip(job.made, job.contents or [], strict=True):
        if path.exists() and content(path) != right:
            table.fail(f"{case}: {path.name} is not whole")
    again = forking.run(*job.command)
    goes_on = not all(there) or job.name in AGAIN
    if again.code != (0 if goes_on else 5) or again.traceback:
        table.fail(f"{case}: again: {again.code}: {again.err[-300:]}")
    elif [content(path) for path in job.made] != job.contents:
        table.fail(f"{case}: again: other content")
    left = [path.name for folder in {out, job.made[0].parent} for path in folder.glob(".*")]
    if left:
        table.fail(f"{case}: leaves {left}")


def run_crashes(whole: Path, out: Path, n: int, only: tuple[str, ...] = NAMES) -> None:
    """End commands at random moments and, every second time, at a random file operation."""
    table = Table("crash, at random")
    found = undisturbed(whole, out, only)
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        job = found[number % len(found)]
        kind = rng.choice(list(SIGNALS))
        at_step = (number // len(found)) % 2
        options: dict[str, Any] = {"disturb": _sender(rng.uniform(0, 1.1 * job.seconds), kind)}
        if at_step:
            options = {"at_step": (rng.randint(1, job.n_steps), kind)}
        case = f"{number}: {job.name}, {kind.name} at a {'step' if at_step else 'moment'}"
        crash(table, out, job, kind, case, **options)
    table.show()


def run_steps(whole: Path, out: Path, name: str, most: int) -> None:
    """End a command at every file operation, or at `most` of them; the seed says which signal comes at which one."""
    (job,) = undisturbed(whole, out, (name,))
    table = Table(f"crash, at every file operation (of {job.n_steps})")
    one_in = -(-job.n_steps // most)
    for step in table.cases(range(1 + seed() % one_in, job.n_steps + 1, one_in)):
        kind = list(SIGNALS)[(seed() + step // one_in) % len(SIGNALS)]
        case = f"{name}, {kind.name} at file operation {step} of {job.n_steps}"
        crash(table, out, job, kind, case, at_step=(step, kind))
    table.show()


def _sender(wait_s: float, number: int):
    def send(child: int) -> None:
        time.sleep(wait_s)
        with suppress(ProcessLookupError):
            os.kill(child, number)

    return send


@pytest.mark.slow
def test_a_few_crashes(whole, tmp_path):
    only = (
        "ingest",
        "ingest, appended",
        "train",
        "run",
        "all users",
        "export, parquet",
        "export",
        "download",
    )
    run_crashes(whole, tmp_path / "out", 48, only)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_crashes(whole, tmp_path):
    run_crashes(whole, tmp_path / "out", count("crash", 200))


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMES)
def test_crashes_at_every_file_operation(whole, tmp_path, name):
    run_steps(whole, tmp_path / "out", name, count("steps", 10_000))
