from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.costs import Costs
from swingtrader.core.decision import PlannedOrder
from swingtrader.core.ledger import Ledger
from swingtrader.core.market import Panel
from swingtrader.core.reasons import Reason

NAN = math.nan


def order(symbol, qty, limit=1e9):
    return PlannedOrder(symbol, "buy", qty, limit, Reason.ENTRY_VOTE, 0.5)


def cash_of(fills, cash_usd):
    """Cash that the fills alone explain."""
    for fill in fills:
        sign = 1 if fill.side == "sell" else -1
        cash_usd += sign * fill.qty * fill.price - fill.costs_usd
    return cash_usd


@pytest.fixture
def make_ledger(make_panel):
    """Return a maker of ledgers; `volume` is one number, or one a session."""

    def make(cash_usd=100_000.0, volume=1e7, costs=None, **closes):
        shares = volume if isinstance(volume, float) else np.array(volume)[:, None]
        panel = make_panel(closes or {"AAA": [100.0] * 5, "BBB": [50.0] * 5}, volume=shares)
        return Ledger(panel, costs or Costs(), cash_usd)

    return make


def test_buy_pays_half_spread_and_slippage_and_no_fee(make_ledger):
    ledger = make_ledger()
    ledger.buy(1, order("AAA", 10), 100.0)
    (fill,) = ledger.fills
    assert (fill.session, fill.symbol, fill.side, fill.qty) == (date(2020, 1, 7), "AAA", "buy", 10)
    assert (fill.price, fill.costs_usd, fill.reason) == (100.05, 0.0, "entry_vote")
    assert ledger.cash_usd == pytest.approx(100_000 - 1000.5, abs=1e-9)
    assert ledger.holdings["AAA"].entry_price == 100.05


def test_sale_receives_less_half_spread_and_slippage_and_pays_fees_on_top(make_ledger):
    ledger = make_ledger()
    ledger.buy(1, order("AAA", 100), 100.0)
    ledger.sell(2, "AAA", 110.0, Reason.TARGET)
    fill = ledger.fills[-1]
    assert (fill.side, fill.qty, fill.reason) == ("sell", 100, "target")
    assert fill.price == pytest.approx(109.945, rel=1e-12)
    # 10,994.50 x 27.80 / 1e6 = 30.56 cents, 100 x 0.0166 = 1.66 cents, each up to the next.
    assert fill.costs_usd == pytest.approx(0.33, abs=1e-12)
    assert ledger.holdings == {}


def test_buy_takes_its_share_of_the_volume_and_the_rest_lapses(make_ledger):
    ledger = make_ledger(volume=1000.0)
    ledger.buy(1, order("AAA", 60), 100.0)
    assert ledger.holdings["AAA"].qty == 25
    ledger.start_session()
    assert [fill.qty for fill in ledger.fills] == [25]


def test_buy_without_volume_is_no_fill(make_ledger):
    ledger = make_ledger(volume=0.0)
    ledger.buy(1, order("AAA", 60), 100.0)
    assert (ledger.fills, ledger.holdings, ledger.cash_usd) == ([], {}, 100_000.0)


def test_buys_and_sells_of_a_session_share_one_volume_cap(make_ledger):
    ledger = make_ledger(volume=1000.0)
    ledger.buy(1, order("AAA", 20), 100.0)
    for _ in range(2):
        ledger.sell(1, "AAA", 100.0, Reason.STOP_LOSS)
    assert [(fill.side, fill.qty) for fill in ledger.fills] == [("buy", 20), ("sell", 5)]


def test_buy_is_cut_to_the_cash_there_is(make_ledger):
    ledger = make_ledger(cash_usd=1000.0)
    ledger.buy(1, order("AAA", 10), 100.0)  # ten would cost 1000.50
    assert ledger.holdings["AAA"].qty == 9
    assert ledger.cash_usd == pytest.approx(1000 - 9 * 100.05, abs=1e-9)


def test_sell_takes_its_share_of_the_volume_and_the_rest_waits(make_ledger):
    ledger = make_ledger(volume=[1e7, 1000.0, 39.0, 0.0, 1400.0])
    ledger.buy(0, order("AAA", 60), 100.0)
    left = []
    for t in range(1, 5):
        ledger.start_session()
        ledger.sell(t, "AAA", 100.0, Reason.VOTE)
        left.append(ledger.holdings["AAA"].qty if ledger.holdings else 0)
        waiting = ledger.holdings["AAA"].waiting_exit if ledger.holdings else None
        assert waiting is (Reason.VOTE if left[-1] else None)
    assert left == [35, 35, 35, 0]
    assert [fill.qty for fill in ledger.fills] == [60, 25, 35]


def test_sale_worth_less_than_its_fees_leaves_no_debt(make_ledger):
    ledger = make_ledger(cash_usd=100.05)
    ledger.buy(1, order("AAA", 1), 100.0)
    ledger.sell(2, "AAA", 0.0002, Reason.STOP_LOSS)
    assert ledger.cash_usd == 0.0
    assert ledger.fills[-1].costs_usd <= 0.02


def test_round_trip_in_parts_averages_its_exit_and_books_every_fee(make_ledger):
    free = Costs(half_spread_bps=0.0, slippage_bps=0.0)
    ledger = make_ledger(volume=[1e7, 400.0, 1e7, 1e7, 1e7], costs=free)
    ledger.buy(0, order("AAA", 40), 100.0)
    ledger.start_session()
    ledger.sell(1, "AAA", 110.0, Reason.TARGET)  # 10 of 400
    ledger.start_session()
    ledger.sell(2, "AAA", 90.0, Reason.TARGET)
    (trade,) = ledger.trades
    assert (trade.symbol, trade.qty, trade.exit_reason) == ("AAA", 40, "target")
    assert (trade.entry_session, trade.exit_session) == (date(2020, 1, 6), date(2020, 1, 8))
    assert trade.entry_price == 100.0
    assert trade.exit_price == pytest.approx((10 * 110 + 30 * 90) / 40, rel=1e-12)
    # Fees: 1100 USD cost 4 + 1 cents, 2700 USD cost 8 + 1.
    assert trade.pnl_usd == pytest.approx(10 * 110 + 30 * 90 - 4000 - 0.14, abs=1e-9)
    assert trade.simple_return == pytest.approx(trade.pnl_usd / 4000, rel=1e-12)
    assert ledger.cash_usd == pytest.approx(100_000 + trade.pnl_usd, abs=1e-9)


@settings(deadline=None, derandomize=True)
@given(
    st.integers(1, 500),
    st.floats(1.0, 400.0),
    st.floats(0.01, 800.0),
    st.floats(0.0, 4000.0),
    st.floats(0.0, 1e5),
)
def test_pnl_of_a_round_trip_is_the_change_of_cash(qty, bought_at, sold_at, slippage, volume):
    flat = np.full((400, 1), bought_at)
    shares = np.full((400, 1), volume + 80.0)  # at least two shares a session are ours
    sessions = np.datetime64("2020-01-06", "D") + np.arange(400)
    panel = Panel(sessions, ("AAA",), flat, flat, flat, flat, shares)
    ledger = Ledger(panel, Costs(slippage_bps=slippage), 50_000.0)
    ledger.buy(0, order("AAA", qty), bought_at)
    for t in range(1, 400):
        ledger.start_session()
        if ledger.holdings:
            ledger.sell(t, "AAA", sold_at, Reason.VOTE)
        assert ledger.cash_usd >= 0
    assert ledger.cash_usd == pytest.approx(cash_of(ledger.fills, 50_000.0), abs=1e-6)
    booked = sum(trade.pnl_usd for trade in ledger.trades)
    assert booked == pytest.approx(ledger.cash_usd - 50_000.0, abs=1e-6)
    assert ledger.holdings == {}


def test_position_is_marked_at_its_close_and_keeps_the_last_one_without_a_bar(make_ledger):
    ledger = make_ledger(AAA=[100.0, 101.0, NAN, 103.0])
    ledger.buy(1, order("AAA", 10), 100.0)
    assert ledger.market_value_usd() == 1000.0
    for t, value in ((1, 1010.0), (2, 1010.0), (3, 1030.0)):
        ledger.mark_to_close(t)
        assert ledger.market_value_usd() == value
    assert ledger.market_value_usd(np.array([107.0])) == 1070.0
    assert ledger.market_value_usd(np.array([NAN])) == 1030.0


def test_delisted_position_is_closed_at_its_last_close_without_fee(make_ledger):
    ledger = make_ledger(AAA=[100.0, 101.0, NAN, NAN], BBB=[50.0, 50.0, NAN, 50.0])
    ledger.buy(0, order("AAA", 10), 100.0)
    ledger.buy(0, order("BBB", 10), 50.0)
    for t in (0, 1):
        ledger.close_delisted(t)
        ledger.mark_to_close(t)
    assert set(ledger.holdings) == {"AAA", "BBB"}
    ledger.close_delisted(2)
    assert set(ledger.holdings) == {"BBB"}  # it trades again later
    fill = ledger.fills[-1]
    assert (fill.session, fill.symbol, fill.qty) == (date(2020, 1, 8), "AAA", 10)
    assert (fill.price, fill.costs_usd, fill.reason) == (101.0, 0.0, "delisted")
    assert ledger.trades[0].exit_reason == "delisted"


def test_rest_of_a_sale_that_waits_is_delisted_like_any_other(make_ledger):
    ledger = make_ledger(volume=[1e7, 400.0, 0.0], AAA=[100.0, 100.0, NAN])
    ledger.buy(0, order("AAA", 30), 100.0)
    ledger.start_session()
    ledger.sell(1, "AAA", 90.0, Reason.STOP_LOSS)
    ledger.mark_to_close(1)
    ledger.close_delisted(2)
    assert [(f.qty, f.reason) for f in ledger.fills[1:]] == [(10, "stop_loss"), (20, "delisted")]
    assert ledger.holdings == {}


def test_traded_dollars_are_those_of_this_session(make_ledger):
    ledger = make_ledger(costs=Costs(half_spread_bps=0.0, slippage_bps=0.0))
    ledger.buy(1, order("AAA", 10), 100.0)
    ledger.sell(1, "AAA", 90.0, Reason.STOP_LOSS)
    assert ledger.traded_usd == pytest.approx(1900.0, rel=1e-12)
    ledger.start_session()
    assert ledger.traded_usd == 0.0
