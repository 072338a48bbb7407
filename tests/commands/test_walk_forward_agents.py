"""Agents in a backtest: when they are trained, on what, and that they are heard as live."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.high_volatility import HighVolatilityPath
from swingtrader.commands.live_agents import agents_signal
from swingtrader.commands.rl_training import SYMBOLS
from swingtrader.commands.walk_forward import Opinions
from swingtrader.commands.walk_forward_agents import (
    Heard,
    TrainedAgents,
    agent_trainings,
    agents_trainer,
    best_ranked,
    hear_agents,
)
from swingtrader.config import default_universe
from swingtrader.core.agents import ROLLED_SESSIONS, Agent, Ensemble, rolled_action
from swingtrader.core.costs import Costs
from swingtrader.core.signals import market_view
from swingtrader.errors import DataError

NAN = np.nan
ROWS = range(360, 412)
"""From June 2016 on: two quarters."""


def agent(seed, name="hand-made"):
    """Return an agent that nobody trained."""
    rng = np.random.default_rng(seed)
    layers = (
        (rng.normal(0, 0.5, (16, 4)), rng.normal(0, 0.1, 4)),
        (rng.normal(0, 1, (4, 1)), [0]),
    )
    return Agent(name, tuple((w, np.asarray(b, float)) for w, b in layers), "tanh", squashed=True)


ENSEMBLES = tuple(Ensemble((agent(n), agent(n + 10)), (0.25, 0.75)) for n in range(3))


class Watched:
    """Progress that remembers its phases and how far each came."""

    def __init__(self):
        self.phases = {}

    def phase(self, name, total=1):
        """Begin a phase."""
        told = []
        self.phases[name] = (total, told)
        return told.append

    def warn(self, event, **facts):
        """Fail, as nothing here should warn."""
        raise AssertionError((event, facts))


class HandMade:
    """A trainer that hands out ensembles in order and remembers what it was asked."""

    def __init__(self, *trained):
        self.trained = list(trained)
        self.asked = []

    def __call__(self, known, columns, p_high_volatility):
        """Return the next one, or raise it."""
        self.asked.append((known, columns, p_high_volatility))
        one = self.trained.pop(0)
        if isinstance(one, Exception):
            raise one
        return one


def trained(n, why_absent=None, **sharpes):
    return TrainedAgents(ENSEMBLES[n], sharpes, why_absent)


@pytest.fixture(scope="session")
def view(market):
    return market_view(market.panel, default_universe())


@pytest.fixture(scope="session")
def opinions(view):
    """Opinions that no model had: each week's regime path is its own."""
    rng = np.random.default_rng(3)
    shape = view.stocks.close.shape
    probability = np.full(shape, NAN)
    probability[ROWS.start :] = rng.random((len(ROWS), shape[1]))
    paths = tuple(
        HighVolatilityPath(
            range(row, min(row + 5, ROWS.stop)),
            300,
            np.random.default_rng(row).random(min(row + 5, ROWS.stop) - 1 - 300),
        )
        for row in range(ROWS.start, ROWS.stop, 5)
    )
    return Opinions(probability, np.full(shape[0], NAN), 0, 0, paths)


@pytest.fixture
def heard(view, opinions):
    """Return a caller of `hear_agents` over the last sessions of the small market."""

    def call(*trained, mode="walk-forward", view=view, progress=None):
        trainer = HandMade(*trained)
        trainings = agent_trainings(view.stocks.sessions, ROWS, mode)
        return hear_agents(view, opinions, trainings, trainer, progress or Watched()), trainer

    return call


# When


@pytest.mark.parametrize(
    ("first", "last", "starts", "why"),
    [
        ("2016-02-10", "2016-05-31", ["2016-02-10", "2016-04-01"], "in the midst of a quarter"),
        ("2016-04-01", "2016-06-30", ["2016-04-01"], "a whole quarter"),
        ("2015-12-30", "2016-01-05", ["2015-12-30", "2016-01-04"], "across a year"),
        ("2016-09-30", "2017-01-03", ["2016-09-30", "2016-10-03", "2017-01-03"], "three"),
        ("2016-02-10", "2016-02-10", ["2016-02-10"], "one session"),
    ],
)
def test_agents_are_trained_before_the_first_session_of_every_quarter(first, last, starts, why):
    sessions = sessions_between(date(2015, 1, 2), date(2017, 1, 31))
    begin, end = np.searchsorted(sessions, np.array([first, last], "datetime64[D]")).tolist()
    rows = range(begin, end + 1)
    trainings = agent_trainings(sessions, rows, "walk-forward")
    assert [str(sessions[one.serves.start]) for one in trainings] == starts, why
    assert [row for one in trainings for row in one.serves] == list(rows)
    assert all(one.known == one.serves.start - 1 for one in trainings)
    (frozen,) = agent_trainings(sessions, rows, "frozen")
    assert (frozen.known, frozen.serves) == (begin - 1, rows)
    assert agent_trainings(sessions, rows, "off") == ()


# On what


def test_the_stocks_are_those_the_ranker_liked_best_over_a_month():
    probability = np.full((100, 20), 0.2)
    probability[79:, 3:18] = 0.6
    probability[:79, :3] = 1.0  # before the month
    probability[100 - 1, 19] = 1.0  # of the session after
    assert best_ranked(probability, 98, since=0) == tuple(range(3, 18))


@pytest.mark.parametrize(
    ("since", "row", "best", "why"),
    [
        (10, 10, 1, "the first decision has only its own ranks"),
        (10, 11, 0, "and the second those of two"),
        (0, 11, 2, "ranks of sessions not decided are not looked at, others are"),
    ],
)
def test_before_the_first_session_traded_there_were_no_ranks(since, row, best, why):
    probability = np.full((12, 3), 0.1)
    probability[:10, 2], probability[10], probability[11] = 0.9, [0.4, 0.5, 0.3], [0.9, 0.1, 0.2]
    many = np.repeat(probability, SYMBOLS, axis=1)
    chosen = best_ranked(many, row, since=since)
    assert set(np.array(chosen) // SYMBOLS) == {best}, why


def test_a_stock_without_a_rank_is_not_trained_on():
    probability = np.array([[0.5, NAN, 0.1, NAN]])
    assert best_ranked(probability, 0, since=0) == (0, 2)
    assert best_ranked(probability * NAN, 0, since=0) == ()


def test_training_is_told_what_was_known_at_the_close_before(heard, view, opinions):
    _, trainer = heard(trained(0), trained(1))
    second = int(np.searchsorted(view.stocks.sessions, np.datetime64("2016-07-01")))
    assert [known for known, _, _ in trainer.asked] == [ROWS.start - 1, second - 1]
    for (known, columns, p_high), path in zip(
        trainer.asked, (opinions.paths[0], opinions.paths[(second - ROWS.start) // 5]), strict=True
    ):
        assert columns == best_ranked(opinions.probability, known + 1, since=ROWS.start)
        # One value a completed session, of the model that serves the next.
        assert p_high.shape == (known + 1,)
        assert np.isnan(p_high[:300]).all()
        assert np.array_equal(p_high[300:], path.filtered[: known + 1 - 300])


# How they are heard


def test_the_signal_is_the_rolled_action_by_hand_and_the_live_one_bit_by_bit(
    heard, view, opinions
):
    said, _ = heard(trained(0), trained(1))
    second = int(np.searchsorted(view.stocks.sessions, np.datetime64("2016-07-01")))
    assert np.isnan(said.signal[: ROWS.start]).all()
    path_of = {row: path for path in opinions.paths for row in path.serves}
    for row in ROWS:
        ensemble = ENSEMBLES[0 if row < second else 1]
        months = slice(row - ROLLED_SESSIONS, row)
        p_high = path_of[row].filtered[months.start - 300 : months.stop - 300]
        by_hand = rolled_action(ensemble, view.factors[months], p_high, view.atr_fraction[months])
        assert np.array_equal(said.signal[row], by_hand, equal_nan=True)
        # Live, bars end with the session before and a row without any is appended.
        cut = replace(
            view, factors=view.factors[: row + 1], atr_fraction=view.atr_fraction[: row + 1]
        )
        live = agents_signal(ensemble, cut, path_of[row].filtered[: row - 300])
        assert np.array_equal(said.signal[row], live, equal_nan=True)
    assert np.isfinite(said.signal[ROWS.start :]).mean() > 0.9
    assert np.nanstd(said.signal) > 0.01


def test_what_a_session_brings_is_not_heard_in_it(heard, view):
    day = ROWS.start + 20
    changed = replace(view, factors=view.factors.copy(), atr_fraction=view.atr_fraction.copy())
    changed.factors[day:] *= -1.0
    changed.atr_fraction[day:] *= 2.0
    before, after = (heard(trained(0), trained(1), view=v)[0].signal for v in (view, changed))
    assert np.array_equal(before[: day + 1], after[: day + 1], equal_nan=True)
    assert not np.array_equal(before[day + 1], after[day + 1], equal_nan=True)


def test_frozen_agents_are_heard_to_the_end(heard):
    once, trainer = heard(trained(0), mode="frozen")
    anew, _ = heard(trained(0), trained(0))
    assert len(trainer.asked) == 1
    assert np.array_equal(once.signal, anew.signal, equal_nan=True)


def test_a_quarter_without_enough_history_is_silent_and_the_next_is_not(heard, view):
    said, _ = heard(DataError("too few sessions"), trained(1))
    second = int(np.searchsorted(view.stocks.sessions, np.datetime64("2016-07-01")))
    assert np.isnan(said.signal[:second]).all()
    assert np.isfinite(said.signal[second:]).any()
    assert said.silences == ((view.stocks.sessions[ROWS.start].item(), "too few sessions"),)


def test_agents_that_earned_no_weight_are_silent_and_the_reason_is_kept(heard, view):
    silent = TrainedAgents(Ensemble((agent(0),), (0.0,)), {"ppo": -1.0}, "none earned anything")
    said, _ = heard(trained(1), silent)
    assert [why for _, why in said.silences] == ["none earned anything"]
    second = int(np.searchsorted(view.stocks.sessions, np.datetime64("2016-07-01")))
    assert np.isnan(said.signal[second:]).all()


@pytest.mark.parametrize(
    ("whys", "said"),
    [
        ([], ""),
        (["short"], "from 2016-01-04 until the next training: short"),
        (["a", "a"], "from 2016-01-04, 2016-01-05 until the next training: a"),
        (
            ["a", "c", "b"],
            "from 2016-01-04, 2016-01-05, 2016-01-06 until the next training: a; at last b",
        ),
    ],
)
def test_silence_is_one_sentence_however_many_quarters_it_lasted(whys, said):
    silences = tuple((date(2016, 1, 4 + n), why) for n, why in enumerate(whys))
    assert Heard(np.full((1, 1), NAN), (), silences).silence == said


def test_figures_count_trainings_and_the_sessions_heard(heard):
    said, _ = heard(trained(0, ppo=0.5, sac=-1.0), trained(1, ppo=1.5, sac=0.0))
    assert said.figures(ROWS) == {
        "trainings": 2,
        "sessions_heard": 1.0,
        "held_back_sharpe": {"ppo": 1.0, "sac": -0.5},
    }
    nobody = Heard(np.full((412, 3), NAN), (), ())
    assert nobody.figures(ROWS) == {
        "trainings": 0, "sessions_heard": 0.0, "held_back_sharpe": {},
    }  # fmt: skip


def test_training_and_hearing_have_phases_of_their_own(heard):
    progress = Watched()
    heard(DataError("too few"), trained(1), progress=progress)
    total, told = progress.phases["Training agents"]
    assert (total, told) == (2, [1, 2])
    total, told = progress.phases["Hearing agents"]
    assert told == list(range(1, total + 1))
    assert 20 < total < len(ROWS)


def test_a_path_is_unknown_before_its_model_begins_and_without_a_model():
    path = HighVolatilityPath(range(7, 9), 4, np.array([0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_array_equal(path.before(7, 3), [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(path.before(8, 2), [0.3, 0.4])
    np.testing.assert_array_equal(path.before(8, 6), [NAN, NAN, 0.1, 0.2, 0.3, 0.4])
    assert np.isnan(HighVolatilityPath(range(7, 9), 4, np.empty(0)).before(8, 3)).all()


def test_too_little_history_trains_nothing(view, tmp_path):
    train = agents_trainer(
        view, Costs(), seed=0, timesteps=1, cache=ModelCache(tmp_path / "models")
    )
    with pytest.raises(DataError, match="training agents needs"):
        train(300, (0, 1), np.full(301, NAN))
    assert not (tmp_path / "models").exists()
