"""Every command on logs of odd shapes under real memory limits, those that `plan` names among them.

What is accepted ends well and holds no more than it projected; what is refused names a limit that works.
LASTFM_DASK_CAMPAIGN sets how many logs there are, LASTFM_DASK_CAMPAIGN_ROWS how many rows each has at most.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from cgroups import Outcome, refusal, run_limited
from shapes import FORMATS, SHAPES, write_log

from campaigns.table import count, seed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
LIMITS_MIB = (128, 200, 256, 512)
ROWS = (20_000, 60_000, 150_000, 300_000)
PROGRAM = (sys.executable, "-m", "lastfm_dask")
TIMEOUT_S = 400
NOTHING_TO_DO = 3
"""The exit code of a log without rows, or of a split without users."""
FAST = ("--iterations", "1")

pytestmark = pytest.mark.skipif(bool(refusal()), reason=refusal() or "a cgroup can be made")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the table is the result, and an hour is long without a word


@dataclass
class Row:
    """What was seen of one command."""

    runs: int = 0
    refused: int = 0
    tightness: list[float] = field(default_factory=list)

    def text(self, name: str) -> str:
        seen = (
            f"{statistics.median(self.tightness):.2f} | {max(self.tightness):.2f}"
            if self.tightness
            else " | "
        )
        return f"| {name} | {self.runs} | {self.refused} | {seen} |"


class Campaign:
    """Counts runs by command, and keeps what went wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, Row] = defaultdict(Row)
        self.wrong: list[str] = []
        self.n_logs = 0
        self.case = ""

    def fail(self, what: str) -> None:
        self.wrong.append(f"{self.case}: {what}")
        say(f"WRONG {self.wrong[-1]}")

    def run(
        self, name: str, command: tuple, limit_bytes: int, planned: dict | None, output: Path | None
    ) -> bool:
        """Run a command at a limit; where it is refused, at the limit that it names. Say whether it did its work."""
        row = self.rows[name]
        for attempt in range(4):
            row.runs += 1
            if output is not None:
                shutil.rmtree(output, ignore_errors=True)
                output.unlink(missing_ok=True)
            done = run_limited([*PROGRAM, *command], limit_bytes, timeout_s=TIMEOUT_S, watched=True)
            where = f"{name} in {limit_bytes / MIB:.0f} MiB"
            if done.oom_kills or done.code < 0 or done.timed_out:
                self.fail(
                    f"{where}: {'timed out' if done.timed_out else 'killed'} {done.code} {done.stderr[-300:]}"
                )
                return False
            if done.code != 4:
                break
            row.refused += 1
            # Ingest's first plan goes by a sample.
            if (
                planned is not None
                and limit_bytes >= planned["smallest_bytes"]
                and name not in ("ingest", "run")
            ):
                self.fail(
                    f"{where}: refused though plan names {planned['smallest_bytes']}: {done.stderr[-300:]}"
                )
                return False
            named = re.search(r"give it (\d+) bytes", done.stderr)
            if named is None or int(named.group(1)) <= limit_bytes or attempt == 3:
                self.fail(f"{where}: refused and names no limit above it: {done.stderr[-300:]}")
                return False
            # The sample that ingest's first refusal went by may mislead.
            limit_bytes = int(named.group(1))
        if done.code not in (0, NOTHING_TO_DO):
            self.fail(f"{where}: exit code {done.code}: {done.stderr[-600:]}")
        if done.code == 0:
            self.measure(row, where, done, planned)
        return done.code == 0

    def measure(self, row: Row, where: str, done: Outcome, planned: dict | None) -> None:
        """Compare what was held with what was projected."""
        document = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        receipts = [
            one
            for part in (document, *(document.get(key) or {} for key in ("ingest", "train")))
            if isinstance(part, dict)
            for one in part.get("stages", ())
        ]
        for one in receipts:
            ratio = one["measured_bytes"] / one["projected_bytes"]
            row.tightness.append(ratio)
            if ratio > 1:
                self.fail(
                    f"{where}: stage {one['stage']} held {one['measured_bytes']} of {one['projected_bytes']}"
                )
        if planned is not None and not receipts:
            projected = max(planned["stages"].values())
            row.tightness.append(done.held_bytes / projected)
            if done.held_bytes > projected:
                self.fail(f"{where}: held {done.held_bytes} of {projected}")

    def plan(self, *arguments: object) -> dict[str, dict]:
        """Return what `plan` names for each command, asked in the smallest pod."""
        done = run_limited(
            [*PROGRAM, "plan", *map(str, arguments), "--json"], LIMITS_MIB[0] * MIB, timeout_s=TIMEOUT_S
        )
        self.rows["plan"].runs += 1
        if done.code == 4:
            # It ends as ingest would.
            named = int(re.search(r"give it (\d+) bytes", done.stderr).group(1))
            done = run_limited([*PROGRAM, "plan", *map(str, arguments), "--json"], named, timeout_s=TIMEOUT_S)
        if done.code:
            if done.code != NOTHING_TO_DO:
                self.fail(
                    f"plan {arguments}: exit code {done.code}, {done.oom_kills} kills: {done.stderr[-600:]}"
                )
            return {}
        return {one["command"]: one for one in json.loads(done.stdout)["commands"]}

    def show(self) -> None:
        n = sum(row.runs for row in self.rows.values())
        lines = [f"\nmemory: {n} runs on {self.n_logs} logs, seed {seed()}, {len(self.wrong)} wrong"]
        lines += [
            "| command | runs | refused at first | median measured of projected | most |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        lines += [row.text(name) for name, row in sorted(self.rows.items())]
        say("\n".join(lines))


def commands(dataset: Path, model: Path, folder: Path) -> Iterator[tuple[str, tuple, str, Path | None]]:
    """Yield the commands on a dataset and its model: the name in `plan`, what is run, what is planned, and its output."""
    statistics_of = subprocess.run([*PROGRAM, "stats", dataset, "--json"], capture_output=True, check=True)
    artist = json.loads(statistics_of.stdout)["top_artists"][0]["artist"]
    user = first_user(dataset)
    yield "evaluate", ("evaluate", dataset, *FAST, "--json"), "dataset", None
    yield "recommend", ("recommend", model, f"--user={user}", "--json"), "model", None
    yield "recommend --like", ("recommend", model, f"--like={artist}=9", "--json"), "model", None
    yield (
        "recommend --all-users",
        ("recommend", model, "--all-users", "--parquet", folder / "all.parquet", "--json"),
        "model",
        folder / "all.parquet",
    )
    yield "similar", ("similar", model, "--json", "--", artist), "model", None
    yield "score", ("score", model, f"--user={user}", f"--artist={artist}", "--json"), "model", None
    yield "explain", ("explain", model, f"--user={user}", f"--artist={artist}", "--json"), "model", None
    yield "stats --user", ("stats", dataset, f"--user={user}", "--json"), "dataset", None
    yield "verify", ("verify", model, "--json"), "model", None
    yield (
        "export",
        ("export", model, "--npz", folder / "exported.npz", "--json"),
        "model",
        folder / "exported.npz",
    )


def first_user(dataset: Path) -> str:
    import pyarrow.parquet as pq

    return pq.ParquetFile(dataset / "users.parquet").read_row_group(0, columns=["user"]).column(0)[0].as_py()


def limits_of(planned: dict | None, limits_mib: tuple[int, ...]) -> list[int]:
    """Return the limits to try: those given, and exactly the one that is named."""
    named = [planned["smallest_bytes"]] if planned else []
    return sorted({*(mib * MIB for mib in limits_mib), *named})


def try_log(campaign: Campaign, shape: str, form: str, n_rows: int, limits_mib: tuple[int, ...]) -> None:
    """Run every command on one log."""
    campaign.case = f"{shape} as {form}, {n_rows} rows"
    campaign.n_logs += 1
    folder = campaign.folder
    ending, options = FORMATS[form]
    log = folder / f"log{ending}"
    write_log(log, shape, n_rows, seed(), form)
    dataset, model = folder / "x.dataset", folder / "x.model"
    planned = campaign.plan(log, *options)
    made = False
    for limit in limits_of(planned.get("ingest"), limits_mib):
        made = campaign.run(
            "ingest",
            ("ingest", log, *options, "-o", dataset, "--json"),
            limit,
            planned.get("ingest"),
            dataset,
        )
    # Which `plan` does not name.
    both = ("run", log, *options, *FAST, "-o", folder / "both", "--json")
    campaign.run("run", both, limits_mib[0] * MIB, None, folder / "both")
    log.unlink()
    if made:
        try_dataset(campaign, dataset, model, limits_mib)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def try_dataset(campaign: Campaign, dataset: Path, model: Path, limits_mib: tuple[int, ...]) -> None:
    planned = {"dataset": campaign.plan(dataset)}
    trained = False
    for limit in limits_of(planned["dataset"].get("train"), limits_mib):
        train = ("train", dataset, *FAST, "-o", model, "--json")
        trained = campaign.run("train", train, limit, planned["dataset"].get("train"), model)
    if not trained:
        return
    planned["model"] = campaign.plan(model)
    for name, command, kind, output in commands(dataset, model, campaign.folder):
        plan = planned[kind].get(name) or planned[kind].get(name.split()[0])
        # The smallest limit and the named one tell most; larger ones use faster settings.
        for limit in limits_of(
            plan, limits_mib[:1] if name not in ("evaluate", "recommend --all-users") else limits_mib[:2]
        ):
            campaign.run(name, command, limit, plan, output)
    serve(campaign, model, planned["model"].get("serve"))


def serve(campaign: Campaign, model: Path, planned: dict | None) -> None:
    """Serve a model at the limit that is named, and ask it something."""
    if planned is None:
        return
    # Who asks is in the group too.
    asked = (sys.executable, "-c", ASK, str(model), str(planned["smallest_bytes"]))
    row = campaign.rows["serve"]
    row.runs += 1
    done = run_limited(asked, planned["smallest_bytes"] + 32 * MIB, timeout_s=TIMEOUT_S)
    if done.code or done.oom_kills:
        campaign.fail(
            f"serve in {planned['smallest_bytes'] / MIB:.0f} MiB: {done.code}, {done.oom_kills} kills: {done.stderr[-600:]}"
        )
        return
    held = {name: int(value) for name, value in json.loads(done.stdout).items()}
    row.tightness.append(held["measured"] / held["projected"])
    if held["measured"] > held["projected"]:
        campaign.fail(f"serve held {held}")


# The server takes the place of the process that the limit is for; who asks it is a child that holds little.
ASK = r"""
import json, os, re, signal, subprocess, sys, threading, urllib.request
server = subprocess.Popen([sys.executable, "-m", "lastfm_dask", "serve", sys.argv[1], "--memory", sys.argv[2], "--port", "0", "--json"], stdout=subprocess.PIPE)
line = server.stdout.readline()
if not line:
    sys.exit(server.wait() or 1)
url = json.loads(line)["url"]
def get(route, data=None):
    request = urllib.request.Request(url + route, data=data, headers={"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=120).read().decode("utf-8", "replace")
artist = json.loads(get("api/artists?q=a"))["artists"]
like = artist[0]["artist"] if artist else "a"
answers = []
def ask():
    for _ in range(5):
        get("api/recommend", json.dumps({"likes": {like: 9}, "n": 10}).encode())
threads = [threading.Thread(target=ask) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
metrics = get("metrics")
server.send_signal(signal.SIGTERM)
server.wait()
print(json.dumps({k: re.search(r"lastfm_dask_serve_%s_bytes (\d+)" % k, metrics).group(1) for k in ("measured", "projected")}))
"""


def cases(n: int) -> Iterator[tuple[str, str, int]]:
    """Yield logs: every shape as text first, then any shape in any format, by the seed."""
    rng = random.Random(seed())
    most = int(os.environ.get("LASTFM_DASK_CAMPAIGN_ROWS", "150000"))
    first = [(shape, "tsv", most) for shape in SHAPES]
    rng.shuffle(first)
    yield from first[:n]
    for _ in range(n - len(first)):
        yield (
            rng.choice(list(SHAPES)),
            rng.choice(list(FORMATS)),
            rng.choice([rows for rows in ROWS if rows <= most] or [most]),
        )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("shape", "form"), [("users_of_one_row", "tsv"), ("one_user_among_many", "parquet-dictionary")]
)
def test_every_command_works_where_plan_says(shape, form, tmp_path):
    campaign = Campaign(tmp_path)
    try_log(campaign, shape, form, 20_000, (128,))
    campaign.show()
    assert not campaign.wrong


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.timeout(14_400)
def test_memory_campaign(tmp_path, capsys):
    campaign = Campaign(tmp_path)
    with capsys.disabled():
        for shape, form, n_rows in cases(count("memory", 40)):
            began = time.monotonic()
            try_log(campaign, shape, form, n_rows, LIMITS_MIB)
            say(f"{campaign.case}: {time.monotonic() - began:.0f} s, {len(campaign.wrong)} wrong so far")
        campaign.show()
    assert not campaign.wrong
