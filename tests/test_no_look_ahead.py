"""Every kind of look-ahead: the program passes the check, a leak planted on purpose does not.

A check returns whatever gave the future away, so nothing is what it should return. It is told
what to look at, which is how the same check meets the program's own code and the leak.

The future is made unknowable by replacing it with noise: the bars of another market. Whatever
then differs before that moment has seen beyond it.
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from hmmlearn.hmm import GaussianHMM

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.calendar import session_closes, session_opens, sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.backtest import run_backtest
from swingtrader.commands.backtest_inputs import BacktestOptions
from swingtrader.commands.high_volatility import HighVolatilityPath
from swingtrader.commands.walk_forward import Opinions, walk_forward
from swingtrader.commands.walk_forward_agents import (
    TrainedAgents,
    agent_trainings,
    agents_trainer,
    hear_agents,
)
from swingtrader.config import Strategy
from swingtrader.core.agents import Agent, Ensemble
from swingtrader.core.bar_path import BarExit, bar_exit
from swingtrader.core.costs import Costs
from swingtrader.core.exits import ExitDistances, Marks, exit_distances, exit_levels
from swingtrader.core.factors import factor_panel
from swingtrader.core.market import Panel
from swingtrader.core.policy import SIGNALS, Policy
from swingtrader.core.regime import filtered_probabilities, log_likelihood
from swingtrader.core.sectors import by_stock, market_index, sector_momentum
from swingtrader.core.signals import before_open, decision_signals, market_view
from swingtrader.core.simulate import Known, simulate
from swingtrader.core.trees import TreeEnsemble
from swingtrader.core.universe import KINDS, NO_SECTOR, Sector, Universe
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    first_decision,
    forward_returns,
    top_quartile,
    usable_rows,
    weekly_retrainings,
)
from swingtrader.estimators.hmm import fit_regime
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

LAYOUT = {f"Sector {s}": (f"ETF{s}", tuple(f"S{s}{n}" for n in range(5))) for s in range(6)}
UNIVERSE = Universe(
    tuple(
        Sector(name, etf, KINDS[s % len(KINDS)], stocks)
        for s, (name, (etf, stocks)) in enumerate(LAYOUT.items())
    )
)
SESSIONS = sessions_between(date(2015, 1, 2), date(2025, 12, 31))[:385]
POLICY, COSTS = Policy(), Costs()
CASH_USD = 100_000.0
BAR_FIELDS = ("open", "high", "low", "close", "volume")
DECIDED = ("entry_vote", "vote", "missed_scans", "stagnant")
"""Reasons of `decide`, whose orders fill at the open."""
SOLD_FOR_THE_PRICE = ("stop_loss", "trailing_stop", "target")


def simulated_market(seed):
    """Market of which some stocks trade too little to be bought, but not by much."""
    panel = simulate_market(SyntheticMarket(SESSIONS, LAYOUT, seed, late_listings=0))
    thin = np.array([symbol.endswith("4") for symbol in panel.symbols])
    return replace(panel, volume=panel.volume * np.where(thin, 0.03, 1.0))


@dataclass(frozen=True)
class Market:
    """A market, and another one to take noise from."""

    panel: Panel
    other: Panel

    def noise_from(self, row):
        """Return the market with the bars from `row` on taken from the other one."""
        bars = {name: getattr(self.panel, name).copy() for name in BAR_FIELDS}
        for name in BAR_FIELDS:
            bars[name][row:] = getattr(self.other, name)[row:]
        return replace(self.panel, **bars)

    def noise_after_open(self, row):
        """Return the market with noise after the open of `row`, wild enough to move any signal."""
        noise = self.noise_from(row)
        bars = {name: getattr(noise, name).copy() for name in BAR_FIELDS}
        opened = self.panel.open[row]
        closed = opened * np.resize([0.01, 0.5, 2.0, 1.1], len(opened))
        for name, prices in (
            ("open", opened),
            ("high", np.maximum(opened, closed)),
            ("low", np.minimum(opened, closed)),
            ("close", closed),
            ("volume", 30 * self.panel.volume[row]),
        ):
            bars[name][row] = prices
        return replace(noise, **bars)


@pytest.fixture(scope="module")
def market():
    return Market(simulated_market(6), simulated_market(2))


@pytest.fixture(scope="module")
def rows(market):
    """Three weeks of sessions, the first ones with a model."""
    first = first_decision(trainable(market_view(market.panel, UNIVERSE))[1])
    return range(first, first + 15)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    """Where models are kept, so that nothing is fitted twice."""
    return tmp_path_factory.mktemp("models")


def trainable(view):
    labels = top_quartile(forward_returns(view.stocks.close))
    return labels, usable_rows(view.factors, labels)


def differs(a, b):
    return not np.array_equal(a, b, equal_nan=True)


def unheard(*_done):
    """Progress of a run that nobody watches."""


# A label gap shorter than the horizon.


class AskedOnly:
    """A model cache that has a ranker for every training set, and remembers what it was asked."""

    def __init__(self):
        self.fingerprints = []

    def get(self, key):
        """Return a ranker that has learnt nothing."""
        self.fingerprints.append(key)
        return TreeEnsemble(
            *(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 0.0, 13
        ).to_bytes()

    def prune(self, _max_files):
        """Keep what there is, which is nothing."""


def training_set_fingerprint(panel, retraining):
    """Fingerprint of the rows that `walk_forward` trains the ranker on."""
    view = market_view(panel, UNIVERSE)
    without_regime = replace(view, regime=np.full_like(view.regime, np.nan))
    cache = AskedOnly()
    walk_forward(
        without_regime, *trainable(view), [retraining],
        cache=cache, seed=0, progress=unheard,
    )  # fmt: skip
    (fingerprint,) = cache.fingerprints
    return fingerprint


def trainings_that_saw_the_future(market, retrainings):
    """Retrainings whose x or y changes with the bars from the first session they serve on."""
    return [
        retraining
        for retraining in retrainings
        if training_set_fingerprint(market.panel, retraining)
        != training_set_fingerprint(market.noise_from(retraining.serves.start), retraining)
    ]


def with_label_gap(retraining, sessions):
    """Train on rows up to `sessions` before the last one known, whatever the label looks at."""
    return replace(retraining, known=retraining.known + LABEL_HORIZON - sessions)


def test_no_training_set_holds_a_label_that_was_not_realised(market, rows):
    """Leak: labels of 21 sessions, with a gap of fewer before the decisions."""
    retrainings = weekly_retrainings(SESSIONS, rows)
    assert len(retrainings) >= 3
    assert not trainings_that_saw_the_future(market, retrainings)

    for sessions in (5, LABEL_HORIZON - 1):
        leaking = [with_label_gap(retraining, sessions) for retraining in retrainings]
        assert trainings_that_saw_the_future(market, leaking) == leaking


# A smoothed regime.


def filtered(features, model):
    density = log_likelihood(features, model)
    return filtered_probabilities(density, model.startprob, model.transmat)


def smoothed(features, model):
    """Probabilities as hmmlearn offers them, with all sessions at hand."""
    hmm = GaussianHMM(2, "full")
    hmm.startprob_, hmm.transmat_ = model.startprob, model.transmat
    hmm.means_, hmm.covars_ = model.means, model.covars
    return hmm.predict_proba(features)


def largest_hindsight(probabilities, market):
    """Largest change of a regime probability when the sessions after its own change or end."""
    begins = 21  # rows before have no volatility
    features = market_view(market.panel, UNIVERSE).regime[begins:]
    model = fit_regime(features)
    changes = []
    for row in range(60, len(SESSIONS), 40):
        known = row - begins
        noise = market_view(market.noise_from(row), UNIVERSE).regime[begins:]
        then = probabilities(features, model)[:known]
        changes += [
            np.abs(then - probabilities(noise, model)[:known]).max(),
            np.abs(then - probabilities(features[:known], model)).max(),
        ]
    return max(changes)


def test_the_regime_is_filtered_and_not_smoothed(market):
    """Leak: hmmlearn's predict_proba, which knows how a spell of volatility ended."""
    assert largest_hindsight(filtered, market) == 0.0
    assert largest_hindsight(smoothed, market) > 0.1


# Normalising with future sessions.


def values_that_saw_the_future(view_of, market, row):
    """What the bars before `row` say, by name, where it changes with those from `row` on."""
    views = [view_of(market.panel), view_of(market.noise_from(row))]
    likely = np.full(views[0].stocks.close.shape, 0.6)
    known = [
        {
            "strength": view.strength,
            "market_signal": view.market_signal,
            "atr_fraction": view.atr_fraction,
            "dollar_volume_usd": view.dollar_volume_usd,
            "regime": view.regime,
            **{f"factor {k}": view.factors[..., k] for k in range(view.factors.shape[-1])},
            # The decision of `row` itself is still made on the bars before it.
            **{
                f"signal {name}": decision_signals(view, likely, likely[:, 0])[1:, k]
                for k, name in enumerate(SIGNALS)
            },
        }
        for view in views
    ]
    return [name for name in known[0] if differs(*(values[name][:row] for values in known))]


def normalised_over_time(panel):
    """Market view whose factors are z-scores of each symbol over the whole sample."""
    view = market_view(panel, UNIVERSE)
    market = market_index(panel, UNIVERSE, view.stocks)
    momentum = by_stock(sector_momentum(panel, UNIVERSE, view.stocks, market), view.sector)
    raw = factor_panel(view.stocks, momentum)
    center, deviation = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    return replace(view, factors=np.clip((raw - center) / deviation, -3.0, 3.0))


def test_no_factor_is_normalised_with_future_sessions(market):
    """Leak: z-scores over the whole sample instead of across the symbols of a session."""
    row = 300
    assert not values_that_saw_the_future(lambda p: market_view(p, UNIVERSE), market, row)

    leaks = values_that_saw_the_future(normalised_over_time, market, row)
    assert leaks == [*(f"factor {k}" for k in range(13)), "signal momentum"]


# The pipeline from bars to fills, put together so that a leak can be planted in it.


@pytest.fixture(scope="module")
def trading(rows, models_dir):
    """Return what simulates three weeks: bars, models, signals, decisions and fills."""
    cache = ModelCache(models_dir / "walk-forward")

    def simulated(panel, *, known_as=lambda known: known, traded_as=lambda stocks: stocks):
        view = market_view(panel, UNIVERSE)
        opinions = walk_forward(
            view, *trainable(view), weekly_retrainings(SESSIONS, rows),
            cache=cache, seed=0, progress=unheard,
        )  # fmt: skip
        known = Known(
            opens_at=session_opens(SESSIONS),
            closes_at=session_closes(SESSIONS),
            sector=view.sector,
            probability=opinions.probability,
            signals=decision_signals(view, opinions.probability, opinions.p_high_volatility),
            sector_strength=before_open(view.strength),
            close=before_open(view.stocks.close),
            dollar_volume_usd=before_open(view.dollar_volume_usd),
            atr_fraction=before_open(view.atr_fraction),
            p_high_volatility=opinions.p_high_volatility,
        )
        return simulate(
            traded_as(view.stocks), known_as(known), POLICY, COSTS, cash_usd=CASH_USD, rows=rows
        )

    return simulated


def one_session_early(known):
    """What is known at each open, and the session's own close on top."""
    early = ("signals", "sector_strength", "close", "dollar_volume_usd", "atr_fraction")
    return replace(known, **{name: np.roll(getattr(known, name), -1, axis=0) for name in early})


# A decision on the close of its own session.


def sessions_that_saw_their_close(simulated, market, rows):
    """Sessions whose votes change with what comes after the open of the last one."""
    votes = simulated(market.panel).votes
    other = simulated(market.noise_after_open(rows[-1])).votes
    return [row for k, row in enumerate(rows) if differs(votes[k], other[k])]


def test_no_decision_reads_the_close_of_its_own_session(market, rows, trading):
    """Leak: what the close of session t completes, in the decision at its open."""
    assert not sessions_that_saw_their_close(trading, market, rows)

    def leaking(panel):
        return trading(panel, known_as=one_session_early)

    assert sessions_that_saw_their_close(leaking, market, rows) == [rows[-1]]


# A fill at the close that was decided on.


def bar_of(symbol, session, panel):
    """Open, high and low."""
    place = row_of(session), panel.column(symbol)
    return panel.open[place], panel.high[place], panel.low[place]


def row_of(session):
    return int(np.searchsorted(SESSIONS, np.datetime64(session, "D")))


def fills_nobody_could_have_had(fills, panel):
    """Fills whose price could not be had in their session once the order was decided on."""
    impossible = []
    for fill in fills:
        open_, high, low = bar_of(fill.symbol, fill.session, panel)
        at_cost = COSTS.buy_price if fill.side == "buy" else COSTS.sell_price
        if fill.reason in DECIDED:
            possible = fill.price == at_cost(open_)
        else:
            possible = at_cost(low) <= fill.price <= at_cost(high)
        if not possible:
            impossible.append(fill)
    return impossible


def filled_at_the_close_before(stocks):
    """Market that opens where it closed, so that orders fill at the price decided on."""
    return replace(stocks, open=before_open(stocks.close))


def test_decided_orders_fill_at_the_next_open(market, trading):
    """Leak: a decision on the close of t - 1 that is filled at that close."""
    fills = trading(market.panel).fills
    assert {"entry_vote", "stop_loss"} <= {fill.reason for fill in fills}
    assert not fills_nobody_could_have_had(fills, market.panel)

    leaking = trading(market.panel, traded_as=filled_at_the_close_before).fills
    impossible = fills_nobody_could_have_had(leaking, market.panel)
    assert {fill.side for fill in impossible} == {"buy", "sell"}


# A stop filled better than the gap.

DISTANCES = ExitDistances(stop=0.025, target=0.04, trail=0.03)


def gaps_sold_above_the_open(walk):
    """Bars that open below a stop and are sold above that open."""
    better = []
    for high_water in (1.0, 1.02, 1.2):
        marks = Marks(high_water, high_water * 0.97)
        floor = exit_levels(marks, DISTANCES).floor
        for gap in (0.0, 0.001, 0.1):
            for rebound in (0.0, 0.05, 0.5):
                bar = {
                    "open_ratio": floor - gap,
                    "high_ratio": floor - gap + rebound,
                    "low_ratio": floor - gap - 0.01,
                    "close_ratio": floor - gap + rebound / 2,
                }
                _, sale = walk(marks, DISTANCES, **bar)
                if sale is None or sale.price_ratio > bar["open_ratio"]:
                    better.append(bar)
    return better


def always_at_the_level(marks, distances, **bar):
    """Walk a bar as though every stop were filled where it lay."""
    raised, sale = bar_exit(marks, distances, **bar)
    return raised, sale and BarExit(exit_levels(marks, distances).floor, sale.reason)


def test_a_gap_through_a_stop_is_not_sold_at_the_stop():
    """Leak: a stop that was passed overnight, filled at its level all the same."""
    assert not gaps_sold_above_the_open(bar_exit)
    assert gaps_sold_above_the_open(always_at_the_level)


def flat_but_for_a_gap():
    """Stocks that cost 100 USD; on the fourth session one opens a tenth lower."""
    symbols = ("AAA", "BBB", "CCC")
    price = np.full((6, len(symbols)), 100.0)
    price[3:, 0] = 90.0
    return Panel(SESSIONS[:6], symbols, price, price + 1, price - 1, price, price * 1e6)


def bought_and_held(panel):
    """Buy every stock on the second session, with stops from an ATR of 2 %."""
    shape = panel.close.shape
    known = Known(
        opens_at=session_opens(panel.sessions),
        closes_at=session_closes(panel.sessions),
        sector=np.full(shape[1], NO_SECTOR),
        probability=np.full(shape, 0.75),
        signals=np.full((shape[0], len(SIGNALS), shape[1]), 0.5),
        sector_strength=np.empty((shape[0], 0)),
        close=before_open(panel.close),
        dollar_volume_usd=np.full(shape, 1e9),
        atr_fraction=np.full(shape, 0.02),
        p_high_volatility=np.zeros(shape[0]),
    )
    return simulate(panel, known, POLICY, COSTS, cash_usd=CASH_USD, rows=range(1, shape[0]))


def stops_nobody_could_have_had(trades, panel, atr_fraction):
    """Stopped trades not sold at the level known before the session, or at a lower open.

    `atr_fraction` of shape (T, N) is of each session's close.
    """
    impossible = []
    for trade in trades:
        if trade.exit_reason != "stop_loss":
            continue
        atr = atr_fraction[row_of(trade.exit_session) - 1, panel.column(trade.symbol)]
        level = trade.entry_price * (1.0 - exit_distances(atr, POLICY.exits).stop)
        open_, _, _ = bar_of(trade.symbol, trade.exit_session, panel)
        # An average over fills: its last digit is rounding.
        if abs(trade.exit_price - COSTS.sell_price(min(level, open_))) > 1e-9:
            impossible.append(trade)
    return impossible


def test_a_simulated_stop_is_not_sold_above_the_open_that_passed_it():
    """Leak: the bar read as though the price had walked down to the stop."""
    panel = flat_but_for_a_gap()
    atr_fraction = np.full(panel.close.shape, 0.02)
    (stopped,) = bought_and_held(panel).trades
    assert (stopped.symbol, stopped.exit_reason) == ("AAA", "stop_loss")
    assert not stops_nobody_could_have_had([stopped], panel, atr_fraction)

    opened_where_it_closed = np.vstack([panel.open[:1], panel.close[:-1]])
    leaking = bought_and_held(replace(panel, open=opened_where_it_closed)).trades
    assert stops_nobody_could_have_had(leaking, panel, atr_fraction) == list(leaking) != []


def test_a_stop_lies_where_the_session_before_put_it(market, trading):
    """Leak: a stop set by an average true range that the stopped session is part of."""
    view = market_view(market.panel, UNIVERSE)
    trades = trading(market.panel).trades
    assert sum(trade.exit_reason == "stop_loss" for trade in trades) > 2
    assert not stops_nobody_could_have_had(trades, view.stocks, view.atr_fraction)

    leaking = trading(market.panel, known_as=one_session_early).trades
    assert stops_nobody_could_have_had(leaking, view.stocks, view.atr_fraction)


# Agents that were trained on what they are heard in, or heard a session early.

AGENTS_KNOWN = 445
"""A row with as much history before it as agents need to be trained."""
LONGER = sessions_between(date(2015, 1, 2), date(2025, 12, 31))[: AGENTS_KNOWN + 80]


class OwnAgents:
    """A model cache that has agents for every game: a game that differs at all has others."""

    def get(self, key):
        """Return an agent that nobody trained, drawn from the key."""
        rng = np.random.default_rng(int(key, 16))
        layers = ((rng.normal(0, 0.3, (16, 4)), np.zeros(4)), (rng.normal(0, 1, (4, 1)), [0.0]))
        mind = Agent("none", tuple((w, np.array(b)) for w, b in layers), "tanh", squashed=True)
        return Ensemble((mind,), (1.0,)).to_bytes()


def agents_heard(panel, rows, *, trained_late=0, seen_early=0):
    """Signal of agents in `rows` and what their training came to.

    A leak trains so many sessions late, or shows so many sessions early what a close says.
    """
    view = market_view(panel, UNIVERSE)
    turbulent = np.clip(np.nan_to_num(view.regime[:, 1]) * 30.0, 0.0, 1.0)
    opinions = Opinions(
        probability=0.5 + 0.5 * np.tanh(before_open(view.factors[..., 1])),
        p_high_volatility=before_open(turbulent),
        trained=0,
        cached=0,
        paths=(HighVolatilityPath(rows, 0, turbulent[: rows.stop - 1]),),
    )
    train = agents_trainer(view, COSTS, seed=0, timesteps=1, cache=OwnAgents())
    sharpes = []

    def heard_anyhow(known, columns, p_high):
        late = np.concatenate([p_high, turbulent[known + 1 : known + 1 + trained_late]])
        found = train(known + trained_late, columns, late)
        sharpes.append(dict(found.held_back_sharpe))
        # They earn no weight, and are heard all the same.
        equal = Ensemble(found.ensemble.agents, (0.5, 0.25, 0.25))
        return TrainedAgents(equal, found.held_back_sharpe)

    shown = replace(view, factors=np.roll(view.factors, -seen_early, axis=0))
    trainings = agent_trainings(panel.sessions, rows, "frozen")
    heard = hear_agents(shown, opinions, trainings, heard_anyhow, Unwatched())
    return heard.signal, sharpes


def agents_that_saw_the_future(longer, **leak):
    """Sessions whose agents say something else when the bars from them on are noise."""
    rows = range(AGENTS_KNOWN + 1, AGENTS_KNOWN + 8)
    told, sharpes = agents_heard(longer.panel, rows, **leak)
    assert np.isfinite(told[rows.start : rows.stop]).mean() > 0.9
    seeing = []
    for row in (rows.start, rows.start + 5):
        again, others = agents_heard(longer.noise_from(row), rows, **leak)
        if differs(told[: row + 1], again[: row + 1]) or sharpes != others:
            seeing.append(row)
    return seeing


def test_agents_are_trained_on_the_past_and_heard_on_completed_sessions():
    """Leak: agents trained on sessions they serve, and agents shown a close at its open."""
    longer = Market(
        *(
            simulate_market(SyntheticMarket(LONGER, LAYOUT, seed, late_listings=0))
            for seed in (6, 2)
        )
    )
    assert not agents_that_saw_the_future(longer)
    # The last quarter before a training weighs nothing, so a leak must be longer to be one.
    assert agents_that_saw_the_future(longer, trained_late=70) == [
        AGENTS_KNOWN + 1,
        AGENTS_KNOWN + 6,
    ]
    assert agents_that_saw_the_future(longer, seen_early=1) == [
        AGENTS_KNOWN + 1,
        AGENTS_KNOWN + 6,
    ]


# The backtest as the command runs it.


@dataclass(frozen=True)
class Unwatched:
    """Progress nobody looks at. It would warn of the jump in prices where the noise begins."""

    phase = warn = staticmethod(lambda *_, **__: unheard)


@pytest.fixture(scope="module")
def backtest(rows, models_dir, tmp_path_factory):
    """Return what runs the three weeks as a backtest and gives the directory of its files."""

    def run(panel):
        place = tmp_path_factory.mktemp("backtest")
        write_bars(panel, place / "bars.parquet")
        options = BacktestOptions(
            bars=place / "bars.parquet",
            news=None,
            intraday=None,
            start=SESSIONS[rows[0]].item(),
            end=SESSIONS[rows[-1]].item(),
            cash_usd=CASH_USD,
            out=place / "out",
            seed=0,
            state_dir=place / "state",
            models_dir=models_dir,
            now=datetime(2020, 1, 1, tzinfo=UTC),
        )
        run_backtest(options, Strategy(POLICY, COSTS, UNIVERSE), Unwatched())
        return options.out

    return run


@pytest.fixture(scope="module")
def known(market, backtest):
    """Files of the backtest on the market as it is."""
    return backtest(market.panel)


def fills_in(out):
    with (out / "fills.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_pipeline_in_which_leaks_are_planted_is_the_backtest(market, known, trading):
    """Else the checks above would be of something that nobody runs."""
    fills = [
        (str(fill.session), fill.symbol, str(fill.qty), str(fill.price), fill.reason)
        for fill in trading(market.panel).fills
    ]
    columns = ("session", "symbol", "qty", "price", "reason")
    assert fills == [tuple(fill[name] for name in columns) for fill in fills_in(known)]
    assert len(fills) > 10


def test_a_backtest_does_the_same_whatever_comes_after_it(market, rows, known, backtest):
    """Leak: any, between the bars and the files. What follows the last session is noise."""
    noise = backtest(market.noise_from(rows.stop))
    for name in ("fills.csv", "trades.csv", "equity.csv", "decisions.parquet"):
        assert (known / name).read_bytes() == (noise / name).read_bytes(), name


def test_a_backtest_decides_the_same_whatever_follows_the_open(market, rows, known, backtest):
    """Leak: any that shows a decision its own session, of which all but the open is noise."""
    noise = backtest(market.noise_after_open(rows[-1]))
    last = str(SESSIONS[rows[-1]])

    def decided(out):
        return [
            fill for fill in fills_in(out) if fill["session"] < last or fill["reason"] in DECIDED
        ]

    assert decided(known) == decided(noise)
    assert decided(known)[-1]["session"] == last

    looked_at, looked_at_too = (pq.read_table(out / "decisions.parquet") for out in (known, noise))
    # Held stocks may meet a stop or a target later in the noise.
    action, reason = looked_at.schema.names.index("action"), looked_at.schema.names.index("reason")
    assert looked_at.select(range(action)).equals(looked_at_too.select(range(action)))
    reasons = zip(looked_at[reason].to_pylist(), looked_at_too[reason].to_pylist(), strict=True)
    assert {pair for pair in reasons if pair[0] != pair[1]} <= set(
        itertools.product(("held", *SOLD_FOR_THE_PRICE), repeat=2)
    )
