"""What a source, a dataset or a model will need, for Python: the plans that the commands make, without the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.ingestion.options import IngestOptions, Resources
from lastfm_dask.recommender.answers import Recommender

if TYPE_CHECKING:
    from lastfm_dask.memory.budget import Plan


def plan(
    source: Any,
    options: IngestOptions | None = None,
    *,
    resources: Resources | None = None,
    folder: Path | str = ".",
) -> Plan[Any]:
    """Project the memory and the disk that a source, a dataset or a model will need, without doing the work.

    Parameters
    ----------
    source : path, sequence of path, data frame, Dataset or Recommender
        What `ingest` takes: its plan is returned. Or a dataset: the plan of `train` with the preset `recommended`. Or a
        model: the plan of `recommend_all`.
    options : IngestOptions, optional
        How a source is read.
    resources : Resources, optional
        How much of the machine may be used.
    folder : path
        Where the dataset or model would be written: its disk is looked at.

    Returns
    -------
    Plan
        It shows itself as a table; `stages` has the projected bytes of each stage, `projected_bytes` the most.

    Raises
    ------
    BadInputError
        The source can't be read.
    BudgetError
        More memory or disk is needed than there is; `smallest_bytes` has the limit that would do.
    StoreError
        The dataset or model is damaged.

    Examples
    --------
    >>> found = plan(example_log)
    >>> list(found.stages)
    ['scan', 'index', 'assemble', 'summarize', 'publish']
    >>> found.projected_bytes <= found.budget.allowed
    True
    """
    resources, folder = resources or Resources(), Path(folder)
    opened = _opened(source)
    if isinstance(opened, Recommender):
        return _recommending(opened, resources)
    if isinstance(opened, Dataset):
        return _training(opened, resources, folder)
    return _ingesting(source, options or IngestOptions(), resources, folder)


def _opened(source: Any) -> Any:
    """Return a dataset or model where the source is one, or its directory; else the source."""
    if isinstance(source, str | Path) and (Path(source) / layout.MANIFEST).is_file():
        return (Recommender if (Path(source) / layout.ITEM_FACTORS).exists() else Dataset)(source)
    return source


def _ingesting(source: Any, options: IngestOptions, resources: Resources, folder: Path) -> Plan[Any]:
    from lastfm_dask.ingestion.earlier import Earlier
    from lastfm_dask.ingestion.frames import found_source
    from lastfm_dask.ingestion.planning import plan_source, refuse_early

    with found_source(source, folder, options.schema) as (files, schema):
        refuse_early(options, schema, files, resources)
        earlier = None if options.append_to is None else Earlier(options.append_to, schema)
        return plan_source(files, schema, resources, folder, earlier)


def _training(dataset: Dataset, resources: Resources, folder: Path) -> Plan[Any]:
    from lastfm_dask.training.settings import DEFAULT_PRESET, preset
    from lastfm_dask.training.train import plan_train

    return plan_train(
        dataset,
        folder / "model",
        preset(DEFAULT_PRESET),
        memory_bytes=resources.memory_bytes,
        threads=resources.threads,
    )


def _recommending(model: Recommender, resources: Resources) -> Plan[Any]:
    from lastfm_dask.recommender.all_users import AllUsers
    from lastfm_dask.recommender.plan import plan_all_users

    job = AllUsers(model, model.list_settings())
    return plan_all_users(job, memory_bytes=resources.memory_bytes, threads=resources.threads)
