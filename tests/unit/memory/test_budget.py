"""One budget: what fits is taken, what does not is refused with the numbers, and formulas follow the code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module

import pytest

from lastfm_dask.errors import BudgetError
from lastfm_dask.evaluation.plan import EvaluationShape, stage_bytes
from lastfm_dask.ingestion.plan import IngestSettings, project
from lastfm_dask.ingestion.source_shape import SourceShape
from lastfm_dask.memory.budget import Budget, Plan, fit, smallest
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender.all_users import BatchSettings
from lastfm_dask.recommender.plan import RecommendingShape, recommending_bytes
from lastfm_dask.training.plan import FitSettings, TrainingShape, fit_bytes, neighbours_bytes, prepare_bytes


@dataclass(frozen=True)
class Size:
    pieces: int


def candidates():
    for pieces in (8, 4, 2, 1):
        yield Plan({"read": pieces * MIB, "write": 2 * MIB}, 100 * MIB // pieces, Size(pieces))


def fitted(**changes) -> Plan[Size]:
    budget = replace(Budget(100 * MIB, reserved=10 * MIB), **changes)
    return fit(candidates(), budget, work="a test", elsewhere="go elsewhere")


def test_the_first_that_fits_is_taken_and_holds_what_is_reserved():
    assert fitted().settings == Size(8)
    assert fitted().stages == {"read": 18 * MIB, "write": 12 * MIB}
    assert fitted(allowed=18 * MIB).settings == Size(8)
    assert fitted(allowed=18 * MIB - 1).settings == Size(4)


def test_files_in_memory_count_in_every_stage():
    # Of four candidates the one of 8 pieces holds 8 + 12 MiB, that of one piece 1 + 100.
    assert fitted(disk_in_memory=True, allowed=31 * MIB).settings == Size(8)
    with pytest.raises(BudgetError) as caught:
        fitted(disk_in_memory=True, allowed=29 * MIB)
    # The smallest is not the last: its files are larger.
    assert caught.value.smallest_bytes == (10 + 8) * MIB + 100 * MIB // 8


def test_a_refusal_names_stage_numbers_and_the_limit_that_would_do():
    with pytest.raises(
        BudgetError, match=r"stage read of a test needs .* give it \d+ bytes or more"
    ) as caught:
        fitted(allowed=11 * MIB)
    error = caught.value
    assert (error.stage, error.projected_bytes, error.allowed_bytes) == ("read", 12 * MIB, 11 * MIB)
    assert fitted(allowed=error.smallest_bytes).settings == Size(2)
    with pytest.raises(BudgetError):
        fitted(allowed=error.smallest_bytes - 1)


def test_a_disk_that_is_too_small_is_refused():
    needed = 100 * MIB // 8
    assert fitted(free_disk=needed).disk_bytes == needed
    with pytest.raises(BudgetError, match=r"on disk.*make room there, or go elsewhere") as caught:
        fitted(free_disk=needed - 1)
    assert (caught.value.stage, caught.value.smallest_bytes) == ("disk", needed)


def test_a_control_group_is_not_filled_to_the_brim():
    # The kernel charges it with the pages of files in use, too.
    assert fitted(allowed=20 * MIB, spare=2 * MIB).settings == Size(8)
    assert fitted(allowed=20 * MIB - 1, spare=2 * MIB).settings == Size(4)
    with pytest.raises(BudgetError) as caught:
        fitted(allowed=12 * MIB, spare=2 * MIB)
    assert (caught.value.projected_bytes, caught.value.smallest_bytes) == (12 * MIB, 14 * MIB)
    assert fitted(allowed=14 * MIB, spare=2 * MIB).settings == Size(2)


def test_a_plan_is_shown_and_is_json():
    plan = fitted(free_disk=1 << 30, source="--memory")
    assert plan.lines() == [
        "plan: stage read projected 18.0 MiB, allowed 100.0 MiB",
        "plan: stage write projected 12.0 MiB, allowed 100.0 MiB",
        "plan: disk projected 12.5 MiB, free 1.0 GiB",
    ]
    assert plan.to_dict() == {
        "allowed_bytes": 100 * MIB,
        "allowed_source": "--memory",
        "pieces": 8,
        "disk_bytes": 100 * MIB // 8,
        "stages": [
            {"stage": "read", "projected_bytes": 18 * MIB},
            {"stage": "write", "projected_bytes": 12 * MIB},
        ],
    }


def test_a_control_group_has_room_for_the_pages_that_are_read_again_and_again():
    def planned(budget):
        return fit(
            [Plan({"fit": 10 * MIB}, 0, Size(1), page_bytes=50 * MIB)], budget, work="a test", elsewhere=""
        )

    # Elsewhere the machine's own memory takes them.
    assert planned(Budget(12 * MIB, 0)).projected_bytes == 10 * MIB
    for allowed in (12, 27, 59):
        with pytest.raises(BudgetError, match="for pages of files") as caught:
            planned(Budget(allowed * MIB, 0, spare=16 * MIB))
        assert caught.value.smallest_bytes == 60 * MIB
    assert planned(Budget(60 * MIB, 0, spare=16 * MIB)).projected_bytes == 10 * MIB


def test_a_budget_is_measured(tmp_path):
    budget = Budget.measured(tmp_path, memory_bytes=50 * MIB, threads=1)
    assert (budget.allowed, budget.source, budget.cpus) == (50 * MIB, "--memory", 1)
    assert budget.reserved > MIB
    assert budget.free_disk is not None
    assert Budget.measured(tmp_path / "missing").free_disk is None


SOURCE = SourceShape(1 << 30, 1 << 24, 1 << 20, 1 << 20)
TRAINING = TrainingShape(1 << 22, 1 << 20, 1 << 26, 64)
EVALUATION = EvaluationShape(
    n_users=1 << 20,
    n_artists=1 << 20,
    nnz=1 << 26,
    longest=1 << 10,
    n_evaluated=1 << 20,
    n_held_out=1 << 20,
    k=10,
    n_ks=1,
    factors=64,
    neighbours=True,
)
ALL_USERS = RecommendingShape(1 << 20, 1 << 20, 1 << 24, 64, 10, 1 << 20)
BLENDED = replace(ALL_USERS, n_weights=1 << 40)


def ingest_bytes(stage: str, *, on_cluster: bool = False, **changes) -> int:
    source = replace(SOURCE, **changes)
    return project(source, IngestSettings(2, 1 << 24), on_cluster=on_cluster).stages[stage]


TIES = {
    "dataset.tables.TABLE_ROWS": lambda: ingest_bytes("summarize"),
    "dataset.tables.TABLE_BYTES": lambda: ingest_bytes("summarize", user_bytes=1000),
    "ingestion.long_rows.ARTIST_BYTES": lambda: ingest_bytes("assemble", longest=1 << 23),
    "ingestion.long_rows.RANGE_ROWS": lambda: ingest_bytes("assemble", longest=1 << 23),
    "ingestion.long_rows.REPEATED_ROW_BYTES": lambda: ingest_bytes("assemble", longest=1 << 23),
    "engine.run.GATHERS": lambda: ingest_bytes("scan", on_cluster=True),
    "dataset.arrays.BLOCK_NNZ": lambda: prepare_bytes(TRAINING, FitSettings(2, 1 << 18)),
    "dataset.arrays.BLOCK_VALUES": lambda: fit_bytes(TRAINING, FitSettings(2, 1 << 18)),
    "recommender.ranking.BLOCK_ARTISTS": lambda: recommending_bytes(ALL_USERS, BatchSettings(512, 2)),
    "recommender.ranking.SPARE": lambda: recommending_bytes(ALL_USERS, BatchSettings(512, 2)),
    "recommender.all_users_files.GROUP_ROWS": lambda: recommending_bytes(ALL_USERS, BatchSettings(512, 2)),
    "recommender.blend.USERS_AT_ONCE": lambda: recommending_bytes(
        replace(BLENDED, n_artists=1 << 10), BatchSettings(512, 2)
    ),
    "recommender.blend.REACHED_AT_ONCE": lambda: recommending_bytes(
        replace(BLENDED, n_artists=1 << 15), BatchSettings(512, 2)
    ),
    "recommender.ranking.FIRST_BLOCK": lambda: recommending_bytes(
        replace(ALL_USERS, n_artists=1 << 12), BatchSettings(512, 2)
    ),
    "recommender.item_weights.VALUES_AT_ONCE": lambda: recommending_bytes(BLENDED, BatchSettings(512, 2)),
    "evaluation.splits.BLOCK_NNZ": lambda: stage_bytes(EVALUATION, FitSettings(2, 1 << 18))["split"],
    "evaluation.evaluator.BATCH_USERS": lambda: stage_bytes(EVALUATION, FitSettings(2, 1 << 18))["rank"],
    "training.neighbours.PRODUCT_NNZ": lambda: neighbours_bytes(TRAINING, FitSettings(2, 1 << 18)),
    "evaluation.metrics.BLOCK_ROWS": lambda: stage_bytes(EVALUATION, FitSettings(2, 1 << 18))["measure"],
}
"""The code's constants, and what is projected of the buffers that they size."""


@pytest.mark.parametrize("name", TIES)
def test_a_larger_buffer_moves_the_projection(name, monkeypatch):
    module, _, constant = name.rpartition(".")
    module = import_module(f"lastfm_dask.{module}")
    before = TIES[name]()
    monkeypatch.setattr(module, constant, 2 * getattr(module, constant))
    assert TIES[name]() > before


@pytest.mark.parametrize("field", ["threads", "batch_names", "chunk_rows", "piece_lines"])
def test_settings_of_ingest_move_the_projection(field):
    few = IngestSettings(1, 1 << 22, 1 << 10, 1 << 19, 1 << 10)
    more = replace(few, **{field: 2 * getattr(few, field)})
    assert sum(project(SOURCE, more).stages.values()) > sum(project(SOURCE, few).stages.values())


def test_the_smallest_limit_is_the_one_that_a_refusal_names():
    def planned(budget):
        return fit(candidates(), budget, work="a test", elsewhere="go elsewhere")

    plan, limit = smallest(planned, Budget(100 * MIB, reserved=10 * MIB, free_disk=0))
    assert plan.stages == {"read": 12 * MIB, "write": 12 * MIB}
    assert limit >= plan.projected_bytes
    assert planned(Budget(limit, reserved=10 * MIB)).projected_bytes <= limit
