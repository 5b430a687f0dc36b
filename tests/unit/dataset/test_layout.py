"""The manifest says the same after a trip through its text, and the fingerprint is a plain SHA-256."""

from __future__ import annotations

import hashlib
import json

import pytest

from lastfm_dask.dataset.layout import DATASET, MODEL, FileEntry, Manifest, fingerprint


def entries(kind):
    return {name: FileEntry(len(name), hashlib.sha256(name.encode()).hexdigest()) for name in kind.files}


@pytest.mark.parametrize("kind", [DATASET, MODEL], ids=lambda kind: kind.name)
def test_a_manifest_survives_its_text(kind):
    files = entries(kind)
    manifest = Manifest(
        kind.name, kind.version, "now", {"python": "3"}, files, "f" * 64, {"artist": "sigur rós"}
    )
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    assert "sigur rós" in text
    assert set(json.loads(text)) == {
        "kind",
        "version",
        "created",
        "versions",
        "files",
        "fingerprint",
        "content",
        "checksum",
    }


@pytest.mark.parametrize("kind", [DATASET, MODEL], ids=lambda kind: kind.name)
def test_the_fingerprint_depends_on_the_identity_files_alone(kind):
    files = entries(kind)
    lines = [f"{files[name].sha256}  {name}\n" for name in kind.identity]
    assert fingerprint(kind, files) == hashlib.sha256("".join(lines).encode()).hexdigest()
    for name in kind.files:
        changed = files | {name: FileEntry(1, "0" * 64)}
        assert (fingerprint(kind, changed) != fingerprint(kind, files)) == (name in kind.identity)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": []}', '{"files": {"a": {}}}', '{"files": {}, "x": 1}']
)
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Manifest.from_json(text)


def test_a_manifest_holds_no_number_that_json_lacks():
    manifest = Manifest("k", 1, "now", {}, {}, "", {"mean": float("nan")})
    assert json.loads(manifest.to_json())["content"] == {"mean": None}
