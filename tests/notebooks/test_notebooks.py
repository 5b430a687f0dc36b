"""Every notebook runs from its first cell to its last in an empty folder, and no cell warns."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = [ROOT / "tests" / "notebooks" / "tutorial.ipynb", ROOT / "cluster" / "tutorial.ipynb"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.parent.name)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra notebook-test is not installed")
    pytest.importorskip("ipykernel", reason="the extra notebook-test is not installed")
    nbformat = pytest.importorskip("nbformat", reason="the extra notebook-test is not installed")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    errors = [output.get("text", "") for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in errors if "Warning" in text], errors
    assert any("text/html" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.parent.name)
def test_a_notebook_is_kept_without_outputs(path):
    nbformat = pytest.importorskip("nbformat", reason="the extra notebook-test is not installed")
    notebook = nbformat.read(path, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
