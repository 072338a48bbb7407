from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.costs import Costs
from swingtrader.core.market import Panel
from swingtrader.core.policy import ExitRules, Limits, Policy, SizingRules
from swingtrader.core.reasons import REASONS, Action, Reason
from swingtrader.core.simulate import IntradaySession, Known, simulate
from swingtrader.core.universe import NO_SECTOR

NAN = np.nan
POLICY = Policy()
QUANT = 1
CASH = 100_000.0

# With an ATR of 2 %: stop 3 % and target 5 % from the entry, trailing stop 4 % below the high.
ATR = 0.02


def day(row):
    return date(2020, 1, 6 + row)


def known_of(panel, views, *, atr=ATR, dollar_volume_usd=1e9):
    """Known of stocks without a sector; all six signals say `views` (T, N)."""
    shape = panel.close.shape
    before = np.full(shape, NAN)
    before[1:] = panel.close[:-1]
    return Known(
        opens_at=panel.sessions.astype("datetime64[s]") + np.timedelta64(870, "m"),
        closes_at=panel.sessions.astype("datetime64[s]") + np.timedelta64(1260, "m"),
        sector=np.full(shape[1], NO_SECTOR),
        probability=0.5 + 0.5 * np.asarray(views),
        signals=np.repeat(np.asarray(views)[:, None, :], 6, axis=1),
        sector_strength=np.zeros((shape[0], 1)),
        close=before,
        dollar_volume_usd=np.full(shape, dollar_volume_usd),
        atr_fraction=np.broadcast_to(np.asarray(atr, dtype=float), shape),
        p_high_volatility=np.zeros(shape[0]),
    )


def views_of(panel, **by_symbol):
    """Return opinions of 0 except where {row: opinion} says otherwise: shape (T, N)."""
    views = np.zeros(panel.close.shape)
    for symbol, opinions in by_symbol.items():
        for row, opinion in opinions.items():
            views[row, panel.column(symbol)] = opinion
    return views


def run(panel, views, *, policy=POLICY, costs=None, cash_usd=CASH, intraday=None, **known):
    return simulate(
        panel,
        known_of(panel, views, **known),
        policy,
        costs or Costs(),
        cash_usd=cash_usd,
        rows=range(1, len(panel.sessions)),
        intraday=intraday,
    )


def told(simulation):
    """Fills as (row, symbol, side, reason)."""
    return [
        ((fill.session - day(0)).days, fill.symbol, fill.side, fill.reason)
        for fill in simulation.fills
    ]


def reason_at(simulation, row, column):
    return REASONS[simulation.reasons[row - simulation.rows.start, column]]


# When and at which price


def test_what_was_known_of_the_session_before_is_filled_at_the_open_with_costs(make_panel):
    panel = make_panel({"AAA": [100.0, 101.0, 101.0]}, opens={"AAA": [100.0, 102.0, 101.0]})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    (fill,) = simulation.fills
    assert (fill.session, fill.symbol, fill.side, fill.reason) == (
        day(1), "AAA", "buy", "entry_vote",
    )  # fmt: skip
    # 102 plus 2 + 3 bps.
    assert fill.price == pytest.approx(102.051, rel=1e-12)
    # A quarter of the prior's Kelly fraction 0.26875 of 100,000 at a limit of 102.23.
    assert fill.qty == 65
    assert simulation.cash_usd[0] == pytest.approx(CASH - 65 * 102.051, abs=1e-6)
    assert simulation.equity_usd[0] == pytest.approx(CASH - 65 * (102.051 - 101), abs=1e-6)
    assert simulation.votes[0, 0] == pytest.approx(0.5, rel=1e-12)
    assert simulation.actions[0, 0] == Action.BUY


def test_gap_through_the_stop_fills_at_the_open_never_at_the_stop(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, 99.0]}, opens={"AAA": [100.0, 100.0, 90.0]})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert told(simulation)[1:] == [(2, "AAA", "sell", "stop_loss")]
    assert simulation.fills[1].price == pytest.approx(89.955, rel=1e-12)


@pytest.mark.parametrize(
    ("high", "low", "close", "price", "reason"),
    [
        # From an entry at 100.05: stop at 97.0485, target at 105.0525, both less 5 bps.
        (100.0, 96.0, 99.0, 96.9999, "stop_loss"),
        (106.0, 99.0, 105.0, 104.9999, "target"),
        (106.0, 96.0, 105.0, 96.9999, "stop_loss"),  # both in the bar: the stop was first
        (104.0, 99.0, 99.5, 99.7900, "trailing_stop"),  # 4 % below the high of the bar itself
    ],
)
def test_position_may_be_sold_in_the_session_it_was_bought(
    make_panel, high, low, close, price, reason
):
    panel = make_panel(
        {"AAA": [100.0, close, close]},
        opens={"AAA": [100.0, 100.0, close]},
        highs={"AAA": [100.0, high, close]},
        lows={"AAA": [100.0, low, close]},
    )
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert told(simulation) == [(1, "AAA", "buy", "entry_vote"), (1, "AAA", "sell", reason)]
    assert simulation.fills[1].price == pytest.approx(price, abs=1e-9)
    assert simulation.trades[0].entry_session == simulation.trades[0].exit_session == day(1)


def test_high_of_one_session_raises_the_trailing_stop_of_the_next(make_panel):
    panel = make_panel(
        {"AAA": [100.0, 103.0, 102.0]},
        opens={"AAA": [100.0, 100.0, 102.0]},
        highs={"AAA": [100.0, 104.0, 103.0]},
        lows={"AAA": [100.0, 98.0, 99.5]},
    )
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert told(simulation)[1:] == [(2, "AAA", "sell", "trailing_stop")]
    assert simulation.fills[1].price == pytest.approx(99.79, abs=1e-9)  # 104 x 0.96, less 5 bps


def test_without_atr_the_static_thresholds_hold(make_panel):
    panel = make_panel(
        {"AAA": [100.0, 99.0, 99.0]},
        opens={"AAA": [100.0, 100.0, 99.0]},
        lows={"AAA": [100.0, 97.5, 99.0]},
    )
    views = views_of(panel, AAA={1: 0.5})
    assert len(run(panel, views).fills) == 1
    simulation = run(panel, views, atr=NAN)
    assert told(simulation)[1:] == [(1, "AAA", "sell", "stop_loss")]
    assert simulation.fills[1].price == pytest.approx(97.4999, abs=1e-9)


def test_session_without_a_bar_fills_nothing(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, NAN, 100.0], "BBB": [50.0, NAN, 50.0, 50.0]})
    simulation = run(panel, views_of(panel, AAA={1: 0.5, 2: -1.0, 3: -1.0}, BBB={1: 0.5}))
    assert told(simulation) == [(1, "AAA", "buy", "entry_vote"), (3, "AAA", "sell", "vote")]
    assert reason_at(simulation, 1, 1) is Reason.NO_QUOTE


# What may be bought, and when again


def test_proceeds_of_a_sale_buy_in_the_same_session(make_panel):
    panel = make_panel({"AAA": [100.0] * 4, "BBB": [50.0] * 4})
    everything = Policy(
        sizing=SizingRules(minimum_weight=1.0, maximum_weight=1.0),
        limits=Limits(symbol=1.0, gross=1.0),
    )
    views = views_of(panel, AAA={1: 0.5, 2: -1.0}, BBB={2: 0.5})
    simulation = run(panel, views, policy=everything, cash_usd=10_000.0)
    assert told(simulation) == [
        (1, "AAA", "buy", "entry_vote"),
        (2, "AAA", "sell", "vote"),
        (2, "BBB", "buy", "entry_vote"),
    ]
    assert simulation.cash_usd[0] < 150
    assert simulation.fills[2].qty * 50 > 9_800


def test_position_is_not_added_to(make_panel):
    panel = make_panel({"AAA": [100.0] * 5})
    simulation = run(panel, views_of(panel, AAA={1: 0.5, 2: 0.9, 3: 0.9, 4: 0.9}))
    assert told(simulation) == [(1, "AAA", "buy", "entry_vote")]


@pytest.mark.parametrize("opens", [[100.0, 100.0, 107.0, 107.0], [100.0, 100.0, 95.0, 95.0]])
def test_what_was_sold_is_not_bought_again_in_the_same_session(make_panel, opens):
    panel = make_panel({"AAA": opens})
    simulation = run(panel, views_of(panel, AAA=dict.fromkeys(range(4), 0.5)))
    assert [(row, side) for row, _, side, _ in told(simulation)] == [
        (1, "buy"), (2, "sell"), (3, "buy"),
    ]  # fmt: skip
    assert simulation.actions[1, 0] == Action.SELL


# Volume


def test_buy_takes_two_and_a_half_percent_of_the_volume_and_the_rest_lapses(make_panel):
    panel = make_panel({"AAA": [100.0] * 4}, volume=1000.0)
    simulation = run(panel, views_of(panel, AAA=dict.fromkeys(range(4), 0.5)))
    assert [(fill.session, fill.qty) for fill in simulation.fills] == [(day(1), 25)]


def test_sell_takes_two_and_a_half_percent_of_the_volume_and_the_rest_waits(make_panel):
    volume = np.array([1e7, 1e7, 400.0, 0.0, 800.0, 1e7, 1e7])[:, None]
    panel = make_panel(
        {"AAA": [100.0] * 7},
        opens={"AAA": [100.0, 100.0, 100.0, 100.0, 99.0, 98.0, 100.0]},
        volume=volume,
    )
    # The vote recovers at once; an exit once asked for goes on all the same.
    simulation = run(panel, views_of(panel, AAA={1: 0.5, 2: -1.0, 3: 0.9, 4: 0.9, 5: 0.9, 6: 0.9}))
    assert [((f.session - day(0)).days, f.side, f.qty, f.reason) for f in simulation.fills] == [
        (1, "buy", 67, "entry_vote"),
        (2, "sell", 10, "vote"),
        (4, "sell", 20, "vote"),
        (5, "sell", 37, "vote"),
        (6, "buy", simulation.fills[-1].qty, "entry_vote"),  # not yet on the session of the exit
    ]
    assert simulation.fills[2].price == pytest.approx(98.9505, rel=1e-12)
    assert simulation.trades[0].qty == 67


@pytest.mark.parametrize("volume", [0.0, 39.0])
def test_entry_without_volume_is_no_position(make_panel, volume):
    panel = make_panel({"AAA": [100.0] * 3}, volume=volume)
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert simulation.fills == ()
    assert simulation.equity_usd.tolist() == [CASH, CASH]


def test_rest_of_a_sale_keeps_its_reason_whatever_the_bar_does_next(make_panel):
    panel = make_panel(
        {"AAA": [100.0] * 4},
        lows={"AAA": [100.0, 100.0, 80.0, 100.0]},
        volume=np.array([1e7, 1e7, 400.0, 1e7])[:, None],
    )
    simulation = run(panel, views_of(panel, AAA={1: 0.5, 2: -1.0}))
    assert told(simulation)[1:] == [(2, "AAA", "sell", "vote"), (3, "AAA", "sell", "vote")]
    assert reason_at(simulation, 2, 0) is Reason.VOTE


def test_entry_without_volume_is_tried_once_a_session(make_panel):
    panel = make_panel({"AAA": [100.0] * 2, "BBB": [100.0] * 2}, volume=np.array([0.0, 1e7]))
    minutes = np.arange(0, 390, 5)
    # BBB has a quote only late in the day: 23 vain orders for AAA would have used up the 20.
    late = np.where(minutes < 345, NAN, 100.0)
    bars = IntradaySession(minutes, np.column_stack([np.full(len(minutes), 100.0), late]))
    views = views_of(panel, AAA={1: 0.5}, BBB={1: 0.5})
    simulation = run(panel, views, intraday=lambda _: bars)
    assert told(simulation) == [(1, "BBB", "buy", "entry_vote")]


# The end of a symbol


def test_delisted_is_closed_at_the_last_close_on_the_first_session_without_a_bar(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, 101.0, NAN, NAN], "BBB": [50.0] * 5})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert told(simulation)[1:] == [(3, "AAA", "sell", "delisted")]
    fill = simulation.fills[1]
    assert (fill.price, fill.costs_usd, fill.qty) == (101.0, 0.0, 67)
    assert simulation.trades[0].exit_reason == "delisted"
    assert simulation.equity_usd[2] == simulation.cash_usd[2] == simulation.equity_usd[1]


def test_gap_in_the_bars_is_no_delisting_and_is_marked_at_the_last_close(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, 101.0, NAN, 102.0], "BBB": [50.0] * 5})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert len(simulation.fills) == 1
    assert simulation.equity_usd[2] == simulation.equity_usd[1]
    assert simulation.equity_usd[3] == pytest.approx(simulation.equity_usd[1] + 67, abs=1e-6)


# The other exits


def absent_quant(panel, known, symbol, rows):
    """Signals in which the ranker has no view of `symbol` in `rows`: outside the scan."""
    signals = known.signals.copy()
    signals[rows, QUANT, panel.column(symbol)] = NAN
    probability = known.probability.copy()
    probability[rows, panel.column(symbol)] = NAN
    return Known(**{**vars(known), "signals": signals, "probability": probability})


@pytest.mark.parametrize(
    ("missed", "sold_at"),
    [
        ([2, 3, 4], 4),
        ([2, 3], None),
        ([2, 3, 5, 6], None),  # a hit in between starts anew
        ([2, 3, 5, 6, 7], 7),
    ],
)
@pytest.mark.parametrize("intraday", [False, True])
def test_three_missed_sessions_sell_however_often_a_session_is_decided(
    make_panel, missed, sold_at, intraday
):
    panel = make_panel({"AAA": [100.0] * 9, "BBB": [100.0] * 9})  # BBB stays ranked
    minutes = np.arange(0, 390, 5)
    bars = IntradaySession(minutes, np.full((len(minutes), 2), 100.0))
    known = absent_quant(panel, known_of(panel, views_of(panel, AAA={1: 0.5})), "AAA", missed)
    simulation = simulate(
        panel, known, POLICY, Costs(), cash_usd=CASH, rows=range(1, 9),
        intraday=(lambda _: bars) if intraday else None,
    )  # fmt: skip
    sold = [(row, reason) for row, _, side, reason in told(simulation) if side == "sell"]
    assert sold == ([] if sold_at is None else [(sold_at, "missed_scans")])


def test_position_that_goes_nowhere_is_sold_after_more_than_ten_sessions(make_panel):
    panel = make_panel({"AAA": [100.0] * 15, "BBB": [100.0, 100.0, *[102.0] * 13]})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}, BBB={1: 0.5}))
    assert told(simulation)[2:] == [(12, "AAA", "sell", "stagnant")]


def test_sizing_knows_only_trades_closed_in_earlier_sessions(make_panel):
    flat = [100.0] * 5
    panel = make_panel(
        {"AAA": [100.0, 100.0, 106.0, 106.0, 106.0], "BBB": flat, "CCC": flat, "DDD": flat}
    )
    # With a prior worth one trade, one win lifts the weight from 6.7 % to the ceiling.
    policy = Policy(sizing=SizingRules(prior_trades=1.0))
    simulation = run(panel, views_of(panel, AAA={1: 0.5}, BBB={2: 0.5}, CCC={3: 0.5}),
                     policy=policy)  # fmt: skip
    assert told(simulation)[1] == (2, "AAA", "sell", "target")
    weights = {f.symbol: f.qty * 100 / CASH for f in simulation.fills if f.side == "buy"}
    assert weights["AAA"] == pytest.approx(0.067, abs=0.001)
    assert weights["BBB"] == pytest.approx(0.067, abs=0.001)  # AAA was sold this very session
    assert weights["CCC"] == pytest.approx(0.150, abs=0.002)
    assert (simulation.record.wins, simulation.record.losses) == (1, 0)


# Intraday: a risk check at every bar, a decision at every third


def session_of(prices, *, first=0):
    """Bars of five minutes, one price each, of a market of one symbol."""
    return IntradaySession(
        np.arange(first, first + 5 * len(prices), 5), np.array(prices, dtype=float)[:, None]
    )


def played(make_panel, views, *sessions):
    """Simulate sessions of intraday bars of AAA, after a first one that only was."""
    panel = make_panel({"AAA": [100.0] * (len(sessions) + 1)})
    return run(panel, views_of(panel, AAA=views), intraday=lambda row: sessions[row - 1])


@pytest.mark.parametrize(("first_quote", "bought"), [(0, 0), (5, 15), (15, 15), (20, 30)])
def test_entries_are_decided_at_multiples_of_fifteen_minutes_only(make_panel, first_quote, bought):
    prices = [NAN if minute < first_quote else 100.0 + minute / 100 for minute in range(0, 60, 5)]
    simulation = played(make_panel, {1: 0.5}, session_of(prices))
    (fill,) = simulation.fills
    assert fill.price == pytest.approx(Costs().buy_price(100.0 + bought / 100), rel=1e-12)


def test_risk_is_checked_at_every_bar_and_sold_at_its_price(make_panel):
    prices = [100.0, 99.0, 96.0, 99.0]
    simulation = played(make_panel, {1: 0.5}, session_of(prices))
    assert told(simulation)[1:] == [(1, "AAA", "sell", "stop_loss")]
    assert simulation.fills[1].price == pytest.approx(95.952, rel=1e-12)  # not the stop at 97.05


def test_trailing_stop_follows_the_marks_of_the_session(make_panel):
    simulation = played(make_panel, {1: 0.5}, session_of([100.0, 104.0, 99.9, 99.8]))
    assert told(simulation)[1:] == [(1, "AAA", "sell", "trailing_stop")]
    assert simulation.fills[1].price == pytest.approx(Costs().sell_price(99.8), rel=1e-12)


def test_vote_sells_at_the_first_mark_of_the_fifteen_minute_job(make_panel):
    sessions = session_of([100.0] * 8), session_of([NAN, 100.0, 100.1, 100.2, 100.3])
    simulation = played(make_panel, {1: 0.5, 2: -1.0}, *sessions)
    assert told(simulation)[1:] == [(2, "AAA", "sell", "vote")]
    assert simulation.fills[1].price == pytest.approx(Costs().sell_price(100.2), rel=1e-12)


@pytest.mark.parametrize(("first", "fills"), [(345, 1), (360, 1), (375, 0)])
def test_nothing_is_bought_in_the_last_fifteen_minutes(make_panel, first, fills):
    simulation = played(make_panel, {1: 0.5}, session_of([100.0] * 3, first=first))
    assert len(simulation.fills) == fills
    assert reason_at(simulation, 1, 0) is (Reason.ENTRY_VOTE if fills else Reason.NEAR_CLOSE)


def test_exits_go_on_in_the_last_fifteen_minutes(make_panel):
    sessions = session_of([100.0] * 3), session_of([100.0, 90.0], first=380)
    simulation = played(make_panel, {1: 0.5}, *sessions)
    assert told(simulation)[1:] == [(2, "AAA", "sell", "stop_loss")]


def test_stopped_out_symbol_is_not_bought_again_later_in_the_session(make_panel):
    prices = [100.0, 96.0, *[100.0] * 20]
    simulation = played(make_panel, {1: 0.5}, session_of(prices))
    assert [side for _, _, side, _ in told(simulation)] == ["buy", "sell"]


def test_session_without_intraday_bars_is_played_from_its_daily_bar(make_panel):
    simulation = played(make_panel, {2: 0.5}, session_of([100.0] * 3), None)
    assert told(simulation) == [(2, "AAA", "buy", "entry_vote")]


# What always holds


def random_market(seed, *, rows=25, symbols=5, volume=20_000.0):
    """Panel and opinions: late listings, delistings, gaps, sessions without volume."""
    rng = np.random.default_rng(seed)
    shape = rows, symbols
    close = rng.uniform(20, 200, symbols) * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.02, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.01, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.01, shape)))
    shares = rng.lognormal(np.log(volume), 1.0, shape) * (rng.random(shape) > 0.05)
    first = rng.integers(0, 4, symbols)
    last = np.where(rng.random(symbols) < 0.4, rng.integers(6, rows, symbols), rows)
    row = np.arange(rows)[:, None]
    listed = (row >= first) & (row < last) & (rng.random(shape) > 0.03)
    bars = (np.where(listed, field, NAN) for field in (open_, high, low, close, shares))
    sessions = np.datetime64("2020-01-06", "D") + np.arange(rows)
    panel = Panel(sessions, tuple(f"S{n:02d}" for n in range(symbols)), *bars)
    views = rng.uniform(-0.6, 1.0, shape)
    atr = np.where(rng.random(shape) < 0.1, NAN, rng.uniform(0.005, 0.05, shape))
    return panel, known_of(panel, views, atr=atr)


seeds = st.integers(0, 2**32 - 1)
GREEDY = Policy(
    sizing=SizingRules(minimum_weight=0.4, maximum_weight=1.0),
    limits=Limits(symbol=1.0, gross=1.0, dollar_volume=1.0, spread_bps=1e6),
)


def traded(panel, known, *, rows=None, policy=POLICY, costs=None, cash_usd=CASH, intraday=None):
    rows = rows or range(1, len(panel.sessions))
    return simulate(
        panel, known, policy, costs or Costs(), cash_usd=cash_usd, rows=rows, intraday=intraday
    )


def recomputed(simulation, panel, cash_usd):
    """Cash and equity of every session from nothing but fills and closes."""
    held, mark, cash, equity = Counter(), {}, [], []
    fills = list(simulation.fills)
    for row in simulation.rows:
        session = panel.sessions[row].item()
        while fills and fills[0].session == session:
            fill = fills.pop(0)
            sign = 1 if fill.side == "buy" else -1
            held[fill.symbol] += sign * fill.qty
            cash_usd -= sign * fill.qty * fill.price + fill.costs_usd
        closes = zip(panel.symbols, panel.close[row], strict=True)
        mark |= {symbol: close for symbol, close in closes if not np.isnan(close)}
        cash.append(cash_usd)
        equity.append(cash_usd + sum(qty * mark[symbol] for symbol, qty in held.items() if qty))
    assert not fills
    return np.array(cash), np.array(equity)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seeds, st.sampled_from([1_000.0, CASH, 5e6]), st.sampled_from([POLICY, GREEDY]))
def test_equity_is_recomputed_from_fills_and_closes_to_the_cent(seed, cash_usd, policy):
    panel, known = random_market(seed)
    simulation = traded(panel, known, policy=policy, cash_usd=cash_usd)
    cash, equity = recomputed(simulation, panel, cash_usd)
    np.testing.assert_allclose(simulation.cash_usd, cash, rtol=0, atol=0.001)
    np.testing.assert_allclose(simulation.equity_usd, equity, rtol=0, atol=0.001)
    exposure = (equity - cash) / equity
    np.testing.assert_allclose(simulation.gross_exposure, exposure, rtol=0, atol=1e-9)
    grown = cash_usd * np.cumprod(1 + simulation.returns)
    np.testing.assert_allclose(grown, equity, rtol=1e-9, atol=0)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    seeds,
    st.sampled_from([0.0, 2.0, 100.0, 4000.0]),
    st.sampled_from([0.0, 3.0, 4000.0]),
    st.sampled_from([100.0, 3_000.0, 1e6]),
    st.sampled_from([50.0, 3_000.0, CASH]),
)
def test_cash_and_positions_are_never_negative(seed, half_spread, slippage, volume, cash_usd):
    panel, known = random_market(seed, volume=volume)
    costs = Costs(half_spread_bps=half_spread, slippage_bps=slippage)
    simulation = traded(panel, known, policy=GREEDY, costs=costs, cash_usd=cash_usd)
    assert simulation.cash_usd.min() >= 0
    held, cash = Counter(), cash_usd
    for fill in simulation.fills:
        sign = 1 if fill.side == "buy" else -1
        held[fill.symbol] += sign * fill.qty
        cash -= sign * fill.qty * fill.price + fill.costs_usd
        assert held[fill.symbol] >= 0
        assert cash >= -1e-6
        assert fill.costs_usd >= 0
        assert fill.qty > 0


def test_random_markets_do_trade():
    panel, known = random_market(1)
    reasons = Counter(reason for *_, reason in told(traded(panel, known)))
    assert reasons["entry_vote"] >= 10
    assert len(reasons) >= 4
    costly = traded(panel, known, policy=GREEDY, costs=Costs(half_spread_bps=4000.0))
    assert len(costly.fills) >= 10


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds)
def test_no_session_takes_more_than_its_share_of_the_volume(seed):
    panel, known = random_market(seed, volume=5_000.0)
    taken = Counter()
    for fill in traded(panel, known, policy=GREEDY).fills:
        if fill.reason != "delisted":
            taken[fill.session, fill.symbol] += fill.qty
    for (session, symbol), qty in taken.items():
        row = (session - day(0)).days
        assert qty <= 0.025 * panel.volume[row, panel.column(symbol)]


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds)
def test_fills_happen_at_prices_of_the_bar_and_never_better(seed):
    panel, known = random_market(seed)
    costs = Costs()
    for fill in traded(panel, known).fills:
        row, n = (fill.session - day(0)).days, panel.column(fill.symbol)
        if fill.side == "buy":
            assert fill.price == costs.buy_price(panel.open[row, n])
        elif fill.reason == "delisted":
            assert fill.price == panel.close[panel.last_bar[n], n]
            assert row == panel.last_bar[n] + 1
        else:
            # A hundredth of a cent for rounding.
            assert fill.price <= costs.sell_price(panel.high[row, n]) + 1e-4
            assert fill.price >= costs.sell_price(panel.low[row, n]) - 1e-4


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds)
def test_round_trips_and_open_positions_explain_every_fill(seed):
    panel, known = random_market(seed)
    simulation = traded(panel, known)
    bought = Counter()
    for fill in simulation.fills:
        bought[fill.symbol] += fill.qty if fill.side == "buy" else -fill.qty
    open_symbols = {symbol for symbol, qty in bought.items() if qty}
    closed_cash = sum(
        (1 if fill.side == "sell" else -1) * fill.qty * fill.price - fill.costs_usd
        for fill in simulation.fills
        if fill.symbol not in open_symbols
    )
    booked = sum(t.pnl_usd for t in simulation.trades if t.symbol not in open_symbols)
    assert booked == pytest.approx(closed_cash, abs=1e-4)
    for trade in simulation.trades:
        assert trade.entry_session <= trade.exit_session
        assert trade.simple_return == pytest.approx(
            trade.pnl_usd / (trade.qty * trade.entry_price), rel=1e-12
        )
    record = simulation.record
    assert record.trades == len(simulation.trades)
    assert record.wins == sum(trade.pnl_usd > 0 for trade in simulation.trades)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds)
def test_no_symbol_is_bought_while_held_or_on_the_session_of_its_exit(seed):
    panel, known = random_market(seed)
    held, sold_in = Counter(), {}
    for fill in traded(panel, known).fills:
        if fill.side == "buy":
            assert held[fill.symbol] == 0
            assert sold_in.get(fill.symbol) != fill.session
            held[fill.symbol] += fill.qty
        else:
            held[fill.symbol] -= fill.qty
            sold_in[fill.symbol] = fill.session


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds, st.permutations(range(5)))
def test_renaming_the_symbols_renames_the_fills(seed, order):
    panel, known = random_market(seed)
    # The symbol in column n gets the name, and so the column, order[n].
    columns = np.argsort(order)
    renamed = Panel(
        panel.sessions,
        panel.symbols,
        *(field[:, columns] for field in
          (panel.open, panel.high, panel.low, panel.close, panel.volume)),
    )  # fmt: skip
    known_renamed = known_of(
        renamed, known.signals[:, 0, columns], atr=known.atr_fraction[:, columns]
    )
    name = {symbol: panel.symbols[order[n]] for n, symbol in enumerate(panel.symbols)}
    expected = [
        (fill.session, name[fill.symbol], fill.side, fill.qty, fill.price, fill.reason)
        for fill in traded(panel, known).fills
    ]
    assert [
        (fill.session, fill.symbol, fill.side, fill.qty, fill.price, fill.reason)
        for fill in traded(renamed, known_renamed).fills
    ] == expected


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds, st.integers(3, 24))
def test_shorter_simulation_is_the_first_part_of_a_longer_one(seed, stop):
    panel, known = random_market(seed)
    short = traded(panel, known, rows=range(2, stop))
    long = traded(panel, known, rows=range(2, 25))
    length = len(short.rows)
    assert short.fills == long.fills[: len(short.fills)]
    assert all(fill.session >= day(stop) for fill in long.fills[len(short.fills) :])
    assert short.trades == long.trades[: len(short.trades)]
    for name in ("equity_usd", "cash_usd", "gross_exposure", "traded_usd"):
        assert getattr(short, name).tolist() == getattr(long, name)[:length].tolist()
    for name in ("votes", "actions", "reasons"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:length])


def with_other_future(mine, other, stop, columns):
    """Rows from `stop` on taken from `other`, in the columns given."""
    changed = mine.copy()
    changed[stop:, ..., columns] = other[stop:, ..., columns]
    return changed


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds, seeds, st.integers(2, 24))
def test_later_bars_and_signals_change_no_earlier_fill(seed, other_seed, stop):
    panel, known = random_market(seed)
    other, other_known = random_market(other_seed)
    # Whether a symbol without a bar was delisted or paused is told by its later bars alone.
    columns = np.flatnonzero(panel.traded[stop - 1])
    changed = Panel(
        panel.sessions,
        panel.symbols,
        *(
            with_other_future(getattr(panel, name), getattr(other, name), stop, columns)
            for name in ("open", "high", "low", "close", "volume")
        ),
    )
    changed_known = Known(
        **{
            **vars(known),
            **{
                name: with_other_future(
                    getattr(known, name), getattr(other_known, name), stop, slice(None)
                )
                for name in ("probability", "signals", "close", "atr_fraction")
            },
        }
    )
    before = traded(panel, known, rows=range(1, stop))
    after = traded(changed, changed_known)
    assert after.fills[: len(before.fills)] == before.fills
    assert all(fill.session >= day(stop) for fill in after.fills[len(before.fills) :])
    np.testing.assert_array_equal(after.equity_usd[: len(before.rows)], before.equity_usd)
    np.testing.assert_array_equal(after.reasons[: len(before.rows)], before.reasons)


@settings(deadline=None, derandomize=True, max_examples=6)
@given(seeds)
def test_intraday_sessions_keep_the_same_books(seed):
    panel, known = random_market(seed, rows=10)
    minutes = np.arange(0, 390, 5)

    def bars(row):
        rng = np.random.default_rng([seed, row])
        steps = np.cumsum(rng.normal(0, 0.004, (len(minutes), 5)), axis=0)
        return IntradaySession(minutes, panel.open[row] * np.exp(steps))

    simulation = traded(panel, known, intraday=bars)
    cash, equity = recomputed(simulation, panel, CASH)
    np.testing.assert_allclose(simulation.cash_usd, cash, rtol=0, atol=0.001)
    np.testing.assert_allclose(simulation.equity_usd, equity, rtol=0, atol=0.001)
    assert simulation.cash_usd.min() >= 0


def test_progress_is_told_after_every_session(make_panel):
    panel = make_panel({"AAA": [100.0] * 4})
    done = []
    simulate(
        panel, known_of(panel, views_of(panel)), POLICY, Costs(), cash_usd=CASH,
        rows=range(1, 4), progress=done.append,
    )  # fmt: skip
    assert done == [1, 2, 3]


def test_symbol_without_intraday_bars_keeps_its_stops_from_the_daily_bar(make_panel):
    panel = make_panel(
        {"AAA": [100.0] * 4, "BBB": [100.0, 100.0, 90.0, 90.0]},
        opens={"BBB": [100.0, 100.0, 99.0, 90.0]},
    )
    minutes = np.arange(0, 390, 5)
    quotes = np.column_stack([np.full(len(minutes), 100.0), np.full(len(minutes), NAN)])
    bars = IntradaySession(minutes, quotes)
    simulation = run(
        panel, views_of(panel, BBB={1: 0.5}), intraday=lambda row: bars if row == 2 else None
    )
    assert told(simulation) == [(1, "BBB", "buy", "entry_vote"), (2, "BBB", "sell", "stop_loss")]


def test_session_without_any_ranker_is_no_miss(make_panel):
    panel = make_panel({"AAA": [100.0] * 7, "BBB": [100.0] * 7})
    known = known_of(panel, views_of(panel, AAA={1: 0.5}))
    for symbol in panel.symbols:
        known = absent_quant(panel, known, symbol, [2, 3, 4, 5, 6])
    simulation = simulate(panel, known, POLICY, Costs(), cash_usd=CASH, rows=range(1, 7))
    assert [side for _, _, side, _ in told(simulation)] == ["buy"]


def test_session_that_lost_too_much_stays_closed_to_entries_after_a_recovery(make_panel):
    panel = make_panel({"AAA": [100.0] * 3, "BBB": [100.0] * 3})
    minutes = np.array([0, 15, 30])
    flat = np.array([100.0, 100.0, 100.0])
    # Nothing is sold for its price here, so the loss is on paper and goes away again.
    dip = IntradaySession(minutes, np.column_stack([np.array([78.0, 100.0, 100.0]), flat]))
    policy = Policy(
        exits=ExitRules(stop=0.5, target=1.0, trail=0.45, clamp_high=1.0, resident_stop=0.6),
        sizing=SizingRules(minimum_weight=0.15),
    )
    simulation = run(
        panel, views_of(panel, AAA={1: 0.5}, BBB={2: 0.5}), policy=policy,
        intraday=lambda row: dip if row == 2 else None,
    )  # fmt: skip
    assert told(simulation) == [(1, "AAA", "buy", "entry_vote")]


def test_delisting_is_among_the_decisions(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, NAN, NAN], "BBB": [100.0] * 4})
    simulation = run(panel, views_of(panel, AAA={1: 0.5}))
    assert REASONS[simulation.reasons[1, 0]] == "delisted"


def test_session_after_one_without_a_bar_is_no_miss(make_panel):
    hole = [100.0, 100.0, NAN, NAN, NAN, NAN, 100.0, 100.0]
    panel = make_panel({"AAA": hole, "BBB": [100.0] * 8})  # BBB stays ranked
    known = known_of(panel, views_of(panel, AAA={1: 0.5}))
    known = absent_quant(panel, known, "AAA", [3, 4, 5, 6])
    simulation = simulate(panel, known, POLICY, Costs(), cash_usd=CASH, rows=range(1, 8))
    assert [side for _, _, side, _ in told(simulation)] == ["buy"]


def test_sale_that_found_no_price_is_not_among_the_actions(make_panel):
    panel = make_panel({"AAA": [100.0, 100.0, NAN, 100.0], "BBB": [100.0] * 4})
    simulation = run(panel, views_of(panel, AAA={1: 0.5, 2: -0.5, 3: -0.5}))
    assert told(simulation)[1:] == [(3, "AAA", "sell", "vote")]
    actions = simulation.actions[:, panel.column("AAA")]
    assert actions.tolist() == [Action.BUY, Action.HOLD, Action.SELL]
    assert REASONS[simulation.reasons[1, 0]] == "no_quote"
