"""Run files and qrels, as trec_eval's own code reads and measures them."""

from __future__ import annotations

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
from lastfm_dask.evaluation.trec import QRELS, write_run


def test_an_evaluator_of_the_field_finds_the_same_figures(tmp_path):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    plays = random_plays(n_users=90, n_artists=50, per_user=9, seed=3)
    models = [candidates.popularity(), candidates.neighbours()]
    run = EvaluationRun(folder=tmp_path, trec_folder=tmp_path)
    found = evaluate(plays, models, EvaluationSettings(n_resamples=0), run)
    with (tmp_path / QRELS).open() as file:
        qrels = pytrec_eval.parse_qrel(file)
    assert len(qrels) == found.split["n_users"]
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10", "P.10"})
    for model in found.models:
        with (tmp_path / f"{model.name}.run").open() as file:
            measured = evaluator.evaluate(pytrec_eval.parse_run(file))
        for theirs, ours in (
            ("ndcg_cut_10", "ndcg@10"),
            ("recall_10", "recall@10"),
            ("P_10", "precision@10"),
        ):
            mean = np.mean([figures[theirs] for figures in measured.values()])
            assert mean == pytest.approx(model.metrics[ours].value)


def test_a_list_that_ends_early_has_fewer_lines(tmp_path):
    write_run(tmp_path, "m", np.array([4, 7]), np.array([[2, 0, -1], [-1, -1, -1]]))
    assert (tmp_path / "m.run").read_text() == "4 Q0 2 1 3 m\n4 Q0 0 2 2 m\n"
