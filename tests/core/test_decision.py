from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields, replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swingtrader.core.decision import check_risk, decide, size_entries
from swingtrader.core.exits import Marks
from swingtrader.core.policy import SIGNALS, Policy, SizingRules
from swingtrader.core.reasons import REASONS, Action
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import Account, DayActivity, snapshot_to_bytes
from swingtrader.core.universe import NO_SECTOR
from swingtrader.core.vote import without_signal

NAN = math.nan
POLICY = Policy()
TODAY = date(2020, 1, 6)
NOT_BOUGHT = {
    "no_bar", "sector_not_in_scan", "price_below_floor", "illiquid", "not_ranked",
    "probability_too_low", "too_few_signals", "vote_too_low",
}  # fmt: skip
SOLD = {"stop_loss", "target", "vote", "missed_scans", "stagnant"}

property_based = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def board(**signals):
    """Signals of one symbol; those not named are absent."""
    return np.array([[signals.get(name, NAN)] for name in SIGNALS])


def reasons_of(snapshot, policy=POLICY):
    decision = decide(snapshot, policy)
    return [str(REASONS[k]) for k in decision.reasons]


def reason_of(snapshot):
    return reasons_of(snapshot)[0]


def sells_of(decision_or_check):
    return {order.symbol: str(order.reason) for order in decision_or_check.sells}


def entries_of(snapshot, policy=POLICY):
    return size_entries(decide(snapshot, policy), snapshot, policy)


# Entries.


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"quant": 0.5, "market": 0.5}, "entry_vote"),
        ({"quant": 0.5, "rl": 1.0}, "too_few_signals"),
        ({"quant": 0.5, "momentum": 1.0}, "too_few_signals"),
        ({"quant": 0.5}, "too_few_signals"),
        ({name: 1.0 for name in SIGNALS if name != "quant"}, "not_ranked"),
        ({}, "not_ranked"),
        (dict.fromkeys(SIGNALS, 0.20), "entry_vote"),
        (dict.fromkeys(SIGNALS, 0.199), "vote_too_low"),
        ({"quant": 0.2, "sentiment": 0.2, "regime": 0.2}, "entry_vote"),
        ({"quant": 0.9, "market": -0.9}, "vote_too_low"),
        ({"quant": -0.19, "market": 1.0}, "entry_vote"),
        ({"quant": -0.21, "market": 1.0}, "probability_too_low"),
        # The first of several reasons is given.
        ({"quant": 0.1}, "too_few_signals"),
        (dict.fromkeys(SIGNALS, -0.5), "probability_too_low"),
    ],
)
def test_a_buy_needs_quant_half_the_weight_and_the_vote(make_snapshot, signals, reason):
    snapshot = make_snapshot(("AAA",), signals=board(**signals))
    assert reason_of(snapshot) == reason
    assert len(entries_of(snapshot).orders) == (reason == "entry_vote")


def test_a_stock_of_other_can_be_bought_without_market_rl_and_sentiment(make_snapshot):
    snapshot = make_snapshot(
        ("AAA",),
        sector=np.array([NO_SECTOR]),
        signals=board(quant=0.6, momentum=0.3, regime=0.0),
    )
    [order] = entries_of(snapshot).orders
    assert (order.symbol, order.side, str(order.reason)) == ("AAA", "buy", "entry_vote")


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_left_out_does_not_keep_a_stock_from_being_bought(make_snapshot, name):
    signals = without_signal(board(**dict.fromkeys(SIGNALS, 0.9)), name)
    assert reason_of(make_snapshot(("AAA",), signals=signals)) == "entry_vote"


def test_candidates_come_best_vote_first(make_snapshot):
    signals = np.full((6, 4), [0.3, 0.9, 0.1, 0.6])
    decision = decide(make_snapshot(("A", "B", "C", "D"), signals=signals), POLICY)
    assert decision.candidates.tolist() == [1, 3, 0]
    assert decision.actions.tolist() == [Action.BUY, Action.BUY, Action.HOLD, Action.BUY]
    np.testing.assert_allclose(decision.votes, [0.3, 0.9, 0.1, 0.6], rtol=0, atol=1e-12)


def test_a_held_symbol_is_never_a_candidate(make_snapshot, make_position):
    decision = decide(make_snapshot(positions=(make_position("BBB"),)), POLICY)
    assert decision.candidates.tolist() == [0, 2]
    assert decision.actions[1] == Action.HOLD


def sized(make_snapshot, **changes):
    """Quantity of one entry at a limit of 100.23 USD, of 100,000 USD of equity."""
    [order] = entries_of(make_snapshot(("AAA",), **changes)).orders
    return order.qty


LOSSES = TradeRecord(wins=0, losses=200, sum_of_losses=-8.0)
# Prior: 0.55 - 0.45 / 1.6 = 0.26875, of which a quarter.
QUARTER_KELLY = 0.26875 / 4.0


@pytest.mark.parametrize(
    ("changes", "weight"),
    [
        ({}, QUARTER_KELLY),
        ({"signals": np.full((6, 1), 0.35)}, QUARTER_KELLY * 0.75),
        ({"signals": np.full((6, 1), 0.20)}, QUARTER_KELLY * 0.5),
        ({"signals": np.full((6, 1), 1.0)}, QUARTER_KELLY),
        ({"p_high_volatility": 1.0}, QUARTER_KELLY * 0.7),
        ({"p_high_volatility": 0.5}, QUARTER_KELLY * 0.85),
        ({"p_high_volatility": NAN}, QUARTER_KELLY * 0.7),
        ({"record": LOSSES}, 0.02),
        ({"record": LOSSES, "signals": np.full((6, 1), 0.20)}, 0.01),
        ({"record": LOSSES, "p_high_volatility": NAN}, 0.014),
        ({"record": TradeRecord(wins=500, sum_of_wins=50.0)}, 0.15),
    ],
)
def test_the_size_is_a_quarter_of_kelly_by_conviction_and_regime(make_snapshot, changes, weight):
    assert sized(make_snapshot, **changes) == math.floor(weight * 1e5 / 100.23)


def test_entries_are_sized_on_the_later_snapshot(make_snapshot, make_position):
    before = make_snapshot(
        ("AAA", "BBB"),
        account=Account(0.0, 1e5, 1e5),
        signals=np.full((6, 2), [0.5, -0.5]),
        positions=(make_position("BBB"),),
    )
    decision = decide(before, POLICY)
    assert sells_of(decision) == {"BBB": "vote"}
    assert size_entries(decision, before, POLICY).orders == ()
    day = DayActivity(exits=1, exited=frozenset({"BBB"}))
    after = replace(before, positions=(), day=day, account=Account(1e4, 1e5, 1e5))
    assert [o.symbol for o in size_entries(decision, after, POLICY).orders] == ["AAA"]


# Exits.


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (dict.fromkeys(SIGNALS, -0.15), "vote"),
        (dict.fromkeys(SIGNALS, -0.149), "held"),
        ({"sentiment": -0.15}, "vote"),
        ({"rl": -1.0}, "vote"),
        ({"sentiment": 0.1}, "held"),
        ({}, "held"),
    ],
)
def test_an_exit_works_with_whatever_signals_are_present(
    make_snapshot, make_position, signals, reason
):
    snapshot = make_snapshot(
        ("AAA",), signals=board(**signals), positions=(make_position("AAA", qty=7.5),)
    )
    assert reason_of(snapshot) == reason
    decision = decide(snapshot, POLICY)
    assert decision.actions[0] == (Action.HOLD if reason == "held" else Action.SELL)
    for order in decision.sells:
        assert (order.side, order.qty, order.limit_price) == ("sell", 7.5, None)
    assert len(decision.sells) == (reason != "held")


@pytest.mark.parametrize(
    ("price", "atr", "age", "reason"),
    [
        (97.0, NAN, 5, "stop_loss"),
        (97.01, NAN, 5, "held"),
        (105.0, NAN, 5, "target"),
        (104.99, NAN, 5, "held"),
        (97.0, 0.02, 5, "held"),
        (105.0, 0.02, 5, "held"),
        (100.99, 0.02, 11, "stagnant"),
        (101.0, 0.02, 11, "held"),
        (100.99, 0.02, 10, "held"),
        (NAN, 0.02, 99, "held"),
        (NAN, NAN, 5, "held"),
    ],
)
def test_decide_sells_for_price_only_without_an_atr_and_after_ten_idle_sessions(
    make_snapshot, make_position, price, atr, age, reason
):
    snapshot = make_snapshot(
        ("AAA",),
        price=np.array([price]),
        atr_fraction=np.array([atr]),
        positions=(make_position("AAA", age_sessions=age),),
    )
    assert reason_of(snapshot) == reason


@pytest.mark.parametrize(
    ("misses", "counted", "outside", "expected", "reason"),
    [
        (0, None, True, 1, "held"),
        (1, TODAY - timedelta(days=3), True, 2, "held"),
        (2, TODAY - timedelta(days=3), True, 3, "missed_scans"),
        (2, TODAY, True, 2, "held"),
        (1, TODAY, True, 1, "held"),
        (2, TODAY - timedelta(days=3), False, 0, "held"),
        (2, TODAY, False, 0, "held"),
    ],
)
def test_misses_are_counted_once_a_session_and_reset_on_a_hit(
    make_snapshot, make_position, misses, counted, outside, expected, reason
):
    quant = -0.5 if outside else 0.5
    snapshot = make_snapshot(
        ("AAA",),
        signals=board(quant=quant, market=0.9),
        positions=(make_position("AAA", misses=misses, counted_session=counted),),
    )
    decision = decide(snapshot, POLICY)
    assert decision.misses == {"AAA": expected}
    assert reason_of(snapshot) == reason


def test_three_missed_sessions_sell_however_often_the_job_runs(make_snapshot, make_position):
    position = make_position("AAA")
    sold = []
    for session in (TODAY, TODAY + timedelta(days=1), TODAY + timedelta(days=2)):
        for _ in range(26):
            snapshot = make_snapshot(
                ("AAA",),
                session=session,
                signals=board(quant=-0.5, market=0.9),
                positions=(position,),
            )
            decision = decide(snapshot, POLICY)
            sold.append(bool(decision.sells))
            position = replace(position, misses=decision.misses["AAA"], counted_session=session)
    assert sold == [False] * 52 + [True] * 26


@pytest.mark.parametrize(
    ("quant", "expected", "why"),
    [
        ([NAN, NAN], 2, "without a ranker nothing was scanned"),
        ([NAN, 0.5], 3, "the ranker spoke, but not of this symbol"),
        ([-0.9, NAN], 3, "it spoke of this one alone"),
    ],
)
def test_a_session_without_a_ranker_misses_nothing(
    make_snapshot, make_position, quant, expected, why
):
    snapshot = make_snapshot(
        ("AAA", "BBB"),
        signals=np.vstack([np.full((1, 2), 0.9), [quant], np.full((4, 2), 0.9)]),
        positions=(make_position("AAA", misses=2, counted_session=TODAY - timedelta(days=3)),),
    )
    assert decide(snapshot, POLICY).misses == {"AAA": expected}, why
    assert reason_of(snapshot) == ("missed_scans" if expected == 3 else "held")


def test_only_held_symbols_have_misses(make_snapshot, make_position):
    decision = decide(make_snapshot(positions=(make_position("BBB"),)), POLICY)
    assert decision.misses == {"BBB": 0}


@pytest.mark.parametrize(
    ("price", "atr", "high_water", "reason"),
    [
        (97.5, NAN, 1.0, "stop_loss"),
        (97.51, NAN, 1.0, None),
        (104.0, NAN, 1.0, "target"),
        (103.99, NAN, 1.0, None),
        # 3 % below a high of 103.
        (99.9, NAN, 1.03, "trailing_stop"),
        (99.92, NAN, 1.03, None),
        # ATR 2 %: stop 3 %, target 5 %, trail 4 %.
        (97.0, 0.02, 1.0, "stop_loss"),
        (97.01, 0.02, 1.0, None),
        (105.0, 0.02, 1.0, "target"),
        (104.99, 0.02, 1.0, None),
        (98.8, 0.02, 1.03, "trailing_stop"),
        # ATR 10 %, clamped to twice the static 2.5 %, 4 % and 3 %.
        (95.0, 0.10, 1.0, "stop_loss"),
        (95.01, 0.10, 1.0, None),
        (108.0, 0.10, 1.0, "target"),
        (107.99, 0.10, 1.0, None),
        # ATR 0.1 %, clamped to half of them: the trail, 1.5 %, lies below the stop, 1.25 %.
        (98.75, 0.001, 1.0, "stop_loss"),
        (98.76, 0.001, 1.0, None),
        (102.0, 0.001, 1.0, "target"),
        (NAN, 0.02, 1.03, None),
        (NAN, NAN, 1.03, None),
    ],
)
def test_the_risk_check_sells_at_stop_target_and_trailing_stop(
    make_snapshot, make_position, price, atr, high_water, reason
):
    position = make_position("AAA", marks=Marks(high_water=high_water))
    snapshot = make_snapshot(
        ("AAA",),
        price=np.array([price]),
        atr_fraction=np.array([atr]),
        positions=(position,),
    )
    assert sells_of(check_risk(snapshot, POLICY)) == ({} if reason is None else {"AAA": reason})


@property_based
@given(
    st.lists(st.one_of(st.just(NAN), st.floats(80.0, 120.0)), min_size=1, max_size=12),
    st.lists(st.one_of(st.just(NAN), st.floats(0.001, 0.2)), min_size=12, max_size=12),
)
def test_neither_mark_ever_comes_down(make_snapshot, make_position, prices, atrs):
    position = make_position("AAA")
    for price, atr in zip(prices, atrs, strict=False):
        snapshot = make_snapshot(
            ("AAA",),
            price=np.array([price]),
            atr_fraction=np.array([atr]),
            positions=(position,),
        )
        marks = check_risk(snapshot, POLICY).marks["AAA"]
        assert marks.high_water >= position.marks.high_water
        assert marks.trailing_stop >= position.marks.trailing_stop
        if math.isnan(price):
            assert marks == position.marks
        position = replace(position, marks=marks)


def test_every_position_is_checked_and_has_marks(make_snapshot, make_position):
    snapshot = make_snapshot(
        price=np.array([90.0, 101.0, NAN]),
        positions=tuple(make_position(symbol) for symbol in ("CCC", "AAA", "BBB")),
    )
    checked = check_risk(snapshot, POLICY)
    assert set(checked.marks) == {"AAA", "BBB", "CCC"}
    assert checked.marks["BBB"].high_water == 1.01
    assert sells_of(checked) == {"AAA": "stop_loss"}


# Positions that the configuration leaves to the person.


@pytest.mark.parametrize(
    "changes",
    [
        {"price": np.array([50.0])},
        {"price": np.array([50.0]), "atr_fraction": np.array([NAN])},
        {"price": np.array([200.0])},
        {"price": np.array([200.0]), "atr_fraction": np.array([NAN])},
        {"signals": np.full((6, 1), -1.0)},
    ],
)
def test_a_position_that_is_not_managed_is_never_sold_and_nothing_about_it_changes(
    make_snapshot, make_position, changes
):
    yesterday = TODAY - timedelta(days=3)
    position = make_position(
        "AAA", managed=False, age_sessions=99, misses=2, counted_session=yesterday
    )
    snapshot = make_snapshot(("AAA",), positions=(position,), **changes)
    checked = check_risk(snapshot, POLICY)
    assert (checked.sells, checked.marks) == ((), {"AAA": Marks()})
    decision = decide(snapshot, POLICY)
    assert (decision.sells, decision.misses) == ((), {"AAA": 2})
    assert decision.actions[0] == Action.HOLD
    assert reason_of(snapshot) == "unmanaged"
    managed = replace(snapshot, positions=(replace(position, managed=True),))
    assert sells_of(decide(managed, POLICY)) or sells_of(check_risk(managed, POLICY))


def test_a_position_that_is_not_managed_is_not_bought_either_and_counts_towards_limits(
    make_snapshot, make_position
):
    symbols = tuple(f"S{k:02}" for k in range(11))
    positions = tuple(make_position(symbol, managed=False) for symbol in symbols[:10])
    snapshot = make_snapshot(symbols, positions=positions)
    assert entries_of(snapshot).orders == ()
    assert [str(reason) for reason in entries_of(snapshot).refusals.values()] == ["position_limit"]


# What always holds.

FLOATS = (
    "signals", "sector_strength", "close", "dollar_volume_usd", "atr_fraction", "price", "bid",
    "ask", "quote_age_seconds",
)  # fmt: skip
SCALARS = ("minutes_to_close", "p_high_volatility")


def holed_snapshot(make_snapshot, make_position, seed):
    """Stocks in two sectors and in none, some held, with NaN wherever a NaN may be."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    symbols = tuple(f"S{k:02}" for k in range(n))
    snapshot = make_snapshot(
        symbols,
        sector=rng.integers(-1, 2, n),
        sector_strength=rng.uniform(-1, 1, 2),
        signals=rng.uniform(-1.0, 1.0, (6, n)),
        close=rng.uniform(3.0, 100.0, n),
        price=rng.uniform(90.0, 110.0, n),
        positions=tuple(
            make_position(symbol, age_sessions=int(rng.integers(0, 15)), misses=int(misses))
            for symbol, misses in zip(symbols, rng.integers(0, 3, n), strict=True)
            if rng.random() < 0.3
        ),
    )
    share = rng.choice([0.0, 0.1, 0.5, 1.0], len(FLOATS), p=[0.3, 0.4, 0.2, 0.1])
    changes = {
        name: np.where(
            rng.random(getattr(snapshot, name).shape) < part, NAN, getattr(snapshot, name)
        )
        for name, part in zip(FLOATS, share, strict=True)
    }
    changes |= {name: NAN for name in SCALARS if rng.random() < 0.1}
    if rng.random() < 0.2:
        changes["account"] = Account(*np.where(rng.random(3) < 0.5, NAN, 1e5).tolist())
    return replace(snapshot, **changes)


seeds = st.integers(0, 2**32 - 1)


@property_based
@given(seeds)
def test_every_symbol_has_a_reason_that_fits_its_action(make_snapshot, make_position, seed):
    snapshot = holed_snapshot(make_snapshot, make_position, seed)
    decision = decide(snapshot, POLICY)
    sells = sells_of(decision)
    for n, (symbol, reason) in enumerate(zip(snapshot.symbols, reasons_of(snapshot), strict=True)):
        action = decision.actions[n]
        if symbol in snapshot.held:
            assert (action, reason) == (Action.HOLD, "held") or (
                action == Action.SELL and reason in SOLD and sells[symbol] == reason
            )
        else:
            assert symbol not in sells
            assert (action, reason) == (Action.BUY, "entry_vote") or (
                action == Action.HOLD and reason in NOT_BOUGHT
            )
    assert set(decision.misses) == set(snapshot.held)
    candidates = decision.candidates
    assert sorted(candidates) == np.flatnonzero(decision.actions == Action.BUY).tolist()
    assert (np.diff(decision.votes[candidates]) <= 0).all()


@property_based
@given(seeds)
def test_every_candidate_is_bought_or_refused(make_snapshot, make_position, seed):
    snapshot = holed_snapshot(make_snapshot, make_position, seed)
    decision = decide(snapshot, POLICY)
    entries = size_entries(decision, snapshot, POLICY)
    bought = [snapshot.symbols.index(order.symbol) for order in entries.orders]
    assert sorted([*bought, *entries.refusals]) == sorted(decision.candidates)


@property_based
@given(seeds)
def test_deciding_is_pure(make_snapshot, make_position, seed):
    snapshot = holed_snapshot(make_snapshot, make_position, seed)
    before = snapshot_to_bytes(snapshot)

    def outcome():
        decision = decide(snapshot, POLICY)
        entries = size_entries(decision, snapshot, POLICY)
        arrays = (decision.votes, decision.actions, decision.reasons, decision.scan_rank)
        rest = (decision.sells, decision.misses, entries, check_risk(snapshot, POLICY))
        return [array.tobytes() for array in (*arrays, decision.candidates)], repr(rest)

    assert outcome() == outcome()
    assert snapshot_to_bytes(snapshot) == before


@pytest.mark.parametrize("name", [*FLOATS, *SCALARS])
def test_a_field_that_is_all_unknown_raises_nothing_and_sells_for_no_price(
    make_snapshot, make_position, name
):
    snapshot = make_snapshot(positions=(make_position("AAA", age_sessions=99),))
    value = getattr(snapshot, name)
    unknown = np.full_like(value, NAN) if isinstance(value, np.ndarray) else NAN
    snapshot = replace(snapshot, **{name: unknown})
    decision = decide(snapshot, POLICY)
    size_entries(decision, snapshot, POLICY)
    check_risk(snapshot, POLICY)
    expected = "held" if name == "price" else "stagnant"
    assert reason_of(snapshot) == expected


@property_based
@given(seeds)
def test_a_larger_record_of_losses_never_buys_less_than_the_floor(make_snapshot, seed):
    losses = int(np.random.default_rng(seed).integers(1, 10_000))
    record = TradeRecord(losses=losses, sum_of_losses=-0.05 * losses)
    assert sized(make_snapshot, record=record) >= math.floor(0.02 * 1e5 / 100.23)


def test_sizing_rules_are_the_policys(make_snapshot):
    policy = Policy(sizing=SizingRules(minimum_weight=0.10, maximum_weight=0.12))
    [order] = entries_of(make_snapshot(("AAA",)), policy).orders
    assert order.qty == math.floor(0.10 * 1e5 / 100.23)


def test_leaving_the_quant_signal_out_of_the_vote_leaves_the_scan_as_it_was(make_snapshot):
    probability = np.array([0.9, 0.3, 0.6])
    signals = np.full((6, 3), 0.5)
    signals[SIGNALS.index("quant")] = 0.0
    decision = decide(make_snapshot(probability=probability, signals=signals), POLICY)
    assert decision.scan_rank.tolist() == [1, 0, 2]


def test_entries_are_sized_on_another_snapshot_of_the_same_symbols(make_snapshot):
    decision = decide(make_snapshot(tuple("ABC")), POLICY)
    entries = size_entries(decision, make_snapshot(tuple("ABC")), POLICY)
    assert [order.symbol for order in entries.orders] == list("ABC")


@pytest.mark.parametrize("symbols", [("AAA", "CCC"), ("AAA", "BBB"), ("CCC", "BBB", "AAA")])
def test_entries_are_not_sized_on_a_snapshot_of_other_symbols(make_snapshot, symbols):
    decision = decide(make_snapshot(), POLICY)
    with pytest.raises(ValueError, match="other symbols"):
        size_entries(decision, make_snapshot(symbols), POLICY)


@pytest.mark.parametrize("entry_price", [0.0, -100.0, NAN])
def test_position_without_an_entry_price_is_not_sold_for_its_price(
    make_snapshot, make_position, entry_price
):
    spun_off = make_position("AAA", entry_price=entry_price)
    assert check_risk(make_snapshot(positions=(spun_off,)), POLICY).sells == ()


def test_a_position_of_a_tiny_entry_price_is_sold_at_its_target(make_snapshot, make_position):
    penny = make_position("AAA", entry_price=0.01)
    assert sells_of(check_risk(make_snapshot(positions=(penny,)), POLICY)) == {"AAA": "target"}


def test_what_was_decided_is_never_changed_and_a_decision_equals_itself_alone(
    make_snapshot, make_position
):
    snapshot = make_snapshot(positions=(make_position("AAA", entry_price=0.01),))
    checked, decision = check_risk(snapshot, POLICY), decide(snapshot, POLICY)
    entries = size_entries(decision, snapshot, POLICY)
    for value in (checked, checked.sells[0], decision, entries):
        for field in fields(value):
            with pytest.raises(FrozenInstanceError):
                setattr(value, field.name, None)
    # It holds arrays, which have no one answer to whether they are equal.
    assert decision != replace(decision)
