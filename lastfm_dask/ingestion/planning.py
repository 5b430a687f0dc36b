"""Before the work: refuse anything that is certain to fail later, and plan memory and disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.ingestion.plan import IngestPlan, plan_ingest
from lastfm_dask.memory.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lastfm_dask.ingestion.earlier import Earlier
    from lastfm_dask.ingestion.options import IngestOptions, Resources
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile


def refuse_early(
    options: IngestOptions, schema: Schema, files: Sequence[SourceFile], resources: Resources
) -> dict[str, str]:
    """Refuse before any work anything that is certain to fail later; return the artist names to show, read once."""
    from lastfm_dask.ingestion.added import refuse_incomplete
    from lastfm_dask.ingestion.artist_names import read_names
    from lastfm_dask.ingestion.doubts import most_rejects
    from lastfm_dask.ingestion.scan import refuse_compressed

    most_rejects(options.max_rejects, 0)
    refuse_incomplete(options.add_user, options.likes)
    if resources.on_cluster:
        refuse_compressed(files)
    if options.artist_names is None:
        return {}
    return read_names(
        options.artist_names, schema.delimiter, keep_case=schema.keep_case, encoding=schema.encoding
    )


def plan_source(
    files: Sequence[SourceFile],
    schema: Schema,
    resources: Resources,
    folder: Path,
    earlier: Earlier | None = None,
) -> IngestPlan:
    """Return the plan for a source whose dataset is built in `folder`, after an earlier one's rows.

    Raises
    ------
    BudgetError
        If more memory or disk is needed than there is.
    """
    from lastfm_dask.ingestion.survey import survey
    from lastfm_dask.memory import allocator

    _import_libraries()
    shape = survey(files, schema)
    if earlier is not None:
        shape = earlier.added_to(shape)
    allocator.release()
    budget = Budget.measured(folder, memory_bytes=resources.memory_bytes, threads=resources.threads)
    return plan_ingest(shape, budget, block_bytes=resources.block_bytes, on_cluster=resources.on_cluster)


def _import_libraries() -> None:
    """Import everything that the stages need, so that it counts as reserved before anything is planned."""
    from lastfm_dask.engine.embedded import import_embedded
    from lastfm_dask.memory import allocator
    from lastfm_dask.memory.imports import keep_pandas_out

    allocator.begin()
    keep_pandas_out()
    import_embedded()
    import numpy as np  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401
