"""Directories on disk: published whole or not at all, locked while they are built, and refused when damaged."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lastfm_dask.dataset import store, writing
from lastfm_dask.dataset.layout import DATASET, MANIFEST, MODEL, Kind
from lastfm_dask.errors import StoreError

TOY = Kind("lastfm_dask.toy", 3, ("a.txt", "inner/b.txt"), ("a.txt",))

BUILD = """
import os, signal, sys
from pathlib import Path
from lastfm_dask.dataset.layout import Kind
from lastfm_dask.dataset.store import publish, work_directory

output, kill_at, ready = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
seen = 0

def die_at_the_nth_step(event, args):
    # Every file that is opened, made, renamed or removed is a step.
    global seen
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

toy = Kind("lastfm_dask.toy", 3, ("a.txt", "inner/b.txt"), ("a.txt",))
sys.addaudithook(die_at_the_nth_step)
with work_directory(output) as work:
    folder = work.fresh_output()
    (folder / "inner").mkdir()
    (folder / "a.txt").write_text("a" * 1000)
    (folder / "inner/b.txt").write_text("b")
    if kill_at < 0:
        ready.touch()
        signal.pause()
    publish(work, toy, {"n": 1})
"""


def start(output: Path, kill_at: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", BUILD, str(output), str(kill_at), str(output.parent / "ready")]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def build(output: Path, content=None, kind=TOY):
    with store.work_directory(output) as work:
        folder = work.fresh_output()
        for name in kind.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"this is {name}")
        return store.publish(work, kind, content or {})


def test_what_was_published_opens_and_verifies(tmp_path):
    written = build(tmp_path / "x", {"answer": 42})
    assert store.open_directory(tmp_path / "x", DATASET, TOY) == written
    assert store.verify_directory(tmp_path / "x", TOY) == written
    assert written.content == {"answer": 42}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_killed_at_every_step_it_leaves_all_or_nothing(tmp_path):
    published_after = []
    for kill_at in range(1, 1000):
        output = tmp_path / f"{kill_at}.toy"
        process = start(output, kill_at)
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        if os.path.lexists(output):
            store.verify_directory(output, TOY)
            published_after.append(kill_at)
            with pytest.raises(StoreError, match="exists already"):
                store.refuse_published(output)
        else:
            # The work directory that it left is no obstacle to the next run.
            build(output)
            store.verify_directory(output, TOY)
    assert 10 < kill_at < 999
    assert not list(tmp_path.glob(".*")), "nothing is left that the next run does not clear"
    # Once the new state is there it stays: every later death leaves it too, and there is at least one.
    assert published_after == list(range(kill_at - len(published_after), kill_at)) != []


@pytest.mark.parametrize("name", [*TOY.files, MANIFEST])
def test_a_missing_file_is_named(tmp_path, name):
    build(tmp_path / "x")
    (tmp_path / "x" / name).unlink()
    with pytest.raises(StoreError, match=f"{name}.*build it again"):
        store.open_directory(tmp_path / "x", TOY)


@pytest.mark.parametrize("name", TOY.files)
def test_a_file_of_another_size_is_named(tmp_path, name):
    build(tmp_path / "x")
    path = tmp_path / "x" / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"{name} has {size - 1} bytes, not {size}"):
        store.open_directory(tmp_path / "x", TOY)


@pytest.mark.parametrize("name", TOY.files)
def test_other_bytes_of_the_same_size_open_but_do_not_verify(tmp_path, name):
    build(tmp_path / "x")
    path = tmp_path / "x" / name
    path.write_bytes(path.read_bytes()[::-1])
    store.open_directory(tmp_path / "x", TOY)
    with pytest.raises(StoreError, match=f"{name} has other bytes"):
        store.verify_directory(tmp_path / "x", TOY)


def test_all_damage_is_told_at_once(tmp_path):
    build(tmp_path / "x")
    for name in TOY.files:
        (tmp_path / "x" / name).write_text("")
    with pytest.raises(StoreError, match=r"a\.txt has 0 .*inner/b\.txt has 0 "):
        store.open_directory(tmp_path / "x", TOY)


def edit_manifest(folder: Path, **changes) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "lastfm_dask.model"}, "is a lastfm_dask.model, but a lastfm_dask.toy is wanted"),
        ({"version": 99}, "format version 99, this program reads 3"),
        ({"files": {}}, "a.txt is not in the manifest"),
        ({"files": None}, "can't be read"),
        ({"surplus": 1}, "can't be read"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(tmp_path, changes, said):
    build(tmp_path / "x")
    edit_manifest(tmp_path / "x", **changes)
    with pytest.raises(StoreError, match=said):
        store.open_directory(tmp_path / "x", TOY)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "null"])
def test_a_damaged_manifest_is_named(tmp_path, text):
    build(tmp_path / "x")
    (tmp_path / "x" / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match=rf"{MANIFEST} can't be read.*damaged"):
        store.open_directory(tmp_path / "x", TOY)


def test_another_fingerprint_does_not_verify(tmp_path):
    build(tmp_path / "x")
    edit_manifest(tmp_path / "x", fingerprint="0" * 64)
    with pytest.raises(StoreError, match="fingerprint"):
        store.verify_directory(tmp_path / "x", TOY)


def test_what_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(
            StoreError, match=r"not a directory: a lastfm_dask.dataset or lastfm_dask.model is wanted"
        ):
            store.open_directory(tmp_path / name, DATASET, MODEL)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_an_existing_output_is_refused_before_work(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(StoreError, match="x exists already"), store.work_directory(tmp_path / "x"):
        pytest.fail("work began")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    with store.work_directory(tmp_path / "x") as work:
        folder = work.fresh_output()
        (folder / "inner").mkdir()
        for name in TOY.files:
            (folder / name).touch()
        (tmp_path / "x").write_text("mine")
        with pytest.raises(StoreError, match="exists already"):
            store.publish(work, TOY, {})
    assert (tmp_path / "x").read_text() == "mine"


def test_a_parent_that_is_missing_is_named(tmp_path):
    output = tmp_path / "missing" / "x"
    with (
        pytest.raises(StoreError, match=r"missing/x can't be written.*No such"),
        store.work_directory(output),
    ):
        pytest.fail("work began")


def test_one_run_at_a_time_and_a_dead_one_holds_no_lock(tmp_path):
    output = tmp_path / "x"
    process = start(output, -1)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StoreError, match="another run is building"), store.work_directory(output):
            pytest.fail("work began")
    finally:
        process.kill()
        process.communicate()
    build(output)
    store.verify_directory(output, TOY)


def fail_halfway(output: Path) -> None:
    with store.work_directory(output) as work:
        (work.spool / "block").touch()
        (work.fresh_output() / "stale").touch()
        raise KeyError


def test_what_an_error_left_is_there_for_the_next_run(tmp_path):
    with pytest.raises(KeyError):
        fail_halfway(tmp_path / "x")
    with store.work_directory(tmp_path / "x") as work:
        assert [path.name for path in work.spool.iterdir()] == ["block"]
        assert list(work.fresh_output().iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_store_error_that_says_what_is_needed(tmp_path):
    # /dev/full answers every write as a full disk does.
    with (
        pytest.raises(StoreError, match=r"no room left on the disk.* free, 3\.0 MiB needed in all") as caught,
        store.work_directory(tmp_path / "x", needed_bytes=3 << 20),
        Path("/dev/full").open("w") as full,
    ):
        full.write("a")
    assert caught.value.exit_code == 5
    assert caught.value.path == str(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_exceeded_quota_is_a_full_disk_and_other_errors_stay(tmp_path):
    with pytest.raises(StoreError, match="no room"), writing.write_errors(tmp_path / "x"):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    with pytest.raises(PermissionError), writing.write_errors(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "no")
    own = StoreError("as it was")
    with pytest.raises(StoreError, match="as it was"), writing.write_errors(tmp_path / "x"):
        raise own


@pytest.mark.parametrize("inner", ["", "spool", "output", "maps"])
def test_links_in_place_of_a_work_directory_are_not_followed(tmp_path, inner):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    work = tmp_path / ".x.work"
    if inner:
        work.mkdir()
    (work / inner).symlink_to(elsewhere)
    if inner:
        build(tmp_path / "x")
        store.verify_directory(tmp_path / "x", TOY)
    else:
        with pytest.raises(StoreError, match="is a link or not yours"):
            build(tmp_path / "x")
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


def test_a_link_in_place_of_the_lock_is_refused(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".x.work").mkdir()
    (tmp_path / ".x.work" / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="can't be written"):
        build(tmp_path / "x")


def test_what_a_run_left_that_was_killed_after_publishing_goes_with_the_next(tmp_path):
    build(tmp_path / "x")
    left = tmp_path / ".x.work" / "spool"
    left.mkdir(parents=True)
    with pytest.raises(StoreError, match="exists already"):
        store.refuse_published(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
