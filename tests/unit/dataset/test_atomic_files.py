"""Files that are whole or absent: what a stop leaves while it clears up."""

from __future__ import annotations

import pytest

from lastfm_dask.dataset import files
from lastfm_dask.dataset.files import complete_or_absent


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
