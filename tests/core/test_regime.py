"""The forward filter against worked examples and hmmlearn; labels, exposure and bytes."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from swingtrader.core.regime import (
    RegimeModel,
    exposure_scale,
    filtered_probabilities,
    log_likelihood,
    ordered_by_volatility,
    regime_features,
    regime_label,
)

CALM_AND_TURBULENT = {
    "startprob": [0.6, 0.4],
    "transmat": [[0.97, 0.03], [0.08, 0.92]],
    "means": [[0.0008, 0.11], [-0.0006, 0.26]],
    "covars": [[[4e-5, 1e-6], [1e-6, 6e-4]], [[3e-4, -2e-5], [-2e-5, 6e-3]]],
}


def regime_model(**changes) -> RegimeModel:
    return RegimeModel(**{k: np.array(v) for k, v in (CALM_AND_TURBULENT | changes).items()})


def random_features(sessions: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    turbulent = (np.arange(sessions) // 40) % 2
    returns = rng.standard_normal(sessions) * np.where(turbulent, 0.015, 0.006)
    return np.column_stack([returns, np.where(turbulent, 0.24, 0.1) + abs(returns)])


def peer(model: RegimeModel) -> GaussianHMM:
    hmm = GaussianHMM(len(model.startprob), "full")
    hmm.startprob_, hmm.transmat_ = model.startprob, model.transmat
    hmm.means_, hmm.covars_ = model.means, model.covars
    return hmm


def filtered(features: np.ndarray) -> np.ndarray:
    model = regime_model()
    return filtered_probabilities(log_likelihood(features, model), model.startprob, model.transmat)


def smoothed(features: np.ndarray) -> np.ndarray:
    return peer(regime_model()).predict_proba(features)


# The filter


def test_filter_gives_the_umbrella_world_of_russell_and_norvig():
    # Russell and Norvig, Artificial Intelligence: A Modern Approach, 3rd ed., section 15.2.1:
    # rain persists with 0.7, an umbrella is seen with 0.9 in rain and 0.2 without. The text
    # works out 0.818 and 0.883 for two umbrellas. By hand, day 1: 0.9*0.5 / (0.9*0.5 + 0.2*0.5).
    # The days after it, without and again with umbrella, are those of the worked example in
    # Wikipedia's "Forward-backward algorithm".
    umbrella, none = [0.9, 0.2], [0.1, 0.8]
    seen = np.log([umbrella, umbrella, none, umbrella, umbrella])
    rain = filtered_probabilities(seen, np.array([0.5, 0.5]), np.array([[0.7, 0.3], [0.3, 0.7]]))
    assert_allclose(rain[:2, 0], [0.818, 0.883], rtol=0, atol=5e-4)
    assert_allclose(rain[:, 0], [0.8182, 0.8834, 0.1907, 0.7308, 0.8673], rtol=0, atol=5e-5)


def test_last_filtered_row_is_hmmlearns_and_earlier_rows_are_not():
    features = random_features(300)
    ours, theirs = filtered(features), smoothed(features)
    assert_allclose(ours[-1], theirs[-1], rtol=0, atol=1e-12)
    assert abs(ours[:-1] - theirs[:-1]).max() > 0.1


def test_every_filtered_row_is_the_last_row_of_hmmlearn_on_the_sessions_so_far():
    features = random_features(50, seed=3)
    theirs = [smoothed(features[: t + 1])[-1] for t in range(len(features))]
    assert_allclose(filtered(features), theirs, rtol=0, atol=1e-12)


def first_row_changed_by_later_ones(probabilities_of, features: np.ndarray) -> int | None:
    """First row that is not the same, to the last bit, once later sessions are known."""
    whole = probabilities_of(features)
    for t in range(1, len(features)):
        unequal = (probabilities_of(features[:t]) != whole[:t]).any(axis=1)
        if unequal.any():
            return int(unequal.argmax())
    return None


def test_appending_sessions_changes_no_earlier_filtered_row():
    assert first_row_changed_by_later_ones(filtered, random_features(120)) is None


def test_the_same_check_catches_smoothed_probabilities():
    assert first_row_changed_by_later_ones(smoothed, random_features(120)) is not None


def test_appending_closes_changes_no_earlier_row_from_price_to_probability():
    closes = 100 * np.exp(np.cumsum(random_features(90, seed=5)[:, 0]))

    def from_price(close: np.ndarray) -> np.ndarray:
        features = regime_features(close)
        return np.nan_to_num(np.hstack([features, filtered(features)]))

    assert first_row_changed_by_later_ones(from_price, closes) is None


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    states=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([1.0, 30.0, 1000.0]),
)
def test_filtered_rows_are_probabilities_however_unlikely_the_data(states, seed, spread):
    rng = np.random.default_rng(seed)
    density = rng.normal(-spread, spread, (50, states))
    density[rng.random(50) < 0.1] = np.nan
    transmat = rng.dirichlet(np.ones(states), states)
    rows = filtered_probabilities(density, rng.dirichlet(np.ones(states)), transmat)
    assert ((rows >= 0) & (rows <= 1)).all()
    assert_allclose(rows.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_missing_rows_carry_the_prediction_forward():
    startprob, transmat = np.array([0.9, 0.1]), np.array([[0.8, 0.2], [0.4, 0.6]])
    nothing, flat = [np.nan, np.nan], [0.0, 0.0]
    rows = filtered_probabilities(np.array([nothing, [np.nan, -1.0], flat]), startprob, transmat)
    # 0.9*0.8 + 0.1*0.4 = 0.76; 0.76*0.8 + 0.24*0.4 = 0.704; a flat density adds nothing.
    assert_allclose(rows[:, 0], [0.9, 0.76, 0.704], rtol=1e-14)


def test_the_only_reachable_regime_survives_a_density_that_underflows():
    rows = filtered_probabilities(np.array([[-5000.0, 0.0]]), np.array([1.0, 0.0]), np.eye(2))
    assert_array_equal(rows, [[1.0, 0.0]])


def test_reachable_regimes_are_weighed_exactly_where_only_the_unreachable_one_fits():
    # Both densities are below the smallest normal float64. Odds of 0.7 exp(-743) to 0.3 exp(-742).
    rows = filtered_probabilities(
        np.array([[-743.0, -742.0, 0.0]]), np.array([0.7, 0.3, 0.0]), np.eye(3)
    )
    first = 0.7 / (0.7 + 0.3 * math.e)
    assert_allclose(rows, [[first, 1 - first, 0.0]], rtol=1e-12)


@pytest.mark.parametrize(
    "row", [[-math.inf, -math.inf], [-math.inf, 0.0]], ids=["anywhere", "in reach"]
)
def test_a_row_that_no_regime_explains_is_refused(row):
    with pytest.raises(ValueError, match="impossible"):
        filtered_probabilities(np.array([row]), np.array([1.0, 0.0]), np.eye(2))


@pytest.mark.parametrize(("k_density", "k_start", "k_trans"), [(3, 2, 2), (2, 3, 2), (2, 2, 3)])
def test_arguments_of_different_k_are_refused(k_density, k_start, k_trans):
    with pytest.raises(ValueError, match="share K"):
        filtered_probabilities(
            np.zeros((4, k_density)), np.ones(k_start) / k_start, np.eye(k_trans)
        )


def test_no_sessions_give_no_rows():
    assert filtered(np.empty((0, 2))).shape == (0, 2)


# Features and densities


def test_features_are_log_return_and_annualised_deviation_of_21_returns():
    closes = 50 * np.exp(np.cumsum(random_features(60, seed=1)[:, 0]))
    features = regime_features(closes)
    returns = [math.log(closes[t] / closes[t - 1]) for t in range(1, 60)]
    assert_allclose(features[1:, 0], returns, rtol=0, atol=1e-14)
    assert np.isnan(features[0, 0])
    assert np.isnan(features[:21, 1]).all()
    for t in (21, 40, 59):  # returns[t - 1] is that of session t
        expected = np.std(returns[t - 21 : t], ddof=1) * math.sqrt(252)
        assert_allclose(features[t, 1], expected, rtol=1e-12)


def test_a_missing_close_leaves_out_both_returns_and_every_window_over_them():
    closes = 50 * np.exp(np.cumsum(random_features(80, seed=1)[:, 0]))
    closes[30] = np.nan
    features = regime_features(closes)
    assert_array_equal(np.flatnonzero(np.isnan(features[:, 0])), [0, 30, 31])
    assert_array_equal(np.flatnonzero(np.isnan(features[21:, 1])) + 21, range(30, 52))


@pytest.mark.parametrize("sessions", [0, 1, 21])
def test_few_closes_give_no_volatility(sessions):
    features = regime_features(np.linspace(10.0, 11.0, sessions))
    assert features.shape == (sessions, 2)
    assert np.isnan(features[:, 1]).all()


@pytest.mark.parametrize("close", [0.0, -1.0, math.inf])
def test_a_close_that_is_no_price_is_refused(close):
    with pytest.raises(ValueError, match="positive and finite"):
        regime_features(np.array([10.0, close]))


def test_log_likelihood_is_the_multivariate_normal_of_scipy():
    rng = np.random.default_rng(0)
    covars = [a @ a.T + 0.1 * np.eye(3) for a in rng.standard_normal((2, 3, 3))]
    model = regime_model(means=rng.standard_normal((2, 3)), covars=covars)
    x = rng.standard_normal((40, 3)) * 3
    theirs = [
        multivariate_normal(mean, covar).logpdf(x)
        for mean, covar in zip(model.means, model.covars, strict=True)
    ]
    assert_allclose(log_likelihood(x, model), np.transpose(theirs), rtol=1e-10)


def test_a_row_with_a_missing_feature_has_no_density():
    density = log_likelihood(np.array([[0.0, 0.1], [np.nan, 0.1], [0.0, np.nan]]), regime_model())
    assert_array_equal(np.isnan(density), [[False] * 2, [True] * 2, [True] * 2])


def test_features_of_another_width_are_refused():
    with pytest.raises(ValueError, match="expected"):
        log_likelihood(np.zeros((5, 3)), regime_model())


# The model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"startprob": [0.6, 0.5]}, "startprob must hold probabilities"),
        ({"startprob": [1.2, -0.2]}, "startprob must hold probabilities"),
        ({"startprob": [0.3, 0.3, 0.4]}, "startprob has shape"),
        ({"transmat": [[0.9, 0.2], [0.1, 0.9]]}, "transmat must hold probabilities"),
        ({"transmat": [[1.0, 0.0]]}, "transmat has shape"),
        ({"means": [0.1, 0.2]}, "means has shape"),
        ({"means": [[0.0, np.nan], [0.0, 0.2]]}, "means must be finite"),
        ({"covars": [[[1.0, 0.0], [0.0, 1.0]]]}, "covars has shape"),
        ({"covars": [[[1.0, 0.5], [0.0, 1.0]]] * 2}, "symmetric"),
        ({"covars": [[[1.0, 2.0], [2.0, 1.0]]] * 2}, "positive definite"),
    ],
)
def test_a_model_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        regime_model(**changes)


def test_a_model_neither_changes_nor_shares_its_callers_arrays():
    startprob = np.array([0.6, 0.4])
    model = regime_model(startprob=startprob)
    startprob[:] = 0.5
    assert_array_equal(model.startprob, [0.6, 0.4])
    with pytest.raises(ValueError, match="read-only"):
        model.means[0, 0] = 1.0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_states_are_ordered_by_mean_realised_volatility(order):
    startprob = np.array([0.2, 0.3, 0.5])
    transmat = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.15, 0.25, 0.6]])
    means = np.array([[0.001, 0.08], [0.0, 0.15], [-0.002, 0.4]])
    covars = np.array([np.eye(2) * scale for scale in (3.0, 1.0, 2.0)])
    o = list(order)
    ordered = ordered_by_volatility(
        RegimeModel(startprob[o], transmat[np.ix_(o, o)], means[o], covars[o])
    )
    assert_array_equal(ordered.startprob, startprob)
    assert_array_equal(ordered.transmat, transmat)
    assert_array_equal(ordered.means, means)
    assert_array_equal(ordered.covars, covars)


def test_a_model_without_volatility_has_no_order():
    model = regime_model(means=[[0.0], [1.0]], covars=[[[1.0]], [[1.0]]])
    with pytest.raises(ValueError, match="no realised volatility"):
        ordered_by_volatility(model)


def test_a_model_returns_from_its_bytes_unchanged():
    model = regime_model()
    again = RegimeModel.from_bytes(model.to_bytes())
    for name, expected in CALM_AND_TURBULENT.items():
        assert_array_equal(getattr(again, name), expected)
    assert again.to_bytes() == model.to_bytes()


def test_no_clock_enters_the_bytes():
    with zipfile.ZipFile(io.BytesIO(regime_model().to_bytes())) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def archive_with(**changes) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **({"format_version": 1, **CALM_AND_TURBULENT} | changes))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no .npz archive"),
        (b"not an archive", "no .npz archive"),
        (regime_model().to_bytes()[:-40], "no .npz archive"),
        (archive_with(format_version=2), "format 2"),
        (archive_with(means=np.array([None, 1])), "allow_pickle"),
        (archive_with(startprob=[0.5, 0.6]), "probabilities"),
    ],
    ids=["empty", "text", "cut off", "newer", "pickled", "invalid"],
)
def test_damaged_or_foreign_bytes_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        RegimeModel.from_bytes(content)


def test_an_archive_without_a_field_is_refused():
    buffer = io.BytesIO()
    np.savez(buffer, format_version=1, startprob=[1.0])
    with pytest.raises(ValueError, match="transmat"):
        RegimeModel.from_bytes(buffer.getvalue())


@pytest.mark.parametrize("bit", range(8))
def test_one_flipped_bit_is_refused_or_harmless(bit):
    content = regime_model().to_bytes()
    for byte in range(0, len(content), 13):
        damaged = bytearray(content)
        damaged[byte] ^= 1 << bit
        try:
            again = RegimeModel.from_bytes(bytes(damaged))
        except ValueError:
            continue
        assert again.to_bytes() == content


# What decisions read


@pytest.mark.parametrize(
    ("p", "scale", "label"),
    [
        (0.0, 1.0, "low_volatility"),
        (0.4, 0.88, "low_volatility"),
        (0.5, 0.85, "high_volatility"),
        (1.0, 0.7, "high_volatility"),
        (math.nan, 0.7, "unknown"),
    ],
)
def test_exposure_and_label_by_probability_of_high_volatility(p, scale, label):
    assert exposure_scale(p) == pytest.approx(scale, rel=1e-15)
    assert regime_label(p) == label


@pytest.mark.parametrize("function", [exposure_scale, regime_label])
@pytest.mark.parametrize("p", [-0.01, 1.01, math.inf])
def test_what_is_no_probability_is_refused(function, p):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        function(p)
