from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.exits import Marks
from swingtrader.core.portfolio import BrokerPosition, Execution, ShareSplit, TrackedPosition
from swingtrader.core.tracking import PositionChange, entry_session_of, tracked_positions

FIRST = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
BEFORE = date(2026, 11, 5)
MARKS = Marks(1.10, 1.05)


def session_of(at):
    return at.date()


def traded(side, qty, price="100", *, day=18, symbol="AAA"):
    at = FIRST + timedelta(days=day)
    return Execution(
        f"{at:%Y%m%d}::{side}{qty}", at, symbol, side, Decimal(qty), Decimal(price), ""
    )


def bought(qty, price="100", **changes):
    return traded("buy", qty, price, **changes)


def sold(qty, price="100", **changes):
    return traded("sell", qty, price, **changes)


def split(added, *, day=18, symbol="AAA"):
    on = (FIRST + timedelta(days=day)).date()
    return ShareSplit(f"{on:%Y%m%d}::split", on, symbol, Decimal(added))


STORED = TrackedPosition(
    "AAA",
    Decimal(10),
    Decimal(100),
    BEFORE,
    marks=MARKS,
    misses=2,
    counted_session=date(2026, 11, 20),
    age_sessions=11,
    price=Decimal(108),
    price_at=FIRST,
    print_price=Decimal(109),
    print_at=FIRST,
    stop_ratio=1.05,
    target_ratio=1.2,
    resting_qty=Decimal(10),
    resting_stop=Decimal(94),
)


def held(qty, entry="100", symbol="AAA"):
    """Return a position at the broker; None leaves something unstated."""
    return BrokerPosition(
        symbol, None if qty is None else Decimal(qty), None, entry and Decimal(entry)
    )


def tracked(broker, *activities, stored=STORED, entry_sessions=None, unmanaged=()):
    return tracked_positions(
        {} if stored is None else {stored.symbol: stored},
        [] if broker is None else [broker],
        activities,
        session=TODAY,
        session_of=session_of,
        entry_sessions=entry_sessions or {},
        unmanaged=unmanaged,
    )


def changes_of(tracking):
    return [(each.what, str(each.old_qty), str(each.new_qty)) for each in tracking.changes]


# --- what stays and what changes --------------------------------------------------------------


def test_a_position_that_did_not_change_is_remembered_as_it_was():
    tracking = tracked(held("10"))
    assert tracking.positions == {"AAA": STORED}
    assert tracking.remembered == (STORED,)
    assert tracking.changes == ()


@pytest.mark.parametrize(
    ("broker", "activities", "marks", "changes", "why"),
    [
        (held("20", "50"), [split("10")], MARKS, [("split", "10", "20")], "two for one"),
        (held("1", "1000"), [split("-9")], MARKS, [("split", "10", "1")], "one for ten"),
        (held("20", "50"), [split("-10"), split("20")], MARKS, [("split", "10", "20")],
         "old shares taken, new ones given"),
        (held("20", "50"), [], MARKS, [("split", "10", "20")], "not listed yet"),
        (held("3.333", "300.03"), [], MARKS, [("split", "10", "3.333")], "rounded"),
        (held("10", "100.4"), [], MARKS, [], "an average that was rounded otherwise"),
        (held("15", "110"), [bought("5", "130")], Marks(1.0, 1.05 / 1.1),
         [("added", "10", "15")], "a higher average: the mark stays at least 1"),
        (held("20", "105"), [bought("10", "110")], Marks(1.1 / 1.05, 1.0),
         [("added", "10", "20")], "a higher average"),
        (held("20", "80"), [bought("10", "60")], Marks(1.375, 1.3125),
         [("added", "10", "20")], "a lower average"),
        (held("4"), [sold("6")], MARKS, [("reduced", "10", "4")], "sold in part"),
        (held("4", "104"), [sold("6")], Marks(1.1 / 1.04, 1.05 / 1.04), [("reduced", "10", "4")],
         "sold in part, the oldest shares first: another average"),
        (held("10", "104"), [sold("4"), bought("4", "110")], Marks(1.1 / 1.04, 1.05 / 1.04), [],
         "as many again at another price"),
        (held("25", "42"), [split("10"), bought("5", "10")], Marks(1.1 / 0.84, 1.25),
         [("split", "10", "20.000000000"), ("added", "20.000000000", "25")],
         "fills after the split are in new shares"),
        (held("40", "40"), [bought("10", "60"), split("20")], Marks(1.375, 1.3125),
         [("split", "10", "20.000000000"), ("added", "20.000000000", "40")],
         "and before it in old ones"),
        (held("12"), [], Marks(), [("unexplained", "10", "12")], "a transfer"),
        (held("10", "90"), [], Marks(), [("unexplained", "10", "10")], "a spin-off"),
        (held("20"), [split("10")], Marks(), [("unexplained", "10", "20")],
         "a split whose entry price is not restated"),
        (held("17", "100"), [bought("5")], Marks(), [("unexplained", "10", "17")],
         "a fill and a transfer"),
        (held("30", "50"), [bought("5", "50")], Marks(), [("unexplained", "10", "30")],
         "a fill and a split that is not listed"),
        (held("20", "50"), [bought("3", "60")], Marks(), [("unexplained", "10", "20")],
         "the same, at a cost that happens to be the old one"),
        (held("10", None), [], MARKS, [], "an unknown average may still be the same"),
        (held("20", None), [split("10")], MARKS, [("split", "10", "20")], "and is by a split"),
        (held("15", None), [bought("5")], Marks(), [("added", "10", "15")],
         "but not by a purchase: nobody knows the new one"),
        (held("4", None), [sold("6")], MARKS, [("reduced", "10", "4")],
         "a sale leaves it as it was"),
        (held("12", None), [sold("3"), bought("5")], Marks(), [("added", "10", "12")],
         "a sale and a purchase do not"),
        (held("8", None), [sold("6"), split("4")], MARKS,
         [("split", "10", "20.000000000"), ("reduced", "20.000000000", "8")],
         "a sale and a split do"),
        (held("10", "0"), [], MARKS, [], "zero is unknown"),
        (held("15", None), [], Marks(), [("unexplained", "10", "15")], "nothing explains it"),
    ],
)  # fmt: skip
def test_marks_stay_at_a_split_follow_a_fill_and_are_forgotten_with_neither(
    broker, activities, marks, changes, why
):
    tracking = tracked(broker, *activities)
    found = tracking.positions["AAA"]
    assert found.marks.high_water == pytest.approx(marks.high_water, rel=1e-9), why
    assert found.marks.trailing_stop == pytest.approx(marks.trailing_stop, rel=1e-9), why
    assert changes_of(tracking) == changes, why
    assert (found.qty, found.entry_price) == (broker.qty, broker.entry_price)
    # What has nothing to do with prices goes on.
    assert found.entry_session == BEFORE
    assert (found.misses, found.counted_session) == (2, STORED.counted_session)
    assert found.age_sessions == 11


def test_an_average_that_is_known_again_brings_its_marks_back_into_use():
    unknown = replace(STORED, entry_price=None)
    assert tracked(held("10"), stored=unknown).positions["AAA"].marks == MARKS
    assert tracked(held("20", "50"), split("10"), stored=unknown).positions["AAA"].marks == MARKS
    assert tracked(held("4"), sold("6"), stored=unknown).positions["AAA"].marks == MARKS
    assert tracked(held("15"), bought("5"), stored=unknown).positions["AAA"].marks == Marks()


@pytest.mark.parametrize(
    ("broker", "activities", "prices", "levels"),
    [
        (held("10"), [], True, True),
        (held("4"), [sold("6")], True, True),
        (held("20", "80"), [bought("10", "60")], True, False),
        (held("20", "50"), [split("10")], False, True),
        (held("20", "50"), [], False, True),
        (held("25", "42"), [split("10"), bought("5", "10")], False, False),
        (held("12"), [], False, False),
    ],
)
def test_prices_in_usd_do_not_outlive_a_split_nor_levels_a_new_average(
    broker, activities, prices, levels
):
    found = tracked(broker, *activities).positions["AAA"]
    in_usd = (found.price, found.price_at, found.print_price, found.print_at)
    resting = (found.resting_qty, found.resting_stop)
    if prices:
        assert in_usd == (Decimal(108), FIRST, Decimal(109), FIRST)
        assert resting == (Decimal(10), Decimal(94))
    else:
        assert in_usd == (None, None, None, None)
        assert resting == (Decimal(0), None)
    assert (found.stop_ratio, found.target_ratio) == ((1.05, 1.2) if levels else (None, None))


def test_fills_that_come_late_or_twice_change_nothing_a_second_time():
    later = tracked(held("15", "110"), bought("5", "130")).positions["AAA"]
    for activities in ([bought("5", "130")], [sold("3"), bought("5", "130")]):
        tracking = tracked(held("15", "110"), *activities, stored=later)
        assert tracking.positions["AAA"] == later
        assert tracking.changes == ()


def test_the_newest_fills_explain_a_change_and_older_ones_are_taken_for_known():
    tracking = tracked(held("7"), bought("10", day=3), sold("3", day=18))
    assert changes_of(tracking) == [("reduced", "10", "7")]
    assert tracking.positions["AAA"].marks == MARKS


# --- opened and closed ------------------------------------------------------------------------


def test_a_position_that_is_gone_is_closed():
    tracking = tracked(None, sold("10"))
    assert tracking.positions == {}
    assert tracking.closed == ("AAA",)
    assert changes_of(tracking) == [("closed", "10", "0")]


def test_a_position_bought_since_the_last_look_is_opened_in_the_session_of_that_buy():
    tracking = tracked(held("10"), bought("4", day=17), bought("6", day=18), stored=None)
    assert tracking.positions == {
        "AAA": TrackedPosition("AAA", Decimal(10), Decimal(100), date(2026, 11, 19))
    }
    assert (tracking.opened, tracking.adopted) == (("AAA",), ())
    assert changes_of(tracking) == [("opened", "0", "10")]


@pytest.mark.parametrize(
    ("entry_sessions", "expected"), [({"AAA": BEFORE}, BEFORE), ({"BBB": BEFORE}, TODAY)]
)
@pytest.mark.parametrize("activities", [[], [sold("3")], [bought("12"), sold("5")]])
def test_a_position_whose_opening_nobody_saw_is_adopted(entry_sessions, expected, activities):
    tracking = tracked(held("10"), *activities, stored=None, entry_sessions=entry_sessions)
    assert tracking.positions["AAA"] == TrackedPosition("AAA", Decimal(10), Decimal(100), expected)
    assert (tracking.opened, tracking.adopted) == ((), ("AAA",))
    assert changes_of(tracking) == [("adopted", "0", "10")]


@pytest.mark.parametrize(
    "activities",
    [
        [sold("10", day=16), bought("10", day=18)],
        [sold("4", day=15), sold("6", day=16), bought("3", day=18), bought("7", day=19)],
        [bought("5", day=14), sold("15", day=15), bought("20", day=18), sold("10", day=19)],
        [sold("10", day=14), bought("3", day=15), sold("3", day=16), bought("10", day=18)],
        [sold("10", day=14), bought("5", day=18), split("5", day=19)],
    ],
)
@pytest.mark.parametrize("entry", ["100", "97"])
def test_a_position_sold_out_and_bought_back_between_two_looks_is_a_new_one(activities, entry):
    tracking = tracked(held("10", entry), *activities, entry_sessions={"AAA": BEFORE})
    assert tracking.positions["AAA"] == TrackedPosition(
        "AAA", Decimal(10), Decimal(entry), date(2026, 11, 20)
    )
    assert (tracking.opened, tracking.closed, tracking.adopted) == (("AAA",), (), ())


def test_a_short_is_named_and_not_tracked():
    tracking = tracked(held("-5"), sold("15"))
    assert (tracking.positions, tracking.remembered) == ({}, ())
    assert tracking.shorts == ("AAA",)
    assert tracking.closed == ("AAA",)


@pytest.mark.parametrize(("qty", "shorts"), [("0", ()), ("-0.5", ("AAA",))])
def test_a_position_of_no_shares_or_short_of_a_fraction_is_closed(qty, shorts):
    tracking = tracked(held(qty))
    assert (tracking.positions, tracking.shorts) == ({}, shorts)
    assert changes_of(tracking) == [("closed", "10", "0")]


def test_a_fraction_of_a_share_is_held_long():
    tracking = tracked(held("0.5"), sold("9.5"))
    assert (tuple(tracking.positions), tracking.shorts) == (("AAA",), ())


def test_a_split_of_a_single_share_and_one_of_nothing_are_understood():
    single = replace(STORED, qty=Decimal(1))
    tracking = tracked(held("2", "50"), split("1"), stored=single)
    assert changes_of(tracking) == [("split", "1", "2")]
    assert tracking.positions["AAA"].marks == MARKS
    assert tracked(held("5"), split("5"), stored=None).adopted == ("AAA",)


def test_an_average_of_a_dollar_or_less_is_a_price():
    cheap = replace(STORED, entry_price=Decimal("1.00"))
    tracking = tracked(held("20", "0.80"), bought("10", "0.60"), stored=cheap)
    assert tracking.positions["AAA"].marks == Marks(1.375, 1.3125)


def test_what_is_tracked_is_never_changed():
    tracking = tracked(held("20", "50"), split("10"))
    for value in (tracking, tracking.changes[0]):
        for field in fields(value):
            with pytest.raises(FrozenInstanceError):
                setattr(value, field.name, None)


def test_a_short_hides_no_position_behind_it():
    tracking = tracked_positions(
        {}, [held("-5"), held(None, symbol="BBB"), held("10", symbol="CCC")], [],
        session=TODAY, session_of=session_of, entry_sessions={}, unmanaged=(),
    )  # fmt: skip
    assert tuple(tracking.positions) == ("CCC",)


def test_a_reverse_split_forgets_prices_a_share_as_a_split_does():
    tracking = tracked(held("5", "200"), split("-5"))
    assert changes_of(tracking) == [("split", "10", "5")]
    now = tracking.positions["AAA"]
    assert (now.marks, now.price, now.resting_stop) == (MARKS, None, None)


def test_an_average_restated_by_as_much_as_is_tolerated_is_the_same():
    assert changes_of(tracked(held("10", "100.5"))) == []


def test_activities_are_told_apart_by_the_letters_of_their_symbols():
    same = "aaa".upper()  # equal, and another string, as what the broker sends is
    added = tracked(held("20", "80"), bought("10", "60", symbol=same))
    assert changes_of(added) == [("added", "10", "20")]
    others = tracked(held("20", "80"), bought("10", "60", symbol="A"), bought("10", symbol="B"))
    assert changes_of(others) == [("unexplained", "10", "20")]
    activities = [bought("10", day=1, symbol=same), bought("10", day=2, symbol="A")]
    first = entry_session_of("AAA", Decimal(10), activities, session_of)
    assert first == entry_session_of("AAA", Decimal(10), [bought("10", day=1)], session_of)


def test_a_position_of_unreadable_quantity_is_named_kept_and_not_acted_on():
    tracking = tracked(held(None))
    assert tracking.positions == {}
    assert tracking.unreadable == ("AAA",)
    assert tracking.remembered == (STORED,)
    assert tracking.changes == ()
    assert tracked(held(None), stored=None).remembered == ()


def test_a_short_bought_back_to_a_long_is_opened_by_that_buy():
    tracking = tracked(held("5"), sold("15", day=16), bought("10", day=18))
    assert tracking.positions["AAA"].entry_session == date(2026, 11, 20)


@pytest.mark.parametrize("stored", [STORED, replace(STORED, managed=False), None])
def test_whether_a_position_is_managed_follows_the_configuration(stored):
    assert tracked(held("10"), stored=stored).positions["AAA"].managed
    assert not tracked(held("10"), stored=stored, unmanaged={"AAA"}).positions["AAA"].managed


def test_positions_do_not_touch_one_another_and_come_by_symbol():
    stored = {symbol: replace(STORED, symbol=symbol) for symbol in ("CCC", "AAA", "BBB")}
    broker = [held("20", "50", "CCC"), held("4", symbol="AAA"), held("7", symbol="DDD")]
    activities = [
        sold("6", symbol="AAA"),
        sold("10", symbol="BBB"),
        split("10", symbol="CCC"),
        bought("7", symbol="DDD"),
    ]
    tracking = tracked_positions(
        stored, broker, activities,
        session=TODAY, session_of=session_of, entry_sessions={}, unmanaged=(),
    )  # fmt: skip
    assert list(tracking.positions) == ["AAA", "CCC", "DDD"]
    assert tracking.changes == (
        PositionChange("AAA", "reduced", Decimal(10), Decimal(4)),
        PositionChange("BBB", "closed", Decimal(10), Decimal(0)),
        PositionChange("CCC", "split", Decimal(10), Decimal(20)),
        PositionChange("DDD", "opened", Decimal(0), Decimal(7)),
    )


# --- entry session ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qty", "activities", "day", "why"),
    [
        ("10", [bought("10", day=3)], 3, "one buy"),
        ("10", [bought("4", day=3), bought("6", day=5)], 3, "the first of two"),
        ("10", [bought("8", day=1), sold("8", day=2), bought("10", day=4)], 4, "after zero"),
        ("5", [bought("8", day=1), sold("3", day=2)], 1, "a partial sale is no zero"),
        ("20", [bought("10", day=1), split("10", day=2)], 1, "a split"),
        ("20", [bought("10", day=1), split("-10", day=2), split("20", day=2)], 1,
         "a split that takes the old shares first"),
        ("1", [bought("10", day=1), split("-9", day=2)], 1, "a reverse split"),
        ("4", [bought("2", day=1), split("2", day=2), sold("4", day=3), bought("4", day=5)], 5,
         "a split in a life before"),
        ("5", [sold("5", day=1), bought("10", day=2)], 2, "from short to long"),
        ("0.5", [bought("0.25", day=1), bought("0.25", day=2)], 1, "fractions"),
        ("10", [], None, "no history"),
        ("10", [bought("4", day=3)], None, "a history that begins too late"),
        ("10", [sold("4", day=3)], None, "or with a sale"),
        ("20", [split("10", day=3)], None, "or with a split"),
        ("10", [bought("10", day=3, symbol="BBB")], None, "another symbol"),
        ("0", [bought("10", day=3), sold("10", day=4)], None, "nothing is held"),
        ("-5", [sold("5", day=3)], None, "a short"),
    ],
)  # fmt: skip
def test_the_entry_session_is_when_the_quantity_last_left_zero(qty, activities, day, why):
    expected = None if day is None else (FIRST + timedelta(days=day)).date()
    assert entry_session_of("AAA", Decimal(qty), activities, session_of) == expected, why


# --- what always holds ------------------------------------------------------------------------

property_based = settings(deadline=None, derandomize=True)
RATIOS = tuple(Decimal(ratio) for ratio in ("2", "3", "1.5", "0.5", "0.1", "1.05"))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(1, 20), st.integers(20, 200)),
        st.tuples(st.just("sell"), st.integers(0, 10), st.integers(20, 200)),
        st.tuples(st.just("split"), st.sampled_from(RATIOS), st.just(0)),
    ),
    max_size=25,
)


def lived(history):
    """Walk a history forward from zero.

    Returns the activities, and after each, quantity, average price and entry session. A sale
    takes tenths of what is held, and so at times all.
    """
    qty, cost, opened = Decimal(0), Decimal(0), None
    activities, states = [], []
    for day, (what, amount, price) in enumerate(history):
        if what == "buy":
            opened = opened if qty else (FIRST + timedelta(days=day)).date()
            activities.append(bought(amount, price, day=day))
            qty, cost = qty + amount, cost + amount * price
        elif what == "sell" and qty * amount:
            part = Decimal(amount) / 10
            activities.append(sold(qty * part, price, day=day))
            qty, cost = qty * (1 - part), cost * (1 - part)
        elif what == "split" and qty:
            activities.append(split(qty * (amount - 1), day=day))
            qty *= amount
        else:
            continue
        opened = opened if qty else None
        states.append((qty, cost / qty if qty else None, opened))
    return activities, states


@property_based
@given(steps, st.integers(0, 25))
def test_walking_back_finds_what_walking_forward_saw_or_with_less_history_nothing(history, cut):
    activities, states = lived(history)
    if not states:
        return
    qty, _, opened = states[-1]
    assert entry_session_of("AAA", qty, activities, session_of) == opened
    found = entry_session_of("AAA", qty, activities[cut:], session_of)
    assert found in {None, opened}
    if opened is not None:
        reaches = any(
            isinstance(each, Execution) and session_of(each.at) == opened
            for each in activities[cut:]
        )
        assert (found == opened) is reaches


@property_based
@given(steps, st.lists(st.integers(0, 25), max_size=8), st.floats(1.0, 3.0), st.floats(0.0, 3.0))
def test_however_seldom_we_look_marks_stay_the_same_prices_and_entry_sessions_are_right(
    history, looks, high_water, trailing_stop
):
    activities, states = lived(history)
    moments = sorted({0, *(min(look, len(states)) for look in looks), len(states)})
    stored, marked = {}, None
    for start, end in pairwise(moments):
        qty, entry, opened = states[end - 1]
        tracking = tracked_positions(
            stored,
            [BrokerPosition("AAA", qty, None, entry)] if qty else [],
            activities[start:end],
            session=TODAY,
            session_of=session_of,
            entry_sessions={},
            unmanaged=(),
        )
        assert not [each for each in tracking.changes if each.what in {"unexplained", "adopted"}]
        stored = tracking.positions
        assert set(stored) == ({"AAA"} if qty else set())
        if not qty:
            marked = None
            continue
        found = stored["AAA"]
        assert (found.qty, found.entry_price, found.entry_session) == (qty, entry, opened)
        if "AAA" in tracking.opened:
            assert found.marks == Marks()
            marked = None
        elif marked is not None:
            for each in activities[start:end]:
                if isinstance(each, ShareSplit):
                    before = states[activities.index(each) - 1][0]
                    marked = [level * float(before / (before + each.added)) for level in marked]
            high, low = (level / float(entry) for level in marked)
            assert found.marks.high_water == pytest.approx(max(1.0, high), rel=1e-6)
            assert found.marks.trailing_stop == pytest.approx(low, rel=1e-6)
        if marked is None:
            found = replace(found, marks=Marks(high_water, trailing_stop))
            stored = {"AAA": found}
        marked = [
            found.marks.high_water * float(entry), found.marks.trailing_stop * float(entry)
        ]  # fmt: skip


@property_based
@given(
    st.one_of(st.none(), st.decimals("0", "500", places=2)),
    st.one_of(st.none(), st.decimals("0", "500", places=2)),
    st.decimals("0.5", "40", places=1),
    st.lists(
        st.one_of(
            st.builds(bought, st.integers(1, 20)),
            st.builds(sold, st.integers(1, 20)),
            st.builds(split, st.integers(-9, 20)),
        ),
        max_size=4,
    ),
)
def test_whatever_the_broker_says_marks_are_kept_rescaled_or_new(old, new, qty, activities):
    stored = replace(STORED, entry_price=old)
    found = tracked(BrokerPosition("AAA", qty, None, new), *activities, stored=stored)
    marks = found.positions["AAA"].marks
    assert marks.high_water >= 1.0
    if marks not in (MARKS, Marks()):
        assert any(isinstance(each, Execution) for each in activities)
        assert old is not None
        assert new is not None
