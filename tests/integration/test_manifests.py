"""cluster/ without an engine for containers: strict schemas, security, versions, and limits that hold the plan."""

from __future__ import annotations

import copy
import functools
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from clusters import ROOT
from manifests import CLUSTER, compose, documents, operator_schema, pods, with_kind

from lastfm_dask.engine.preflight import PAUSE_SHARE, Facts, projected_bytes
from lastfm_dask.ingestion.plan import IngestSettings, task_bytes
from lastfm_dask.ingestion.scan import BLOCK_BYTES
from lastfm_dask.ingestion.source_shape import SourceShape
from lastfm_dask.memory import allocator
from lastfm_dask.memory.sizes import parse_size
from lastfm_dask.serve.guard import ALWAYS_ANSWERED
from lastfm_dask.serve.run import FINISH_S

DOCUMENTS = dict(documents())
PODS = {f"{name} {role}": pod for name, document in DOCUMENTS.items() for role, pod in pods(document).items()}
CLUSTER_KINDS = ("DaskCluster", "DaskJob")
SERVICES = {
    f"{names[-1]} {service}": keys
    for names in (("compose.yaml",), ("compose.yaml", "compose.tls.yaml"))
    for service, keys in compose(*names).items()
}
FULL_SIZE = SourceShape(source_bytes=1_706_000_000, n_rows=17_560_000, n_users=359_349, n_artists=292_378)
"""The published log: what workers' limits are for."""


def validate(document):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="the extra cluster-test is not installed"
    )
    for version in ("1.31", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", [name for name, it in DOCUMENTS.items() if it["kind"] not in CLUSTER_KINDS])
def test_plain_objects_hold_to_the_strict_schema(name):
    validate(DOCUMENTS[name])


@pytest.mark.parametrize("name", PODS)
def test_pods_hold_to_the_strict_schema_of_pods(name):
    """An operator's schema may lag behind; what it makes of it is a pod."""
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": PODS[name]})


@pytest.mark.parametrize("name", [name for name, it in DOCUMENTS.items() if it["kind"] in CLUSTER_KINDS])
def test_the_operators_objects_hold_to_its_schema_and_no_key_is_unknown_to_it(name):
    jsonschema = pytest.importorskip("jsonschema", reason="the extra cluster-test is not installed")
    pytest.importorskip("dask_kubernetes", reason="the extra cluster-test is not installed")
    document = DOCUMENTS[name]
    # Not `jsonschema.validate`, which would check the large schema itself first, each time.
    validator = jsonschema.Draft202012Validator(with_kind(operator_schema(document["kind"])))
    validator.validate(document)
    # The check itself: a mistyped key, however deep, is found.
    for pod in pods(copied := copy.deepcopy(document)).values():
        pod["containers"][0]["resources"]["limit"] = {"memory": "1Gi"}
    with pytest.raises(jsonschema.ValidationError, match="'limit' was unexpected"):
        validator.validate(copied)
    with pytest.raises(jsonschema.ValidationError, match="'workers' was unexpected"):
        validator.validate({**document, "spec": {**document["spec"], "workers": 3}})


@pytest.mark.parametrize("name", PODS)
def test_pods_run_without_privilege(name):
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    # Names of services in the environment would be taken for Dask's configuration.
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    mounts = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} == mounts
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("name", SERVICES)
def test_services_run_without_privilege_and_publish_no_port_but_the_pages_on_loopback(name):
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"
    assert service.get("ports", []) == (["127.0.0.1:8000:8000"] if name.endswith(" serve") else [])
    assert (service["networks"] == ["cluster"]) == (not name.endswith(" serve"))
    assert service["mem_limit"]
    assert yaml.safe_load((CLUSTER / "compose.yaml").read_text())["networks"]["cluster"] == {"internal": True}


def test_the_page_answers_its_probes_and_its_service():
    pod, service = PODS["serve.yaml:lastfm-serve serve"], compose("compose.yaml")["serve"]
    (container,) = pod["containers"]
    options = container["args"]
    port = container["ports"][0]
    assert options[options.index("--allow-host") + 1] == "lastfm-page"
    assert options[options.index("--port") + 1] == str(port["containerPort"]) == "8000"
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert {probe["path"] for probe in probes} <= ALWAYS_ANSWERED
    selector = DOCUMENTS["serve.yaml:lastfm-page"]["spec"]["selector"]
    labels = DOCUMENTS["serve.yaml:lastfm-serve"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert service["mem_limit"] == "256m"
    grace = pod["terminationGracePeriodSeconds"]
    assert grace > FINISH_S
    assert service["stop_grace_period"] == f"{grace}s"


def command_lines():
    for name, pod in PODS.items():
        for container in pod["containers"]:
            yield name, [*container.get("command", []), *container["args"]]
    for name, service in SERVICES.items():
        yield name, service["command"]


@pytest.mark.parametrize(("name", "command"), list(command_lines()))
def test_dashboards_are_bound_to_loopback_and_encryption_is_asked_for(name, command):
    if command[0] != "dask":
        return
    if "--no-dashboard" not in command:
        assert command[command.index("--dashboard-address") + 1].startswith("127.0.0.1:")
    if not name.startswith("compose.yaml"):
        assert command[command.index("--protocol") + 1] == "tls"


def test_each_role_sees_its_own_key_alone():
    for name, pod in PODS.items():
        if name.startswith(("single-pod", "serve")):
            continue
        role = name.split()[-1].replace("driver", "client")
        (config,) = (volume for volume in pod["volumes"] if volume["name"] == "dask-config")
        (secret,) = (source["secret"] for source in config["projected"]["sources"] if "secret" in source)
        assert {item["key"] for item in secret["items"]} == {"ca.pem", f"{role}.pem", f"{role}.key"}
    for service, keys in compose("compose.tls.yaml").items():
        role = service.replace("driver", "client")
        mounted = {volume.split(":")[0].rsplit("/", 1)[-1] for volume in keys["volumes"]}
        assert mounted == {"dask.yaml", "ca.pem", f"{role}.pem", f"{role}.key"}


def test_the_network_policies_name_the_ports_that_the_pods_listen_on():
    policies = {name: it for name, it in DOCUMENTS.items() if it["kind"] == "NetworkPolicy"}
    assert policies
    ports = {
        port["port"]
        for document in yaml.safe_load_all((CLUSTER / "kubernetes/network-policy.yaml").read_text())
        for rule in document["spec"]["ingress"]
        for port in rule["ports"]
    }
    listened = {
        port["containerPort"]
        for pod in PODS.values()
        for it in pod["containers"]
        for port in it.get("ports", [])
    }
    assert ports == listened
    worker = PODS["dask-cluster.yaml:lastfm worker"]["containers"][0]
    assert worker["args"][worker["args"].index("--worker-port") + 1] == str(
        worker["ports"][0]["containerPort"]
    )


def test_all_run_the_image_of_this_version_with_what_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = f"lastfm-dask:{project['version']}"
    assert {it["image"] for pod in PODS.values() for it in pod["containers"]} == {image}
    assert {keys["image"] for keys in SERVICES.values()} == {image}
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    assert f"-t {image} " in dockerfile
    assert "--require-hashes" in dockerfile
    assert "libgomp1" in dockerfile
    assert re.search(r"^USER 10001", dockerfile, re.MULTILINE)

    def pins(path):
        return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", path.read_text(), re.MULTILINE))

    ours, all_pins = pins(CLUSTER / "requirements.lock"), pins(ROOT / ".ci/requirements.lock")
    # It builds the package in the image; what comes along with it is not the project's.
    assert "hatchling" in ours
    assert {name: ours[name] for name in ours if name in all_pins} == {
        name: all_pins[name] for name in ours if name in all_pins
    }
    extras = {"s3fs", "aiohttp", "starlette", "uvicorn", "jinja2"}
    needed = {re.match(r"[a-z0-9_-]+", name).group() for name in project["dependencies"]} | extras
    assert needed <= set(ours)
    text = (CLUSTER / "requirements.lock").read_text()
    assert all("--hash=sha256:" in text.split(f"\n{name}==", 1)[1].split("\n\n")[0][:400] for name in needed)


def test_the_image_allocates_as_the_driver_does():
    env = dict(re.findall(r"(\w+)=(\S+)", (CLUSTER / "Dockerfile").read_text()))
    assert int(env["MALLOC_MMAP_THRESHOLD_"]) == allocator._MMAP_BYTES
    assert int(env["MALLOC_TRIM_THRESHOLD_"]) == allocator._TRIM_BYTES
    assert int(env["MALLOC_ARENA_MAX"]) == allocator._ARENAS
    assert env["ARROW_DEFAULT_MEMORY_POOL"] == "system"


@functools.cache
def a_workers_memory():
    """Measure a process that has loaded what a worker has before its first task."""
    code = (
        "import distributed.cli.dask_worker\n"
        "import lastfm_dask.engine.worker\n"
        "from lastfm_dask.engine.preflight import facts_here\n"
        "print(facts_here(None).held_bytes)\n"
    )
    return int(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )


def test_the_workers_limits_hold_what_the_plan_projects():
    task = task_bytes(FULL_SIZE, IngestSettings(1, BLOCK_BYTES))
    seen = 0
    for name, command in command_lines():
        if command[:2] != ["dask", "worker"]:
            continue
        seen += 1
        limit = parse_size(command[command.index("--memory-limit") + 1])
        threads = int(command[command.index("--nthreads") + 1])
        facts = Facts({}, held_bytes=a_workers_memory(), n_threads=threads)
        assert projected_bytes(facts, task) <= limit * PAUSE_SHARE
        if name in PODS:
            container = PODS[name]["containers"][0]["resources"]["limits"]["memory"].replace("Mi", "MiB")
        else:
            container = SERVICES[name]["mem_limit"].replace("m", "MiB")
        assert parse_size(container) >= limit
    assert seen == 4
