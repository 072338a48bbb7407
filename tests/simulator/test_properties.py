"""What holds whatever is asked of the exchange, over seeded schedules of requests and time."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.conftest import DAYS, new_york, panel_of, timetable_of

from swingtrader.core.market import Panel
from swingtrader.simulator.articles import Article, NewsQuery
from swingtrader.simulator.book import OrderFilter
from swingtrader.simulator.conditions import PartialFills, RejectedOrders
from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.market_data import BarsQuery
from swingtrader.simulator.prices import Split
from swingtrader.simulator.settings import ExchangeSettings, Latency

SYMBOLS = ("AAA", "BBB")
CASH = Decimal(10_000)
SCHEDULES = settings(deadline=None, derandomize=True, max_examples=80)

prices = st.integers(80, 120).map(lambda dollars: f"{dollars}.00")


@st.composite
def bodies(draw):
    kind = draw(st.sampled_from(["market", "market", "limit", "stop", "trailing_stop"]))
    group = draw(st.sampled_from(["simple", "simple", "bracket", "oto", "oco"]))
    lives = ["day", "gtc", "day", "gtc", "ioc", "fok", "opg", "cls"]
    body = {
        "symbol": draw(st.sampled_from(SYMBOLS)),
        "side": draw(st.sampled_from(["buy", "sell"])),
        "qty": str(draw(st.sampled_from([1, 7, 20, 60]))),
        "type": "limit" if group == "oco" else kind,
        "time_in_force": draw(st.sampled_from(lives if group == "simple" else lives[:2])),
        "client_order_id": f"id-{draw(st.integers(0, 40))}",
        "order_class": group,
    }
    if body["type"] == "limit" and group != "oco":
        body["limit_price"] = draw(prices)
    if body["type"] == "stop":
        body["stop_price"] = draw(prices)
    if body["type"] == "trailing_stop":
        body["trail_price"] = draw(st.sampled_from(["1.00", "5.00"]))
    if group != "simple":
        body["stop_loss"] = {"stop_price": draw(prices)}
    if group in {"bracket", "oco"}:
        body["take_profit"] = {"limit_price": draw(prices)}
    return body


steps = st.one_of(
    st.tuples(st.just("submit"), bodies()),
    st.tuples(st.just("advance"), st.sampled_from([1, 5, 30, 400, 1440])),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("replace"), st.tuples(st.integers(0, 30), prices)),
    st.tuples(st.just("close"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("poll"), st.none()),
    st.tuples(st.just("fault"), st.sampled_from([PartialFills(Decimal("0.5")), RejectedOrders()])),
    st.tuples(st.just("mend"), st.none()),
)


def wild_panel(seed):
    rng = np.random.default_rng(seed)
    bars = {}
    for symbol in SYMBOLS:
        rows = []
        for _ in DAYS:
            low, opening, close, high = np.sort(np.round(rng.uniform(80, 120, 4), 2))
            if rng.random() < 0.5:
                opening, close = close, opening
            rows.append((opening, high, low, close, float(rng.integers(1_000, 1_000_000))))
        bars[symbol] = rows
    return panel_of(bars, DAYS)


def new_exchange(seed, splits=()):
    return Exchange(
        wild_panel(seed),
        timetable_of(),
        start=new_york(15, 9, 31),
        cash=CASH,
        splits=splits,
        settings=ExchangeSettings(
            seed=seed, multiplier=1, volume_share=Decimal("0.05"),
            cancel_latency=Latency(2, timedelta(minutes=1)),
        ),
    )  # fmt: skip


def carry_out(exchange, step):
    what, how = step
    orders = exchange.all_orders
    try:
        if what == "submit":
            exchange.submit_order(how)
        elif what == "advance":
            exchange.advance_to(exchange.now + timedelta(minutes=how))
        elif what == "cancel" and orders:
            exchange.cancel_order(orders[how % len(orders)].id)
        elif what == "replace" and orders:
            old = orders[how[0] % len(orders)]
            field = "stop_price" if old.type == "stop" else "limit_price"
            exchange.replace_order(old.id, {field: how[1]})
        elif what == "close":
            exchange.close_position(how)
        elif what == "fault":
            exchange.set_fault(how)
        elif what == "mend":
            exchange.clear_faults()
        else:
            exchange.account()
    except RefusalError:
        return


def check_books(exchange):
    held, cash, filled = defaultdict(Decimal), CASH, defaultdict(Decimal)
    for fill in exchange.fills:
        sign = 1 if fill.side == "buy" else -1
        held[fill.symbol] += sign * fill.qty
        cash -= sign * fill.qty * fill.price
        filled[fill.order_id] += fill.qty
        assert held[fill.symbol] >= 0, "sold more than was held"
        assert cash >= 0, "spent more than there was"
    assert cash == exchange.cash
    assert all(exchange.held_qty(symbol) == held[symbol] for symbol in SYMBOLS)
    worth = sum((held[symbol] * exchange.price(symbol) for symbol in SYMBOLS), cash)
    assert exchange.equity() == worth
    for order in exchange.all_orders:
        assert order.filled_qty == filled[order.id] <= order.qty
        assert (order.status == "filled") is (order.filled_qty == order.qty)
    names = [order.client_order_id for order in exchange.all_orders]
    assert len(set(names)) == len(names)
    for position in exchange.positions():
        assert 0 <= Decimal(position["qty_available"]) <= Decimal(position["qty"])
    assert Decimal(exchange.account()["buying_power"]) <= exchange.cash


@SCHEDULES
@given(st.integers(0, 50), st.lists(steps, min_size=15, max_size=60))
def test_books_agree_with_the_fills_whatever_happens(seed, schedule):
    exchange = new_exchange(seed)
    for step in schedule:
        carry_out(exchange, step)
        check_books(exchange)


@SCHEDULES
@given(st.integers(0, 50), st.lists(steps, max_size=25))
def test_client_order_id_names_one_order_for_ever(seed, schedule):
    exchange = new_exchange(seed)
    first = {}
    for step in schedule:
        carry_out(exchange, step)
        for order in exchange.all_orders:
            first.setdefault(order.client_order_id, order.id)
    for name, order_id in first.items():
        assert exchange.order_by_client_id(name)["id"] == order_id


@SCHEDULES
@given(st.integers(0, 50), st.lists(steps, max_size=25))
def test_what_is_over_stays_as_it_was(seed, schedule):
    exchange = new_exchange(seed)
    over = {}
    for step in schedule:
        carry_out(exchange, step)
        for order in exchange.all_orders:
            if not order.is_open:
                assert over.setdefault(order.id, order) == order


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(0, 50), st.lists(steps, max_size=25))
def test_same_schedule_gives_the_same_history(seed, schedule):
    histories = []
    for _ in range(2):
        exchange = new_exchange(seed)
        for step in schedule:
            carry_out(exchange, step)
        histories.append((exchange.all_orders, exchange.fills, exchange.account()))
    assert histories[0] == histories[1]


# Nothing from the future ------------------------------------------------------------------------


def everything_served(exchange):
    """Answers of every endpoint that shows a price."""
    query = {"start": new_york(1, 0), "limit": 10_000, "feed": "iex"}
    return (
        [
            exchange.bars(BarsQuery(SYMBOLS, timeframe, adjustment=adjustment, **query))
            for timeframe in ("1Day", "5Min")
            for adjustment in ("raw", "split")
        ],
        exchange.bars(BarsQuery(SYMBOLS, "1Day", new_york(1, 0))),
        [exchange.latest(what, SYMBOLS) for what in ("trades", "quotes", "bars")],
        exchange.snapshots(SYMBOLS),
        exchange.news(NewsQuery(limit=50)),
        exchange.account(),
        exchange.positions(),
        exchange.orders(OrderFilter(status="all")),
        exchange.activities(),
        exchange.assets(),
        exchange.portfolio_history(),
    )


def noisy_after(panel, row, seed):
    """The panel with every bar from `row` on replaced, and some taken out."""
    rng = np.random.default_rng(seed)
    noise = np.sort(rng.uniform(1, 1000, (4, *panel.open.shape)), axis=0)
    gone = rng.random(panel.open.shape) < 0.2
    later = np.arange(len(panel.sessions))[:, None] >= row

    def mixed(mine, theirs):
        return np.where(later, np.where(gone, np.nan, theirs), mine)

    low, opening, close, high = noise
    return Panel(
        panel.sessions,
        panel.symbols,
        mixed(panel.open, opening),
        mixed(panel.high, high),
        mixed(panel.low, low),
        mixed(panel.close, close),
        mixed(panel.volume, rng.integers(1, 10**6, panel.open.shape)),
    )


@pytest.mark.parametrize(
    ("case", "at", "first_unknown_day"),
    [
        ("in the session", new_york(21, 11, 17), 22),
        ("after the close", new_york(21, 17), 22),
        ("before the open", new_york(21, 9, 29), 21),
        ("holiday", new_york(23, 12), 24),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_served_depends_on_later_bars(case, at, first_unknown_day, seed):
    row = [day.day for day in DAYS].index(first_unknown_day)
    splits = (Split("BBB", DAYS[2], Decimal(2)), Split("AAA", DAYS[4], Decimal(4)))
    panel = wild_panel(seed)
    news = [Article(new_york(21, hour), ("AAA",), f"At {hour}") for hour in range(24)]
    answers = []
    for served in (panel, noisy_after(panel, row, seed)):
        exchange = Exchange(
            served, timetable_of(), start=new_york(15, 9, 31), splits=splits, news=news
        )
        exchange.submit_order(
            {"symbol": "AAA", "side": "buy", "qty": "10", "type": "market",
             "time_in_force": "day"}
        )  # fmt: skip
        exchange.advance_to(new_york(16, 10))
        for body in ({"type": "limit", "limit_price": "50.00"},
                     {"type": "trailing_stop", "trail_percent": "5"}):  # fmt: skip
            side = "buy" if body["type"] == "limit" else "sell"
            common = {"symbol": "AAA", "side": side, "qty": "5", "time_in_force": "gtc"}
            exchange.submit_order(common | body)
        exchange.advance_to(at)
        answers.append(everything_served(exchange))
    assert answers[0] == answers[1], case


def test_noise_would_be_noticed_after_the_fact():
    panel = wild_panel(1)
    answers = []
    for served in (panel, noisy_after(panel, 5, 1)):
        exchange = Exchange(served, timetable_of(), start=new_york(22, 10))
        answers.append(everything_served(exchange))
    assert answers[0] != answers[1]
