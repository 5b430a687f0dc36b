"""Which file system a folder is on, by made-up mount tables and by the running kernel's."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from lastfm_dask.memory.disk import file_system, free_bytes, lives_in_memory

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
1 0 8:1 / / rw,relatime - overlay overlay rw,upperdir=/up
2 1 0:22 / {here} rw shared:3 - ext4 /dev/vda rw
3 1 0:23 / {here}/my\\040work rw,nosuid shared:5 master:2 - tmpfs tmpfs rw,size=64k
4 1 0:24 / {here}/share rw - nfs4 server:/export rw
5 1 0:25 / {here}/twice rw - ext4 /dev/vdb rw
6 1 0:26 / {here}/twice rw - tmpfs tmpfs rw
a line that is cut off
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS.format(here=tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "kind", "in_memory", "word"),
    [
        (".", "ext4", False, "disk"),
        ("my work", "tmpfs", True, "memory"),
        ("my work/deep/down", "tmpfs", True, "memory"),
        ("my worker", "ext4", False, "disk"),
        ("share/a", "nfs4", False, "network"),
        ("twice", "tmpfs", True, "memory"),
        ("/elsewhere", "overlay", False, "container"),
    ],
)
def test_the_deepest_mount_counts(root: Path, folder: str, kind: str, in_memory: bool, word: str) -> None:
    found = file_system(root / folder, root=root)
    assert found is not None
    assert (found.kind, found.in_memory) == (kind, in_memory)
    assert word in found.meaning
    assert lives_in_memory(root / folder, root=root) is in_memory


def test_a_link_counts_where_it_leads(root: Path) -> None:
    (root / "my work").mkdir()
    (root / "link").symlink_to(root / "my work")
    assert lives_in_memory(root / "link", root=root)


def test_without_a_mount_table_nothing_is_claimed(tmp_path: Path) -> None:
    assert file_system(tmp_path, root=tmp_path) is None
    assert not lives_in_memory(tmp_path, root=tmp_path)


def test_free_is_what_the_system_says(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert free_bytes(tmp_path / "missing") == 0


def test_a_circle_of_links_is_not_followed_for_ever(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert file_system(tmp_path / "loop" / "x") == file_system(tmp_path)
