"""The API against its own description: whatever is asked, answers have the described status, shape and bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import NAMES, client, served_model

from lastfm_dask.serve.openapi import document

COMPONENTS = document()["components"]["schemas"]
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "boolean": bool,
}
ROUTES = [(path, method) for path, methods in document()["paths"].items() for method in methods]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
texts = st.sampled_from(NAMES) | st.text(max_size=12)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with client(served_model(tmp_path_factory.mktemp("fuzzed"))) as found:
        yield found


def values(schema: dict):
    """Return a strategy of values that a schema of the document allows."""
    if "oneOf" in schema:
        return st.one_of([values(one) for one in schema["oneOf"]])
    kind = schema.get("type")
    if kind == "integer":
        return st.integers(schema.get("minimum", -5), min(schema.get("maximum", 5), 10**12))
    if kind == "number":
        return st.floats(schema["minimum"], schema["maximum"])
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=4)
    if kind == "object" and "properties" in schema:
        required = schema.get("required", [])
        properties = {key: values(value) for key, value in schema["properties"].items()}
        optional = {key: value for key, value in properties.items() if key not in required}
        return st.fixed_dictionaries({key: properties[key] for key in required}, optional=optional)
    if kind == "object":
        names = texts.filter(lambda text: bool(text.strip()))
        return st.dictionaries(names, values(schema["additionalProperties"]), min_size=1, max_size=4)
    return texts.filter(lambda text: bool(text.strip())) if "pattern" in schema else texts


def check(value, schema: dict) -> None:
    """Assert that a value is what a schema describes."""
    if "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        assert "null" in kinds
        return
    kind = next(kind for kind in kinds if kind != "null")
    assert isinstance(value, TYPES[kind])
    assert not isinstance(value, bool) or kind == "boolean"
    if kind == "array":
        for item in value:
            check(item, schema["items"])
    if kind == "object":
        assert set(schema.get("required", ())) <= set(value)
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if inner is not None:
                check(item, inner)


def check_answer(answer, operation: dict, *, must_succeed: bool = False) -> None:
    status = str(answer.status_code)
    key = status if status in operation["responses"] else f"{status[0]}XX"
    assert key in operation["responses"], answer.text
    assert key == "200" or not must_succeed or answer.json()["code"] == "unknown_name", answer.text
    check(answer.json(), operation["responses"][key]["content"]["application/json"]["schema"])


fuzz = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize(("path", "method"), ROUTES)
@fuzz
@given(data=st.data())
def test_what_the_document_allows_is_answered_as_it_says(api, path, method, data):
    operation = document()["paths"][path][method]
    if method == "post":
        schema = operation["requestBody"]["content"].get("application/json", {}).get("schema")
        body = data.draw(st.binary(max_size=200)) if schema is None else json.dumps(data.draw(values(schema)))
        check_answer(api.post(path, content=body), operation, must_succeed=schema is not None)
        return
    pairs = []
    for parameter in operation.get("parameters", ()):
        if parameter["required"] or data.draw(st.booleans()):
            drawn = data.draw(values(parameter["schema"]))
            several = drawn if isinstance(drawn, list) else [drawn]
            pairs += [
                (parameter["name"], str(one).lower() if isinstance(one, bool) else one) for one in several
            ]
    check_answer(api.get(path, params=pairs), operation)


@pytest.mark.parametrize(("path", "method"), ROUTES)
@fuzz
@given(
    body=anything.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    query=st.text(max_size=30),
)
def test_whatever_else_is_asked_is_refused_in_the_described_way(api, path, method, body, query):
    operation = document()["paths"][path][method]
    check_answer(api.request(method, path, content=body, params={"artist": query, query: "1"}), operation)
