"""Progress is for people at a terminal: on stderr there, nowhere else."""

from __future__ import annotations

import sys
import types

import pytest

from lastfm_dask.cli.progress import shown_progress
from lastfm_dask.memory.budget import Progress
from lastfm_dask.progress import pace_of, progress_of, reporting


def report() -> None:
    with shown_progress() as tell:
        for done in range(3):
            tell("fit", done, 2)
        tell("rank", 1, 4)


def test_progress_goes_to_a_function_or_to_nobody():
    heard = []
    with reporting(lambda *step: heard.append(step)) as progress:
        progress.of("scan")(1, 2)
    for silent in (None, False):
        with reporting(silent) as progress:
            progress("scan", 1, 2)
    own = Progress()
    assert progress_of(own) is own
    assert heard == [("scan", 1, 2)]


def test_progress_that_is_true_draws(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with reporting(True) as progress:
        progress("fit", 1, 2)
    assert "fit" in capsys.readouterr().err


def test_nothing_is_told_where_stderr_is_no_terminal(capsys):
    report()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_each_thing_that_is_done(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    report()
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit" in err
    assert "rank" in err
    # What ended well is shown as done, though its last step was never reported.
    assert err.count("100 %") >= 2


def test_what_ends_in_an_error_is_not_shown_as_done(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def fail() -> None:
        with shown_progress() as tell:
            tell("fit", 1, 4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert "100 %" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "done", "seconds", "text"),
    [
        ("scan", 64 << 20, 2.0, "32.0 MiB/s"),
        ("index", 3000, 2.0, "1,500/s"),
        ("fit", 3, 2.0, "1.5/s"),
        ("fit", 3, 0.1, ""),
        ("fit", 0, 2.0, ""),
    ],
)
def test_a_pace_has_the_unit_of_its_stage(stage, done, seconds, text):
    assert pace_of(stage, done, seconds) == text


def test_a_notebook_gets_a_table_that_is_drawn_again(monkeypatch):
    drawn = []

    class Handle:
        def update(self, html):
            drawn.append(html)

    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda html, display_id: Handle()
    shell = types.ModuleType("IPython")
    shell.get_ipython = object
    for name, module in (
        ("IPython", shell),
        ("IPython.display", display),
        ("ipykernel", types.ModuleType("ipykernel")),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    with shown_progress() as tell:
        tell("scan", 1, 4)
        tell("<index>", 1, 2)
    assert "&lt;index&gt;" in drawn[-1]
    assert drawn[-1].count("100 %") == 2
