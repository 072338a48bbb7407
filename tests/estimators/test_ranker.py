"""The ranker's export against xgboost itself, its repeatability, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost as xgb
from numpy.testing import assert_allclose, assert_array_equal

from swingtrader.core.trees import TreeEnsemble, log_odds, probability
from swingtrader.estimators.ranker import RankerParameters, fit_ranker, tree_ensemble

SMALL = RankerParameters(trees=40)


def training_rows(rows: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Thirteen columns, some values missing, about a quarter of the labels true."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 13)).astype(np.float32)
    y = x[:, 0] + x[:, 1] * x[:, 2] + rng.standard_normal(rows) > 1.0
    x[rng.random(x.shape) < 0.05] = np.nan
    return x, y


X, Y = training_rows()
UNSEEN, _ = training_rows(5000, seed=1)


def booster(x: np.ndarray, y: np.ndarray, rounds: int, **parameters) -> xgb.Booster:
    settings = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1}
    rows = xgb.QuantileDMatrix(x, y.astype(np.float32), nthread=1)
    return xgb.train(settings | parameters, rows, rounds)


def exported(model: xgb.Booster) -> TreeEnsemble:
    return tree_ensemble(json.loads(bytes(model.save_raw("json"))))


def assert_equal_to_xgboost(ensemble: TreeEnsemble, model: xgb.Booster, x: np.ndarray):
    rows = xgb.DMatrix(x)
    assert_array_equal(log_odds(ensemble, x), model.predict(rows, output_margin=True))
    ours, theirs = probability(ensemble, x), model.predict(rows)
    # The C library's float32 exponential is one bit off the correctly rounded one now and then.
    assert_allclose(ours, theirs, rtol=0, atol=6e-8)
    assert (abs(ours - theirs) > 3e-8).mean() < 1e-3


def test_the_fit_is_the_designs_booster_and_predicts_what_it_predicts():
    peer = booster(
        X,
        Y,
        rounds=300,
        max_depth=4,
        learning_rate=0.03,
        max_bin=256,
        base_score=0.5,
        scale_pos_weight=(~Y).sum() / Y.sum(),
    )
    assert_equal_to_xgboost(fit_ranker(X, Y), peer, UNSEEN)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_depth": 1},
        {"max_depth": 6},
        {"max_depth": 4, "learning_rate": 1.0},
        {"max_depth": 4, "gamma": 20.0},  # pruned to uneven depths
        {"max_depth": 4, "base_score": 0.2},
        {"max_depth": 4, "base_score": 0.5, "scale_pos_weight": 3.0},
    ],
    ids=str,
)
def test_an_export_predicts_what_its_booster_predicts(parameters):
    model = booster(X, Y, rounds=30, **parameters)
    assert_equal_to_xgboost(exported(model), model, UNSEEN)


def test_values_equal_to_a_threshold_go_where_xgboost_sends_them():
    grid = np.random.default_rng(2).integers(0, 6, (2000, 3)).astype(np.float32)
    model = booster(grid, grid.sum(axis=1) > 9, rounds=30, max_depth=3)
    ensemble = exported(model)
    assert np.isin(ensemble.threshold, np.unique(grid)).any(), "no value meets a threshold"
    assert_equal_to_xgboost(ensemble, model, grid)


def test_trees_that_found_nothing_to_split_are_single_leaves():
    model = booster(np.ones_like(X), Y, rounds=5, max_depth=4)
    ensemble = exported(model)
    assert ensemble.depth == 0
    assert_equal_to_xgboost(ensemble, model, UNSEEN)


@pytest.mark.parametrize("base_score", ["[2.5E-1]", "2.5E-1", "0.25"])
def test_the_base_score_is_read_in_the_notation_of_every_version(base_score):
    model = json.loads(bytes(booster(X, Y, rounds=1).save_raw("json")))
    model["learner"]["learner_model_param"]["base_score"] = base_score
    assert tree_ensemble(model).base_margin == pytest.approx(-np.log(3), rel=1e-7)


def test_other_models_are_not_mistaken_for_a_classifier():
    with pytest.raises(ValueError, match="reg:squarederror is not binary:logistic"):
        exported(booster(X, Y, rounds=1, objective="reg:squarederror"))


def test_categorical_splits_are_not_mistaken_for_thresholds():
    colour = np.random.default_rng(3).integers(0, 5, (1000, 1)).astype(np.float32)
    rows = xgb.DMatrix(
        colour,
        (colour[:, 0] == 3).astype(np.float32),
        feature_types=["c"],
        enable_categorical=True,
    )
    model = xgb.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, rows, 1)
    with pytest.raises(ValueError, match="categorical"):
        exported(model)


def test_the_ranking_it_learns_holds_on_unseen_rows():
    x, y = training_rows(4000, seed=9)
    p = probability(fit_ranker(X, Y, parameters=SMALL), x)
    assert p[y].mean() > p[~y].mean() + 0.15
    # Balanced classes: the average row is called as likely as not.
    assert abs(p.mean() - 0.5) < 0.1


def test_the_same_rows_and_seed_give_the_same_bits():
    first = fit_ranker(X, Y, seed=3, parameters=SMALL).to_bytes()
    assert fit_ranker(X.copy(), Y.copy(), seed=3, parameters=SMALL).to_bytes() == first


def test_fits_side_by_side_give_the_bits_of_fits_one_after_the_other():
    data = [training_rows(2000, seed) for seed in range(6)]

    def fit(rows):
        return fit_ranker(*rows, parameters=SMALL).to_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fit, data)) == [fit(rows) for rows in data]


def test_parameters_shape_the_trees():
    ensemble = fit_ranker(X, Y, parameters=RankerParameters(depth=2, trees=7))
    assert ensemble.leaf.shape == (7, 4)
    assert ensemble.n_features == 13


def test_neither_rows_nor_labels_are_altered():
    x, y = X.copy(), Y.copy()
    fit_ranker(x, y, parameters=SMALL)
    assert_array_equal(x, X)
    assert_array_equal(y, Y)


def with_an_infinity(sign: float) -> np.ndarray:
    x = X.copy()
    x[17, 5] = sign * np.inf
    return x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:199], Y[:199], "needs 200 rows, got 199"),
        (X, np.ones(len(X), dtype=bool), "one class"),
        (X, np.zeros(len(X), dtype=bool), "one class"),
        (with_an_infinity(1), Y, "infinite"),
        (with_an_infinity(-1), Y, "infinite"),
        (X, Y[:-1], "expected"),
        (X[:, 0], Y, "expected"),
        (X, np.where(Y, 1.0, np.nan), "expected bool"),
    ],
    ids=["few", "all true", "all false", "inf", "-inf", "lengths", "one column", "float labels"],
)
def test_rows_that_teach_nothing_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_ranker(x, y)


def test_a_fit_is_silent(capfd):
    fit_ranker(X, Y, parameters=SMALL)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "module",
    ["swingtrader.core.trees", "swingtrader.estimators.ranker", "swingtrader.estimators.hmm"],
)
def test_importing_loads_no_learning_library(module):
    code = f"import sys, {module}; print({{'xgboost', 'hmmlearn', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
