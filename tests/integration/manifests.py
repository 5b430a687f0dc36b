"""What cluster/ holds, read from its files: pods, images, command lines; and a strict check against the operator's CRDs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from clusters import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER = ROOT / "cluster"
KUBERNETES = CLUSTER / "kubernetes"


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each Kubernetes object, with its file and name to tell it by."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield f"{path.name}:{document['metadata']['name']}", document


def document(name: str) -> dict[str, Any]:
    return dict(documents())[name]


def pods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the pod specs that an object makes, by role."""
    spec = document.get("spec", {})
    if document["kind"] == "Job":
        return {"driver": spec["template"]["spec"]}
    if document["kind"] == "Deployment":
        return {"serve": spec["template"]["spec"]}
    if document["kind"] == "DaskJob":
        return {
            "driver": spec["job"]["spec"],
            **pods({"kind": "DaskCluster", "spec": spec["cluster"]["spec"]}),
        }
    if document["kind"] == "DaskCluster":
        return {role: spec[role]["spec"] for role in ("scheduler", "worker")}
    return {}


def compose(*names: str) -> dict[str, Any]:
    """Return the services of a compose file, with those of later files laid over them."""
    services: dict[str, Any] = {}
    for name in names:
        for service, keys in yaml.safe_load((CLUSTER / name).read_text())["services"].items():
            services[service] = {**services.get(service, {}), **keys}
    return services


def operator_schema(kind: str) -> dict[str, Any]:
    """Return the schema of one of the operator's kinds, from its wheel."""
    spec = find_spec("dask_kubernetes")
    assert spec is not None
    assert spec.origin is not None
    crds = Path(spec.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    # 400 KB of YAML: the C loader takes a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    definition = yaml.load((crds / f"{kind.lower()}.yaml").read_text(), loader)
    return strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI v3 schema as a JSON schema that refuses keys that it does not name.

    The API server drops such keys without a word, so a mistyped limit would be no limit.
    """
    schema = dict(schema)
    if schema.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if "properties" in schema:
        schema["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            schema[name] = strict(schema[name])
    if schema.pop("nullable", False) and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema


def with_kind(schema: dict[str, Any]) -> dict[str, Any]:
    """Add what every object has beside what its CRD names."""
    named = {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"type": "string"}}
    metadata = {"type": "object", "required": ["name"]}
    return {**schema, "properties": {**schema["properties"], **named, "metadata": metadata}}
