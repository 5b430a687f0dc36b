"""What `doctor` finds and says; the machine itself is asked once."""

from __future__ import annotations

import copy
import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lastfm_dask.cli.doctor import command, examine, full_size_plan, problems
from lastfm_dask.cli.doctor_table import show
from lastfm_dask.memory import libraries
from lastfm_dask.memory.sizes import limit_for

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
# Room for the full-size log beside all that a process full of tests holds.
REPORTED_BYTES = 2048 * MIB


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    found = examine(tmp_path_factory.mktemp("work"), memory_bytes=REPORTED_BYTES, threads=1)
    # As it would be found on a machine without fault, whatever this one lacks.
    found["openmp"]["problem"] = None
    found["import_problems"] = []
    found["disk"] |= {
        "kind": "ext4",
        "in_memory": False,
        "free_bytes": 1 << 40,
        "exists": True,
        "writable": True,
    }
    found["allocator"]["can_trim"] = True
    found["memory"]["read_from"] = "/proc"
    found["plan"] = full_size_plan(found)
    return found


def test_numbers_agree_with_each_other(report):
    memory, cpus = report["memory"], report["cpus"]
    bounds = [bound["bytes"] for bound in memory["candidates"]]
    assert memory["allowed_bytes"] == min(bounds) <= REPORTED_BYTES
    assert (cpus["count"], cpus["source"]) == (1, "--threads")
    reserved = [step["bytes"] for step in memory["reserved"]]
    assert 0 < reserved[0] <= reserved[1] <= reserved[2]
    assert memory["in_use_bytes"] < memory["total_bytes"]
    assert report["versions"]["python"].startswith("3.")
    assert all(report["versions"][name] for name in ("dask", "pyarrow", "implicit"))
    assert {pool["kind"] for pool in report["native_threads"]} >= {"blas"}


def test_a_machine_without_fault_has_no_problems(report):
    assert problems(report) == []


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("openmp", "problem"), "libgomp.so.1: cannot open", ("libgomp.so.1", "apt-get install libgomp1")),
        (("import_problems",), ["import implicit: ImportError: libx"], ("libx", "reinstall")),
        (("disk", "in_memory"), True, ("memory of this pod", "emptyDir")),
        (("disk", "exists"), False, ("does not exist", "--folder")),
        (("disk", "writable"), False, ("can't be written", "--folder")),
        (("allocator", "can_trim"), False, ("return freed memory", "glibc")),
        (("memory", "read_from"), "psutil", ("no /proc", "--memory")),
    ],
)
def test_each_problem_comes_with_its_remedy(report, place, value, words):
    broken = copy.deepcopy(report)
    inner = broken
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (found,) = problems(broken)
    assert words[0] in found["problem"]
    assert words[1] in found["remedy"]


def test_one_missing_library_is_said_once(report):
    broken = copy.deepcopy(report)
    broken["openmp"]["problem"] = "libgomp.so.1: cannot open shared object file"
    broken["import_problems"] = ["import implicit.cpu.als: ImportError: libgomp.so.1: cannot open"]
    assert len(problems(broken)) == 1


def test_a_pod_too_small_for_the_full_log_is_told_the_smallest_limit_and_that_does(report):
    small = copy.deepcopy(report)
    small["memory"]["allowed_bytes"] = 32 * MIB
    while True:
        small["plan"] = full_size_plan(small)
        if not small["plan"]["refusals"]:
            break
        found = problems(small)
        assert len(found) == len(small["plan"]["refusals"])
        needed = limit_for(max(refusal["smallest_bytes"] for refusal in small["plan"]["refusals"]))
        assert needed > small["memory"]["allowed_bytes"]
        assert str(needed) in "".join(problem["remedy"] for problem in found)
        small["memory"]["allowed_bytes"] = needed
    assert small["plan"]["stages"]
    assert all(stage["projected_bytes"] <= needed for stage in small["plan"]["stages"])


def test_a_disk_too_small_for_the_full_log_is_told_as_such(report):
    small = copy.deepcopy(report)
    small["memory"]["allowed_bytes"] = 1 << 30
    small["disk"]["free_bytes"] = 100 * MIB
    small["plan"] = full_size_plan(small)
    found = problems(small)
    assert [problem["problem"].split()[0] for problem in found] == ["ingest", "train"]
    assert all("on disk, 100.0 MiB are allowed" in problem["problem"] for problem in found)


def test_a_library_that_is_not_there_is_a_finding_and_no_failure():
    assert "libnothing.so.9" in (libraries.openmp_problem("libnothing.so.9") or "")
    step = libraries.import_and_measure("x", ("json", "no_such_module_anywhere"))
    assert "no_such_module_anywhere" in (step.problem or "")
    assert step.bytes > MIB


def test_the_tables_have_every_section(report, capsys):
    show(report)
    text = capsys.readouterr().out
    for title in ("Memory", "CPUs", "Disk", "Libraries", "Plan for the full-size log", "No problems found."):
        assert title in text
    broken = copy.deepcopy(report)
    broken["problems"] = [{"problem": "a [b]", "remedy": "do it"}]
    broken["disk"] |= {"kind": None, "mount": None, "meaning": None, "total_bytes": None}
    broken["memory"]["cgroup"] = None
    show(broken)
    assert "a [b]" in capsys.readouterr().out


def test_the_command_prints_json_and_ends_well_whatever_it_finds(tmp_path: Path):
    result = CliRunner().invoke(
        command, ["--json", "--folder", str(tmp_path / "missing"), "--memory", "16MiB"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert {"memory", "cpus", "disk", "allocator", "openmp", "native_threads", "versions", "plan"} <= set(
        found
    )
    assert any("does not exist" in problem["problem"] for problem in found["problems"])
    assert found["memory"]["allowed_source"] == "--memory"


def test_a_long_path_on_a_narrow_terminal_loses_its_middle(report, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    path = "/sys/fs/cgroup/cpuset/kubepods/burstable/cpuset.effective_cpus"
    shown = copy.deepcopy(report)
    shown["cpus"]["candidates"] = [{"count": 2, "source": path}]
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", screen)
    show(shown)
    line = next(line for line in screen.getvalue().splitlines() if "effective_cpu" in line)
    assert "/sys/fs/" in line
    assert "…" in line
