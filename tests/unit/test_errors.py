"""Errors survive the trip from a worker, print their message, and end in their exit codes."""

from __future__ import annotations

import pickle

import pytest

from lastfm_dask import errors

CLASSES = [
    (errors.LastfmDaskError, 1, {}),
    (errors.BadInputError, 3, {"path": "a.tsv", "line": 7}),
    (errors.BudgetError, 4, {"stage": "scan", "projected_bytes": 2, "allowed_bytes": 1, "smallest_bytes": 2}),
    (errors.StoreError, 5, {"path": "x.dataset"}),
    (errors.UnknownNameError, 6, {"name": "sigur ros", "near": ("sigur rós",)}),
    (errors.ClusterError, 7, {"block": 3, "path": "a.tsv"}),
]


@pytest.mark.parametrize(("kind", "exit_code", "fields"), CLASSES)
def test_an_error_survives_pickling(kind, exit_code, fields):
    error = pickle.loads(pickle.dumps(kind("what was found", **fields)))
    assert type(error) is kind
    assert str(error) == "what was found"
    assert error.exit_code == exit_code
    assert {name: getattr(error, name) for name in fields} == fields


@pytest.mark.parametrize("kind", [row[0] for row in CLASSES])
def test_every_field_has_a_default(kind):
    assert str(kind()) == ""


def test_every_class_is_tested():
    classes = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)}
    assert classes == {row[0] for row in CLASSES}
