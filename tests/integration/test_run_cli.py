"""`run` as a process: everything in one go, and going on from what an interrupted run left."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from command_line import run

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--factors", 8, "--iterations", 2, "--json")
LIKES = ("--add-user", "zimin", "--like", "radiohead=30", "--like", "muse")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "log.tsv"
    run("synth", path, "--users", 300, "--json")
    return path


@pytest.fixture(scope="module")
def first(log: Path) -> dict:
    done = run("run", log, "-o", log.parent / "out", *LIKES, *QUICK)
    return json.loads(done.stdout)


def test_the_notebooks_questions_are_answered_for_the_added_listener(first):
    assert {"ingest", "train", "stats", "score", "recommend", "similar", "explain"} <= first.keys()
    assert first["stats"]["user"] == first["recommend"]["user"] == "zimin"
    liked = {row["artist"]: row["plays"] for row in first["stats"]["rows"]}
    assert liked == {"radiohead": 30, "muse": 30}
    assert not liked.keys() & {item["artist"] for item in first["recommend"]["items"]}
    scores = {score["artist"]: score["score"] for score in first["score"]["scores"]}
    best = first["recommend"]["items"][0]
    assert scores[best["artist"]] == pytest.approx(best["score"])
    explained = first["explain"]
    total = sum(part["contribution"] for part in explained["contributions"]) + explained["remainder"]
    assert total == pytest.approx(best["score"], abs=1e-4)


def test_called_again_it_goes_on_from_the_dataset_that_is_there(log, first):
    folder = log.parent / "out"
    for removed, n_resumed in (("log.model", 1), (None, 2)):
        if removed is not None:
            shutil.rmtree(folder / removed)
        # What a run leaves that is killed right after it has published.
        for name in (".log.dataset.work", ".log.model.work"):
            (folder / name / "spool").mkdir(parents=True)
        again = run("run", log, "-o", folder, *LIKES, *QUICK)
        assert again.stderr.count("resuming") == n_resumed
        assert list(folder.glob(".*")) == []
        found = json.loads(again.stdout)
        assert found["ingest"]["fingerprint"] == first["ingest"]["fingerprint"]
        assert found["recommend"] == first["recommend"]
        assert found["train"].keys() == first["train"].keys()
        assert len(found["train"]["iteration_s"]) == 2


def test_a_model_of_other_settings_is_not_taken(log, first):
    folder = log.parent / "out"
    other = run("run", log, "-o", folder, *LIKES, "--factors", 9, "--iterations", 2, code=5)
    assert "log.model exists already" in other.stderr


def test_a_dataset_of_other_options_or_another_source_is_not_taken(log, first, tmp_path):
    shutil.copytree(log.parent / "out" / "log.dataset", tmp_path / "log.dataset")
    other = run("run", log, "-o", tmp_path, *QUICK, code=5)
    assert "exists already" in other.stderr
    changed = tmp_path / "log.tsv"
    changed.write_bytes(log.read_bytes())
    run("run", changed, "-o", tmp_path, *LIKES, *QUICK, code=5)
    assert not (tmp_path / "log.model").exists()


@pytest.fixture(scope="module")
def long_list(tmp_path_factory) -> Path:
    """The log's first user plays 60,000 artists; another one plays one that the first does not."""
    path = tmp_path_factory.mktemp("long") / "log.tsv"
    rows = [f"first\t\tartist {i}\t{1 + i % 9}\n" for i in range(60_000)]
    others = [f"user {i}\t\tartist {j}\t2\n" for i in range(40) for j in (i, i + 1, 70_000)]
    path.write_text("".join([*rows, *others]))
    return path


def test_answers_that_do_not_fit_are_left_out_or_refused_and_what_is_made_is_kept(long_list):
    folder = long_list.parent / "out"
    free = json.loads(run("run", long_list, "-o", folder, *QUICK).stdout)
    assert free["explain"]["artist"] == "artist 70000"
    assert len(free["stats"]["rows"]) == 30
    less = run("run", long_list, "-o", folder, *QUICK, "--memory", "90Mi")
    found = json.loads(less.stdout)
    assert "explain" not in found
    assert "why artist 70000 is recommended to first is left out: stage answer" in less.stderr
    assert found["recommend"] == free["recommend"]
    refused = run("run", long_list, "-o", folder, *QUICK, "--memory", "40Mi", code=4)
    assert "stage list of the user's rows" in refused.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["log.dataset", "log.model"]
