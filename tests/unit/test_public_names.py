"""The public names are what they say, whichever was asked for first and by whichever way."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAYS = (
    "from lastfm_dask import ingest",
    "import lastfm_dask; ingest = lastfm_dask.ingest",
    "import lastfm_dask.ingestion.pipeline as _; from lastfm_dask import ingest",
    "from lastfm_dask import *",
)


@pytest.mark.parametrize("way", WAYS)
def test_ingest_can_be_called_however_it_was_imported(way, tmp_path):
    (tmp_path / "log.tsv").write_bytes(b"u\t\ta\t1\n")
    code = f"{way}\nprint(ingest('log.tsv', 'log.dataset').n_users)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_importing_the_package_costs_nothing():
    code = "import sys, lastfm_dask; print(*({'numpy', 'pyarrow', 'dask', 'implicit'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    import lastfm_dask

    assert all(hasattr(lastfm_dask, name) for name in lastfm_dask.__all__)
