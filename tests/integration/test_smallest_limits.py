"""The limits that `plan` names: each command runs in a control group of exactly that size."""

from __future__ import annotations

import shutil

import pytest
from cgroups import refusal, run_limited
from command_line import PROGRAM, run, succeed_json

from lastfm_dask.memory.budget import SPARE_BYTES

MIB = 1 << 20
COMMANDS = {
    "ingest": ["{log}", "-o", "{new}"],
    "train": ["{dataset}", "-o", "{new}", "--iterations", "1", "--model", "auto"],
    "evaluate": ["{dataset}", "--iterations", "1", "--model", "auto"],
    "tune": ["{dataset}", "-o", "{new}", "--trials", "2"],
    "recommend": ["{model}", "--user", "{user}"],
    "recommend --all-users": ["{model}", "-o", "{new}"],
    "similar": ["{model}", "{artist}"],
    "score": ["{model}", "--user", "{user}", "--artist", "{artist}"],
    "explain": ["{model}", "--user", "{user}", "--artist", "{artist}"],
}
QUICK = ("train", "recommend")

pytestmark = pytest.mark.skipif(bool(refusal()), reason=refusal() or "a cgroup can be made")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small log, its dataset and a model, and the name of a user and of an artist."""
    folder = tmp_path_factory.mktemp("limits")
    paths = {name: folder / name for name in ("log", "dataset", "model")}
    run("synth", paths["log"], "--users", 1000, "--artists", 2000, "--rows", 30_000)
    run("ingest", paths["log"], "-o", paths["dataset"])
    run("train", paths["dataset"], "-o", paths["model"], "--iterations", 1)
    user, _, artist, _ = paths["log"].read_text().split("\n")[0].split("\t")
    return {**paths, "user": user, "artist": artist}


@pytest.fixture(scope="module")
def limits(made):
    """The smallest limit of each command, of the log, the dataset and the model."""
    found = {}
    for kind in ("log", "dataset", "model"):
        commands = succeed_json("plan", made[kind])["commands"]
        assert [one["command"] for one in commands][:2] == {
            "log": ["ingest", "train"],
            "dataset": ["train", "evaluate"],
            "model": ["recommend", "recommend --all-users"],
        }[kind]
        found |= {one["command"]: one["smallest_bytes"] for one in commands}
    return found


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]
)
def test_each_command_runs_in_the_limit_that_the_plan_names(made, limits, name, tmp_path):
    given = [one.format(**made, new=tmp_path / "new") for one in COMMANDS[name]]
    command = [*PROGRAM, *name.split(), *given]
    outcome = run_limited(command, limits[name])
    assert (outcome.code, outcome.oom_kills) == (0, 0), outcome.stderr
    # And no more than that: a refusal outside a group names as much, but for what a group takes beside.
    new = tmp_path / "new"
    shutil.rmtree(new) if new.is_dir() else new.unlink(missing_ok=True)
    refused = run(*name.split(), *given, "--memory", "10MiB", code=4)
    own = int(refused.stderr.split("give it ")[1].split(" bytes")[0]) + SPARE_BYTES
    assert own - 2 * MIB <= limits[name] <= own + 8 * MIB


@pytest.mark.parametrize("name", ["similar", "score", "explain"])
def test_an_answer_that_does_not_fit_is_refused_before_names_are_read(made, name):
    given = [one.format(**made) for one in COMMANDS[name]]
    done = run(name, *given, "--memory", "20MiB", code=4)
    assert "stage answer of one answer needs" in done.stderr


def test_plan_lists_the_limits_as_a_table_for_people(made):
    lines = run("plan", made["model"]).stdout
    assert "explain" in lines
    assert "MiB" in lines
