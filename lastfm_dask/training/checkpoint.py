"""Whole iterations that outlive their process: a second copy of both factor arrays, and a note of which one is whole.

An iteration changes the model's own files in place. Before the next one begins they are copied, and the note says at
each moment which of the two is that of a whole iteration: the files themselves while they are copied, the copy while
they are changed. So a process that is killed leaves a whole iteration, or none, and the next run goes on from it to
the same bytes. A power cut may lose more: nothing is flushed to the disk here.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.training.history import History

if TYPE_CHECKING:
    from pathlib import Path

_NOTE = "checkpoint.json"
_FILES, _COPY = "files", "copy"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last whole iteration of one training.

    Attributes
    ----------
    folder : Path
        Where the copies and the note are; it outlives the process.
    files : tuple of Path
        The factor files that training changes.
    key : str
        What the factors follow from: data, settings, first factors. Under another key a checkpoint does not count.
    """

    folder: Path
    files: tuple[Path, ...]
    key: str

    def restore(self) -> History | None:
        """Bring the files to the last whole iteration and return its history; None if there is none."""
        try:
            note = json.loads((self.folder / _NOTE).read_text(encoding="utf-8"))
            if note["key"] != self.key:
                return None
            if note["whole"] == _COPY:
                for file in self.files:
                    shutil.copyfile(self.folder / file.name, file)
            known = None if note["known"] is None else (int(note["known"][0]), int(note["known"][1]))
            objective, ranks = ([float(value) for value in note[name]] for name in ("objective", "ranks"))
            history = History(int(note["iterations"]), objective, ranks, known)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not all(file.exists() for file in self.files):
            return None
        self.keep(history)
        return history

    def clear(self) -> None:
        """Remove what another training left, and make room for this one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def keep(self, history: History) -> None:
        """Keep the files as they are now, which is after a whole iteration."""
        self._note(_FILES, history)
        for file in self.files:
            shutil.copyfile(file, self.folder / file.name)
        self._note(_COPY, history)

    def _note(self, whole: str, history: History) -> None:
        note: dict[str, Any] = {
            "key": self.key,
            "whole": whole,
            "iterations": history.iterations,
            "objective": history.objective,
            "ranks": history.ranks,
            "known": history.known,
        }
        part = self.folder / f"{_NOTE}.part"
        part.write_text(json.dumps(note), encoding="utf-8")
        part.replace(self.folder / _NOTE)
