"""Single files are whole or absent: two runs at once, links that lie in wait, and what killed runs left."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lastfm_dask.dataset import writing
from lastfm_dask.dataset.files import all_or_none, complete_or_absent
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """
import os, signal, sys
from pathlib import Path
from lastfm_dask.dataset.files import all_or_none

targets, kill_at, ready = [Path(name) for name in sys.argv[3:]], int(sys.argv[1]), Path(sys.argv[2])
seen = 0

def die_at_the_nth_step(event, args):
    # Every file that is opened, made, linked, renamed or removed is a step.
    global seen
    if event in ("open", "os.link", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_at_the_nth_step)
with all_or_none(targets) as parts:
    for part in parts:
        part.write_text("whole")
    if kill_at < 0:
        ready.touch()
        signal.pause()
"""


def start(kill_at: int, ready: Path, *targets: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITE, str(kill_at), str(ready), *map(str, targets)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def write(target: Path, text: str = "whole", *, replace: bool = False) -> None:
    with complete_or_absent(target, replace=replace) as part:
        part.write_text(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_part_has_the_targets_suffix_and_goes(tmp_path):
    with complete_or_absent(tmp_path / "a b.npz") as part:
        assert part.suffix == ".npz"
        part.write_text("whole")
        assert not (tmp_path / "a b.npz").exists()
    assert (tmp_path / "a b.npz").read_text() == "whole"
    assert names(tmp_path) == {"a b.npz"}


def test_what_fails_leaves_nothing(tmp_path):
    def fail() -> None:
        with complete_or_absent(tmp_path / "x") as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == set()


@pytest.mark.parametrize("n", [1, 2])
def test_killed_at_every_step_it_leaves_all_or_nothing_and_the_next_run_clears(tmp_path, n):
    for kill_at in range(1, 1000):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        targets = [folder / f"{i}.txt" for i in range(n)]
        process = start(kill_at, tmp_path / "ready", *targets)
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        found = [target for target in targets if target.exists()]
        assert {target.read_text() for target in found} <= {"whole"}
        if 0 < len(found) < n:
            # Two names can't be taken in one step: the next run takes back the one that was.
            write(folder / "other")
            assert names(folder) == {"other"}
            continue
        if kill_at % 2:
            # The same run again clears too, whether it finds its output or makes it.
            with suppress(StoreError), all_or_none(targets) as parts:
                for part in parts:
                    part.write_text("whole")
            assert names(folder) == {target.name for target in targets}
            continue
        write(folder / "other")
        assert names(folder) == {"other", *(target.name for target in found)}
    assert 10 < kill_at < 999


def test_two_at_once_one_wins_and_the_other_is_told(tmp_path):
    process = start(-1, tmp_path / "ready", tmp_path / "x")
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StoreError, match=r"another run is writing .*/x "):
            write(tmp_path / "x")
        write(tmp_path / "y")
    finally:
        process.kill()
        process.communicate()
    write(tmp_path / "x", "mine")
    assert (tmp_path / "x").read_text() == "mine"
    assert names(tmp_path) == {"ready", "x", "y"}


@pytest.mark.slow
def test_many_at_once_leave_one_whole_file(tmp_path):
    target = tmp_path / "x"
    for _ in range(10):
        processes = [start(0, tmp_path / "ready", target) for _ in range(4)]
        ends = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
        assert sum(code == 0 for _, code in ends) == 1, ends
        assert all("StoreError" in said for said, code in ends if code)
        assert target.read_text() == "whole"
        assert names(tmp_path) == {"x"}
        target.unlink()


def test_what_appears_meanwhile_is_never_replaced(tmp_path):
    target = tmp_path / "x"

    def overtaken() -> None:
        with complete_or_absent(target) as part:
            part.write_text("whole")
            target.write_text("theirs")

    with pytest.raises(StoreError, match="exists already"):
        overtaken()
    assert target.read_text() == "theirs"
    assert names(tmp_path) == {"x"}


def test_of_two_files_none_is_left_where_one_can_not_be_put(tmp_path):
    def overtaken() -> None:
        with all_or_none([tmp_path / "a", tmp_path / "b"]) as parts:
            for part in parts:
                part.write_text("whole")
            (tmp_path / "b").write_text("theirs")

    with pytest.raises(StoreError, match="b exists already"):
        overtaken()
    assert names(tmp_path) == {"b"}


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "x").symlink_to(victim)
    with pytest.raises(StoreError, match="exists already"):
        write(tmp_path / "x")
    write(tmp_path / "x", replace=True)
    assert victim.read_text() == "precious"
    assert (tmp_path / "x").read_text() == "whole"
    assert not (tmp_path / "x").is_symlink()


def test_links_that_look_like_parts_are_left_alone(tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "file").touch()
    (tmp_path / ".x.01234567.part").symlink_to(place)
    # A lock that is a link is not followed either, nor is a folder taken that has none.
    (tmp_path / ".x.89abcdef.part").mkdir()
    (tmp_path / ".x.89abcdef.part" / "lastfm-dask.lock").symlink_to(place / "file")
    (tmp_path / ".x.00000000.part").mkdir()
    (tmp_path / ".x.00000000.part" / "mine").touch()
    before = names(tmp_path)
    write(tmp_path / "x")
    assert names(tmp_path) == before | {"x"}
    assert names(place) == {"file"}


def test_a_directory_is_not_replaced(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(StoreError, match="can't be replaced"):
        write(tmp_path / "x", replace=True)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(StoreError, match="No such file or directory; choose a folder that exists"):
        write(tmp_path / "none" / "x")


def test_without_hard_links_it_is_renamed(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "x")
    with pytest.raises(StoreError, match="exists already"):
        write(tmp_path / "x")
    assert names(tmp_path) == {"x"}


def test_where_folders_can_not_be_locked_it_writes_all_the_same(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "x")
    assert names(tmp_path) == {"x"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "full"), "no room left on the disk while writing"),
        (OSError("1598 requested and 0 written"), "no room left on the disk while writing"),
        (OSError(errno.EFBIG, "large"), "ulimit -f"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ],
)
def test_what_a_file_system_refuses_is_a_store_error(tmp_path, error, said):
    with pytest.raises(StoreError, match=said), writing.write_errors(tmp_path / "x"):
        raise error


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    with (
        pytest.raises(StoreError, match="not UTF-8"),
        complete_or_absent(tmp_path / os.fsdecode(b"\xff")),
    ):
        pass
    assert not list(tmp_path.iterdir())
