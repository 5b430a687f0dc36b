"""The receipts of a dataset or model directory, read and put in words. `figures` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import open_directory, read_receipts
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from os import PathLike

    Receipt = dict[str, Any]

_IN_SIGHT = 2.5


@dataclass(frozen=True, slots=True)
class Profile:
    """A directory's manifest and receipts."""

    path: Path
    manifest: layout.Manifest
    document: dict[str, Any]
    """What `receipts.json` holds."""

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset; a model otherwise."""
        return self.manifest.kind == layout.DATASET.name

    @property
    def statistics(self) -> dict[str, Any]:
        """What the manifest counts: users, artists, nnz, top_artists, and of a dataset its rows."""
        content = self.manifest.content
        return content.get("statistics") or content

    @property
    def stages(self) -> list[Receipt]:
        """The receipts in the order of their stages."""
        return self.document["stages"]  # type: ignore[no-any-return]

    @property
    def workers(self) -> list[dict[str, Any]]:
        """What each worker of a cluster did; empty for work in one process."""
        return list((self.document.get("workers") or {}).values())

    @property
    def wall_s(self) -> float:
        """Seconds of all stages together."""
        return float(sum(receipt["wall_s"] for receipt in self.stages))


def open_profile(path: str | PathLike[str]) -> Profile:
    """Open a dataset or model directory for its receipts.

    Raises
    ------
    StoreError
        If it is not a dataset or model, is damaged, or has no receipts.
    """
    path = Path(path)
    manifest = open_directory(path, layout.DATASET, layout.MODEL)
    return Profile(path, manifest, read_receipts(path))


def rows_per_s(receipt: Receipt) -> int | None:
    """Return a stage's pace; None if it has no rows or took no time that could be measured."""
    rows, wall_s = receipt.get("rows"), receipt["wall_s"]
    return round(rows / wall_s) if rows and wall_s > 0 else None


def share_of_projected(receipt: Receipt) -> float | None:
    """Return measured over projected; None if nothing was projected."""
    projected = receipt.get("projected_bytes")
    return receipt["measured_bytes"] / projected if projected else None


def exceeded(profile: Profile) -> list[str]:
    """Return one sentence for each stage that broke its projection, or what was allowed; empty if all kept to it."""
    found = []
    allowed = profile.document.get("allowed_bytes")
    for receipt in profile.stages:
        measured, projected = receipt["measured_bytes"], receipt.get("projected_bytes")
        for word, bound in (("projected", projected), ("allowed", allowed)):
            if bound is not None and measured > bound:
                found.append(
                    f"stage {receipt['stage']} exceeded what was {word}: measured {format_size(measured)}"
                    f" ({measured} bytes), {word} {format_size(bound)} ({bound} bytes)"
                )
    return found


def needed_bytes(profile: Profile) -> int:
    """Return the most that any stage was projected to hold, or held."""
    return max(
        max(int(stage["measured_bytes"]), stage.get("projected_bytes") or 0) for stage in profile.stages
    )


def within_sight(profile: Profile) -> bool:
    """Say whether what is allowed is near enough to what was needed to be drawn beside it."""
    return (profile.document.get("allowed_bytes") or 0) <= _IN_SIGHT * needed_bytes(profile)


def as_json(profile: Profile) -> dict[str, Any]:
    """Return the receipts without their time lines, and what was exceeded."""
    stages = [
        {key: value for key, value in receipt.items() if key != "samples"}
        | {"rows_per_s": rows_per_s(receipt)}
        for receipt in profile.stages
    ]
    kind = profile.manifest.kind.rpartition(".")[2]
    return {
        "path": str(profile.path),
        "kind": kind,
        "fingerprint": profile.manifest.fingerprint,
        **profile.document,
        "stages": stages,
        "exceeded": exceeded(profile),
    }
