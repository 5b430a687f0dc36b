"""Training's settings: presets, their file, and what is refused."""

from __future__ import annotations

import json

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.training.settings import PRESETS, TrainSettings, preset


def test_the_notebook_preset_is_the_notebook():
    found = preset("notebook")
    assert (found.factors, found.regularization, found.iterations) == (100, 0.01, 15)
    assert (found.alpha, found.weighting) == (1.0, "raw")


def test_a_change_makes_a_preset_custom_and_no_change_does_not():
    for name in PRESETS:
        found = preset(name)
        assert found.preset == name
        assert found.changed(factors=None, weighting=found.weighting) == found
        changed = found.changed(factors=found.factors + 1)
        assert changed.preset == "custom"
        # Explicit settings of the factors are not blended with anything unasked.
        expected = {"factors": found.factors + 1, "preset": "custom", "model": "als"}
        assert changed.to_dict() == found.to_dict() | expected
        assert found.changed(factors=8, model="auto").model == "auto"


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_gives_back_what_was_written(tmp_path, name):
    path = tmp_path / "settings.json"
    settings = preset(name).changed(seed=7, bm25_b=0.5)
    settings.to_file(path)
    assert TrainSettings.from_file(path) == settings
    path.write_text(json.dumps({"settings": settings.to_dict(), "score": 0.3}))
    assert TrainSettings.from_file(path) == settings


def test_a_file_is_replaced_whole_and_never_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "settings.json").symlink_to("mine")
    preset("notebook").to_file(tmp_path / "settings.json")
    assert (tmp_path / "mine").read_text() == "mine"
    assert TrainSettings.from_file(tmp_path / "settings.json") == preset("notebook")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "settings.json"]


def test_a_file_with_some_keys_is_custom(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"factors": 32}')
    assert TrainSettings.from_file(path) == TrainSettings(factors=32, preset="custom")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read"),
        ("[1]", "no JSON object"),
        ('{"factor": 3}', "unknown keys factor"),
        ('{"factors": "3"}', "factors is '3'"),
        ('{"alpha": NaN}', "alpha is nan"),
        ('{"preset": 3}', "preset is 3"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match=message):
        TrainSettings.from_file(path)
    with pytest.raises(BadInputError, match="No such file"):
        TrainSettings.from_file(tmp_path / "none.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"factors": 0},
        {"factors": True},
        {"factors": 5000},
        {"iterations": 0},
        {"seed": -1},
        {"regularization": -0.1},
        {"regularization": float("inf")},
        {"alpha": 0},
        {"weighting": "tfidf"},
        {"bm25_k1": 0},
        {"bm25_b": 1.1},
    ],
)
def test_what_can_not_be_used_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(BadInputError, match=f"{name} is "):
        TrainSettings(**wrong)


def test_all_problems_stand_in_one_message():
    with pytest.raises(BadInputError, match=r"factors is .*; iterations is .*; alpha is "):
        TrainSettings(factors=0, iterations=0, alpha=-1)


def test_no_such_preset():
    with pytest.raises(BadInputError, match="notebook, recommended"):
        preset("best")


def test_a_number_given_is_kept_and_auto_leaves_it_to_training():
    found = preset("recommended").changed(alpha=2.0)
    assert found.auto == ("regularization", "iterations")
    assert found.preset == "custom"
    again = found.changed(alpha="auto")
    assert again.auto == ("alpha", "regularization", "iterations")
    assert preset("notebook").auto == ()
    assert TrainSettings.from_dict(again.to_dict()) == again
