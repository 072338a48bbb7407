from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swingtrader.core.decision import check_risk, decide, size_entries
from swingtrader.core.limits import EntryBudget, entry_budget
from swingtrader.core.policy import Limits, Policy, SizingRules
from swingtrader.core.reasons import REASONS, Reason
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import Account, DayActivity
from swingtrader.core.universe import NO_SECTOR

NAN = math.nan
POLICY = Policy()
LIMITS = POLICY.limits
# A policy that asks for more than any limit allows, so that limits alone decide the size.
GREEDY = Policy(sizing=SizingRules(minimum_weight=1.0, maximum_weight=1.0))
LIMIT_PRICE = 100.23
"""Ask of 100.02 plus 20 bps, up to the next cent."""

property_based = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def entered(snapshot, policy=POLICY):
    """Orders by symbol, and reason codes of the candidates that got none."""
    entries = size_entries(decide(snapshot, policy), snapshot, policy)
    refusals = {snapshot.symbols[n]: str(reason) for n, reason in entries.refusals.items()}
    return {order.symbol: order for order in entries.orders}, refusals


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"halts": ("by hand",)}, "halted"),
        ({"halts": (Reason.DAILY_LOSS,)}, "daily_loss"),
        ({"halts": (Reason.DAILY_LOSS, "by hand")}, "halted"),
        ({"account": Account(1e5, 97_000.0, 1e5)}, "daily_loss"),
        ({"account": Account(1e5, 97_001.0, 1e5)}, None),
        ({"account": Account(1e5, NAN, 1e5)}, "daily_loss"),
        ({"account": Account(1e5, 1e5, NAN)}, "daily_loss"),
        ({"minutes_to_close": 15.0}, "near_close"),
        ({"minutes_to_close": 15.1}, None),
        ({"minutes_to_close": 0.0}, "near_close"),
        ({"minutes_to_close": NAN}, "near_close"),
        ({"day": DayActivity(exited=frozenset({"AAA"}))}, "exited_this_session"),
        ({"day": DayActivity(bought=frozenset({"AAA"}))}, "bought_this_session"),
        ({"day": DayActivity(open_orders=frozenset({"AAA"}))}, "open_order"),
        ({"day": DayActivity(bought=frozenset({"BBB"}))}, None),
        ({"day": DayActivity(entries=20)}, "order_limit"),
        ({"day": DayActivity(exits=20)}, "order_limit"),
        ({"day": DayActivity(entries=11, exits=9)}, "order_limit"),
        ({"day": DayActivity(entries=10, exits=9)}, None),
        ({"bid": np.array([NAN])}, "no_quote"),
        ({"ask": np.array([NAN])}, "no_quote"),
        ({"bid": np.array([0.0])}, "no_quote"),
        ({"ask": np.array([0.0])}, "no_quote"),
        ({"quote_age_seconds": np.array([60.0])}, None),
        ({"quote_age_seconds": np.array([60.1])}, "stale_quote"),
        ({"quote_age_seconds": np.array([NAN])}, "stale_quote"),
        ({"bid": np.array([99.75]), "ask": np.array([100.25])}, None),
        ({"bid": np.array([99.74]), "ask": np.array([100.26])}, "spread_too_wide"),
        ({"bid": np.array([99.74998]), "ask": np.array([100.25002])}, "spread_too_wide"),
        ({"bid": np.array([100.02])}, None),  # a locked quote
        ({"bid": np.array([100.1]), "ask": np.array([100.0])}, "spread_too_wide"),
        ({"bid": np.array([100.001]), "ask": np.array([100.0])}, "spread_too_wide"),
        ({"bid": np.array([50.0]), "ask": np.array([100.0])}, "spread_too_wide"),
        ({"bid": np.array([0.4999]), "ask": np.array([0.5])}, None),
        ({"account": Account(0.0, 1e5, 1e5)}, "no_cash"),
        ({"account": Account(-500.0, 1e5, 1e5)}, "no_cash"),
        ({"account": Account(NAN, 1e5, 1e5)}, "no_cash"),
        ({"account": Account(LIMIT_PRICE - 0.01, 1e5, 1e5)}, "no_cash"),
        ({"account": Account(LIMIT_PRICE, 1e5, 1e5)}, None),
        ({"account": Account(400.0, 400.0, 400.0)}, "less_than_one_share"),
        ({}, None),
    ],
)
def test_an_entry_is_refused_with_its_reason(make_snapshot, changes, reason):
    orders, refusals = entered(make_snapshot(("AAA",), **changes))
    assert refusals == ({} if reason is None else {"AAA": reason})
    assert len(orders) == (reason is None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": np.array([NAN])}, "no_bar"),
        ({"close": np.array([4.99])}, "price_below_floor"),
        ({"dollar_volume_usd": np.array([NAN])}, "illiquid"),
    ],
)
def test_without_a_completed_bar_a_symbol_is_no_candidate(make_snapshot, changes, reason):
    decision = decide(make_snapshot(("AAA",), **changes), POLICY)
    assert REASONS[decision.reasons[0]] == reason
    assert len(decision.candidates) == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": np.array([NAN]), "dollar_volume_usd": np.array([NAN])}, "volume_limit"),
        ({"account": Account(NAN, 1e5, 1e5)}, "no_cash"),
    ],
)
def test_what_became_unknown_before_the_entries_leaves_no_room(make_snapshot, changes, reason):
    before = make_snapshot(("AAA",))
    entries = size_entries(decide(before, POLICY), replace(before, **changes), POLICY)
    assert entries.orders == ()
    assert entries.refusals == {0: reason}


def test_a_held_symbol_is_not_added_to(make_snapshot, make_position):
    held = make_snapshot(("AAA", "BBB"), positions=(make_position("AAA", qty=1.0),))
    assert set(entered(held)[0]) == {"BBB"}
    # Bought by hand after the decision was taken.
    entries = size_entries(decide(make_snapshot(("AAA", "BBB")), POLICY), held, POLICY)
    assert entries.refusals == {0: Reason.HELD}


@pytest.mark.parametrize(
    ("limits", "changes", "qty"),
    [
        ({}, {}, 149),
        ({"symbol": 0.10}, {}, 99),
        ({"symbol": 1.0, "sector": 0.12}, {}, 119),
        ({"symbol": 1.0, "sector": 0.12, "gross": 0.11}, {}, 109),
        ({}, {"dollar_volume_usd": np.array([20e6]), "account": Account(1e9, 1e9, 1e9)}, 1995),
        ({}, {"account": Account(5_000.0, 1e5, 1e5)}, 49),
    ],
)
def test_the_tightest_limit_gives_the_size_in_whole_shares(make_snapshot, limits, changes, qty):
    policy = replace(GREEDY, limits=Limits(**limits))
    orders, _ = entered(make_snapshot(("AAA",), **changes), policy)
    assert orders["AAA"].limit_price == LIMIT_PRICE
    assert orders["AAA"].qty == qty


def test_room_is_counted_to_the_cent(make_snapshot, make_position):
    empty = entry_budget(make_snapshot())
    assert empty == EntryBudget(1e5, 0.0, {}, positions=0, orders=0)
    symbols, sector = ("AAA", "BBB", "CCC", "DDD"), np.array([0, 0, 1, NO_SECTOR])
    snapshot = make_snapshot(
        symbols,
        sector=sector,
        sector_strength=np.array([0.5, 0.4]),
        positions=tuple(make_position(symbol, qty=10.0) for symbol in symbols),
        day=DayActivity(entries=2, exits=1),
    )
    full = entry_budget(snapshot)
    assert full == EntryBudget(1e5, 4000.0, {0: 2000.0, 1: 1000.0}, positions=4, orders=3)
    assert full.after(1, 500.0, snapshot) == EntryBudget(
        99_500.0, 4500.0, {0: 2500.0, 1: 1000.0}, positions=5, orders=4
    )
    assert full.after(3, 500.0, snapshot) == EntryBudget(
        99_500.0, 4500.0, {0: 2000.0, 1: 1000.0}, positions=5, orders=4
    )
    assert empty.after(2, 500.0, snapshot).exposure_by_sector == {1: 500.0}
    assert empty.exposure_by_sector == {}


@pytest.mark.parametrize(
    ("limits", "changes", "room_usd", "binding"),
    [
        ({}, {}, 10_000.0, Reason.LESS_THAN_ONE_SHARE),
        ({"symbol": 0.05}, {}, 5000.0, Reason.LESS_THAN_ONE_SHARE),
        ({"sector": 0.08}, {}, 8000.0, Reason.SECTOR_LIMIT),
        ({"gross": 0.07}, {}, 7000.0, Reason.GROSS_LIMIT),
        ({"dollar_volume": 0.006}, {"dollar_volume_usd": np.array([1e6])}, 6000.0,
         Reason.VOLUME_LIMIT),
        ({}, {"account": Account(9000.0, 1e5, 1e5)}, 9000.0, Reason.NO_CASH),
    ],
)  # fmt: skip
def test_the_tightest_limit_gives_the_room_and_the_reason(
    make_snapshot, limits, changes, room_usd, binding
):
    snapshot = make_snapshot(("AAA",), **changes)
    found = entry_budget(snapshot).room_usd(0, 0.10, snapshot, Limits(**limits))
    assert found == (pytest.approx(room_usd, rel=1e-12), binding)


def test_a_budget_is_replaced_and_never_changed(make_snapshot):
    budget = entry_budget(make_snapshot())
    with pytest.raises(FrozenInstanceError):
        budget.cash_usd = 1e9


def crowded(make_snapshot, make_position, sector, qty, **changes):
    """One candidate beside four positions of `qty` shares at 100 USD, all in `sector`."""
    symbols = ("AAA", "H1", "H2", "H3", "H4")
    held = tuple(make_position(symbol, qty=qty, entry_price=100.0) for symbol in symbols[1:])
    return make_snapshot(
        symbols,
        sector=np.array(sector),
        sector_strength=np.array([0.5, 0.4]),
        positions=held,
        **changes,
    )


@pytest.mark.parametrize(
    ("sector", "qty", "expected"),
    [
        ([0, 0, 0, 0, 0], 75, "sector_limit"),
        ([0, 0, 0, 0, 0], 74.8, "sector_limit"),
        ([0, 0, 0, 0, 0], 74.0, 3),
        ([0, 1, 1, 1, 1], 75.0, 149),
        ([0, 0, 0, 1, 1], 125.0, 49),
        ([-1, -1, -1, -1, -1], 75.0, 149),
        ([-1, -1, -1, -1, -1], 200.0, "gross_limit"),
        ([0, 1, 1, 1, 1], 200.0, "gross_limit"),
        ([0, 1, 1, 1, 1], 199.0, 3),
    ],
)
def test_sector_and_gross_exposure_count_what_is_held(
    make_snapshot, make_position, sector, qty, expected
):
    orders, refusals = entered(crowded(make_snapshot, make_position, sector, qty), GREEDY)
    if isinstance(expected, str):
        assert (orders, refusals) == ({}, {"AAA": expected})
    else:
        assert orders["AAA"].qty == expected


def test_exposure_is_counted_at_the_price_and_without_one_at_the_entry_price(
    make_snapshot, make_position
):
    price = np.array([100.0, 120.0, 120.0, NAN, NAN])
    snapshot = crowded(make_snapshot, make_position, [0] * 5, 60.0, price=price)
    orders, _ = entered(snapshot, GREEDY)
    # 30,000 less 2 x 7,200 and 2 x 6,000 leaves 3,600.
    assert orders["AAA"].qty == 35


def test_each_entry_uses_up_what_the_next_one_finds(make_snapshot):
    signals = np.full((6, 3), [0.4, 0.6, 0.5])
    account = Account(25_000.0, 1e5, 1e5)
    orders, refusals = entered(make_snapshot(signals=signals, account=account), GREEDY)
    # Best vote first: 15 % of the equity, then the rest of the cash, then nothing.
    assert [(o.symbol, o.qty) for o in orders.values()] == [("BBB", 149), ("CCC", 100)]
    assert refusals == {"AAA": "no_cash"}


@pytest.mark.parametrize(
    ("sector", "quantities"),
    [([0, 0, 0], [149, 149, 1]), ([0, 1, 0], [149, 149, 149]), ([-1, -1, -1], [149, 149, 149])],
)
def test_entries_of_one_run_share_their_sectors_limit(make_snapshot, sector, quantities):
    snapshot = make_snapshot(sector=np.array(sector), sector_strength=np.array([0.5, 0.4]))
    orders, _ = entered(snapshot, GREEDY)
    assert [order.qty for order in orders.values()] == quantities


def test_a_symbol_of_other_has_no_sector_limit(make_snapshot):
    policy = replace(GREEDY, limits=Limits(symbol=0.5, sector=0.2))
    housed, other = (make_snapshot(("AAA",), sector=np.array([k])) for k in (0, -1))
    assert entered(housed, policy)[0]["AAA"].qty == 199
    assert entered(other, policy)[0]["AAA"].qty == 498


@pytest.mark.parametrize(("held", "bought"), [(11, 0), (10, 0), (9, 1), (8, 2), (7, 3), (0, 3)])
def test_there_are_never_more_than_ten_positions(make_snapshot, make_position, held, bought):
    symbols = ("AAA", "BBB", "CCC", *(f"H{k}" for k in range(held)))
    positions = tuple(make_position(symbol, qty=1.0) for symbol in symbols[3:])
    orders, refusals = entered(make_snapshot(symbols, positions=positions))
    assert len(orders) == bought
    assert list(refusals.values()) == ["position_limit"] * (3 - bought)


@pytest.mark.parametrize(("before", "bought"), [(21, 0), (20, 0), (19, 1), (18, 2), (17, 3)])
def test_the_entries_of_a_run_count_toward_the_sessions_orders(make_snapshot, before, bought):
    day = DayActivity(entries=before - 5, exits=5)
    orders, refusals = entered(make_snapshot(day=day))
    assert len(orders) == bought
    assert list(refusals.values()) == ["order_limit"] * (3 - bought)


def test_a_refused_candidate_leaves_its_room_to_the_next(make_snapshot):
    age = np.array([999.0, 0.0, 0.0])
    day = DayActivity(entries=18)
    orders, refusals = entered(make_snapshot(quote_age_seconds=age, day=day))
    assert (set(orders), refusals) == ({"BBB", "CCC"}, {"AAA": "stale_quote"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"halts": ("x",), "account": Account(1e5, 9e4, 1e5), "minutes_to_close": 1.0}, "halted"),
        ({"account": Account(1e5, 9e4, 1e5), "minutes_to_close": 1.0}, "daily_loss"),
        ({"minutes_to_close": 1.0}, "near_close"),
    ],
)
def test_what_stops_all_entries_is_the_reason_of_each(make_snapshot, changes, reason):
    assert entered(make_snapshot(**changes)) == ({}, dict.fromkeys(("AAA", "BBB", "CCC"), reason))


def random_snapshot(make_snapshot, make_position, seed):
    """A market in which every limit is near."""
    rng = np.random.default_rng(seed)
    n, s = int(rng.integers(1, 16)), int(rng.integers(1, 4))
    symbols = tuple(f"S{k:02}" for k in range(n))

    def holed(values, share=0.08):
        return np.where(rng.random(n) < share, NAN, values)

    def some(share):
        return frozenset(symbol for symbol in symbols if rng.random() < share)

    price = rng.lognormal(4.5, 1.0, n) * rng.choice([1.0, 5000.0], n, p=[0.9, 0.1])
    half = rng.choice([1e-4, 1e-3, 2.4e-3, 2.6e-3, -1e-3], n, p=[0.4, 0.2, 0.2, 0.15, 0.05])
    equity = 10 ** rng.uniform(3.0, 8.0)
    wins, losses = map(int, rng.integers(0, 60, 2))
    held = [symbol for symbol in symbols if rng.random() < rng.choice([0.0, 0.3, 0.8])]
    worth = rng.dirichlet(np.ones(max(1, len(held)))) * equity * rng.uniform(0.1, 1.0)
    positions = tuple(
        make_position(
            symbol,
            qty=float(np.ceil(usd / price[symbols.index(symbol)])),
            entry_price=float(price[symbols.index(symbol)] * rng.uniform(0.9, 1.1)),
            age_sessions=int(rng.integers(0, 15)),
            misses=int(rng.integers(0, 3)),
            counted_session=date(2020, 1, 3),
        )
        for symbol, usd in zip(held, worth, strict=False)
    )
    return make_snapshot(
        symbols,
        minutes_to_close=float(rng.choice([390.0, 15.1, 15.0, 3.0], p=[0.8, 0.1, 0.05, 0.05])),
        sector=rng.integers(-1, s, n),
        sector_strength=np.where(rng.random(s) < 0.2, NAN, rng.uniform(-1, 1, s)),
        signals=np.where(rng.random((6, n)) < 0.15, NAN, rng.uniform(-0.3, 1.0, (6, n))),
        close=holed(price),
        dollar_volume_usd=holed(10 ** rng.uniform(7.2, 8.6, n)),
        atr_fraction=holed(rng.uniform(0.005, 0.05, n), 0.3),
        price=holed(price),
        bid=holed(price * (1.0 - half)),
        ask=holed(price * (1.0 + half)),
        quote_age_seconds=holed(rng.choice([0.0, 60.0, 61.0], n, p=[0.7, 0.2, 0.1])),
        p_high_volatility=float(rng.choice([NAN, 0.0, 0.4, 1.0])),
        account=Account(
            equity * rng.uniform(-0.05, 1.0), equity, equity * rng.uniform(0.97, 1.035)
        ),
        positions=positions,
        day=DayActivity(
            int(rng.integers(0, 14)), int(rng.integers(0, 10)), some(0.05), some(0.05), some(0.05)
        ),
        record=TradeRecord(wins, losses, 0.04 * wins, -0.03 * losses),
        halts=("by hand",) if rng.random() < 0.05 else (),
    )


def worth_usd(position, snapshot):
    price = float(snapshot.price[snapshot.symbols.index(position.symbol)])
    return position.qty * (position.entry_price if math.isnan(price) else price)


def assert_within_limits(orders, snapshot):
    """Check the limits of the design, from its words."""
    equity = snapshot.account.equity_usd * (1.0 + 1e-9)
    cost = {order.symbol: order.qty * order.limit_price for order in orders}
    column = {symbol: n for n, symbol in enumerate(snapshot.symbols)}
    assert len(cost) == len(orders)
    assert sum(cost.values()) <= snapshot.account.cash_usd * (1.0 + 1e-9)
    held = {position.symbol: worth_usd(position, snapshot) for position in snapshot.positions}
    assert sum(held.values()) + sum(cost.values()) <= 0.80 * equity
    assert len(held) + len(cost) <= 10
    assert snapshot.day.entries + snapshot.day.exits + len(cost) <= 20
    assert snapshot.minutes_to_close > 15.0
    assert not snapshot.halts
    assert snapshot.account.equity_usd > 0.97 * snapshot.account.previous_equity_usd
    for k in {int(snapshot.sector[column[symbol]]) for symbol in cost} - {-1}:
        at_home = [s for s in {**held, **cost} if snapshot.sector[column[s]] == k]
        assert sum((held | cost)[symbol] for symbol in at_home) <= 0.30 * equity
    for order in orders:
        n = column[order.symbol]
        assert order.side == "buy"
        assert order.qty == int(order.qty) >= 1
        assert cost[order.symbol] <= 0.15 * equity
        assert cost[order.symbol] <= 0.01 * snapshot.dollar_volume_usd[n] * (1.0 + 1e-9)
        assert order.limit_price >= snapshot.ask[n] > 0
        assert order.symbol not in held
        assert order.symbol not in snapshot.day.exited | snapshot.day.bought
        assert order.symbol not in snapshot.day.open_orders
        assert not math.isnan(snapshot.close[n])
        assert snapshot.quote_age_seconds[n] <= 60.0
        middle = (snapshot.ask[n] + snapshot.bid[n]) / 2.0
        assert 0.0 <= snapshot.ask[n] - snapshot.bid[n] <= 0.0050 * middle * (1.0 + 1e-9)


@pytest.mark.parametrize("policy", [POLICY, GREEDY], ids=["default", "greedy"])
@property_based
@given(seed=st.integers(0, 2**32 - 1))
def test_planned_entries_exceed_no_limit(make_snapshot, make_position, policy, seed):
    snapshot = random_snapshot(make_snapshot, make_position, seed)
    entries = size_entries(decide(snapshot, policy), snapshot, policy)
    if entries.orders:
        assert_within_limits(entries.orders, snapshot)


def test_the_random_snapshots_reach_every_limit(make_snapshot, make_position):
    reached, bought = set(), 0
    for seed in range(300):
        snapshot = random_snapshot(make_snapshot, make_position, seed)
        orders, refusals = entered(snapshot, GREEDY)
        reached.update(refusals.values())
        bought += len(orders)
    assert bought > 100
    assert reached == {
        "halted", "daily_loss", "near_close", "exited_this_session", "bought_this_session",
        "open_order", "no_quote", "stale_quote", "spread_too_wide", "order_limit",
        "position_limit", "sector_limit", "gross_limit", "volume_limit", "no_cash",
        "less_than_one_share",
    }  # fmt: skip


@property_based
@given(seed=st.integers(0, 2**32 - 1))
def test_no_limit_ever_refuses_an_exit(make_snapshot, make_position, seed):
    snapshot = random_snapshot(make_snapshot, make_position, seed)
    worst = replace(
        snapshot,
        halts=("by hand",),
        minutes_to_close=0.0,
        account=Account(-1.0, 1.0, 1e9),
        day=DayActivity(500, 500, *[frozenset(snapshot.symbols)] * 3),
        bid=np.full(len(snapshot.symbols), NAN),
        ask=np.full(len(snapshot.symbols), NAN),
        quote_age_seconds=np.full(len(snapshot.symbols), 1e9),
    )
    for sells_of in (lambda s: decide(s, POLICY).sells, lambda s: check_risk(s, POLICY).sells):
        assert repr(sells_of(worst)) == repr(sells_of(snapshot))
    assert size_entries(decide(worst, POLICY), worst, POLICY).orders == ()
