"""Which model answers: another one at the path is taken up whole, or not at all."""

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from serving import PLAN, client, served_model

from lastfm_dask.serve.opened import Opened, shape_of
from lastfm_dask.serve.plan import serving_bytes
from lastfm_dask.serve.service import Service

if TYPE_CHECKING:
    from pathlib import Path

LIKES = {"sigur rós": 30, "björk": 12}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, Path]:
    """Two models of equal sizes, as this month's and last month's may be."""
    folder = tmp_path_factory.mktemp("service")
    return tuple(served_model(folder / name, seed=seed, model="blend") for seed, name in enumerate("ab"))


@pytest.fixture
def link(both, tmp_path) -> Path:
    current = tmp_path / "current"
    current.symlink_to(both[0])
    return current


def turn(link: Path, target: Path) -> None:
    following = link.with_name("following")
    following.symlink_to(target)
    following.replace(link)


def answers(opened: Opened) -> list[object]:
    model = opened.model
    return [
        model.recommend(likes=LIKES, n=5).to_dict(),
        model.similar("björk", 5).to_dict(),
        model.score(["radiohead"], likes=LIKES, vectors=True).to_dict(),
    ]


def test_a_link_that_turns_while_the_model_is_opened_does_not_mix_two_models(both, link, monkeypatch):
    service = Service(link, PLAN)
    prepare, turns = service.opened.model.__class__.prepare, iter(reversed(both))

    def turning(model):
        for target in turns:
            turn(link, target)
            break
        prepare(model)

    monkeypatch.setattr(service.opened.model.__class__, "prepare", turning)
    assert asyncio.run(service.reload())
    monkeypatch.undo()
    now = link.resolve()
    assert service.opened.path == now
    expected = Service(now, PLAN).opened
    assert service.opened.facts() == expected.facts()
    assert answers(service.opened) == answers(expected)


def test_an_open_model_answers_after_its_directory_is_gone(both, tmp_path):
    path = shutil.copytree(both[0], tmp_path / "gone.model")
    service = Service(path, PLAN)
    shutil.rmtree(path)
    assert answers(service.opened) == answers(Service(both[0], PLAN).opened)
    assert not service.is_outdated()


def test_a_model_that_does_not_fit_the_memory_is_not_taken_up(both, link, tmp_path):
    service = Service(link, PLAN)
    old = service.opened
    # Of two models of equal sizes one may have a manifest that is some bytes longer.
    models = [Service(path, PLAN).opened.model for path in both]
    needed = max(serving_bytes(shape_of(model), PLAN.threads, PLAN.max_requests, 0) for model in models)
    service.metrics.plan = replace(PLAN, allowed_bytes=needed)
    turn(link, served_model(tmp_path / "larger", n_artists=2000))
    assert not asyncio.run(service.reload())
    assert service.opened is old
    assert service.metrics.reloads == {"taken_up": 0, "failed": 1}
    turn(link, both[1])
    assert asyncio.run(service.reload())


def test_whatever_is_wrong_with_a_new_model_the_watch_goes_on(both, link, monkeypatch):
    service = Service(link, PLAN)
    monkeypatch.setattr("lastfm_dask.serve.service.WATCH_S", 0.01)
    monkeypatch.setattr("lastfm_dask.serve.service.Opened", lambda _: 1 // 0)

    async def watched() -> None:
        watch = asyncio.create_task(service.watch())
        turn(link, both[1])
        while not service.metrics.reloads["failed"]:
            await asyncio.sleep(0.01)
        monkeypatch.setattr("lastfm_dask.serve.service.Opened", Opened)
        turn(link, both[0])
        while not service.metrics.reloads["taken_up"]:
            await asyncio.sleep(0.01)
        watch.cancel()

    asyncio.run(asyncio.wait_for(watched(), 60))
    assert service.opened.path == both[0]


def test_many_signals_at_once_open_the_model_twice_at_most(both, link):
    service = Service(link, PLAN)
    turn(link, both[1])

    async def storm() -> list[bool]:
        return await asyncio.gather(*(service.reload() for _ in range(20)))

    assert 1 <= sum(asyncio.run(storm())) <= 2
    assert service.opened.path == both[1]


def test_the_page_of_the_data_does_not_keep_a_model_that_was_replaced(both, link):
    with client(link) as page:
        assert page.get("/data").status_code == 200
        old = weakref.ref(page.service.opened)
        turn(link, both[1])
        page.portal.call(page.service.reload)
        gc.collect()
        assert old() is None
