"""The fitted regime model: what it finds, that it repeats itself, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hmmlearn.hmm import GaussianHMM
from numpy.testing import assert_allclose, assert_array_equal

from swingtrader.core.regime import (
    RegimeModel,
    filtered_probabilities,
    log_likelihood,
    regime_features,
    regime_label,
)
from swingtrader.estimators.hmm import fit_regime

BARS = Path(__file__).parents[3] / "shared" / "data" / "bars.parquet"

TRANSMAT = np.array([[0.985, 0.015], [0.04, 0.96]])


def simulated_states(sessions: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    states = np.zeros(sessions, dtype=int)
    for t in range(1, sessions):
        states[t] = rng.random() < TRANSMAT[states[t - 1], 1]
    return states


def simulated_features(states: np.ndarray, seed: int) -> np.ndarray:
    """Return and volatility drawn as the model assumes: independent, given the state."""
    rng = np.random.default_rng(seed)
    returns = rng.normal([0.0006, -0.001], [0.006, 0.016], (len(states), 2))
    volatility = rng.normal([0.10, 0.24], [0.02, 0.05], (len(states), 2))
    row = np.arange(len(states))
    return np.column_stack([returns[row, states], volatility[row, states]])


def p_high(features: np.ndarray, model: RegimeModel) -> np.ndarray:
    density = log_likelihood(features, model)
    return filtered_probabilities(density, model.startprob, model.transmat)[:, 1]


STATES = simulated_states(1260, seed=11)
FEATURES = simulated_features(STATES, seed=12)


def test_parameters_of_simulated_data_are_recovered():
    model = fit_regime(FEATURES)
    assert_allclose(model.means[:, 1], [0.10, 0.24], rtol=0.03)
    assert_allclose(np.sqrt(model.covars[:, 0, 0]), [0.006, 0.016], rtol=0.1)
    assert_allclose(model.transmat, TRANSMAT, rtol=0, atol=0.02)


def test_filtered_labels_of_simulated_data_are_right():
    labels = p_high(FEATURES, fit_regime(FEATURES)) > 0.5
    assert (labels == STATES).mean() > 0.97


def test_filtered_labels_of_simulated_prices_are_right_but_for_the_windows_delay():
    states = np.arange(1260) // 180 % 2  # six changes, each noticed some sessions late
    returns = np.random.default_rng(1).standard_normal(1260) * np.where(states, 0.02, 0.006)
    features = regime_features(100 * np.exp(np.cumsum(returns)))
    labels = p_high(features, fit_regime(features)) > 0.5
    assert (labels == states)[21:].mean() > 0.93


def test_labels_never_swap_between_refits_on_growing_windows():
    for sessions in range(252, 1261, 63):
        labels = p_high(FEATURES, fit_regime(FEATURES[:sessions])) > 0.5
        assert (labels == STATES).mean() > 0.95, sessions


def test_the_fit_is_as_likely_as_the_best_of_hmmlearns_own_starts():
    # Regimes that overlap so much that the first guess is far from the optimum.
    rng = np.random.default_rng(1)
    returns = rng.standard_normal(1260) * np.where(STATES, 0.012, 0.008)
    volatility = np.where(STATES, 0.15, 0.12) + rng.standard_normal(1260) * 0.02
    features = np.column_stack([returns, volatility])
    model = fit_regime(features)
    ours = GaussianHMM(2, "full")
    ours.startprob_, ours.transmat_ = model.startprob, model.transmat
    ours.means_, ours.covars_ = model.means, model.covars

    # In standardised units, as hmmlearn's absolute priors would swamp a variance of 1e-4.
    scale = features.std(axis=0)
    theirs = [
        GaussianHMM(2, "full", n_iter=40, tol=1e-2, random_state=start).fit(features / scale)
        for start in range(2)
    ]
    best = max(hmm.score(features / scale) for hmm in theirs) - 1260 * np.log(scale).sum()
    # Per session; the rest is the even start, and priors worth one session in 1260.
    assert ours.score(features) / 1260 > best / 1260 - 8e-4


def test_two_fits_are_identical_to_the_bit_whatever_the_seed():
    first = fit_regime(FEATURES).to_bytes()
    assert fit_regime(FEATURES).to_bytes() == first
    assert fit_regime(FEATURES, seed=7).to_bytes() == first


def test_the_unit_of_the_features_does_not_matter():
    in_percent = p_high(FEATURES * 100, fit_regime(FEATURES * 100))
    assert_allclose(in_percent, p_high(FEATURES, fit_regime(FEATURES)), rtol=0, atol=1e-6)


def test_rows_that_are_not_finite_are_left_out():
    gaps = np.insert(FEATURES, [0, 0, 500], [[np.nan, 0.2], [0.01, np.nan], [np.inf, 0.1]], axis=0)
    assert fit_regime(gaps).to_bytes() == fit_regime(FEATURES).to_bytes()


def test_the_features_are_not_altered():
    features = FEATURES.copy()
    fit_regime(features)
    assert_array_equal(features, FEATURES)


def with_one_crash() -> np.ndarray:
    features = simulated_features(np.zeros(400, dtype=int), seed=5)
    features[200] = [-0.2, 0.9]
    return features


def two_levels() -> np.ndarray:
    """Volatility that does not vary within a state; exact in binary, so not even by rounding."""
    volatility = np.where(np.arange(256) % 64 < 32, 0.375, 0.125)
    return np.column_stack([np.random.default_rng(1).standard_normal(256) * 0.01, volatility])


HARD_CASES = {
    "one crash": with_one_crash(),
    "volatility of two levels": two_levels(),
    "only one regime": simulated_features(np.zeros(1260, dtype=int), seed=6),
    "a shift half way": simulated_features((np.arange(300) >= 150).astype(int), seed=7),
    "the minimum": FEATURES[:126],
}


@pytest.mark.parametrize("features", HARD_CASES.values(), ids=HARD_CASES.keys())
def test_hard_cases_give_a_usable_model_in_silence(features, capfd, caplog):
    model = fit_regime(features)
    assert model.means[0, 1] <= model.means[1, 1]
    assert (model.transmat > 0).all(), "a regime that cannot be left is a trap for the filter"
    assert np.isfinite(p_high(features, model)).all()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("sessions", [0, 1, 125])
def test_fewer_than_126_finite_rows_are_refused(sessions):
    features = np.full((400, 2), np.nan)
    features[:sessions] = FEATURES[:sessions]
    with pytest.raises(ValueError, match=f"needs 126 sessions .* got {sessions}$"):
        fit_regime(features)


@pytest.mark.parametrize(
    "close",
    [np.full(400, 50.0), 50.0 * 1.001 ** np.arange(400)],
    ids=["constant price", "constant growth"],
)
def test_prices_without_movement_are_refused(close):
    with pytest.raises(ValueError, match="constant"):
        fit_regime(regime_features(close))


@pytest.mark.parametrize("shape", [(300,), (300, 1), (300, 3)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(T, 2\)"):
        fit_regime(np.zeros(shape))


@pytest.mark.skipif(not BARS.exists(), reason=f"no real bars at {BARS}")
@pytest.mark.parametrize(
    ("session", "label"),
    [
        ("2011-08-31", "high_volatility"),  # the downgrade of the United States' debt
        ("2013-11-29", "low_volatility"),
        ("2015-09-08", "high_volatility"),  # China's devaluation
        ("2017-11-30", "low_volatility"),  # the calmest year of the decade
        ("2018-02-20", "high_volatility"),  # the collapse of short-volatility products
        ("2018-12-26", "high_volatility"),
        ("2019-12-16", "low_volatility"),
    ],
)
def test_history_is_labelled_as_it_is_remembered_knowing_only_the_past(session, label):
    bars = pd.read_parquet(BARS, columns=["symbol", "date", "close"])
    spy = bars[(bars["symbol"] == "SPY") & (pd.to_datetime(bars["date"]) <= session)]
    close = spy.sort_values("date")["close"].to_numpy()[-1260:]
    features = regime_features(close)
    assert regime_label(p_high(features, fit_regime(features))[-1]) == label
