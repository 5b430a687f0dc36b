"""Progress is for people at a terminal: told to stderr there, to nobody else."""

from __future__ import annotations

import sys

from lastfm_dask.cli.progress import shown_progress


def report() -> None:
    with shown_progress() as tell:
        for done in range(3):
            tell("fit", done, 2)
        tell("rank", 1, 4)


def test_nothing_is_told_where_stderr_is_no_terminal(capsys):
    report()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_each_thing_that_is_done(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    report()
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit" in err
    assert "100%" in err
    assert "rank" in err
    assert "25%" in err
