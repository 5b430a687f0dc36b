"""A training that is interrupted or killed goes on from its last whole iteration, to the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from making import make_dataset, random_plays

from lastfm_dask import train
from lastfm_dask.dataset import layout
from lastfm_dask.training.settings import TrainSettings

SETTINGS = TrainSettings(factors=8, iterations=6, seed=3)
FILES = (layout.USER_FACTORS, layout.ITEM_FACTORS, layout.ITEM_GRAM, layout.ITEM_NORMS)

KILLED = """
import os, shutil, signal, sys
from lastfm_dask import train
from lastfm_dask.training import checkpoint
from lastfm_dask.training.settings import TrainSettings

copies, left = shutil.copyfile, [int(sys.argv[3])]

def copyfile(source, target):
    left[0] -= 1
    if left[0] == 0:
        with open(target, "wb") as file:
            file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return copies(source, target)

checkpoint.shutil.copyfile = copyfile
train(sys.argv[1], sys.argv[2], TrainSettings(factors=8, iterations=6, seed=3))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("d") / "d.dataset", random_plays(300, 120, 15, seed=5))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    return train(dataset, tmp_path_factory.mktemp("m") / "m", SETTINGS).path


class Stopped(BaseException):
    pass


def stop_after(n_iterations):
    def progress(stage, done, total):
        if stage == "fit" and done * SETTINGS.iterations == total * n_iterations:
            raise Stopped

    return progress


def fit_receipt(path):
    receipts = json.loads((path / layout.RECEIPTS).read_text())
    return next(stage for stage in receipts["stages"] if stage["stage"] == "fit")


def assert_same(path, whole):
    for name in FILES:
        assert (path / name).read_bytes() == (whole / name).read_bytes(), name


def test_it_goes_on_after_an_interrupt(dataset, whole, tmp_path):
    with pytest.raises(Stopped):
        train(dataset, tmp_path / "m", SETTINGS, progress=stop_after(4))
    result = train(dataset, tmp_path / "m", SETTINGS)
    assert_same(result.path, whole)
    assert fit_receipt(result.path)["resumed_after"] == 4
    assert len(result.iteration_s) == 2
    assert result.training["iterations"] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_it_begins_anew_by_other_settings(dataset, tmp_path):
    with pytest.raises(Stopped):
        train(dataset, tmp_path / "m", SETTINGS, progress=stop_after(4))
    result = train(dataset, tmp_path / "m", SETTINGS.changed(seed=4))
    assert fit_receipt(result.path)["resumed_after"] == 0


# The first two copies are those of the first iteration's two files, and so on.
@pytest.mark.parametrize(("copy", "resumed_after"), [(1, 1), (4, 2), (7, 4)])
def test_killed_while_it_keeps_an_iteration(dataset, whole, tmp_path, copy, resumed_after):
    command = [sys.executable, "-c", KILLED, str(dataset.path), str(tmp_path / "m"), str(copy)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    result = train(dataset, tmp_path / "m", SETTINGS)
    assert_same(result.path, whole)
    assert fit_receipt(result.path)["resumed_after"] == resumed_after


def test_a_note_that_is_damaged_does_not_count(dataset, whole, tmp_path):
    with pytest.raises(Stopped):
        train(dataset, tmp_path / "m", SETTINGS, progress=stop_after(3))
    (tmp_path / ".m.work" / "spool" / "checkpoint" / "checkpoint.json").write_text('{"key": 3, "whole"')
    result = train(dataset, tmp_path / "m", SETTINGS)
    assert_same(result.path, whole)
    assert fit_receipt(result.path)["resumed_after"] == 0
