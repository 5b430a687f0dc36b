"""The sources and options of a dataset, as its manifest records them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.ingestion.options import IngestOptions
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile


def origin(files: Sequence[SourceFile], schema: Schema, options: IngestOptions) -> dict[str, Any]:
    """Return everything that the content of a dataset depends on, as its manifest records it."""
    names = options.artist_names
    return {
        "source": {
            "files": [
                {"path": file.name, "size_bytes": file.size_bytes, "version": file.version} for file in files
            ]
        },
        "settings": {**as_json(asdict(schema)), "format": options.schema.name},
        "options": {
            "artist_names": None if names is None else str(names),
            "add_user": options.add_user,
            "likes": dict(options.likes),
            "append_to": None if options.append_to is None else str(options.append_to),
        },
    }


def as_json(value: Any) -> Any:
    """Return a value in the form that it has after a round trip through JSON."""
    return json.loads(json.dumps(value))
