"""The very command lines of cluster/, taken out of the YAML and run as processes here: they make the dataset.

What a container would give them is given another way, and nothing else is changed: mounted folders and the certificates
become folders here, names of hosts 127.0.0.1, fixed ports free ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from clusters import QUICK, ROOT, until
from command_line import run
from jobs import fingerprint
from manifests import CLUSTER, compose, document, pods
from servers import answers, free_port

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "usersha1-artmbid-artname-plays.tsv"
    run("synth", path, "--users", 1000, "--json")
    return path


@pytest.fixture(scope="module")
def embedded(log, tmp_path_factory):
    output = tmp_path_factory.mktemp("embedded") / "lastfm.dataset"
    run("ingest", log, "-o", output)
    return fingerprint(output)


class Place:
    """Where the containers' world lies on this machine."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.paths = {
            "/logs/": f"{log.parent}/",
            "/output/": f"{folder}/output/",
            "/etc/dask": f"{folder}/dask",
        }
        for name in ("output", "tmp", "dask"):
            (folder / name).mkdir()

    def put(self, text: str) -> str:
        for there, here in self.paths.items():
            text = text.replace(there, here)
        text = re.sub(r"(?<=//)(lastfm-)?scheduler:8786", f"127.0.0.1:{self.port}", text)
        return "127.0.0.1:0" if text == "127.0.0.1:8787" else text

    def command(self, words: list[str], env: dict[str, str]) -> list[str]:
        words = [self.put(word) for word in words]
        # Kubernetes puts variables into arguments.
        words = [re.sub(r"\$\((\w+)\)", lambda match: env[match.group(1)], word) for word in words]
        if "--port" in words:
            words[words.index("--port") + 1] = str(self.port)
        if "--worker-port" in words:
            words[words.index("--worker-port") + 1] = "0"
        if "--local-directory" in words:
            words[words.index("--local-directory") + 1] = str(self.folder / "tmp")
        if words[0] == "dask":
            # A pod has an address of its own; here all stays on loopback.
            words += ["--host", "127.0.0.1"]
        return words

    def start(self, words: list[str], env: dict[str, str], log: str) -> subprocess.Popen[bytes]:
        env = {**QUICK, "DASK_WORKER_NAME": log, "DASK_CONFIG": str(self.folder / "dask"), **env}
        variables = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
        with (self.folder / log).open("wb") as out:
            return subprocess.Popen(
                self.command(words, env),
                env={**variables, **env, "PATH": f"{BIN}:{os.environ['PATH']}"},
                cwd=self.folder / "tmp",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def said(self, log: str) -> str:
        return (self.folder / log).read_text(errors="replace")


@contextmanager
def running(place, commands):
    """Run scheduler and workers; gives the driver, started when they are there."""
    started = []
    try:
        for role, words, env in commands:
            process = place.start(
                words, {name: place.put(value) for name, value in env.items()}, f"{role}.log"
            )
            started.append(process)
            if role == "scheduler":
                until(lambda: answers(place.port), "the scheduler", process)
        yield started[-1]
    finally:
        for process in started:
            process.kill()
            process.wait()


def make_certificates(place, config: str | None = None):
    folder = place.folder / "dask"
    recipe = [CLUSTER / "tls" / "make-certificates.sh", folder if config is None else folder / "tls"]
    subprocess.run([*recipe, str(folder)] if config is None else recipe, check=True, capture_output=True)
    if config is not None:
        (folder / "tls" / "dask.yaml").unlink()
        (folder / "dask.yaml").write_text(place.put(config))


def finish(place, driver, embedded):
    assert driver.wait(timeout=120) == 0, place.said("driver.log")
    assert fingerprint(place.folder / "output" / "lastfm.dataset") == embedded


def env_of(container):
    return {variable["name"]: variable["value"] for variable in container.get("env", ())}


@pytest.mark.parametrize(
    "names",
    [
        ("dask-job.yaml:lastfm",),
        pytest.param(("dask-cluster.yaml:lastfm", "driver-job.yaml:lastfm-ingest"), marks=pytest.mark.slow),
    ],
)
def test_the_pods_of_the_operator_make_the_dataset_over_tls(names, log, embedded, tmp_path):
    place = Place(tmp_path, log)
    make_certificates(place, document("tls-config.yaml:lastfm-dask-config")["data"]["dask.yaml"])
    containers = {role: pod["containers"][0] for name in names for role, pod in pods(document(name)).items()}
    replicas = [
        ("scheduler", "scheduler"),
        ("worker", "worker-0"),
        ("worker", "worker-1"),
        ("driver", "driver"),
    ]
    commands = [(name, containers[role]["args"], env_of(containers[role])) for role, name in replicas]
    with running(place, commands) as driver:
        finish(place, driver, embedded)


@pytest.mark.slow
@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "compose.tls.yaml")])
def test_the_services_of_compose_make_the_dataset(files, log, embedded, tmp_path):
    place = Place(tmp_path, log)
    if len(files) > 1:
        make_certificates(place)
    services = compose(*files)
    replicas = [
        ("scheduler", "scheduler"),
        ("worker", "worker-0"),
        ("worker", "worker-1"),
        ("driver", "driver"),
    ]
    commands = [
        (name, services[role]["command"], services[role].get("environment", {})) for role, name in replicas
    ]
    with running(place, commands) as driver:
        finish(place, driver, embedded)


@pytest.mark.slow
def test_the_single_pod_goes_on_from_what_is_on_its_volume(log, embedded, tmp_path):
    place = Place(tmp_path, log)
    container = pods(document("single-pod.yaml:lastfm-run"))["driver"]["containers"][0]
    words = [*container["command"], *container["args"]]
    with running(place, [("driver", words, {})]) as driver:
        finish(place, driver, embedded)
    model = tmp_path / "output" / "lastfm.model" / "manifest.json"
    before = model.read_bytes()
    shutil.rmtree(model.parent)
    with running(place, [("driver", words, {})]) as driver:
        finish(place, driver, embedded)
    assert model.exists()
    assert len(before) > 0


def test_the_commands_of_the_readme_name_files_that_are_here():
    text = (CLUSTER / "README.md").read_text()
    for name in re.findall(r"(?:cluster|kubernetes|tls)/[\w./-]+", text):
        path = name.rstrip("/.")
        assert (ROOT / path).exists() or (CLUSTER / path).exists(), name
    for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert list(yaml.safe_load_all(block))
