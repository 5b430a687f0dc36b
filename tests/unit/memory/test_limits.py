"""What a pod allows, from made-up trees of both versions of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from lastfm_dask.memory.cgroups import groups
from lastfm_dask.memory.limits import addresses_for, allowed_memory, cpus

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
NO_LIMIT_V1 = 9223372036854771712
AVAILABLE = 8192 * MIB


@dataclass
class FakeMachine:
    """Files of /proc and /sys under a folder, as a kernel would show them."""

    root: Path
    mounts: list[str] = field(default_factory=list)
    memberships: list[str] = field(default_factory=list)

    def write(self, path: str, text: object) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def mount(self, point: str, *, kind: str = "cgroup2", shown: str = "/", options: str = "rw") -> None:
        (self.root / point.lstrip("/")).mkdir(parents=True, exist_ok=True)
        escaped = point.replace(" ", "\\040")
        number = len(self.mounts) + 30
        self.mounts.append(
            f"{number} 23 0:26 {shown} {escaped} rw,relatime shared:9 - {kind} {kind} {options}"
        )
        self.write("/proc/self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw\n" + "\n".join(self.mounts))

    def member(self, line: str) -> None:
        self.memberships.append(line)
        self.write("/proc/self/cgroup", "\n".join(self.memberships))

    def v2(self, path: str, statistics: str = "anon 0", **files: object) -> None:
        self.write(f"/sys/fs/cgroup{path}/memory.stat", statistics)
        for name, value in files.items():
            self.write(f"/sys/fs/cgroup{path}/memory.{name}", value)


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    fake = FakeMachine(tmp_path)
    fake.write(
        "/proc/meminfo", f"MemTotal: {16384 * 1024} kB\nMemFree: 1 kB\nMemAvailable: {AVAILABLE // 1024} kB"
    )
    fake.write(
        "/proc/self/status", "Name:\tx\nRssAnon:\t 1024 kB\nRssShmem:\t 1024 kB\nCpus_allowed_list:\t0-7"
    )
    return fake


def test_without_groups_the_machine_is_the_limit(machine: FakeMachine) -> None:
    allowed = allowed_memory(root=machine.root)
    # What this process holds already (1 MiB each of anonymous and shared pages) is not available, yet allowed.
    assert (allowed.bytes, allowed.source) == (AVAILABLE + 2 * MIB, "MemAvailable")


def test_the_option_counts_where_it_is_smallest(machine: FakeMachine) -> None:
    assert allowed_memory(300 * MIB, root=machine.root).source == "--memory"
    assert allowed_memory(10**12, root=machine.root).source == "MemAvailable"


def test_v2_smallest_of_nested_groups(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/pods/pod/app")
    machine.v2("/pods/pod/app", max="max", high="max")
    machine.v2("/pods/pod", max=512 * MIB, high="max")
    machine.v2("/pods", max=600 * MIB, high=400 * MIB)
    allowed = allowed_memory(root=machine.root)
    assert allowed.bytes == 400 * MIB
    assert allowed.source.endswith("/sys/fs/cgroup/pods/memory.high")
    assert {limit.bytes for limit in allowed.candidates} == {
        512 * MIB,
        600 * MIB,
        400 * MIB,
        AVAILABLE + 2 * MIB,
    }


@pytest.mark.parametrize(("anon_mib", "others_mib"), [(50, 55), (0, 3), (2, 5)])
def test_what_other_processes_hold_is_not_ours(machine: FakeMachine, anon_mib: int, others_mib: int) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/app")
    machine.v2("/app", f"anon {anon_mib * MIB}\nfile 999999999\nshmem {5 * MIB}", max=256 * MIB)
    allowed = allowed_memory(root=machine.root)
    # The group's anonymous and shared memory, less the 2 MiB that this process holds itself.
    assert allowed.bytes == (256 - (anon_mib + 5 - 2)) * MIB
    assert f"less {others_mib + 0:.1f} MiB" in allowed.source or anon_mib + 5 - 2 != others_mib


def test_a_group_that_counts_less_than_we_hold_takes_nothing_away(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/app")
    machine.v2("/app", "anon 0", max=256 * MIB)
    assert allowed_memory(root=machine.root).bytes == 256 * MIB


def test_what_only_counters_differ_by_is_no_other_process(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/app")
    machine.v2("/app", f"anon {3 * MIB}", max=256 * MIB)
    allowed = allowed_memory(root=machine.root)
    assert (allowed.bytes, "less" in allowed.source) == (256 * MIB, False)
    machine.v2("/app", f"anon {3 * MIB + 4096}")
    assert allowed_memory(root=machine.root).bytes == 256 * MIB - MIB - 4096


def test_others_that_hold_more_than_the_limit_leave_nothing(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/app")
    machine.v2("/app", f"anon {300 * MIB}", max=256 * MIB)
    assert allowed_memory(root=machine.root).bytes == 0


def v1(machine: FakeMachine, folder: str, limit: object, statistics: str = "total_rss 0") -> None:
    machine.write(f"{folder}/memory.limit_in_bytes", limit)
    machine.write(f"{folder}/memory.stat", statistics)


def test_v1_nested_with_huge_values(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup/memory", kind="cgroup", options="rw,memory")
    machine.member("4:memory:/pods/app")
    v1(machine, "/sys/fs/cgroup/memory", NO_LIMIT_V1)
    v1(machine, "/sys/fs/cgroup/memory/pods", 700 * MIB, f"rss 1\ntotal_rss {12 * MIB}\ntotal_shmem {MIB}")
    v1(machine, "/sys/fs/cgroup/memory/pods/app", NO_LIMIT_V1, f"hierarchical_memory_limit {700 * MIB}")
    allowed = allowed_memory(root=machine.root)
    # 13 MiB are held in the group above, 2 MiB of them by this process.
    assert allowed.bytes == (700 - 11) * MIB
    assert "/sys/fs/cgroup/memory/pods/memory.limit_in_bytes" in allowed.source


def test_v1_names_the_limit_above_a_containers_mount(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup/memory", kind="cgroup", shown="/docker/abc", options="rw,memory")
    machine.member("4:memory:/docker/abc")
    v1(machine, "/sys/fs/cgroup/memory", NO_LIMIT_V1, f"hierarchical_memory_limit {200 * MIB}")
    allowed = allowed_memory(root=machine.root)
    assert allowed.bytes == 200 * MIB
    assert "hierarchical_memory_limit" in allowed.source


def test_a_container_sees_its_group_as_the_mounts_root(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup/memory", kind="cgroup", shown="/docker/abc", options="rw,memory")
    machine.member("4:memory:/docker/abc/inner")
    v1(machine, "/sys/fs/cgroup/memory/inner", 100 * MIB)
    v1(machine, "/sys/fs/cgroup/memory", 90 * MIB)
    assert allowed_memory(root=machine.root).bytes == 90 * MIB
    assert len(groups("memory", machine.root)) == 2


@pytest.mark.parametrize("path", ["/kubepods/besteffort/pod1/c1", "/../../host.slice", "/"])
def test_a_namespace_that_hides_the_path_leaves_the_mounts_root(machine: FakeMachine, path: str) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member(f"0::{path}")
    machine.v2("", max=256 * MIB)
    (machine.root / "host.slice").mkdir()
    assert allowed_memory(root=machine.root).bytes == 256 * MIB


def test_hybrid_takes_memory_from_v1(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup/cpu,cpuacct", kind="cgroup", options="rw,cpu,cpuacct")
    machine.mount("/sys/fs/cgroup/memory", kind="cgroup", options="rw,memory")
    machine.mount("/sys/fs/cgroup/unified")
    machine.member("4:memory:/a/b")
    machine.member("3:cpu,cpuacct:/a")
    machine.member("1:name=systemd:/")
    machine.member("0::/a")
    v1(machine, "/sys/fs/cgroup/memory/a/b", 300 * MIB)
    machine.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", 150000)
    machine.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", 100000)
    assert allowed_memory(root=machine.root).bytes == 300 * MIB
    assert cpus(root=machine.root).count == 2


def test_a_mount_point_with_a_blank_and_a_second_mount_of_the_same_hierarchy(machine: FakeMachine) -> None:
    machine.mount("/other", shown="/elsewhere")
    machine.mount("/sys/fs/my groups")
    machine.member("0::/app")
    machine.write("/sys/fs/my groups/app/memory.max", 128 * MIB)
    assert allowed_memory(root=machine.root).bytes == 128 * MIB


@pytest.mark.parametrize("text", ["", "nonsense", "max", "-1", "18446744073709551615"])
def test_what_is_no_limit_is_left_out(machine: FakeMachine, text: str) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/app")
    machine.v2("/app", max=text)
    assert [limit.source for limit in allowed_memory(root=machine.root).candidates] == ["MemAvailable"]


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("max 100000", 8),
        ("50000 100000", 1),
        ("100000 100000", 1),
        ("100001 100000", 2),
        ("350000 100000", 4),
    ],
)
def test_v2_quota_is_rounded_up(machine: FakeMachine, quota: str, count: int) -> None:
    machine.mount("/sys/fs/cgroup")
    machine.member("0::/pod/app")
    machine.write("/sys/fs/cgroup/pod/app/cpu.max", "max 100000")
    machine.write("/sys/fs/cgroup/pod/cpu.max", quota)
    assert cpus(root=machine.root).count == count


def test_v1_without_a_quota_leaves_affinity_and_cpuset(machine: FakeMachine) -> None:
    machine.mount("/sys/fs/cgroup/cpu", kind="cgroup", options="rw,cpu")
    machine.mount("/sys/fs/cgroup/cpuset", kind="cgroup", options="rw,cpuset")
    machine.member("2:cpu:/")
    machine.member("3:cpuset:/")
    machine.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1)
    machine.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 100000)
    assert (cpus(root=machine.root).count, cpus(root=machine.root).source) == (8, "affinity")
    machine.write("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-2,5,7-8")
    assert cpus(root=machine.root).count == 6
    assert cpus(3, root=machine.root).source == "--threads"


def test_here_the_numbers_are_those_of_the_running_kernel() -> None:
    assert cpus().count <= len(os.sched_getaffinity(0))
    assert allowed_memory().bytes > 0


def test_native_threads_are_bound_loaded_already_or_later() -> None:
    code = """
import sys
from lastfm_dask.memory.limits import limit_native_threads
if sys.argv[1] == "before":
    import numpy, pyarrow
limit_native_threads(1)
import numpy, pyarrow, threadpoolctl
print(pyarrow.cpu_count(), {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} or {1})
"""
    for when in ("before", "after"):
        done = subprocess.run([sys.executable, "-c", code, when], capture_output=True, text=True, check=True)
        assert done.stdout == "1 {1}\n"


def test_a_limit_of_the_address_space_leaves_what_maps_have_not_taken(monkeypatch):
    import resource

    from lastfm_dask.memory.proc import SYSTEM_ROOT, fields_of, read_text, resident

    taken = int(fields_of(read_text(SYSTEM_ROOT / "proc/self/status"))["VmSize"].split()[0]) << 10
    # A thread takes 48 MiB of addresses when it starts to compute.
    limit = taken + (50 << 20) + cpus().count * (48 << 20)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    found = allowed_memory(None)
    assert found.source == "ulimit -v (RLIMIT_AS)"
    assert abs(found.bytes - (50 << 20) - resident().held) < 8 << 20
    # With the limit that is named for as much, so much is allowed.
    assert abs(addresses_for(found.bytes, 0) - limit) < 8 << 20
    assert addresses_for(found.bytes, 5 << 20) - addresses_for(found.bytes, 0) >= 4 << 20
