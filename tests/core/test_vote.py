from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from swingtrader.core.policy import SIGNALS, VoteRules
from swingtrader.core.vote import (
    momentum_signal,
    quant_signal,
    regime_signal,
    weighted_vote,
    without_signal,
)

NAN = np.nan
WEIGHTS = VoteRules().weights
KINDS = ("growth", "defensive", "speculative", "neutral")
SUBSETS = [s for k in range(1, 7) for s in itertools.combinations(SIGNALS, k)]

opinions = st.one_of(st.just(NAN), st.floats(-1.0, 1.0))
boards = st.integers(1, 8).flatmap(lambda n: arrays(np.float64, (6, n), elements=opinions))
property_based = settings(deadline=None, derandomize=True)


def board(**signals):
    """Signals of one symbol; those not named are absent."""
    return np.array([[signals.get(name, NAN)] for name in SIGNALS])


def vote_of(**signals):
    vote, weight = weighted_vote(board(**signals), WEIGHTS)
    return float(vote[0]), float(weight[0])


@pytest.mark.parametrize(
    ("probability", "signal"), [(0.0, -1.0), (0.25, -0.5), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0)]
)
def test_quant_is_twice_the_probability_over_one_half(probability, signal):
    assert quant_signal(np.array([probability])) == signal


@pytest.mark.parametrize(
    ("z", "signal"), [(-3.3, -1.0), (-3.0, -1.0), (-1.5, -0.5), (0.0, 0.0), (3.0, 1.0), (9.0, 1.0)]
)
def test_momentum_is_a_third_of_the_z_score_within_one(z, signal):
    assert momentum_signal(np.array([z])) == signal


@pytest.mark.parametrize(
    ("p_high", "growth", "defensive", "speculative", "neutral"),
    [
        (0.0, 0.1, -0.1, 0.0, 0.0),
        (0.5, -0.05, 0.1, -0.25, 0.0),
        (1.0, -0.2, 0.3, -0.5, 0.0),
    ],
)
def test_regime_blends_the_biases_of_both_regimes(p_high, growth, defensive, speculative, neutral):
    signal = regime_signal(np.array([p_high]), KINDS)
    expected = [[growth, defensive, speculative, neutral]]
    np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-15)


def test_without_an_opinion_of_their_own_signals_are_absent():
    assert np.isnan(quant_signal(np.array([NAN]))).all()
    assert np.isnan(momentum_signal(np.array([NAN]))).all()
    assert np.isnan(regime_signal(np.array([NAN]), KINDS)).all()


@pytest.mark.parametrize(
    ("signals", "vote", "weight"),
    [
        ({}, NAN, 0.0),
        ({"sentiment": -1.0}, -1.0, 0.10),
        ({"market": 1.0, "quant": 0.0}, 0.4, 0.50),
        ({"quant": 0.5, "momentum": -0.5}, (0.15 - 0.075) / 0.45, 0.45),
        ({"quant": 0.5, "momentum": 1.0, "regime": 0.1}, (0.15 + 0.15 + 0.01) / 0.55, 0.55),
        (
            dict(zip(SIGNALS, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True)),
            0.02 + 0.06 + 0.045 + 0.04 + 0.075 + 0.06,
            1.0,
        ),
    ],
)
def test_the_vote_is_the_mean_over_present_signals_by_weight(signals, vote, weight):
    np.testing.assert_allclose(vote_of(**signals), (vote, weight), rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [0.20, -0.15, 0.1, -1.0, 1.0])
def test_signals_that_agree_vote_exactly_what_they_say(value):
    said = {subset: vote_of(**dict.fromkeys(subset, value))[0] for subset in SUBSETS}
    assert said == dict.fromkeys(SUBSETS, value)


def test_half_the_weight_is_exactly_half():
    halves = [s for s in SUBSETS if abs(sum(getattr(VoteRules(), n) for n in s) - 0.5) < 1e-9]
    assert len(halves) == 4
    assert {vote_of(**dict.fromkeys(s, 0.0))[1] for s in halves} == {0.5}


@property_based
@given(boards)
def test_the_vote_lies_within_the_range_of_its_signals(signals):
    votes, weights = weighted_vote(signals, WEIGHTS)
    present = ~np.isnan(signals)
    np.testing.assert_array_equal(np.isnan(votes), ~present.any(axis=0))
    low = np.where(present, signals, np.inf).min(axis=0)
    high = np.where(present, signals, -np.inf).max(axis=0)
    voted = ~np.isnan(votes)
    assert (votes[voted] >= low[voted] - 1e-12).all()
    assert (votes[voted] <= high[voted] + 1e-12).all()
    assert ((weights >= 0.0) & (weights <= 1.0)).all()


@property_based
@given(boards, st.randoms(use_true_random=False))
def test_permuting_symbols_permutes_votes(signals, random):
    order = list(range(signals.shape[1]))
    random.shuffle(order)
    votes, weights = weighted_vote(signals, WEIGHTS)
    permuted_votes, permuted_weights = weighted_vote(signals[:, order], WEIGHTS)
    np.testing.assert_allclose(permuted_votes, votes[order], rtol=0, atol=1e-11)
    np.testing.assert_array_equal(permuted_weights, weights[order])


@property_based
@given(boards, st.sampled_from([0.01, 3.0, 100.0]))
def test_only_the_proportions_of_the_weights_matter(signals, factor):
    votes, weights = weighted_vote(signals, WEIGHTS)
    scaled_votes, scaled_weights = weighted_vote(signals, factor * WEIGHTS)
    np.testing.assert_allclose(scaled_votes, votes, rtol=0, atol=1e-11)
    np.testing.assert_allclose(scaled_weights, weights, rtol=0, atol=1e-11)


@property_based
@given(boards)
def test_voting_alters_no_argument(signals):
    before = signals.copy()
    weighted_vote(signals, WEIGHTS)
    for name in SIGNALS:
        without_signal(signals, name)
    np.testing.assert_array_equal(signals, before)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_left_out_says_zero_and_keeps_its_weight(name):
    signals = dict.fromkeys(SIGNALS, 0.6)
    vote, weight = weighted_vote(without_signal(board(**signals), name), WEIGHTS)
    assert weight == 1.0
    expected = 0.6 * (1.0 - getattr(VoteRules(), name))
    np.testing.assert_allclose(vote, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SIGNALS)
def test_leaving_a_signal_out_touches_no_other_and_invents_no_opinion(name):
    history = np.random.default_rng(5).uniform(-1.0, 1.0, (7, 6, 3))
    history[2:4] = NAN
    k = SIGNALS.index(name)
    changed = without_signal(history, name)
    np.testing.assert_array_equal(np.delete(changed, k, axis=1), np.delete(history, k, axis=1))
    np.testing.assert_array_equal(np.isnan(changed), np.isnan(history))
    assert np.nansum(np.abs(changed[:, k])) == 0.0
