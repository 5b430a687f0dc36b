"""The search: reproducible, inside the training part, its file what training takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.evaluation import candidates, search
from lastfm_dask.evaluation import tune as tuning
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun
from lastfm_dask.evaluation.search import Trial, TuneSettings, best_of
from lastfm_dask.evaluation.splits import SplitSettings
from lastfm_dask.evaluation.trial_log import TrialLog
from lastfm_dask.evaluation.tune import tune
from lastfm_dask.training.settings import PRESETS, TrainSettings
from lastfm_dask.training.strength import settle

PLAYS = random_plays(n_users=120, n_artists=60, per_user=10, seed=4)
FEW = TuneSettings(n_trials=4, max_factors=128)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "scratch").mkdir()
    return EvaluationRun(threads=1, folder=tmp_path / "scratch")


def test_a_seed_gives_the_same_file_on_any_threads(tmp_path, run):
    found = tune(PLAYS, tmp_path / "a.json", FEW, run)
    tune(PLAYS, tmp_path / "b.json", FEW, EvaluationRun(threads=3, folder=run.folder))
    other = TuneSettings(n_trials=4, max_factors=128, split=SplitSettings(seed=1))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert tune(PLAYS, tmp_path / "c.json", other, run).trials != found.trials
    assert list(run.folder.iterdir()) == []


def test_the_presets_come_first_as_they_are_settled_and_the_best_is_chosen(tmp_path, run, monkeypatch):
    splits = []
    make_split = tuning.make_split
    monkeypatch.setattr(tuning, "make_split", lambda *given: splits.append(make_split(*given)) or splits[-1])
    found = tune(PLAYS, tmp_path / "s.json", FEW, run)
    tried = [search.searched(trial.settings) for trial in found.trials]
    presets = [PRESETS["recommended"], PRESETS["notebook"]]
    assert tried[:2] == [search.searched(settle(splits[1].train, preset)) for preset in presets]
    assert tried[0]["model"] == PRESETS["recommended"].model
    values = [trial.value for trial in found.trials]
    assert found.best == found.trials[int(np.argmax(values))].settings
    assert [model.name for model in found.models] == ["tuned", "popularity", "notebook", "recommended"]


def test_an_interrupted_search_goes_on_to_the_same_bytes(tmp_path, run, monkeypatch):
    whole = tune(PLAYS, tmp_path / "whole.json", FEW, run)
    measured = search.Search._value
    asked = []

    def interrupted(self, settings):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(settings)
        return measured(self, settings)

    with monkeypatch.context() as patch:
        patch.setattr(search.Search, "_value", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(PLAYS, tmp_path / "s.json", FEW, run)
    assert [path.name for path in tmp_path.glob(".*")] == [".s.json.trials"]
    monkeypatch.setattr(search.Search, "_value", lambda *given: asked.append(given[1]) or measured(*given))
    found = tune(PLAYS, tmp_path / "s.json", FEW, run)
    assert found.resumed_after == 2
    assert asked == [trial.settings for trial in whole.trials]
    assert (tmp_path / "s.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("left", ["other data", "no JSON", "another list"])
def test_what_another_search_left_does_not_count(tmp_path, run, left):
    log = TrialLog.beside(tmp_path / "s.json", PLAYS, FEW)
    trials = {"no JSON": "{", "another list": json.dumps({"key": log.key, "trials": 5})}
    if left == "other data":
        plays = PLAYS.copy()
        plays.data[0] += 1
        TrialLog.beside(tmp_path / "s.json", plays, FEW).keep(Trial(0, 1.0, TrainSettings()))
    else:
        log.path.write_text(trials[left])
    assert tune(PLAYS, tmp_path / "s.json", TuneSettings(n_trials=1, max_factors=16), run).resumed_after == 0
    assert list(tmp_path.glob(".*")) == []


def test_its_file_is_what_training_takes(tmp_path, run):
    found = tune(PLAYS, tmp_path / "s.json", FEW, run)
    assert TrainSettings.from_file(tmp_path / "s.json") == found.best
    document = json.loads((tmp_path / "s.json").read_text())
    assert [trial["trial"] for trial in document["trials"]] == list(range(4))
    assert document["trials"][0]["value"] == found.trials[0].value


def test_evaluate_with_the_seed_judges_on_what_the_search_never_saw(tmp_path, run, monkeypatch):
    splits = []
    make_split = tuning.make_split

    def kept(*given):
        split = make_split(*given)
        splits.append([part.toarray() > 0 for part in (split.train, split.held_out)])
        return split

    monkeypatch.setattr(tuning, "make_split", kept)
    found = tune(PLAYS, tmp_path / "s.json", FEW, run)
    (train, held_out), (inner_train, inner_held_out) = splits
    assert not (held_out & (inner_train | inner_held_out)).any()
    assert np.array_equal(train, inner_train | inner_held_out)
    again = evaluate(PLAYS, [candidates.als("tuned", found.best)], FEW.measured, run)
    assert again.split == found.split
    assert again.models[0].metrics == found.models[0].metrics


def test_settings_that_can_not_be_trained_are_passed_over(tmp_path, run, monkeypatch):
    fit_als = candidates.fit_als

    def refusing(split, settings, fit_run):
        if settings.weighting == "raw":
            msg = "not above zero"
            raise BadInputError(msg)
        return fit_als(split, settings, fit_run)

    with monkeypatch.context() as patch:
        patch.setattr(candidates, "fit_als", refusing)
        found = tune(PLAYS, tmp_path / "s.json", FEW, run)
        raw = [trial.settings.weighting == "raw" for trial in found.trials]
        assert [trial.value is None for trial in found.trials] == raw
        assert any(raw)
        assert [model.name for model in found.models] == ["tuned", "popularity", "recommended"]
        with pytest.raises(BadInputError, match="none of 2 trials"):
            tune(PLAYS, tmp_path / "n.json", TuneSettings(2, max_factors=16, weightings=("raw",)), run)
    assert not (tmp_path / "n.json").exists()


def test_the_best_is_the_first_of_the_highest():
    settings = [TrainSettings(factors=n) for n in (1, 2, 3, 4)]
    values = [0.1, None, 0.3, 0.3]
    trials = tuple(Trial(n, value, one) for n, (value, one) in enumerate(zip(values, settings, strict=True)))
    assert best_of(trials) == settings[2]


def test_without_optuna_the_extra_is_named(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadInputError, match=r"lastfm_dask\[tune\]"):
        tune(PLAYS, tmp_path / "s.json", FEW, run)


def test_an_output_that_can_not_be_written_is_refused_before_work(tmp_path, run, monkeypatch):
    monkeypatch.setattr(tuning, "make_split", None)
    (tmp_path / "s.json").write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        tune(PLAYS, tmp_path / "s.json", FEW, run)
    with pytest.raises(StoreError, match="No such file or directory; choose a folder that exists"):
        tune(PLAYS, tmp_path / "no" / "s.json", FEW, run)
    # Not even root may write there.
    with pytest.raises(StoreError, match="choose a folder that exists and is writable"):
        tune(PLAYS, Path("/proc/s.json"), FEW, run)
    assert {path.name for path in tmp_path.iterdir()} == {"scratch", "s.json"}
    assert (tmp_path / "s.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_trials": 0}, "0 trials"),
        ({"max_factors": 2}, "most factors are 2"),
        ({"weightings": ("tf",)}, "tf"),
    ],
)
def test_searches_that_can_not_be_are_refused(change, word):
    with pytest.raises(BadInputError, match=word):
        TuneSettings(**change)
