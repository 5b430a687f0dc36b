"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A first call imports much, and machines are busy: no test says how long something takes.
settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")

# A shell that starts us in the background hands an ignored SIGINT down, which tests that interrupt children would
# hand on to them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real listening data, where LASTFM_DASK_DATA names one."""
    folder = os.environ.get("LASTFM_DASK_DATA")
    if not folder:
        pytest.skip("LASTFM_DASK_DATA is not set: no real data at hand")
    return Path(folder)
