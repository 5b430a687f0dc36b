"""The format of datasets and models on disk, versioned: which files there are and what the manifest says.

Pure: no file is opened here. Plain files that other tools open: Parquet, `.npy`, JSON, text. Never pickle.
"""

from __future__ import annotations

import hashlib
import json
import re
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
ITEM_WEIGHTS = ("item_weights/indptr.npy", "item_weights/indices.npy", "item_weights/data.npy")
"""Only in a model that ranks by item weights too."""

SUMMED = "user_items/summed_rows.npy"

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
    counts: tuple[str, ...] | None = None
    """The keys that lead to `users`, `artists` and `nnz` in its manifest's content; None for a kind without them."""

    oldest: int | None = None
    """The oldest version that is read; only its own unless given."""
    added: tuple[str, ...] = ()
    """Files that the versions before its own lack."""

    def reads(self, version: int) -> bool:
        """Whether directories of a version are read."""
        return (self.oldest or self.version) <= version <= self.version

    def files_among(self, names: Container[str], version: int | None = None) -> tuple[str, ...]:
        """Return its files, of the optional ones those that are among these names."""
        lacking = self.added if version is not None and version < self.version else ()
        files = (name for name in self.files if name not in lacking)
        return (*files, *(name for name in self.optional if name in names))


DATASET = Kind(
    "lastfm_dask.dataset",
    2,
    (USERS, ARTISTS, *USER_ITEMS, SUMMED, REJECTS, RECEIPTS),
    (USERS, ARTISTS, *USER_ITEMS),
    LISTENS,
    ("statistics",),
    oldest=1,
    added=(SUMMED,),
)
MODEL = Kind(
    "lastfm_dask.model",
    1,
    (USER_FACTORS, ITEM_FACTORS, ITEM_GRAM, ITEM_NORMS, USERS, ARTISTS, *USER_ITEMS, MODEL_CARD, RECEIPTS),
    (USER_FACTORS, ITEM_FACTORS, USERS, ARTISTS, *USER_ITEMS),
    ITEM_WEIGHTS,
    (),
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a directory as its manifest records it."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a directory says about itself; `content` is a JSON object whose keys depend on the kind."""

    kind: str
    version: int
    created: str
    versions: dict[str, str]
    files: dict[str, FileEntry]
    fingerprint: str
    content: dict[str, Any] = field(default_factory=dict)
    checksum: str = ""
    """SHA-256 of all that stands above; empty in a manifest of an older version."""

    def own_checksum(self) -> str:
        """Return what `checksum` must be: SHA-256 of the other keys as JSON, sorted, without blanks, in ASCII."""
        document = asdict(self)
        del document["checksum"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        return to_json(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read the text of `manifest.json`; raises ValueError, KeyError or TypeError where it is none."""
        raw = json.loads(text)
        files = {name: FileEntry(**entry) for name, entry in raw.pop("files").items()}
        manifest = cls(files=files, **raw)
        _refuse_other_types(manifest)
        return manifest


def _refuse_other_types(manifest: Manifest) -> None:
    """Raise TypeError if a value of a manifest is of another type, ValueError where a number is out of range."""
    types: dict[str, type] = {"version": int, "versions": dict, "content": dict}
    for key in ("kind", "version", "created", "versions", "fingerprint", "content", "checksum"):
        value, wanted = getattr(manifest, key), types.get(key, str)
        if type(value) is not wanted:
            msg = f"{key} is of type {type(value).__name__}, not {wanted.__name__}"
            raise TypeError(msg)
    if not 0 <= manifest.version < 1 << 31:
        msg = "version is out of range"
        raise ValueError(msg)
    for name, entry in manifest.files.items():
        if type(entry.size_bytes) is not int or type(entry.sha256) is not str:
            msg = f"size or checksum of {name!r} is of another type"
            raise TypeError(msg)
        if not 0 <= entry.size_bytes < 1 << 63 or not re.fullmatch("[0-9a-f]{64}", entry.sha256):
            msg = f"size or checksum of {name!r} is out of range"
            raise ValueError(msg)


def fingerprint(kind: Kind, files: dict[str, FileEntry]) -> str:
    """Return what identifies a directory's content: SHA-256 over the checksums of its identity files."""
    names = (*kind.identity, *(name for name in kind.optional if name in files))
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()
