"""Training the agents of a retraining: which sessions, which symbols, and what is kept."""

from __future__ import annotations

import itertools
from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.adapters.store.scans import ScanRow
from swingtrader.commands import cached_agents
from swingtrader.commands.rl_training import (
    SYMBOLS,
    cost_fraction_of,
    ensemble_returns,
    holding_book_returns,
    rl_rows,
    top_symbols,
    train_rl,
)
from swingtrader.core.agents import ROLLED_SESSIONS, Ensemble, rolled_action
from swingtrader.core.costs import Costs
from swingtrader.core.market import Panel
from swingtrader.core.paper_book import book_returns, open_to_open_returns
from swingtrader.core.perceptron import OBSERVATIONS, Agent
from swingtrader.core.signals import MarketView
from swingtrader.errors import DataError

SESSIONS = 420
KNOWN = SESSIONS - 10
NAMES = tuple(f"S{n:02}" for n in range(20))
PICKED = ("S03", "S01", "S07")
COST = 0.0005
FEW_TIMESTEPS = 60

LONG = Agent("long", ((np.zeros((OBSERVATIONS, 1)), np.ones(1)),), "tanh", squashed=False)


def view_of(*, seed=0, foretold=0.0, first=0):
    """View of a random market whose first factor may foretell the return it is paid by."""
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, len(NAMES))
    factors = rng.normal(size=(*shape, OBSERVATIONS - 3)).clip(-3, 3)
    returns = 0.01 * rng.normal(size=shape)
    returns[2:] += foretold * np.sign(factors[:-2, :, 0])
    opens = 100.0 * np.cumprod(1.0 + returns, axis=0)
    factors[:first] = np.nan
    sessions = sessions_between(date(2015, 1, 2), date(2017, 12, 29))[:SESSIONS]
    return MarketView(
        stocks=Panel(sessions, NAMES, opens, opens * 1.01, opens * 0.99, opens, opens * 1e4),
        sector=np.zeros(len(NAMES), dtype=np.int64),
        kinds=("neutral",) * len(NAMES),
        market=opens[:, 0],
        strength=np.zeros((SESSIONS, 1)),
        market_signal=np.zeros(shape),
        factors=factors,
        atr_fraction=np.full(shape, 0.02),
        dollar_volume_usd=np.full(shape, 1e9),
        regime=np.zeros((SESSIONS, 2)),
    )


VIEW = view_of()
CALM = np.full(SESSIONS, 0.1)


def trained(cache, *, view=VIEW, seeds=(0, 1), known=KNOWN, symbols=PICKED, p_high=CALM, **more):
    return train_rl(
        view,
        p_high,
        symbols,
        known=known,
        cost_fraction=COST,
        cache=cache,
        progress=more.pop("progress", lambda _: None),
        seeds=seeds,
        timesteps=more.pop("timesteps", FEW_TIMESTEPS),
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def training(directory):
    """Two seeds on a market of noise."""
    return trained(ModelCache(directory))


def test_a_training_says_what_it_was_trained_and_judged_on(training):
    sessions = VIEW.stocks.sessions
    assert training.symbols == ("S01", "S03", "S07")
    assert training.rows == rl_rows(VIEW, PICKED, known=KNOWN)
    assert training.rows.validation.stop == KNOWN - 1
    assert training.training_sessions == (
        sessions[0].item(), sessions[training.rows.training[-1]].item(),
    )  # fmt: skip
    assert [agent.name for agent in training.ensemble.agents] == ["ppo", "a2c", "sac"]
    assert len(training.by_seed) == 2
    assert {"ppo_sharpe_min", "sac_sharpe_max", "excess_t", "hold_sharpe"} <= set(training.figures)
    assert training.figures["seeds"] == 2
    assert all(np.isfinite(figure) for figure in training.figures.values())


def test_agents_that_learned_next_to_nothing_of_noise_are_absent_for_a_reason(training):
    assert training.ensemble.is_absent
    assert training.why_absent


def test_agents_that_learn_a_foretold_market_are_heard(tmp_path):
    view = view_of(foretold=0.02)
    heard = trained(
        ModelCache(tmp_path), view=view, seeds=(0,), symbols=NAMES[:12], timesteps=2_400
    )
    assert heard.why_absent is None
    assert sum(heard.ensemble.weights) == pytest.approx(1.0)
    assert heard.figures["excess_t"] > 1.645
    unseen = ensemble_returns(
        heard.ensemble, view, CALM, heard.symbols, heard.rows.validation, cost_fraction=COST
    )
    assert unseen.mean() > 0.0


def test_a_second_training_takes_every_agent_from_the_cache(training, directory):
    cache = ModelCache(directory)
    files = {path: path.read_bytes() for path in directory.iterdir()}
    assert len(files) == 6
    told = []
    again = trained(cache, symbols=PICKED[::-1], progress=told.append)
    assert told == [1, 2, 3, 4, 5, 6]
    assert again.ensemble.to_bytes() == training.ensemble.to_bytes()
    assert again.figures == training.figures
    assert {path: path.read_bytes() for path in directory.iterdir()} == files


def test_an_interrupted_training_keeps_the_agents_it_has(tmp_path, training):
    class Interrupted(Exception):  # noqa: N818 - a test's own
        """The run is killed."""

    def killed_after_two(done):
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(ModelCache(tmp_path), progress=killed_after_two)
    assert len(list(tmp_path.iterdir())) == 2
    resumed = trained(ModelCache(tmp_path), seeds=(0,))
    assert resumed.by_seed[0].to_bytes() == training.by_seed[0].to_bytes()


def test_what_comes_after_the_last_completed_session_changes_nothing(tmp_path, training):
    later = slice(KNOWN + 1, None)
    fields = {
        name: getattr(VIEW.stocks, name).copy()
        for name in ("open", "high", "low", "close", "volume")
    }
    for values in fields.values():
        values[later] *= 3.0
    factors, p_high = VIEW.factors.copy(), CALM.copy()
    factors[later], p_high[later] = 2.0, 0.9
    panel = Panel(VIEW.stocks.sessions, NAMES, **fields)
    other = MarketView(**{**vars(VIEW), "stocks": panel, "factors": factors})
    again = trained(ModelCache(tmp_path), view=other, p_high=p_high, seeds=(0,))
    assert again.by_seed[0].to_bytes() == training.by_seed[0].to_bytes()
    assert again.by_seed[0].weights == training.by_seed[0].weights


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"known": 376}, "needs 378 sessions.* have 377"),
        ({"view": view_of(first=60)}, "needs 378 sessions.* have 351"),
        ({"symbols": ()}, "no symbols"),
        ({"symbols": ("S01", "QQQQ")}, "no bars of QQQQ"),
    ],
)
def test_what_cannot_train_agents_is_refused_before_anything_is_trained(
    tmp_path, changes, message
):
    with pytest.raises(DataError, match=message):
        trained(ModelCache(tmp_path), **changes)
    assert not list(tmp_path.iterdir())


def test_the_book_holds_the_positions_that_are_served():
    rng = np.random.default_rng(0)
    layers = tuple(
        (rng.normal(0, 0.5, (a, b)), np.zeros(b))
        for a, b in itertools.pairwise((OBSERVATIONS, 8, 1))
    )
    ensemble = Ensemble((Agent("x", layers, "tanh", squashed=False),), (1.0,))
    rows = range(100, 130)
    columns = [VIEW.stocks.column(symbol) for symbol in PICKED]
    asked = np.empty((len(rows), len(columns)))
    for n, t in enumerate(rows):
        window = slice(t + 1 - ROLLED_SESSIONS, t + 1)
        asked[n] = rolled_action(
            ensemble, VIEW.factors[window], CALM[window], VIEW.atr_fraction[window]
        )[columns].clip(0.0, 1.0)
    returns = open_to_open_returns(VIEW.stocks.open[:, columns])[rows.start : rows.stop]
    expected = book_returns(asked, returns, COST)
    measured = ensemble_returns(ensemble, VIEW, CALM, PICKED, rows, cost_fraction=COST)
    assert_array_equal(measured, expected)


def test_an_agent_that_is_always_long_earns_what_holding_does():
    rows = range(50, 90)
    always = Ensemble((LONG,), (1.0,))
    assert_array_equal(
        ensemble_returns(always, VIEW, CALM, PICKED, rows, cost_fraction=COST),
        holding_book_returns(VIEW, PICKED, rows, cost_fraction=COST),
    )
    absent = Ensemble((LONG,), (0.0,))
    assert not ensemble_returns(absent, VIEW, CALM, PICKED, rows, cost_fraction=COST).any()


def test_agents_pay_half_spread_and_slippage():
    assert cost_fraction_of(Costs(half_spread_bps=2.0, slippage_bps=3.0)) == pytest.approx(0.0005)


def scans(names, *, back=0, score=0.5, sessions=3):
    """Scans of the last `sessions` sessions, `back` sessions ago, that chose `names`."""
    return [
        ScanRow(VIEW.stocks.sessions[KNOWN - back - n].item(), name, rank, score - rank / 1000)
        for n in range(sessions)
        for rank, name in enumerate(names, start=1)
    ]


def ranked(*names):
    """Probabilities of today: `names` highest, the rest unknown."""
    probability = np.full(len(NAMES), np.nan)
    for n, name in enumerate(names):
        probability[NAMES.index(name)] = 0.9 - n / 100
    return probability


def test_the_symbols_that_ranked_highest_over_a_month_of_scans_are_chosen():
    once = scans(["S19"], score=0.99, sessions=1)
    chosen, by = top_symbols(
        [*scans(NAMES[2:18]), *once], VIEW, known=KNOWN, probability=ranked("S00")
    )
    assert by == "scans"
    assert chosen == NAMES[2:17]
    assert len(chosen) == SYMBOLS


@pytest.mark.parametrize(
    "stored",
    [
        [],
        scans(NAMES[:14]),
        scans(NAMES, back=21),
        scans([f"X{n}" for n in range(20)]),
    ],
    ids=["none", "too few", "too old", "of other symbols"],
)
def test_without_enough_scans_the_ranker_of_today_chooses(stored):
    names = NAMES[::-1][:17]
    chosen, by = top_symbols(stored, VIEW, known=KNOWN, probability=ranked(*names))
    assert (chosen, by) == (names[:15], "ranker")


def test_scans_later_than_the_last_completed_session_are_not_known():
    later = scans(NAMES, back=-3)
    _, by = top_symbols(later, VIEW, known=KNOWN, probability=ranked("S05"))
    assert by == "ranker"


def test_without_scans_and_ranker_there_is_nothing_to_train_on():
    with pytest.raises(DataError, match="neither scans nor ranker"):
        top_symbols([], VIEW, known=KNOWN, probability=ranked())


@pytest.mark.slow
def test_two_processes_train_the_same_agents_as_one(monkeypatch, tmp_path):
    """Byte by byte, and the second time none."""
    view, p_high = view_of(foretold=0.01), np.full(SESSIONS, 0.2)

    def trained(home, worth):
        monkeypatch.setattr(cached_agents, "WORTH_PROCESSES", worth)
        told = []
        training = train_rl(
            view, p_high, PICKED, known=KNOWN, cost_fraction=COST, cache=ModelCache(home),
            progress=told.append, seeds=(0, 1), timesteps=FEW_TIMESTEPS,
        )  # fmt: skip
        assert told[-1] == 6
        return [ensemble.to_bytes() for ensemble in training.by_seed]

    apart = trained(tmp_path / "apart", 1)
    assert apart == trained(tmp_path / "alone", 10**9)
    assert apart == trained(tmp_path / "apart", 1)
