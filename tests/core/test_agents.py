"""Agents as arrays: the arithmetic, the walk from flat, and the bytes they are kept in."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from swingtrader.core.agents import (
    ROLLED_SESSIONS,
    Ensemble,
    observations,
    rolled_action,
    rolled_actions,
    volatility_seen,
)
from swingtrader.core.archive import archived
from swingtrader.core.perceptron import OBSERVATIONS, Agent
from swingtrader.core.walkforward import rankable

FEW = settings(deadline=None, derandomize=True, max_examples=25)


def agent(seed=0, *, activation="tanh", squashed=False, hidden=(8, 8), scale=0.5):
    rng = np.random.default_rng(seed)
    sizes = (OBSERVATIONS, *hidden, 1)
    layers = tuple(
        (rng.normal(0, scale, (a, b)), rng.normal(0, scale, b))
        for a, b in itertools.pairwise(sizes)
    )
    return Agent(f"agent {seed}", layers, activation, squashed)


def asking(position, *, holding=0.0):
    """Agent that always asks for `position`, plus `holding` times what it holds."""
    weights = np.zeros((OBSERVATIONS, 1))
    weights[-1] = holding
    return Agent("constant", ((weights, np.array([position])),), "tanh", squashed=False)


ENSEMBLE = Ensemble((agent(1), agent(2, activation="relu", squashed=True)), (0.25, 0.75))


def market(sessions=30, symbols=5, seed=0):
    """Factors, P(high volatility) and ATR of a market that misses nothing."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(sessions, symbols, OBSERVATIONS - 3)).clip(-3, 3),
        rng.random(sessions),
        rng.uniform(0.0, 0.1, (sessions, symbols)),
    )


def test_an_agent_is_matrix_products_with_an_activation_between_them():
    x = np.random.default_rng(0).normal(size=(7, OBSERVATIONS))
    tanh, relu = agent(1), agent(2, activation="relu", squashed=True)
    (w0, b0), (w1, b1), (w2, b2) = tanh.layers
    longhand = np.tanh(np.tanh(x @ w0 + b0) @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(tanh.act(x), longhand[:, 0].clip(-1, 1), rtol=0, atol=1e-5)
    (w0, b0), (w1, b1), (w2, b2) = relu.layers
    longhand = np.maximum(np.maximum(x @ w0 + b0, 0) @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(relu.act(x), np.tanh(longhand[:, 0]), rtol=0, atol=1e-5)


@FEW
@given(seed=st.integers(0, 99), rows=st.integers(1, 40), large=st.floats(0.1, 1e6))
def test_actions_stay_between_short_and_long_and_do_not_depend_on_other_rows(seed, rows, large):
    rng = np.random.default_rng(seed)
    policy = agent(seed, activation=("tanh", "relu")[seed % 2], squashed=seed % 3 == 0)
    x = rng.normal(0, large, (rows, OBSERVATIONS))
    actions = policy.act(x)
    assert (np.abs(actions) <= 1.0).all()
    order = rng.permutation(rows)
    assert_array_equal(policy.act(x[order]), actions[order])
    assert_array_equal(policy.act(x[: rows // 2 + 1]), actions[: rows // 2 + 1])
    assert_array_equal(policy.act(x.astype(np.float32)), actions)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_a_row_that_is_no_observation_gives_nan_or_a_bounded_action_and_spoils_no_other(bad):
    x = np.random.default_rng(0).normal(size=(3, OBSERVATIONS))
    policy = agent(activation="relu")
    expected = policy.act(x)
    x[1, 4] = bad
    actions = policy.act(x)
    assert_array_equal(actions[[0, 2]], expected[[0, 2]])
    assert np.isnan(actions[1]) or abs(actions[1]) <= 1.0
    if math.isnan(bad):
        assert np.isnan(actions[1])


def test_no_rows_give_no_actions():
    assert agent().act(np.empty((0, OBSERVATIONS))).shape == (0,)


@pytest.mark.parametrize("shape", [(OBSERVATIONS,), (2, OBSERVATIONS - 1), (1, 1, OBSERVATIONS)])
def test_observations_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="expected"):
        agent().act(np.zeros(shape))


@pytest.mark.parametrize(
    ("layers", "activation", "message"),
    [
        ((), "tanh", "last layer"),
        (((np.zeros((OBSERVATIONS, 2)), np.zeros(2)),), "tanh", "2 outputs, expected 1"),
        (((np.zeros((3, 1)), np.zeros(1)),), "tanh", "expected"),
        (((np.zeros((OBSERVATIONS, 1)), np.zeros((1, 1))),), "tanh", "expected"),
        (((np.full((OBSERVATIONS, 1), np.nan), np.zeros(1)),), "tanh", "not finite"),
        (((np.full((OBSERVATIONS, 1), 1e300), np.zeros(1)),), "tanh", "not finite"),
        (((np.zeros((OBSERVATIONS, 1)), np.zeros(1)),), "elu", "activation must be one of"),
    ],
)
def test_arrays_that_are_no_policy_are_refused(layers, activation, message):
    with pytest.raises(ValueError, match=message):
        Agent("x", layers, activation, squashed=False)


def test_an_agent_neither_changes_nor_shares_its_callers_arrays():
    weights, biases = np.zeros((OBSERVATIONS, 1), dtype=np.float32), np.zeros(1, dtype=np.float32)
    policy = Agent("x", ((weights, biases),), "tanh", squashed=False)
    weights[:] = 1.0
    assert not policy.layers[0][0].any()
    with pytest.raises(ValueError, match="read-only"):
        policy.layers[0][0][0, 0] = 1.0


def test_what_is_missing_is_seen_as_average():
    factors = np.full((2, OBSERVATIONS - 3), 0.5)
    factors[1, 3] = np.nan
    seen = observations(factors, math.nan, np.array([0.05, np.nan]), np.array([0.0, -0.5]))
    assert seen.dtype == np.float32
    assert_array_equal(seen[0], [*[0.5] * 13, 0.0, 1.5, 0.0])
    assert_array_equal(seen[1], [*[0.5] * 3, 0.0, *[0.5] * 9, 0.0, 0.0, -0.5])


@pytest.mark.parametrize(
    ("atr_fraction", "seen"),
    [(0.0, -1.0), (0.01, -0.5), (0.02, 0.0), (0.08, 3.0), (5.0, 3.0), (math.nan, 0.0)],
)
def test_volatility_is_seen_relative_to_a_typical_stock_and_bounded(atr_fraction, seen):
    assert volatility_seen(np.array([atr_fraction]))[0] == pytest.approx(seen)


def test_observations_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        observations(np.zeros((3, OBSERVATIONS - 3)), 0.5, np.zeros(2), np.zeros(3))


def test_each_agent_walks_its_own_position_from_flat():
    factors, p_high, atr = market(sessions=3, symbols=2)
    halving = asking(0.4, holding=0.5)  # 0.4, then 0.6, then 0.7
    constant = asking(-1.0)
    ensemble = Ensemble((halving, constant), (0.75, 0.25))
    signal = rolled_action(ensemble, factors, p_high, atr)
    np.testing.assert_allclose(signal, 0.75 * 0.7 - 0.25, rtol=0, atol=1e-6)


def test_agents_are_flat_after_a_session_on_which_a_symbol_is_not_rankable():
    factors, p_high, atr = market(sessions=3, symbols=2)
    factors[1, 0, 0] = np.nan
    factors[1, 1, -1] = np.nan  # optional
    signal = rolled_action(Ensemble((asking(0.4, holding=0.5),), (1.0,)), factors, p_high, atr)
    np.testing.assert_allclose(signal, [0.4, 0.7], rtol=0, atol=1e-6)


def test_a_symbol_that_is_not_rankable_last_has_no_signal():
    factors, p_high, atr = market()
    factors[-1, 2, 5] = np.nan
    signal = rolled_action(ENSEMBLE, factors, p_high, atr)
    assert_array_equal(np.isnan(signal), [False, False, True, False, False])


@pytest.mark.parametrize("absent", [Ensemble((), ()), Ensemble(ENSEMBLE.agents, (0.0, 0.0))])
def test_an_ensemble_without_weight_has_no_view(absent):
    assert absent.is_absent
    assert not ENSEMBLE.is_absent
    assert np.isnan(rolled_action(absent, *market())).all()


def test_one_symbols_signal_does_not_depend_on_the_others():
    factors, p_high, atr = market(symbols=9)
    signal = rolled_action(ENSEMBLE, factors, p_high, atr)
    for symbols in ([3], [8, 0, 3], [1, 2]):
        some = rolled_action(ENSEMBLE, factors[:, symbols], p_high, atr[:, symbols])
        assert_array_equal(some, signal[symbols])


def test_many_sessions_at_once_say_what_each_says_alone():
    factors, p_high, atr = market()
    factors[12, 1], factors[24, 3] = np.nan, np.nan
    seen = np.stack([observations(factors[t], p_high[t], atr[t], np.zeros(5)) for t in range(30)])
    rows = range(ROLLED_SESSIONS - 1, 30)
    together = rolled_actions(ENSEMBLE, seen, rankable(factors), rows)
    for t, actions in zip(rows, together, strict=True):
        window = slice(t + 1 - ROLLED_SESSIONS, t + 1)
        alone = rolled_action(ENSEMBLE, factors[window], p_high[window], atr[window])
        assert_array_equal(actions, np.nan_to_num(alone, nan=0.0))
    assert together[24 - rows.start, 3] == 0.0


@pytest.mark.parametrize("rows", [range(19, 25), range(20, 31)])
def test_sessions_without_a_month_before_them_are_refused(rows):
    seen = np.zeros((30, 2, OBSERVATIONS), dtype=np.float32)
    with pytest.raises(ValueError, match="needs 21 sessions"):
        rolled_actions(ENSEMBLE, seen, np.ones((30, 2), dtype=np.bool_), rows)


def test_a_walk_over_arrays_that_do_not_fit_together_is_refused():
    factors, p_high, atr = market()
    for wrong in (
        (factors, p_high[1:], atr),
        (factors, p_high, atr[1:]),
        (factors[0], p_high, atr),
    ):
        with pytest.raises(ValueError, match="are not"):
            rolled_action(ENSEMBLE, *wrong)
    with pytest.raises(ValueError, match="are not"):
        rolled_action(ENSEMBLE, factors[:0], p_high[:0], atr[:0])


@pytest.mark.parametrize(
    "weights",
    [(1.0,), (0.5, 0.4), (1.5, -0.5), (math.nan, 1.0), (0.5, 0.5, 0.0)],
)
def test_weights_are_shares_of_one(weights):
    with pytest.raises(ValueError, match="weights"):
        Ensemble(ENSEMBLE.agents, weights)


@pytest.mark.parametrize("ensemble", [ENSEMBLE, Ensemble((), ()), Ensemble((agent(),), (0.0,))])
def test_an_ensemble_returns_from_its_bytes_unchanged(ensemble):
    again = Ensemble.from_bytes(ensemble.to_bytes())
    assert again.weights == ensemble.weights
    assert [a.name for a in again.agents] == [a.name for a in ensemble.agents]
    for one, other in zip(again.agents, ensemble.agents, strict=True):
        assert (one.activation, one.squashed) == (other.activation, other.squashed)
        for new, old in zip(one.layers, other.layers, strict=True):
            assert_array_equal(new[0], old[0])
            assert_array_equal(new[1], old[1])
    assert again.to_bytes() == ensemble.to_bytes()


def archive_with(**changes):
    members = {
        "name": np.array(["x"]),
        "activation": np.array(["tanh"]),
        "squashed": np.array([False]),
        "weight": np.array([1.0]),
        "depth": np.array([1]),
        "size": np.array([OBSERVATIONS, 1]),
        "parameter": np.zeros(OBSERVATIONS + 1, dtype=np.float32),
    }
    return archived(changes.pop("version", 1), members | changes)


def test_the_archive_of_the_cases_below_is_itself_sound():
    assert Ensemble.from_bytes(archive_with()).agents[0].name == "x"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive",
        archive_with(version=2),
        archive_with(parameter=np.zeros(OBSERVATIONS, dtype=np.float32)),
        archive_with(parameter=np.zeros(OBSERVATIONS + 2, dtype=np.float32)),
        archive_with(parameter=np.full(OBSERVATIONS + 1, np.nan, dtype=np.float32)),
        archive_with(size=np.array([OBSERVATIONS, 2])),
        archive_with(size=np.array([-1, -17])),
        archive_with(depth=np.array([-3])),
        archive_with(depth=np.array([[1]])),
        archive_with(weight=np.array([0.5])),
        archive_with(weight=np.array([])),
        archive_with(name=np.array([])),
        archive_with(activation=np.array(["elu"])),
        archive_with(squashed=np.array(0)),
    ],
)
def test_bytes_that_are_no_ensemble_are_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        Ensemble.from_bytes(content)


SMALL = Ensemble((agent(hidden=(2,)),), (1.0,)).to_bytes()


@settings(deadline=None, derandomize=True, max_examples=150)
@given(byte=st.integers(0, len(SMALL) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused_or_harmless(byte, bit):
    damaged = bytearray(SMALL)
    damaged[byte] ^= 1 << bit
    try:
        again = Ensemble.from_bytes(bytes(damaged))
    except ValueError:
        return
    assert again.to_bytes() == SMALL


@settings(deadline=None, derandomize=True, max_examples=50)
@given(length=st.integers(0, len(SMALL) - 1))
def test_bytes_cut_short_are_refused(length):
    with pytest.raises(ValueError, match=r"not an? "):
        Ensemble.from_bytes(SMALL[:length])


def test_nothing_pickled_is_ever_loaded():
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(_with_an_object(), allow_pickle=False)["name"]
    with pytest.raises(ValueError, match="allow_pickle"):
        Ensemble.from_bytes(_with_an_object().getvalue())


def _with_an_object():

    buffer = io.BytesIO()
    members = {name: np.zeros(1) for name in ("activation", "squashed", "weight", "depth")}
    np.savez(
        buffer, format_version=1, name=np.array([None]), size=np.zeros(1), parameter=np.zeros(1),
        **members,
    )  # fmt: skip
    buffer.seek(0)
    return buffer
