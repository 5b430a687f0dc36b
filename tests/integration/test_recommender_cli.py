"""The recommender's commands as processes: results, exit codes, plans and files."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cgroups import run_limited
from click.testing import CliRunner
from command_line import PROGRAM, run
from making import make_dataset
from models import N_ARTISTS, N_USERS, named_dataset
from scipy.sparse import csr_matrix

from lastfm_dask.cli import cli
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.recommender.all_users import AllUsers, BatchSettings
from lastfm_dask.recommender.all_users_files import write_all_users
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.recommender.plan import plan_all_users
from lastfm_dask.training.settings import preset
from lastfm_dask.training.strength import settle

SMALL = ("--factors", "8", "--regularization", "2", "--iterations", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    named_dataset(folder / "lastfm.dataset")
    trained = run("train", folder / "lastfm.dataset", "-o", folder / "lastfm.model", *SMALL, "--json")
    (folder / "trained.json").write_text(trained.stdout)
    (folder / "plan.txt").write_text(trained.stderr)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return folder / "lastfm.model"


def test_train_shows_its_plan_and_what_it_took(folder, model):
    found = json.loads((folder / "trained.json").read_text())
    assert found["model"] == str(model)
    assert (found["users"], found["artists"]) == (N_USERS, N_ARTISTS)
    asked = preset("recommended").changed(factors=8, regularization=2.0, iterations=5)
    plays = Dataset(folder / "lastfm.dataset").user_items
    assert found["settings"] == settle(plays, asked).to_dict()
    assert found["settings"]["auto"] == ["alpha"]
    assert found["iterations"] == {"done": 5, "at_most": 5, "settled": None}
    assert 1 <= found["effective_rank"] <= 8
    assert len(found["iteration_s"]) == 5
    assert [stage["stage"] for stage in found["stages"]] == ["prepare", "fit"]
    for stage in found["stages"]:
        assert stage["measured_bytes"] <= stage["projected_bytes"] <= found["allowed_bytes"]
    plan = (folder / "plan.txt").read_text().splitlines()
    assert [line.split(",")[0].split(" projected ")[0] for line in plan] == [
        "plan: stage prepare",
        "plan: stage fit",
        "plan: disk",
    ]


def test_presets_and_files_of_settings(folder, tmp_path):
    run("train", folder / "lastfm.dataset", "-o", tmp_path / "n", "--preset", "notebook", "--iterations", "1")
    content = verify_directory(tmp_path / "n", layout.MODEL).content
    assert content["settings"]["weighting"] == "raw"
    assert content["settings"]["factors"] == 100
    settings = preset("notebook").changed(factors=4, iterations=1, seed=3)
    settings.to_file(tmp_path / "s.json")
    done = run("train", folder / "lastfm.dataset", "-o", tmp_path / "s", "--settings", tmp_path / "s.json")
    assert "Next: lastfm-dask recommend" in done.stdout
    assert Recommender(tmp_path / "s").settings == settings


def test_a_seed_gives_the_same_model_whatever_the_threads(folder, tmp_path):
    for name, threads in (("a", 1), ("b", 2)):
        run(
            "train",
            folder / "lastfm.dataset",
            "-o",
            tmp_path / name,
            *SMALL,
            "--seed",
            5,
            "--threads",
            threads,
        )
    a, b = (verify_directory(tmp_path / name, layout.MODEL).fingerprint for name in "ab")
    assert a == b


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--factors", "0"), 3, "factors is 0"),
        (("--preset", "best"), 2, "'recommended', 'notebook'"),
        (("--memory", "1MiB"), 4, "allowed are 1.0 MiB"),
        (("--settings", "/none.json"), 3, "can't be read"),
        (("--preset", "notebook", "--settings", "x"), 2, "both name settings"),
    ],
)
def test_what_train_refuses_leaves_nothing(folder, tmp_path, arguments, code, says):
    done = run("train", folder / "lastfm.dataset", "-o", tmp_path / "m", *arguments, code=code)
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_refused(folder, model):
    assert "exists already" in run("train", folder / "lastfm.dataset", "-o", model, code=5).stderr


def test_recommend_score_and_explain_agree(model):
    for who in (
        ("--user", "user00003"),
        ("--like", "Sigur Rós=30", "--like", "1+1=2", "--like", "artist 11=4"),
    ):
        listed = json.loads(run("recommend", model, *who, "-n", 4, "--json").stdout)
        assert list(listed)[1:] == ["items", "unknown", "fallback"]
        names = [item["artist"] for item in listed["items"]]
        scored = json.loads(
            run("score", model, *who, *(f"--artist={name}" for name in names), "--json").stdout
        )
        assert [score["score"] for score in scored["scores"]] == [item["score"] for item in listed["items"]]
        explained = json.loads(run("explain", model, *who, "--artist", names[0], "--json").stdout)
        total = sum(one["contribution"] for one in explained["contributions"]) + explained["remainder"]
        assert explained["score"] == listed["items"][0]["score"] == pytest.approx(total, abs=1e-9)
        vectors = json.loads(run("score", model, *who, "--artist", names[0], "--vectors", "--json").stdout)[
            "vectors"
        ]
        assert np.dot(vectors["user"], vectors["artists"][names[0]]) == pytest.approx(explained["score"])


def test_likes_from_a_file_and_names_that_hold_an_equals_sign(model, tmp_path):
    (tmp_path / "likes.txt").write_text("\ufeffa=b\nBJÖRK\t12\n\nnobody at all\t3\n", encoding="utf-8")
    found = json.loads(run("recommend", model, "--like-file", tmp_path / "likes.txt", "--json").stdout)
    assert found["like"] == [{"artist": "a=b", "plays": 30}, {"artist": "björk", "plays": 12}]
    assert [name["name"] for name in found["unknown"]] == ["nobody at all"]
    assert {"a=b", "björk"}.isdisjoint(item["artist"] for item in found["items"])
    missing = run("recommend", model, "--like-file", tmp_path / "none", code=3)
    assert "No such file" in missing.stderr


def test_unknown_names(model):
    found = json.loads(run("recommend", model, "--like", "sigur ros", "-n", 2, "--json").stdout)
    assert found["unknown"][0]["name"] == "sigur ros"
    assert found["unknown"][0]["near"][0] == "sigur rós"
    assert found["fallback"] == "popularity"
    shown = run("recommend", model, "--like", "sigur ros", "--like", "radiohead")
    assert "did you mean 'sigur rós'" in shown.stderr
    assert "radiohead (30)" in shown.stdout
    for arguments in (
        ("recommend", model, "--user", "nobody"),
        ("similar", model, "bjork"),
        ("score", model, "--user", "user00001", "--artist", "bjork"),
        ("explain", model, "--like", "xyz", "--artist", "björk"),
    ):
        assert "no " in run(*arguments, code=6).stderr
    raw = run("recommend", model, "--json", "--like", b"\xff\xfe")
    assert json.loads(raw.stdout)["fallback"] == "popularity"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--user", "user00001", "--like", "nan"),
        ("--all-users", "--user", "user00001"),
        ("--all-users", "--json-lines", "--parquet", "x.parquet"),
        ("--user", "user00001", "--json-lines"),
        ("--user", "user00001", "-n", "0"),
    ],
)
def test_wrong_usage_of_recommend(model, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["recommend", str(model), *arguments]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_tables_for_people(model):
    shown = run("recommend", model, "--user", "user00002", "-n", 3).stdout
    assert shown.startswith("Recommended for user00002\n")
    assert "listeners" in shown
    assert "similarity" in run("similar", model, "RADIOHEAD", "-n", 2).stdout
    explained = run("explain", model, "--user", "user00002", "--artist", "nan", "-n", 2).stdout
    assert "remainder" in explained
    assert "others" in explained
    assert "user: " in run("score", model, "--user", "user00002", "--artist", "nan", "--vectors").stdout


def test_similar(model):
    found = json.loads(run("similar", model, "radiohead", "-n", 3, "--json").stdout)
    assert found["artist"] == "radiohead"
    assert [list(item) for item in found["items"]] == [["artist", "similarity", "listeners"]] * 3


def test_all_users_in_lines_and_in_parquet(model, tmp_path):
    filters = ("-n", 5, "--max-listeners", 25, "--exclude", "nan")
    lines = run("recommend", model, "--all-users", "--json-lines", *filters)
    users = [json.loads(line) for line in lines.stdout.splitlines()]
    recommender = Recommender(model)
    assert [user["user"] for user in users] == recommender.users.names(range(N_USERS))
    for user in users:
        alone = recommender.recommend(user["user"], n=5, max_listeners=25, exclude=["nan"])
        assert user["items"] == [{"artist": item.artist, "score": item.score} for item in alone.items]
    assert "users a second" in lines.stderr

    path = tmp_path / "all.parquet"
    done = run("recommend", model, "--all-users", "--parquet", path, *filters, "--json", "--threads", 1)
    receipt = json.loads(done.stdout)
    (stage,) = receipt["stages"]
    assert stage["measured_bytes"] <= stage["projected_bytes"] <= receipt["allowed_bytes"]
    table = pq.read_table(path).to_pylist()
    wanted = [
        {"user": user["user"], "rank": rank, **item}
        for user in users
        for rank, item in enumerate(user["items"], 1)
    ]
    assert table == wanted
    assert receipt["items"] == len(wanted)
    assert "exists already" in run("recommend", model, "--all-users", "--parquet", path, code=5).stderr

    run("recommend", model, "--all-users", "-o", tmp_path / "all.jsonl", *filters)
    assert (tmp_path / "all.jsonl").read_text(encoding="utf-8") == lines.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "all.parquet"]


def test_the_files_bytes_depend_on_neither_batches_nor_threads(model, tmp_path, monkeypatch):
    monkeypatch.setattr("lastfm_dask.recommender.all_users_files.GROUP_ROWS", 64)
    found = set()
    for batch_users, threads in ((40, 1), (7, 2), (16, 1)):
        opened = Recommender(model)
        all_users = AllUsers(opened, opened.list_settings(3))
        plan = replace(plan_all_users(all_users), settings=BatchSettings(batch_users, threads))
        path = tmp_path / f"{batch_users}.parquet"
        result = write_all_users(all_users, plan, parquet=path)
        assert (result.n_users, result.n_items) == (N_USERS, 3 * N_USERS)
        assert pq.ParquetFile(path).metadata.num_row_groups == 2
        found.add(path.read_bytes())
    assert len(found) == 1


def test_too_little_memory_for_all_users_is_refused(model, tmp_path):
    path = tmp_path / "x.parquet"
    done = run("recommend", model, "--all-users", "--parquet", path, "--memory", "1MiB", code=4)
    assert "needs" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error(model):
    with subprocess.Popen(
        [*PROGRAM, "recommend", str(model), "--all-users"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait(60) == 0
        assert b"Traceback" not in process.stderr.read()


def test_export(model, tmp_path):
    found = json.loads(
        run("export", model, "--npz", tmp_path / "m.npz", "--parquet", tmp_path / "p", "--json").stdout
    )
    for entry in found["written"]:
        assert Path(entry["path"]).stat().st_size == entry["bytes"]
    assert len(found["written"]) == 3
    run("export", model, code=2)
    run("export", model, "--npz", tmp_path / "m.npz", code=5)


@pytest.mark.slow
def test_training_and_answers_hold_what_was_projected_in_a_real_cgroup(tmp_path):
    """A small pod: pages of files count against its limit too, but are given back."""
    n_users, n_artists, per_user = 20_000, 10_000, 40
    rng = np.random.default_rng(0)
    columns = np.minimum(rng.zipf(1.3, n_users * per_user) - 1, n_artists - 1)
    rows = np.repeat(np.arange(n_users), per_user)
    plays = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(n_users, n_artists))
    make_dataset(tmp_path / "d", plays)
    limit = 128 << 20
    arguments = (
        "train",
        tmp_path / "d",
        "-o",
        tmp_path / "m",
        "--factors",
        "128",
        "--iterations",
        "2",
        "--json",
    )
    done = run_limited([*PROGRAM, *map(str, arguments)], limit)
    assert done.code == 0, done.stderr
    assert done.oom_kills == 0
    found = json.loads(done.stdout)
    arguments = ("recommend", tmp_path / "m", "--all-users", "--parquet", tmp_path / "all.parquet", "--json")
    done = run_limited([*PROGRAM, *map(str, arguments)], limit)
    assert done.code == 0, done.stderr
    assert done.oom_kills == 0
    receipt = json.loads(done.stdout)
    for stages, allowed_bytes in (
        (found["stages"], found["allowed_bytes"]),
        (receipt["stages"], receipt["allowed_bytes"]),
    ):
        for stage in stages:
            assert stage["measured_bytes"] <= stage["projected_bytes"] <= allowed_bytes <= limit
            if stage["measured_bytes"] > 64 << 20:
                assert stage["projected_bytes"] <= 1.6 * stage["measured_bytes"]


def test_candidates_from_files(model, tmp_path):
    file = tmp_path / "catalogue.txt"
    file.write_text("radiohead\r\nbjörk\nno such artist\nthe beatles\n", encoding="utf-8")
    found = run("recommend", model, "--like", "sigur rós", "--only", file, "--json")
    assert {item["artist"] for item in json.loads(found.stdout)["items"]} == {
        "radiohead",
        "björk",
        "the beatles",
    }
    assert "1 of 4 artists are not known" in found.stderr
    without = run(
        "recommend", model, "--like", "sigur rós", "--exclude", file, "--exclude", "nan", "-n", 60, "--json"
    )
    listed = {item["artist"] for item in json.loads(without.stdout)["items"]}
    assert listed
    assert not listed & {"radiohead", "björk", "the beatles", "nan"}
    novel = run(
        "recommend", model, "--like", "radiohead", "--novelty", 0.5, "--diverse", 0.2, "--json"
    ).stdout
    assert {"diverse", "novelty"} <= json.loads(novel).keys()
    assert "bits" in run("recommend", model, "--like", "radiohead", "--novelty", 0.5).stdout
    file.write_text("nobody\n", encoding="utf-8")
    assert "names no artist" in run("recommend", model, "--like", "radiohead", "--only", file, code=3).stderr


def test_plan_lists_the_smallest_limit_of_each_command(folder, model):
    answers = ["recommend", "recommend --all-users", "similar", "score", "explain", "serve"]
    for path, names in ((folder / "lastfm.dataset", ["train", "evaluate", "tune"]), (model, answers)):
        found = json.loads(run("plan", path, "--json").stdout)
        assert [command["command"] for command in found["commands"]] == names
        for command in found["commands"]:
            assert command["stages"]
            assert command["smallest_bytes"] >= max(command["stages"].values())


def test_one_answer_that_does_not_fit_is_refused(model):
    done = run("recommend", model, "--like", "artist 1", "--memory", "20MiB", code=4)
    assert "stage answer of one answer needs" in done.stderr


def test_a_limit_of_the_address_space_counts_and_the_one_that_is_named_works(folder, tmp_path):
    arguments = [*PROGRAM, "train", str(folder / "lastfm.dataset"), "-o", str(tmp_path / "m")]

    def limited(kib: int) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", f'ulimit -v {kib}; exec "$@"', "-", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    done = limited(400_000)
    assert done.returncode in (0, 4), done.stderr
    if done.returncode == 4:
        named = re.search(r"\(ulimit -v (\d+), or unlimited\)", done.stderr)
        assert named, done.stderr
        done = limited(int(named.group(1)))
    assert done.returncode == 0, done.stderr
