"""Hostile names on terminals that can't show them; standard streams that are closed, full or of another encoding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from command_line import PROGRAM, run, succeed

from lastfm_dask.dataset.dataset import Dataset

if TYPE_CHECKING:
    from pathlib import Path

TITLE, C1, TURN = "evil\x1b]0;owned\x07", "c1\x9b31m", "turn\u202eevil\u2066"
ARTISTS = [TITLE, C1, TURN, "sigur rós", "del\x7f", "日本"]
HOSTILE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
QUICK = ("--factors", "2", "--iterations", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a log of hostile names, its dataset and its model."""
    folder = tmp_path_factory.mktemp("terminal")
    lines = [f"user\x1b[31m{u}\t\t{a}\t{9 - i}\n" for u in range(4) for i, a in enumerate(ARTISTS) if i != u]
    (folder / "log.tsv").write_bytes("".join(lines).encode())
    succeed("ingest", folder / "log.tsv", "-o", folder / "x.dataset")
    succeed("train", folder / "x.dataset", "-o", folder / "x.model", *QUICK)
    return folder


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    line = command.replace("lastfm-dask", f"{sys.executable} -m lastfm_dask")
    return subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=120,
    )


def commands(folder: Path) -> list[list[object]]:
    data, model, user = folder / "x.dataset", folder / "x.model", "user\x1b[31m1"
    return [
        ["stats", data],
        ["stats", data, "--user", user],
        ["recommend", model, "--user", user],
        ["recommend", model, "--like", TITLE],
        ["recommend", model, "--like", C1 + "x"],
        ["similar", model, TURN],
        ["score", model, "--artist", TITLE, "--user", user, "--vectors"],
        ["explain", model, "--artist", C1, "--user", user],
        ["stats", data, "--user", TITLE],
        ["similar", model, C1 + "z"],
        ["stats", folder / TITLE],
        ["recommend", folder / C1, "--user", "a"],
        ["ingest", folder / TITLE, "-o", folder / "none"],
        [TITLE],
        ["stats", data, f"--{C1}"],
    ]


def test_nothing_that_controls_a_terminal_is_sent(made):
    for arguments in commands(made):
        done = run(*arguments, code=None)
        assert not HOSTILE.search(done.stdout + done.stderr), (arguments, done.stdout, done.stderr)
        assert done.returncode in (0, 2, 3, 5, 6), done.stderr


def test_members_of_an_archive_are_shown_escaped(made, tmp_path):
    path = tmp_path / "log.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(made / "log.tsv", arcname=TITLE)
    done = run("ingest", path, "-o", tmp_path / "none", code=3)
    assert "evil\\x1b]0;owned\\x07" in done.stderr
    assert not HOSTILE.search(done.stderr)


def test_json_and_files_keep_the_exact_names(made):
    names = Dataset(made / "x.dataset").artists.names(range(len(ARTISTS)))
    assert sorted(names) == sorted(ARTISTS)
    for encoding, is_ascii in (("utf-8", False), ("ascii", True), ("latin-1", True)):
        done = shell("lastfm-dask stats x.dataset --json", made, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode()
        assert text.isascii() == is_ascii
        assert not HOSTILE.search(text.rstrip("\n"))
        assert {row["artist"] for row in json.loads(text)["top_artists"]} == set(ARTISTS)
        done = shell(
            "lastfm-dask recommend x.model --all-users --include-known", made, PYTHONIOENCODING=encoding
        )
        listed = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert {item["artist"] for user in listed for item in user["items"]} == set(ARTISTS)
        assert done.stdout.isascii() == is_ascii


@pytest.mark.parametrize("variables", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
@pytest.mark.parametrize("command", ["stats x.dataset", "recommend x.model --like 日本", "profile x.model"])
def test_a_console_that_lacks_characters_gets_others(made, variables, command):
    done = shell(f"lastfm-dask {command}", made, **variables)
    assert done.returncode == 0, done.stderr
    assert b"unforeseen" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("lastfm-dask stats x.dataset > /dev/full", 5),
        ("lastfm-dask stats x.dataset --json > /dev/full", 5),
        ("lastfm-dask recommend x.model --all-users > /dev/full", 5),
        ("lastfm-dask stats x.dataset >&-", 5),
        ("lastfm-dask stats x.dataset --json 2>&-", 0),
        ("lastfm-dask stats nothing 2>&-", 5),
        ("lastfm-dask stats nothing 2> /dev/full", 5),
        ("lastfm-dask stats x.dataset <&-", 0),
        ("lastfm-dask stats nothing <&- >&- 2>&-", 5),
        ("lastfm-dask stats x.dataset --top 2 | head -c 1 > /dev/null", 0),
    ],
)
def test_streams_that_are_full_or_closed(made, command, code):
    done = shell(command, made)
    assert done.returncode == code, done.stderr
    assert b"unforeseen" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if code and "2>" not in command:
        begins = b'{"error": ' if "--json" in command else b"lastfm-dask: "
        assert done.stderr.splitlines()[-1].startswith(begins), done.stderr


@pytest.mark.parametrize("ending", ["2> /dev/full", "2>&1 > /dev/null | true"])
def test_no_work_is_lost_because_progress_can_not_be_shown(made, tmp_path, ending):
    shell(f"lastfm-dask ingest log.tsv -o {tmp_path}/x.dataset {ending}", made)
    assert Dataset(tmp_path / "x.dataset").n_users == 4


def test_a_reader_that_goes_away_is_no_error(made):
    line = f"{' '.join(PROGRAM)} stats x.dataset; echo $? >&2"
    with subprocess.Popen(
        ["/bin/sh", "-c", line], cwd=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"0\n"
