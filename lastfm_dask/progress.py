"""Progress for a person who waits: bars on a terminal, a small table in a notebook, nothing elsewhere.

Drawing never fails the work: what is drawn is thrown away where it can't be.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from lastfm_dask.memory.budget import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastfm_dask.memory.budget import Steps

_BYTES = ("scan",)
"""Stages whose steps are bytes."""
_REDRAW_S = 0.2


def ignore(stage: str, done: int, total: int) -> None:
    """Show nothing."""


class _Function(Progress):
    """Reports each step to a plain function."""

    def __init__(self, function: Steps) -> None:
        self._function = function

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        self._function(stage, done, total)


def progress_of(progress: Progress | Steps | bool | None) -> Progress:
    """Return a `Progress` that reports to a plain function of stage, done and total, or to nobody."""
    if isinstance(progress, Progress):
        return progress
    return _Function(progress) if callable(progress) else Progress()


@contextmanager
def reporting(progress: Progress | Steps | bool | None) -> Iterator[Progress]:
    """Give the progress that a caller's argument means: True draws each step, a function is called, None is silent."""
    if progress is True:
        with shown() as steps:
            yield progress_of(steps)
    else:
        yield progress_of(progress)


@contextmanager
def shown() -> Iterator[Steps]:
    """Give a function to call with the stage, how much of it is done, and how much there is.

    One line a stage, in the order in which they begin. A stage whose successor has begun, or whose block ended well,
    is shown as done.
    """
    if _in_notebook():
        yield from _in_cell()
    elif sys.stderr is not None and sys.stderr.isatty():
        yield from _on_terminal()
    else:
        yield ignore


def _in_notebook() -> bool:
    kernel = sys.modules.get("ipykernel")
    shell = sys.modules.get("IPython")
    return kernel is not None and shell is not None and shell.get_ipython() is not None


def _on_terminal() -> Iterator[Steps]:
    from rich import progress as rich
    from rich.console import Console
    from rich.text import Text

    class Left(rich.TimeRemainingColumn):
        def render(self, task: rich.Task) -> Text:
            known = task.time_remaining is not None and not task.finished
            return Text.assemble(super().render(task), " left") if known else Text()

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=24),
        rich.TextColumn("{task.percentage:>3.0f} %"),
        rich.TextColumn("{task.fields[pace]}", justify="right"),
        rich.TimeElapsedColumn(),
        Left(compact=True),
    )
    tasks: dict[str, rich.TaskID] = {}
    started: dict[str, float] = {}
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:

        def finish(stage: str) -> None:
            task = bars.tasks[tasks[stage]]
            bars.update(task.id, completed=task.total or 1, total=task.total or 1)

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for earlier in tasks:
                    finish(earlier)
                tasks[stage] = bars.add_task(stage, total=total, pace="")
                started[stage] = time.monotonic()
            pace = pace_of(stage, done, time.monotonic() - started[stage])
            bars.update(tasks[stage], completed=done, total=total, pace=pace)

        yield tell
        for stage in tasks:
            finish(stage)


def _in_cell() -> Iterator[Steps]:
    from IPython import display as notebook

    show: Any = notebook.display
    html: Any = notebook.HTML

    rows: dict[str, tuple[int, int, float]] = {}
    drawn_at = 0.0
    handle: Any = show(html(""), display_id=True)

    def draw() -> None:
        lines = (
            f"<tr><td>{escape(stage)}</td><td><progress max='{max(total, 1)}' value='{done}'></progress></td>"
            f"<td style='text-align:right'>{100 * done / max(total, 1):.0f} %</td>"
            f"<td style='text-align:right'>{pace_of(stage, done, time.monotonic() - began)}</td></tr>"
            for stage, (done, total, began) in rows.items()
        )
        handle.update(html(f"<table>{''.join(lines)}</table>"))

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal drawn_at
        if stage not in rows:
            for earlier, (_, whole, began) in rows.items():
                rows[earlier] = (whole, whole, began)
        rows[stage] = (done, total, rows.get(stage, (0, 0, time.monotonic()))[2])
        if time.monotonic() - drawn_at > _REDRAW_S or done >= total:
            drawn_at = time.monotonic()
            draw()

    yield tell
    for stage, (_, whole, began) in rows.items():
        rows[stage] = (whole, whole, began)
    draw()


def pace_of(stage: str, done: int, elapsed_s: float) -> str:
    """Return how fast a stage goes, in words; empty in its first moments."""
    if elapsed_s < 0.5 or done <= 0:
        return ""
    pace = done / elapsed_s
    if stage in _BYTES:
        from lastfm_dask.memory.sizes import format_size

        return f"{format_size(int(pace))}/s"
    return f"{pace:,.0f}/s" if pace >= 10 else f"{pace:.2g}/s"
