"""The format of datasets and models on disk, versioned: which files there are and what the manifest says.

Pure: no file is opened here. Plain files that other tools open: Parquet, `.npy`, JSON, text. Never pickle.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lastfm_dask.display import to_json

if TYPE_CHECKING:
    from collections.abc import Container

MANIFEST = "manifest.json"
USERS = "users.parquet"
ARTISTS = "artists.parquet"
INDPTR = "user_items/indptr.npy"
INDICES = "user_items/indices.npy"
DATA = "user_items/data.npy"
FIRST_LISTEN = "user_items/first_listen.npy"
LAST_LISTEN = "user_items/last_listen.npy"
REJECTS = "rejects.tsv"
RECEIPTS = "receipts.json"
USER_FACTORS = "user_factors.npy"
ITEM_FACTORS = "item_factors.npy"
ITEM_GRAM = "item_gram.npy"
ITEM_NORMS = "item_norms.npy"
MODEL_CARD = "MODEL_CARD.md"

USER_ITEMS = (INDPTR, INDICES, DATA)
LISTENS = (FIRST_LISTEN, LAST_LISTEN)
"""Only in a dataset whose source has times."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of directory: its name and version in the manifest, and the files that it must have."""

    name: str
    version: int
    files: tuple[str, ...]
    identity: tuple[str, ...]
    """The files whose checksums make the fingerprint."""
    optional: tuple[str, ...] = ()
    """Files that it may have; they belong to its identity."""

    def files_among(self, names: Container[str]) -> tuple[str, ...]:
        """Return its files, of the optional ones those that are among these names."""
        return (*self.files, *(name for name in self.optional if name in names))


DATASET = Kind(
    "lastfm_dask.dataset",
    1,
    (USERS, ARTISTS, *USER_ITEMS, REJECTS, RECEIPTS),
    (USERS, ARTISTS, *USER_ITEMS),
    LISTENS,
)
MODEL = Kind(
    "lastfm_dask.model",
    1,
    (USER_FACTORS, ITEM_FACTORS, ITEM_GRAM, ITEM_NORMS, USERS, ARTISTS, *USER_ITEMS, MODEL_CARD, RECEIPTS),
    (USER_FACTORS, ITEM_FACTORS, USERS, ARTISTS, *USER_ITEMS),
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a directory as its manifest records it."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a directory says of itself; `content` is a JSON object whose keys depend on the kind."""

    kind: str
    version: int
    created: str
    versions: dict[str, str]
    files: dict[str, FileEntry]
    fingerprint: str
    content: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        return to_json(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read the text of `manifest.json`; raises ValueError, KeyError or TypeError where it is none."""
        raw = json.loads(text)
        files = {name: FileEntry(**entry) for name, entry in raw.pop("files").items()}
        return cls(files=files, **raw)


def fingerprint(kind: Kind, files: dict[str, FileEntry]) -> str:
    """Return what identifies a directory's content: SHA-256 over the checksums of its identity files."""
    names = (*kind.identity, *(name for name in kind.optional if name in files))
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()
