"""From a source to a published dataset: plan, scan, index, assemble, summarize, publish.

This module only orders the stages, keeps their receipts, and releases memory between them. Each stage is in
the module of its name.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import publish, refuse_published, seal, work_directory
from lastfm_dask.errors import BadInputError, UnknownNameError
from lastfm_dask.events import report
from lastfm_dask.ingestion.earlier import Earlier, Preceded
from lastfm_dask.ingestion.frames import found_source, patterns_of
from lastfm_dask.ingestion.options import IngestOptions, Resources
from lastfm_dask.ingestion.origin import as_json, origin
from lastfm_dask.ingestion.plan import task_bytes
from lastfm_dask.ingestion.planning import plan_source, refuse_early
from lastfm_dask.interactions import encoding
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.memory import limits
from lastfm_dask.progress import reporting
from lastfm_dask.sources import files as sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from lastfm_dask.dataset.layout import FileEntry
    from lastfm_dask.dataset.store import WorkDirectory
    from lastfm_dask.ingestion.assemble import Assembled
    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.plan import IngestPlan
    from lastfm_dask.ingestion.spool import Blocks, Spool
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.memory.budget import Progress, Steps
    from lastfm_dask.memory.meter import Meter
    from lastfm_dask.sources.source_file import SourceFile


class _Counter:
    """Adds up the steps of one stage that threads report."""

    def __init__(self, progress: Progress, stage: str, total: int) -> None:
        self._progress, self._stage, self._total = progress, stage, total
        self._done = 0
        self._lock = Lock()
        self(0)

    def __call__(self, steps: int) -> None:
        with self._lock:
            self._done = min(self._done + steps, self._total)
            self._progress(self._stage, self._done, self._total)


@dataclass(slots=True)
class _Run:
    """Shared state of the stages of one run."""

    files: tuple[SourceFile, ...]
    schema: Schema
    options: IngestOptions
    resources: Resources
    plan: IngestPlan
    progress: Progress
    earlier: Earlier | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Names to show in place of artist ids; empty without such a file."""

    def count(self, stage: str, total: int) -> _Counter:
        """Return a counter for the stage's steps."""
        return _Counter(self.progress, stage, total)

    @property
    def paths(self) -> list[str]:
        """The files' names for people."""
        return [file.name for file in self.files]


def ingest(
    source: Any,
    output: str | PathLike[str],
    options: IngestOptions | None = None,
    *,
    resources: Resources | None = None,
    progress: Progress | Steps | bool | None = None,
) -> Dataset:
    """Read a listening log and publish a dataset directory: mappings, statistics, one CSR matrix.

    Parameters
    ----------
    source : path, sequence of path, or data frame
        A file, several in the order given, a folder of Parquet files, or a glob; local or an address such as
        `s3://bucket/key`. Or a pandas, Polars or Dask data frame, an Arrow table or record batch reader: anything with
        `__arrow_c_stream__`.
    output : path
        The dataset directory to make; it must not exist.
    options : IngestOptions, optional
        What is read, and how strictly.
    resources : Resources, optional
        How much of the machine, or which cluster, is used.
    progress : Progress, callable or bool, optional
        True shows bars in a terminal or a notebook. A callable is called with the stage, how much of it is done, and how
        much there is; a Progress also receives the plan.

    Returns
    -------
    Dataset
        The published dataset, opened.

    Raises
    ------
    BadInputError
        The source can't be read, no row is kept, or too many are rejected; nothing is left behind.
    BudgetError
        Before any work: more memory or disk is needed than there is.
    StoreError
        The output exists or can't be written, or the disk is full.
    UnknownNameError
        The user to add is known, or a favourite is not; nothing is left behind.
    ClusterError
        The cluster can't be used or stopped making progress. What it did is kept: calling again resumes.

    Examples
    --------
    >>> dataset = ingest(example_log, example_folder / "small.dataset")
    >>> dataset.user_items.shape == (dataset.n_users, dataset.n_artists)
    True
    """
    output, options, resources = Path(output), options or IngestOptions(), resources or Resources()
    refuse_published(output)
    with (
        reporting(progress) as report_to,
        found_source(source, output.parent, options.schema) as (files, schema),
    ):
        run = _planned(files, schema, options, resources, output.parent, report_to)
        with work_directory(output, run.plan.disk_bytes) as work, _nothing_left_of_bad_input(work):
            _ingest_in(work, run)
    return Dataset(output)


def _planned(
    files: tuple[SourceFile, ...],
    schema: Schema,
    options: IngestOptions,
    resources: Resources,
    folder: Path,
    progress: Progress,
) -> _Run:
    """Refuse anything that is certain to fail later, and plan the rest."""
    names = refuse_early(options, schema, files, resources)
    earlier = None if options.append_to is None else Earlier(options.append_to, schema)
    plan = plan_source(files, schema, resources, folder, earlier)
    return _Run(files, schema, options, resources, plan, progress, earlier, names)


@contextmanager
def _nothing_left_of_bad_input(work: WorkDirectory) -> Iterator[None]:
    """Remove the work directory if another run would fail in the same way."""
    try:
        yield
    except (BadInputError, UnknownNameError):
        work.remove()
        raise


def is_made_of(
    dataset: Dataset, source: str | PathLike[str] | Sequence[str | PathLike[str]], options: IngestOptions
) -> bool:
    """Whether a dataset was made of these files, unchanged since, and by these options.

    Raises
    ------
    BadInputError
        The source can't be read, or the options can't be used.
    """
    files = sources.find(patterns_of(source))
    made_by = origin(files, resolve(files, options.schema), options)
    return all(dataset.manifest.content.get(key) == value for key, value in made_by.items())


def _ingest_in(work: WorkDirectory, run: _Run) -> None:
    from lastfm_dask.ingestion.replan import plan_rest
    from lastfm_dask.ingestion.spool import Spool
    from lastfm_dask.memory import allocator
    from lastfm_dask.memory.meter import Meter, receipts_document

    settings = run.plan.settings
    pool = allocator.use()
    limits.limit_native_threads(settings.threads)
    spool = Spool(work.spool, _spool_key(run))
    run.progress.planned(run.plan, spool.resumed)
    output = work.fresh_output()
    with Meter() as meter:
        n_blocks, workers = _scan(run, spool, meter)
        allocator.release()
        blocks: Blocks = spool
        if run.earlier is not None:
            blocks, n_blocks = Preceded(run.earlier, spool), run.earlier.n_blocks + n_blocks
        # Names' buffers double: those that they have outgrown are too small for what follows, and must not stay.
        allocator.give_back_at_once()
        found = _index(run, blocks, n_blocks, work.fresh_maps(), output, meter)
        allocator.use()
        run.plan = plan_rest(run.plan, found)
        allocator.release()
        assembled = _assemble(run, found, blocks, output, meter)
        allocator.release()
        with ThreadPoolExecutor(1) as background:
            # The matrix is done. Flushing its files waits for the disk; the tables can be written meanwhile.
            matrix = background.submit(_seal_matrix, work)
            content = _summarize(run, found, assembled, output, meter)
            sealed = matrix.result()
        allocator.release()
        with _stage(run, meter, "publish", settings.threads):
            count = run.count("publish", 1)
            rest = [
                name for name in layout.DATASET.files if name not in (*layout.USER_ITEMS, layout.RECEIPTS)
            ]
            sealed |= seal(output, rest, settings.threads)
            count(1)
    document = receipts_document(
        meter.receipts, run.plan.budget, allocator=pool, threads=settings.threads, workers=workers
    )
    (output / layout.RECEIPTS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    publish(work, layout.DATASET, content, sealed)


def _seal_matrix(work: WorkDirectory) -> dict[str, FileEntry]:
    """Flush the matrix's files, compute their checksums, and remove the spool that they were made from."""
    listens = [name for name in layout.LISTENS if (work.output / name).exists()]
    sealed = seal(work.output, [*layout.USER_ITEMS, *listens])
    shutil.rmtree(work.spool, ignore_errors=True)
    return sealed


def _spool_key(run: _Run) -> dict[str, Any]:
    """Return everything that encoded blocks depend on."""
    import lastfm_dask

    return {
        "files": [[file.path, file.size_bytes, file.version, file.compression] for file in run.files],
        "schema": as_json(asdict(run.schema)),
        "block_bytes": run.plan.settings.block_bytes,
        "format": encoding.FORMAT_VERSION,
        "version": lastfm_dask.__version__,
    }


def _stage(run: _Run, meter: Meter, name: str, threads: int = 1) -> Any:
    return meter.stage(
        name,
        projected_bytes=run.plan.stages[name],
        threads=threads,
        block_bytes=run.plan.settings.block_bytes,
    )


def _scan(run: _Run, spool: Spool, meter: Meter) -> tuple[int, dict[str, Any] | None]:
    """Run the stage scan; return the number of blocks and, on a cluster, what each worker did."""
    from lastfm_dask.engine import open_engine
    from lastfm_dask.engine.preflight import Preflight
    from lastfm_dask.ingestion.scan import Sight, scan, seen_anywhere

    settings, resources = run.plan.settings, run.resources
    with (
        open_engine(
            threads=settings.threads,
            scheduler=resources.scheduler,
            scheduler_file=resources.scheduler_file,
            stall_timeout_s=resources.stall_timeout_s,
            preflight=Preflight(
                Sight(seen_anywhere([file.path for file in run.files])), task_bytes(run.plan.source, settings)
            ),
        ) as engine,
        _stage(run, meter, "scan", settings.threads) as stage,
    ):
        count = run.count("scan", run.plan.source.source_bytes)
        n_blocks = scan(run.files, run.schema, spool.block_bytes, settings.piece_lines, engine, spool, count)
        stage.written_bytes = spool.written_bytes()
        stage.details = {"n_blocks": n_blocks, "resumed_blocks": spool.resumed}
        workers = {use.address: asdict(use) for use in engine.workers.values()} if engine.on_cluster else None
    return n_blocks, workers


def _index(run: _Run, spool: Blocks, n_blocks: int, folder: Path, output: Path, meter: Meter) -> Index:
    from lastfm_dask.ingestion.added import added_rows
    from lastfm_dask.ingestion.artist_names import show_names
    from lastfm_dask.ingestion.doubts import refuse_rejects, warnings_of
    from lastfm_dask.ingestion.index import add_rows, index
    from lastfm_dask.ingestion.rejects import RejectsWriter
    from lastfm_dask.ingestion.replan import MergeGuard

    options, schema, earlier = run.options, run.schema, run.earlier
    with _stage(run, meter, "index") as stage, RejectsWriter(output / layout.REJECTS, run.paths) as rejects:
        guard = MergeGuard(run.plan, spool, n_blocks)
        found = index(
            spool,
            n_blocks,
            folder,
            rejects,
            batch_names=run.plan.settings.batch_names,
            schema=schema,
            guard=guard,
            progress=run.count("index", n_blocks),
        )
        stage.projected_bytes = max(run.plan.stages["index"], guard.needed_bytes)
        if earlier is not None:
            earlier.leave_out(found)
        refuse_rejects(found, rejects, options.max_rejects, run.files, schema)
        found.warnings = warnings_of(found, rejects, schema)
        for warning in found.warnings:
            report("warning", warning)
        if run.names:
            show_names(found.artists, run.names)
        if options.add_user is not None:
            batch = added_rows(options.add_user, options.likes, found.users, found.artists, schema)
            add_rows(found, batch)
        stage.rows = found.rows_read
    _tell_rows(meter.receipts[-2], found.rows_read)
    if earlier is not None:
        earlier.add_rejects(output / layout.REJECTS)
        earlier.count_in(found)
    return found


def _tell_rows(receipt: dict[str, Any], n_rows: int) -> None:
    """Add to the scan's receipt the rows, which only the index can count, and the rate if this run read all of them."""
    receipt["rows"] = n_rows
    if not receipt["resumed_blocks"]:
        receipt["rows_per_s"] = round(n_rows / receipt["wall_s"])


def _assemble(run: _Run, found: Index, spool: Blocks, output: Path, meter: Meter) -> Assembled:
    from lastfm_dask.ingestion.assemble import assemble

    settings = run.plan.settings
    with _stage(run, meter, "assemble", settings.threads) as stage:
        stage.rows = int(found.users.rows.sum())
        return assemble(
            found,
            spool,
            output,
            chunk_rows=settings.chunk_rows,
            threads=settings.threads,
            progress=run.count("assemble", 2 * stage.rows),
        )


def _summarize(run: _Run, found: Index, assembled: Assembled, output: Path, meter: Meter) -> dict[str, Any]:
    """Write the tables and return the manifest's content."""
    from lastfm_dask.ingestion.summarize import dataset_statistics, reconcile, write_tables

    with _stage(run, meter, "summarize") as stage:
        count = run.count("summarize", 1)
        longest_names = write_tables(found, assembled, output)
        stage.rows = len(found.users) + len(found.artists)
        reconciliation = reconcile(found, assembled, run.paths)
        if run.earlier is not None:
            reconciliation = run.earlier.reconciled(reconciliation, len(run.options.likes))
        content = {
            **origin(run.files, run.schema, run.options),
            "statistics": dataset_statistics(found, assembled),
            "reconciliation": reconciliation,
            "longest_names": longest_names,
            "allowed_bytes": run.plan.budget.allowed,
            "warnings": found.warnings,
        }
        count(1)
    return content
