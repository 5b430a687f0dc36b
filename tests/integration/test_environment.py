"""Odd environments: few descriptors, small limits, no home, no current folder, another user, very small blocks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from command_line import succeed
from ingesting import lines

from lastfm_dask.dataset import layout


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "log.tsv").write_bytes(b"".join(lines()))
    succeed("ingest", folder / "log.tsv", "-o", folder / "x.dataset")
    succeed("train", folder / "x.dataset", "-o", folder / "x.model", "--factors", 4, "--iterations", 1)
    return folder


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which `lastfm-dask` is the command."""
    command = f"{sys.executable} -m lastfm_dask"
    return subprocess.run(
        ["/bin/bash", "-c", script.replace("lastfm-dask", command)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=120,
    )


def ends(script: str, folder: Path, codes: set[int], **variables: str) -> str:
    done = shell(script, folder, **variables)
    assert done.returncode in codes, (done.returncode, done.stderr)
    assert "unforeseen" not in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


INGEST = "lastfm-dask ingest log.tsv -o new.dataset"


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        (f"ulimit -n 32; {INGEST}", {0}),
        (f"ulimit -n 12; {INGEST}", {0, 5}),
        ("ulimit -n 12; lastfm-dask stats x.dataset", {0, 5}),
        ("ulimit -n 32; lastfm-dask recommend x.model --like u2", {0}),
        (f"ulimit -f 1; {INGEST}", {5}),
        ("ulimit -f 8; lastfm-dask export x.model --npz new.npz", {0, 5}),
        ("ulimit -f 1; lastfm-dask recommend x.model --all-users -o new.jsonl", {5}),
        (f"unset HOME USER LOGNAME; {INGEST}", {0}),
    ],
)
def test_small_limits(made, script, codes):
    for name in ("new.dataset", ".new.dataset.work"):
        shutil.rmtree(made / name, ignore_errors=True)
    for name in ("new.npz", "new.jsonl"):
        (made / name).unlink(missing_ok=True)
    ends(script, made, codes)
    assert not [path.name for path in made.iterdir() if path.name.endswith(".part")]


def test_the_current_folder_is_gone(made, tmp_path):
    gone = f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; "
    ends(f"{gone} lastfm-dask ingest {made}/log.tsv -o {tmp_path}/x.dataset", tmp_path, {0})
    ends(f"{gone} lastfm-dask stats {tmp_path}/x.dataset", tmp_path, {0})
    ends(f"{gone} lastfm-dask ingest {made}/log.tsv -o y.dataset", tmp_path, {5})
    ends(f"{gone} lastfm-dask stats x.dataset", tmp_path, {5})


AS_NOBODY = """
import os, sys
sys.path[:0] = sys.argv.pop(1).split(os.pathsep)
from campaigns import forking
forking.import_all()
import lastfm_dask.recommender.export, lastfm_dask.profile.page, lastfm_dask.synthesis.log
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
lastfm_dask.cli.main()
"""


@pytest.fixture
def theirs(made):
    """A copy of what was made, in a folder that every user can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(made, folder / "theirs")
    yield folder / "theirs"
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_what_is_not_theirs(theirs):
    def as_nobody(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, "-c", AS_NOBODY, os.pathsep.join(sys.path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=theirs, timeout=120)
        return done.returncode, done.stderr

    if as_nobody("stats", theirs / "x.dataset")[0]:
        pytest.skip("another user can't run the package here")
    for arguments in (
        ("ingest", "log.tsv", "-o", "n.dataset"),
        ("train", "x.dataset", "-o", "n.model"),
        ("recommend", "x.model", "--all-users", "-o", "n.jsonl"),
        ("export", "x.model", "--npz", "n.npz"),
        ("export", "x.model", "--parquet", "n"),
        ("synth", "n.tsv", "--users", 10),
    ):
        code, said = as_nobody(*arguments)
        assert (code, "unforeseen" in said) == (5, False), (arguments, said)
    (theirs / "log.tsv").chmod(0)
    (theirs / "x.dataset" / layout.USERS).chmod(0)
    assert as_nobody("ingest", "log.tsv", "-o", "n.dataset")[0] == 3
    code, said = as_nobody("stats", "x.dataset", "--user", "u")
    assert (code, "users.parquet" in said) == (5, True), said
