"""`lastfm_dask.plan`: what a source, a dataset and a model will need, as objects that show themselves."""

from __future__ import annotations

import doctest

import pytest
from models import small_model

import lastfm_dask
from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender import planning


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("planned"))


def test_a_source_s_plan_is_what_ingest_makes_before_its_work(tmp_path):
    log = tmp_path / "log.tsv"
    log.write_bytes(b"".join(b"u%d\t\ta%d\t3\n" % (i // 9, i % 31) for i in range(3000)))
    found = lastfm_dask.plan(log, folder=tmp_path)
    assert isinstance(found, lastfm_dask.Plan)
    assert found.source.source_bytes == log.stat().st_size
    assert max(found.stages.values()) == found.projected_bytes <= found.budget.allowed
    assert [path.name for path in tmp_path.iterdir()] == ["log.tsv"]


def test_a_dataset_is_planned_as_training_and_a_model_as_answering(model):
    of_model = lastfm_dask.plan(model.path)
    assert list(of_model.stages) == ["recommend"]
    of_dataset = lastfm_dask.plan(model.path.parent / "lastfm.dataset", folder=model.path.parent)
    assert list(of_dataset.stages)[:2] == ["prepare", "fit"]
    assert of_dataset.disk_bytes > 0


def test_a_plan_shows_each_stage_and_what_is_allowed(model):
    found = lastfm_dask.plan(model.path, resources=lastfm_dask.Resources(memory_bytes=700 * MIB, threads=1))
    for text in (repr(found), found._repr_html_()):
        assert all(word in text for word in ("recommend", "700.0 MiB", "--memory", "threads 1"))
    assert found.to_pandas()["projected"].tolist() == list(found.stages.values())


def test_what_does_not_fit_is_refused_with_the_smallest_limit(tmp_path):
    (tmp_path / "log.tsv").write_bytes(b"u\t\ta\t3\n")
    with pytest.raises(BudgetError) as caught:
        lastfm_dask.plan(tmp_path / "log.tsv", resources=lastfm_dask.Resources(memory_bytes=MIB))
    assert caught.value.smallest_bytes > MIB


def test_the_example_holds(tmp_path):
    (tmp_path / "log.tsv").write_bytes(b"u\t\ta\t3\n")
    tried = doctest.testmod(planning, extraglobs={"example_log": tmp_path / "log.tsv"})
    assert (tried.failed, tried.attempted) == (0, 3)
