"""Options of ingest: what is read and how strictly, and how much of the machine is used."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastfm_dask.engine.base import STALL_TIMEOUT_S
from lastfm_dask.interactions.formats import SchemaOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What is read, and how strictly.

    Attributes
    ----------
    schema : SchemaOptions
        Format, columns, delimiter, header, case, MBIDs.
    max_rejects : int, str or None
        End the run if more rows are rejected than this number, or than a share such as `5%`. None is no limit, 0 allows
        none (`--strict`).
    artist_names : Path or None
        A file with an artist's id and name in each line: names are then shown in place of ids.
    add_user : str or None
        A user to append, who must not exist.
    likes : mapping of str to int
        That user's favourites: plays by artist name.
    append_to : Path or None
        A dataset whose rows come before the source's; its indices stay as they are.
    """

    schema: SchemaOptions = field(default_factory=SchemaOptions)
    max_rejects: int | str | None = None
    artist_names: Path | None = None
    add_user: str | None = None
    likes: Mapping[str, int] = field(default_factory=dict)
    append_to: Path | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """How much of the machine, or which cluster, is used. None leaves it to the plan.

    Attributes
    ----------
    memory_bytes : int or None
        Hold at most this much.
    threads : int or None
        Compute with at most this many threads.
    block_bytes : int or None
        Read the source in blocks of this size.
    scheduler, scheduler_file : str or None
        Scan on this Dask cluster.
    stall_timeout_s : float
        Give up on a cluster if no block finishes for this long.
    """

    memory_bytes: int | None = None
    threads: int | None = None
    block_bytes: int | None = None
    scheduler: str | None = None
    scheduler_file: str | None = None
    stall_timeout_s: float = STALL_TIMEOUT_S

    @property
    def on_cluster(self) -> bool:
        """Whether a Dask cluster runs the scan; `DASK_SCHEDULER_ADDRESS` asks for one too."""
        return bool(self.scheduler or self.scheduler_file or os.environ.get("DASK_SCHEDULER_ADDRESS"))
