"""Options that all commands share: from the environment, the log file, and errors as JSON."""

from __future__ import annotations

import json

import command_line
import pytest
from command_line import Done
from ingesting import lines


def run(*arguments: object, **environment: str) -> Done:
    variables = {f"LASTFM_DASK_{key}": value for key, value in environment.items()}
    return command_line.run(*arguments, code=None, env=variables)


def error_of(done: Done) -> dict:
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return json.loads(line)["error"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    path.write_bytes(b"".join(lines()))
    return path


def test_a_log_file_has_a_line_for_each_stage_warning_and_error(log, tmp_path):
    file, output = tmp_path / "run.log", tmp_path / "log.dataset"
    bad = tmp_path / "bad.tsv"
    bad.write_bytes(log.read_bytes() + b"bad\n" * 99)
    done = run("ingest", bad, "-o", output, "--log-file", file, LOG_FORMAT="json", MEMORY="1Gi", THREADS="1")
    assert done.returncode == 0, done.stderr
    assert "WARNING: 99 of 1,099 rows" in done.stderr
    assert run("ingest", bad, "-o", output, LOG_FILE=str(file), LOG_FORMAT="json").returncode == 5
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(event["command"]) for event in found} == {"ingest"}
    stages = [event for event in found if event["event"] == "stage"]
    assert [event["stage"] for event in stages] == ["scan", "index", "assemble", "summarize", "publish"]
    assert all(event["measured_bytes"] <= event["projected_bytes"] <= 1 << 30 for event in stages)
    assert [event["event"] for event in found if event["event"] != "stage"] == ["warning", "error"]
    assert found[-1]["kind"] == "store"
    assert found[-1]["exit_code"] == 5
    assert done.stdout.count("\n") > 9
    text = tmp_path / "run.txt"
    run("stats", tmp_path / "none", "--log-file", text)
    assert text.read_text().count("stats error: ") == 1


def test_shared_options_come_from_the_environment(log):
    plan = run("plan", log, "--json", MEMORY="300MiB", THREADS="1", BLOCK_SIZE="2M")
    found = json.loads(plan.stdout)
    assert (found["allowed_bytes"], found["threads"], found["block_bytes"]) == (300 << 20, 1, 2 << 20)
    assert run("plan", log, MEMORY="lots").returncode == 2
    for command in ("ingest", "train", "recommend", "plan"):
        assert "LASTFM_DASK_MEMORY" in run(command, "--help").stdout
        assert "LASTFM_DASK_LOG_FILE" in run(command, "--help").stdout


def test_errors_are_json_where_results_are(log, tmp_path):
    found = error_of(run("plan", log, "--memory", "40Mi", "--json"))
    assert found["kind"] == "budget"
    assert found["exit_code"] == 4
    assert found["allowed_bytes"] == 40 << 20 < found["smallest_bytes"]
    assert f"--memory {-(-found['smallest_bytes'] // (1 << 20)) + 1}Mi" in found["message"]
    bad = tmp_path / "bad.csv"
    bad.write_text("artist,user,plays\na,b,1\n")
    columns = ("--header", "--delimiter", ",", "--columns", "user,artist,plays")
    found = error_of(run("ingest", bad, "-o", tmp_path / "x", *columns, "--json"))
    assert (found["kind"], found["line"], found["path"]) == ("bad_input", 1, str(bad))
    assert error_of(run("stats", "--json"))["kind"] == "usage"
    assert error_of(run("stats", tmp_path, "--json"))["kind"] == "store"
    assert "was 512Mi meant" in error_of(run("plan", log, "--memory", "512", "--json"))["message"]
