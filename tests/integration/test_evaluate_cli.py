"""`evaluate` and `tune` as processes: what they print, write, refuse, hold, and leave behind."""

from __future__ import annotations

import json
import math
import signal

import pytest
from command_line import finish, run, start, wait_until
from making import make_dataset, random_plays

SMALL = ("--factors", "8", "--iterations", "3")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    plays = random_plays(n_users=300, n_artists=150, per_user=12, seed=7)
    return make_dataset(tmp_path_factory.mktemp("evaluate") / "x.dataset", plays).path


def call(*arguments, code=0):
    """Run the command line, check its exit code, and return what it printed."""
    done = run(*arguments, code=code)
    return done.stdout if code == 0 else done.stderr


def evaluate_json(*arguments):
    return json.loads(call("evaluate", *arguments, "--json"))


def test_every_model_has_every_figure_within_the_memory_projected(dataset):
    found = evaluate_json(
        dataset, *SMALL, "--compare", "notebook", "--compare", "neighbours", "-k", 5, "-k", 10
    )
    assert [model["name"] for model in found["models"]] == ["custom", "popularity", "notebook", "neighbours"]
    names = ("ndcg", "recall", "recall_min", "precision", "map", "map_min", "coverage")
    for model in found["models"]:
        for name in (f"{name}@{k}" for name in names for k in (5, 10)):
            low, high = model["ci95"][name]
            assert 0 <= low <= model[name] <= high <= 1
    assert found["models"][0]["settings"]["factors"] == 8
    for stage in found["stages"]:
        assert stage["measured_bytes"] <= stage["projected_bytes"] <= found["allowed_bytes"], stage
    # Nothing is left beside the dataset.
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def test_one_thread_gives_the_figures_of_many(dataset):
    split = ("--split", "new-users", "--users", "40", "--seed", "5")
    one, many = (evaluate_json(dataset, *SMALL, *split, "--threads", n) for n in (1, 8))
    for found in (one, many):
        for key in ("allowed_bytes", "stages"):
            del found[key]
        for model in found["models"]:
            del model["fit_s"], model["rank_s"]
    assert one == many
    assert one["split"]["n_users"] == 40


def test_the_plan_is_said_before_work(dataset):
    said = call("evaluate", dataset, "--fraction", "0.0001", code=3)
    assert said.index("plan: stage fit projected") < said.index("nothing to train on or to hold out")


def test_the_table_names_the_split_and_the_models(dataset):
    shown = call("evaluate", dataset, *SMALL, "--split", "last", "--held-out", 2)
    assert "last" in shown
    assert "\x1b" not in shown
    assert all(word in shown for word in ("custom", "popularity", "ndcg@10", "recall_min@10", "coverage@10"))


def test_several_seeds_make_one_table(dataset):
    seeds = ("--seed", 1, "--seed", 2)
    found = evaluate_json(dataset, *SMALL, *seeds)
    assert found["seeds"] == [1, 2]
    assert [one["split"]["seed"] for one in found["evaluations"]] == [1, 2]
    shown = call("evaluate", dataset, *SMALL, *seeds)
    assert "seeds 1, 2" in shown
    assert "custom against popularity" in shown
    assert "give one --seed" in call("evaluate", dataset, *seeds, "--trec", "x", code=2)


def test_lists_for_trec_eval_are_whole_or_absent(dataset, tmp_path):
    call("evaluate", dataset, *SMALL, "--trec", tmp_path / "lists")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists"]
    names = sorted(path.name for path in (tmp_path / "lists").iterdir())
    assert names == ["custom.run", "popularity.run", "qrels.txt"]
    assert "exists already" in call("evaluate", dataset, *SMALL, "--trec", tmp_path / "lists", code=5)
    call("evaluate", dataset, "--fraction", "0.0001", "--trec", tmp_path / "none", code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["lists"]


def test_what_tune_writes_evaluate_and_train_take(dataset, tmp_path):
    output = tmp_path / "settings.json"
    few = ("--threads", 1, "--trials", 3, "--max-factors", 16, "--weighting", "log", "--seed", 9)
    tuned = json.loads(call("tune", dataset, "-o", output, *few, "--json"))
    assert len(tuned["trials"]) == 3
    assert tuned["output"] == str(output)
    assert tuned["settings"] == json.loads(output.read_text())["settings"]
    assert tuned["stages"]
    assert all(stage["measured_bytes"] <= stage["projected_bytes"] for stage in tuned["stages"])
    judged = evaluate_json(dataset, "--settings", output, "--seed", 9)
    assert judged["split"] == tuned["split"]
    assert judged["models"][0]["settings"] == tuned["settings"]
    for name, value in tuned["models"][0].items():
        if "@" in name:
            assert math.isclose(judged["models"][0][name], value)
    trained = json.loads(call("train", dataset, "-o", tmp_path / "x.model", "--settings", output, "--json"))
    # How many iterations are done is for each training to settle.
    assert tuned["settings"]["auto"] == ["iterations"]
    assert {**trained["settings"], "iterations": None} == {**tuned["settings"], "iterations": None}
    assert "exists already" in call("tune", dataset, "-o", output, *few, code=5)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--fraction", "2"), 3, "above 0 and below 1"),
        (("--factors", "0"), 3, "factors is 0"),
        (("-k", "0"), 3, "k is 0"),
        (("--memory", "2MiB"), 4, "allowed are 2"),
        (("--preset", "notebook", "--settings", "s.json"), 2, "both name settings"),
        (("--scratch", "nowhere"), 2, "make it first"),
    ],
)
def test_what_can_not_be_is_refused(dataset, arguments, code, word):
    assert word in call("evaluate", dataset, *arguments, code=code)


def test_a_dataset_that_is_none_is_refused(tmp_path):
    assert "is wanted" in call("evaluate", tmp_path / "none", code=5)


def test_terminated_it_leaves_nothing_behind(dataset):
    process = start("evaluate", dataset, "--iterations", 10_000)
    # Beside the dataset stand the parts and, within a second folder, the factors once the fit has begun.
    wait_until(lambda: any(dataset.parent.glob(".evaluate-*/files/train*")), process)
    process.send_signal(signal.SIGTERM)
    finish(process, 143)
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]
