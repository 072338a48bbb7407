"""Whether agents are heard: rows that do not overlap, weights by Sharpe, and an edge to show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from swingtrader.core.agent_trial import (
    MINIMUM_SESSIONS,
    holding_book,
    long_only_book,
    sharpe_weights,
    split_rows,
    trial,
    trial_figures,
    why_absent,
)
from swingtrader.core.agents import Ensemble
from swingtrader.core.paper_book import Game, paper_game
from swingtrader.core.perceptron import OBSERVATIONS, Agent

ROWS = range(30, 156)


def following(column, *, sign=1.0):
    """Agent that goes all in where the observation in `column` is above 0, short where below."""
    weights = np.zeros((OBSERVATIONS, 1))
    weights[column] = 1e4 * sign
    return Agent(f"following {column}", ((weights, np.zeros(1)),), "tanh", squashed=False)


LONG = Agent("long", ((np.zeros((OBSERVATIONS, 1)), np.ones(1)),), "tanh", squashed=False)
SHORT = Agent("short", ((np.zeros((OBSERVATIONS, 1)), -np.ones(1)),), "tanh", squashed=False)


def market(seed=0, *, drift=0.0, foretold=0.0, cost_fraction=0.0005):
    """A game in which the first factor's sign foretells a part of the return it is paid by."""
    rng = np.random.default_rng(seed)
    sessions, symbols = 180, 8
    factors = rng.normal(size=(sessions, symbols, OBSERVATIONS - 3)).clip(-3, 3)
    returns = drift + 0.01 * rng.normal(size=(sessions, symbols))
    returns[2:] += foretold * np.sign(factors[:-2, :, 0])
    opens = 100.0 * np.cumprod(1.0 + returns, axis=0)
    atr = np.full((sessions, symbols), 0.02)
    return paper_game(factors, np.zeros(sessions), atr, opens, cost_fraction=cost_fraction)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(first=st.integers(0, 900), known=st.integers(0, 1500))
def test_no_reward_of_one_part_is_unknown_when_the_next_begins(first, known):
    rows = split_rows(first, known)
    sessions = min(known + 1 - first, 756)
    assert (rows is None) == (sessions < MINIMUM_SESSIONS)
    if rows is None:
        return
    assert rows.training.start == max(first, known - 755)
    assert (len(rows.weighing), len(rows.validation)) == (126, 63)
    assert len(rows.training) == sessions - 193
    # The last reward of a part ends at an open; the next part first decides at a later close.
    assert rows.training[-1] + 2 <= rows.weighing[0]
    assert rows.weighing[-1] + 2 <= rows.validation[0]
    assert rows.validation[-1] + 2 == known


@pytest.mark.parametrize(
    ("sharpes", "weights"),
    [
        ((1.0, 3.0, -2.0), (0.25, 0.75, 0.0)),
        ((2.0,), (1.0,)),
        ((-1.0, -0.5, 0.0), (0.0, 0.0, 0.0)),
        ((), ()),
    ],
)
def test_agents_are_heard_in_proportion_to_their_sharpe_ratio(sharpes, weights):
    assert sharpe_weights(sharpes) == pytest.approx(weights)


def test_books_have_no_shorts():
    held, returns = long_only_book(Ensemble((SHORT,), (1.0,)), market(), ROWS)
    assert not held.any()
    assert not returns.any()


def test_an_agent_that_is_always_long_earns_what_holding_earns():
    played = market(drift=0.001)
    held, returns = long_only_book(Ensemble((LONG,), (1.0,)), played, ROWS)
    assert_array_equal(held, np.ones((126, 8)))
    assert_array_equal(returns, holding_book(played, ROWS))
    assert_allclose(holding_book(played, ROWS, 0.5), 0.5 * returns)


def test_a_rising_market_alone_earns_no_weight():
    judged = trial((LONG, LONG, SHORT), market(drift=0.002), ROWS)
    assert judged.ensemble.weights == pytest.approx((0.5, 0.5, 0.0))
    assert judged.sharpe > 1.0
    assert judged.exposure == 1.0
    assert abs(judged.excess.value) < 1e-12
    assert "did not beat holding" in why_absent([judged])


def test_agents_that_foresee_are_heard():
    judged = trial((following(0), SHORT, LONG), market(foretold=0.003), ROWS)
    assert judged.ensemble.weights[0] > 0.5
    assert judged.excess.t > 4.0
    assert why_absent([judged]) is None


def test_agents_that_foresee_too_little_for_what_they_trade_are_not():
    dear = market(foretold=0.003, cost_fraction=0.01)
    judged = trial((following(0),), dear, ROWS)
    assert judged.ensemble.is_absent
    assert "earned anything on the 126" in why_absent([judged])


def test_one_lucky_seed_is_not_enough():
    lucky = trial((following(0),), market(foretold=0.003), ROWS)
    unlucky = replace(lucky, excess=replace(lucky.excess, value=-0.001))
    assert why_absent([lucky, unlucky, unlucky]) == (
        "the agents of most of the 3 seeds did not beat holding their symbols"
    )
    assert why_absent([lucky, lucky, unlucky]) is None
    assert why_absent([unlucky, lucky, lucky]) is not None


def test_noise_is_seldom_heard():
    """Agents that trade on nothing, in 60 markets: at most what the one-sided 5 % allows."""
    heard = [
        why_absent([trial((following(0), following(1)), market(s, cost_fraction=0.0), ROWS)])
        for s in range(60)
    ]
    assert heard.count(None) <= 8


def test_what_cannot_be_played_counts_for_nobody():
    played = market()
    nothing = Game(
        played.seen, played.ranked, np.full_like(played.returns, np.nan), played.cost_fraction
    )
    judged = trial((LONG,), nothing, ROWS)
    assert judged.ensemble.is_absent
    assert (judged.exposure, judged.excess.value) == (0.0, 0.0)


def test_figures_show_the_spread_over_seeds():
    trials = [trial((following(0), LONG), market(s, foretold=0.002), ROWS) for s in range(3)]
    figures = trial_figures(trials, ("ppo", "a2c"))
    sharpes = sorted(each.sharpes[0] for each in trials)
    assert [figures[f"ppo_sharpe_{word}"] for word in ("min", "median", "max")] == sharpes
    assert figures["ensemble_sharpe"] == trials[0].sharpe
    assert figures["ppo_weight"] + figures["a2c_weight"] == pytest.approx(1.0)
    assert figures["excess_annual"] == pytest.approx(trials[0].excess.value * 252)
    assert all(np.isfinite(value) for value in figures.values())
