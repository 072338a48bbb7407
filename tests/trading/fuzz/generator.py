"""A schedule from its seed: one draw after the other from one stream."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from tests.trading.fuzz import markets
from tests.trading.fuzz.steps import (
    ByHand,
    Halted,
    Kill,
    Lifted,
    Meanwhile,
    Resumed,
    Run,
    Schedule,
    ShareSplitDay,
    StoreLost,
    Trouble,
)

from swingtrader.environment import Mode
from swingtrader.simulator import conditions, faults
from swingtrader.simulator.settings import ExchangeSettings, Latency

MINUTE = timedelta(minutes=1)
HALF_MINUTE = timedelta(seconds=30)
FIRST_ROW, LAST_ROW = 25, 70
"""Sessions in which a schedule may begin: after enough history, before the market ends."""

VOTES = (math.nan, -0.6, -0.15, -0.1, 0.0, 0.19, 0.2, 0.35, 0.5, 0.9)
RATIOS = ("4", "2", "1.5", "0.1", "0.5")

ENDPOINTS = (
    ("GET", "/v2/clock"),
    ("GET", "/v2/account"),
    ("GET", "/v2/positions"),
    ("GET", "/v2/positions/*"),
    ("GET", "/v2/orders"),
    ("GET", "/v2/orders/*"),
    ("GET", "/v2/orders:by_client_order_id"),
    ("GET", "/v2/account/activities"),
    ("GET", "/v2/stocks*"),
    ("POST", "/v2/orders"),
    ("POST", "/v2/orders"),
    ("POST", "/v2/orders"),
    ("DELETE", "/v2/orders/*"),
    ("*", "/v2/*"),
)

EDITS = (
    ("GET", "/v2/account", ("cash", "equity", "last_equity", "non_marginable_buying_power")),
    ("GET", "/v2/positions", ("*.qty", "*.qty_available", "*.avg_entry_price", "*.current_price")),
    ("GET", "/v2/positions", ("0.symbol", "0.qty", "1.avg_entry_price")),
    ("GET", "/v2/positions/*", ("qty", "qty_available", "avg_entry_price", "current_price")),
    ("GET", "/v2/orders", ("*.filled_qty", "*.qty", "*.legs", "0.id", "*.submitted_at")),
    ("GET", "/v2/orders/*", ("filled_qty", "qty", "filled_avg_price", "id", "client_order_id")),
    ("POST", "/v2/orders", ("id", "status", "filled_qty", "client_order_id", "symbol", "qty")),
    ("GET", "/v2/account/activities", ("0.id", "*.qty", "0.price", "0.transaction_time")),
    ("GET", "/v2/clock", ("is_open", "timestamp", "next_close")),
    ("GET", "/v2/stocks/quotes/latest", ("quotes", "quotes.AAA.ap", "quotes.BBB.t")),
    ("GET", "/v2/stocks/trades/latest", ("trades", "trades.AAA.p", "trades.BBB.t")),
)
NOT_STATED = (faults.MISSING, None, "")
"""What a field may become. A broker that states something else is believed, so none lies."""


def schedule_of(seed):
    """Draw the schedule of a seed."""
    rng = Random(seed)
    table = markets.timetable()
    market = rng.randrange(markets.MARKETS)
    symbols = markets.symbols_of(market)
    first = rng.randint(FIRST_ROW, LAST_ROW)
    rows = range(first, first + rng.choice((1, 1, 2, 2, 3, 4)))
    start = table.opens[first] - timedelta(hours=1)
    troubled = rng.random() < 0.85
    steps = []
    for row in rows:
        steps += _session(rng, table, row, symbols, troubled=troubled)
    split = ()
    if rng.random() < 0.3:
        day = table.days[rng.randint(first, first + len(rows))]
        split = (ShareSplitDay(rng.choice(symbols), day, Decimal(rng.choice(RATIOS))),)
    last = rows[-1]
    ends_at = table.opens[last + 1] + 30 * MINUTE
    if rng.random() < 0.5:
        ends_at = max(steps[-1][0] + 5 * MINUTE, table.opens[last] + 10 * MINUTE)
        if ends_at > table.closes[last] - 20 * MINUTE:
            ends_at = table.opens[last + 1] + 30 * MINUTE
    return Schedule(
        seed=seed,
        market=market,
        start=start,
        cash=rng.choice((3_000, 30_000, 100_000, 100_000)),
        mode=Mode.DRY_RUN if rng.random() < 0.06 else Mode.PAPER,
        settings=_settings(rng),
        splits=split,
        unmanaged=(rng.choice(symbols),) if rng.random() < 0.2 else (),
        greedy=rng.random() < 0.3,
        steps=tuple(steps),
        ends_at=ends_at,
        flattens=rng.random() < 0.5,
    )


def _settings(rng):
    def latency(longest):
        polls = rng.choice((1, 1, 2, 3, None))
        return Latency(polls, timedelta(seconds=rng.choice((1, 1, 2, longest))))

    return ExchangeSettings(
        seed=rng.randrange(2**31),
        no_shorting=rng.random() < 0.5,
        order_latency=latency(6),
        cancel_latency=latency(rng.choice((5, 5, 15))),
        requests_a_minute=None,
        split_treatment=rng.choice(("adjust", "adjust", "cancel")),
    )


def _session(rng, table, row, symbols, *, troubled):
    """Steps of one session: some of its ticks, close together, and what happens between them."""
    opens, closes = table.opens[row], table.closes[row]
    ticks = int((closes - opens) / (5 * MINUTE))
    length = rng.randint(4, 12)
    begin = rng.choice((0, 1, rng.randrange(ticks), ticks - length))
    votes = {symbol: rng.choice(VOTES) for symbol in symbols}
    atr = rng.choice((math.nan, 0.01, 0.02, 0.05))
    steps = []
    for tick in range(max(begin, 0), min(begin + length, ticks + 1)):
        at = opens + tick * 5 * MINUTE
        if troubled:
            steps += [(at, _event(rng, symbols)) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
        if rng.random() < 0.15:
            symbol = rng.choice(symbols)
            votes = {**votes, symbol: rng.choice(VOTES)}
        if rng.random() < 0.85:
            steps.append((at, _run(rng, "risk-check", {}, math.nan, symbols, troubled=troubled)))
        if tick % 3 == 0 or rng.random() < 0.2:
            run = _run(rng, "decide", votes, atr, symbols, troubled=troubled)
            scene = rng.random() if troubled else 1.0
            if scene < 0.1:
                # It leaves an order at work.
                fraction = Decimal(rng.choice(("0", "0.3")))
                steps += [(at, Lifted()), (at, Trouble(conditions.PartialFills(fraction)))]
                run = replace(run, kill=Kill("order", rng.randint(1, 2), after=True))
            elif scene < 0.2:
                # What it sends is lost, and it cannot know.
                make = rng.choice((faults.silence, faults.reset, faults.server_error))
                lost = make("POST", "/v2/orders", accepted=False, times=rng.choice((3, 4, 6)))
                steps += [(at, Lifted()), (at, Trouble(lost))]
            elif scene < 0.3:
                # What it sends arrives, and neither that nor the order can be seen.
                taken = faults.silence("POST", "/v2/orders", accepted=True, times=2)
                hidden = faults.bad_gateway(
                    "GET", "/v2/orders:by_client_order_id", accepted=True, times=6
                )
                steps += [(at, Lifted()), (at, Trouble(taken)), (at, Trouble(hidden))]
            steps.append((at + HALF_MINUTE, run))
    return steps or [(opens, Run("risk-check"))]


def _run(rng, command, votes, atr, symbols, *, troubled):
    kill = meanwhile = None
    slow, overtaken = 0.0, False
    if troubled and rng.random() < 0.15:
        where = rng.choice(("request", "commit", "order", "order"))
        longest = rng.choice((1, 3, 6)) if where == "order" else rng.choice((6, 25, 60))
        kill = Kill(where, rng.randint(1, longest), rng.random() < 0.6)
    if troubled and rng.random() < 0.25:
        what = rng.choice(
            (
                Run("risk-check"),
                Run("decide", votes, atr),
                Halted(flatten=rng.random() < 0.2),
                Halted(),
                ByHand("sell", rng.choice(symbols), 1.0),
                ByHand("cancel_own", rng.choice(symbols)),
            )
        )
        where = rng.choice(("request", "order"))
        longest = rng.choice((1, 3)) if where == "order" else rng.choice((4, 15, 40))
        meanwhile = Meanwhile(where, rng.randint(1, longest), what)
    if command == "decide" and rng.random() < 0.3:
        slow = rng.choice((2.0, 20.0, 400.0))
        overtaken = rng.random() < 0.5
    return Run(command, votes, atr, slow, overtaken, kill, meanwhile)


def _event(rng, symbols):
    kind = rng.random()
    if kind < 0.40:
        return Trouble(_fault(rng))
    if kind < 0.50:
        return Trouble(_condition(rng, symbols))
    if kind < 0.60:
        return Lifted()
    if kind < 0.85:
        what = rng.choice(
            ("buy", "buy_limit", "buy_fraction", "sell", "sell", "sell_stop", "sell_limit",
             "cancel_stop", "cancel_own", "deliver")
        )  # fmt: skip
        return ByHand(what, rng.choice(symbols), rng.choice((0.1, 0.3, 0.5, 1.0)))
    if kind < 0.96:
        return Halted(flatten=rng.random() < 0.4) if kind < 0.90 else Resumed()
    return StoreLost(damaged=rng.random() < 0.5)


def _fault(rng):
    times = rng.choice((1, 1, 2, 3, 3, 6, 12))
    nth = rng.choice((1, 1, 1, 2, 3, 7))
    if rng.random() < 0.3:
        method, path, names = rng.choice(EDITS)
        return faults.edit(
            method, path, rng.choice(names), rng.choice(NOT_STATED), nth=nth, times=times
        )
    method, path = rng.choice(ENDPOINTS)
    if rng.random() < 0.35:
        make = rng.choice((faults.rate_limited, faults.cut_json, faults.cut_connection))
        return make(method, path, nth=nth, times=times)
    make = rng.choice(
        (faults.silence, faults.reset, faults.server_error, faults.bad_gateway,
         faults.gateway_timeout, faults.empty)
    )  # fmt: skip
    return make(method, path, accepted=rng.random() < 0.6, nth=nth, times=times)


def _condition(rng, symbols):
    symbol = rng.choice(("*", rng.choice(symbols)))
    side = rng.choice(("*", "buy", "sell"))
    return rng.choice(
        (
            conditions.StaleQuotes(timedelta(minutes=rng.choice((2, 30))), symbol),
            conditions.NoQuote(symbol, bid=rng.random() < 0.5, ask=rng.random() < 0.7),
            conditions.PartialFills(Decimal(rng.choice(("0", "0.3", "0.6"))), symbol, side),
            conditions.RejectedOrders(symbol, side, nth=1, times=rng.choice((1, 2, 5))),
        )
    )
