"""Files that are whole or absent: what a stop leaves while it clears up."""

from __future__ import annotations

import errno

import pytest

from lastfm_dask.dataset import files
from lastfm_dask.dataset.files import complete_or_absent, refuse_unwritable, scratch_folder
from lastfm_dask.errors import StoreError


class Stop(BaseException):
    """As a signal raises it."""


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_stop_while_the_folder_is_removed_leaves_nothing_hidden(tmp_path, monkeypatch, ends_well):
    remove, stops = files.remove, [Stop]

    def stopped(place, lock_name):
        if stops:
            raise stops.pop()
        remove(place, lock_name)

    monkeypatch.setattr(files, "remove", stopped)

    def write():
        with complete_or_absent(tmp_path / "result") as part:
            part.write_text("whole")
            if not ends_well:
                raise ValueError

    with pytest.raises(Stop):
        write()
    assert [path.name for path in tmp_path.iterdir()] == (["result"] if ends_well else [])


def test_what_a_run_left_that_was_killed_after_it_had_published_goes_where_the_next_one_refuses(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as killed:
        killed.setattr(files, "remove", lambda *_: None)
        with complete_or_absent(tmp_path / "result") as part:
            part.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(StoreError, match="exists already"):
        refuse_unwritable(tmp_path / "result")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_what_a_run_could_not_remove_goes_with_the_next(tmp_path, monkeypatch):
    def write():
        with scratch_folder(tmp_path, "scratch") as folder:
            (folder / "file").touch()

    with monkeypatch.context() as short_of_descriptors:
        # As it ends where no descriptor is left.
        short_of_descriptors.setattr("shutil.rmtree", lambda *_, **__: None)
        write()
    assert len(list(tmp_path.iterdir())) == 1
    write()
    assert not list(tmp_path.iterdir())


def test_no_other_folder_is_advised_where_no_descriptor_is_left(tmp_path, monkeypatch):
    def no_descriptor(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(files, "lock", no_descriptor)
    with pytest.raises(OSError, match="Too many open files") as caught, complete_or_absent(tmp_path / "x"):
        pass
    assert not isinstance(caught.value, StoreError)
    assert not list(tmp_path.iterdir())
