"""The options --log-file and --log-format, which every command has: a line for each stage, warning and error."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import click

from lastfm_dask.display import to_json, visible
from lastfm_dask.errors import StoreError
from lastfm_dask.events import LOGGER

_FORMATS = ("text", "json")


class _Lines(logging.Formatter):
    """An event in one line: text, or one JSON object."""

    def __init__(self, kind: str, command: str) -> None:
        super().__init__()
        self._is_json = kind == "json"
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        event = getattr(record, "event", record.levelname.lower())
        if not self._is_json:
            return f"{time} {self._command} {event}: {visible(record.getMessage())}"
        fields: dict[str, Any] = getattr(record, "fields", {})
        known = {"time": time, "command": self._command, "event": event, "message": record.getMessage()}
        return to_json({**known, **fields})


def _begin(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option's value; start writing once both are known."""
    found = ctx.meta.setdefault(__name__, {})
    found[param.name] = value
    if len(found) < 2 or not any(found.values()):
        return
    path, kind = found["log_file"], found["log_format"] or "text"
    handler: logging.Handler = logging.StreamHandler()
    if path is not None:
        try:
            handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            msg = f"{path} can't be written: {error.strerror}; choose another place with --log-file"
            raise StoreError(msg, path=str(path)) from error
    handler.setFormatter(_Lines(kind, ctx.info_name or ""))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)


def add_options(command: click.Command) -> None:
    """Add both options to a command."""
    if any(option.name == "log_file" for option in command.params):
        return
    shared: dict[str, Any] = {
        "expose_value": False,
        "callback": _begin,
        "is_eager": True,
        "show_envvar": True,
    }
    command.params += [
        click.Option(
            ["--log-file"],
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="LASTFM_DASK_LOG_FILE",
            help="Append a line for each stage, warning and error to this file.",
            **shared,
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice(_FORMATS),
            envvar="LASTFM_DASK_LOG_FORMAT",
            help="Format of these lines; without --log-file they go to stderr.  [default: text]",
            **shared,
        ),
    ]
