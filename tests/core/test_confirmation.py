from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.confirmation import AGREEMENT, TOLERANCE, Confirmation, confirmed_price
from swingtrader.core.portfolio import Quote

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
LIMITS = {"quote_age_seconds": 60.0, "spread_bps": 50.0}
NOTHING = {"previous_print": None, "previous_print_at": None, "previous_price": None}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def quoted(trade, bid="99.98", ask="100.02", *, trade_age=5.0, quote_age=2.0):
    """Return a quote around 100 USD; None or an age of None leaves something out."""
    return Quote(
        "AAA",
        bid if bid is None else Decimal(bid),
        ask if ask is None else Decimal(ask),
        quote_age if quote_age is None else ago(quote_age),
        trade if trade is None else Decimal(trade),
        trade_age if trade_age is None else ago(trade_age),
    )


def price_of(quote, **previous):
    return confirmed_price(quote, NOW, **{**NOTHING, **previous}, **LIMITS).price


# --- by the quote -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "price", "why"),
    [
        (quoted("100.01"), "100.01", "inside the quote"),
        (quoted("99.98"), "99.98", "on the bid"),
        (quoted("99.50"), "99.50", "less than half a percent below the bid"),
        (quoted("100.52"), "100.52", "less than half a percent above the ask"),
        (quoted("99.50", "100.00", "100.02"), "99.50", "just half a percent below the bid"),
        (quoted("100.50", "99.98", "100.00"), "100.50", "just half a percent above the ask"),
        (quoted("0.5001", "0.4999", "0.5001"), "0.5001", "a stock of less than a dollar"),
        (quoted("100.00", trade_age=86400.0), "100.00", "the quote says that it still holds"),
        (quoted("100.00", trade_age=None), "100.00", "whenever it took place"),
        (quoted("100.00", quote_age=60.0), "100.00", "just fresh"),
        (quoted("100.00", quote_age=-30.0), "100.00", "a quote from the future is new"),
        (quoted("100.00", "100.00", "100.00"), "100.00", "a locked quote"),
        (quoted("100.80", "99.20", "101.00"), "100.80", "1.8 percent wide, and still a witness"),
        (quoted("100.80", "99.00", "101.00"), "100.80", "2 percent wide: the widest witness"),
        (quoted("100.80", "98.9999", "101.0001"), None, "wider than that"),
        (quoted("60.00"), "100.00", "older than the quote: its middle"),
        (quoted("160.00"), "100.00", "older than the quote: its middle"),
        (quoted(None), "100.00", "no trade at all: the middle"),
        (quoted("0"), "100.00", "zero means none"),
        (quoted("0", trade_age=1.0), "100.00", "and is no news"),
        (quoted("-0.5", trade_age=1.0), "100.00", "nor is a price below zero"),
        (quoted("99.47", trade_age=1.0), None, "more than half a percent below, and newer"),
        (quoted("100.53", trade_age=1.0), None, "more than half a percent above, and newer"),
        (quoted("60.00", trade_age=1.0), None, "newer than the quote: perhaps news"),
        (quoted("60.00", trade_age=2.0), None, "as new as the quote"),
        (quoted("60.00", trade_age=None), None, "nobody knows how old"),
        (quoted("60.00", "99.70", "100.30"), None, "a spread of 60 bps has no middle"),
        (quoted("60.00", "99.80", "100.20"), "100.00", "one of 40 bps has"),
        (quoted("60.00", "99.75", "100.25"), "100.00", "and so has one as wide as allowed"),
        (quoted("60.00", "10.00", "190.00"), None, "a placeholder holds any price"),
        (quoted("100.00", quote_age=60.1), None, "too old"),
        (quoted("100.00", quote_age=None), None, "of unknown age"),
        (quoted("100.00", None, "100.02"), None, "no bid"),
        (quoted("100.00", "99.98", None), None, "no ask"),
        (quoted("100.00", "0", "100.02"), None, "a bid of zero is none"),
        (quoted("100.00", "0", "0"), None, "nor are two"),
        (quoted(None, "-100.02", "-99.98"), None, "or prices below zero"),
        (quoted("100.00", "100.02", "99.98"), None, "crossed"),
        (quoted(None, None, None, quote_age=None), None, "nothing there"),
    ],
)
def test_a_fresh_quote_confirms_a_trade_near_it_or_stands_for_itself(quote, price, why):
    assert price_of(quote) == (price and Decimal(price)), why


def test_a_price_that_the_quote_confirms_leaves_no_print_to_wait():
    before = {"previous_print": Decimal(60), "previous_print_at": ago(300)}
    found = confirmed_price(quoted("100.01"), NOW, previous_price=None, **before, **LIMITS)
    assert found == Confirmation(Decimal("100.01"), None, None)


# --- by the next poll -------------------------------------------------------------------------


def unquoted(trade, trade_age=5.0):
    return quoted(trade, None, None, trade_age=trade_age)


@pytest.mark.parametrize(
    ("earlier", "trade", "last", "price"),
    [
        ("94", "93", "100", "94"),  # a fall, told twice
        ("93", "94", "100", "94"),
        ("60", "99", "100", "99"),  # the earlier print was wild
        ("99", "60", "100", "99"),  # the later one
        ("99", "160", "100", "100"),
        ("99", "100", "60", "99"),  # prices have moved since the last confirmed one
        ("93", "94", None, "94"),  # two that agree
        ("94", "93", None, "93"),
        ("100", "102", None, "102"),  # just so, by the lower of the two
        ("102", "100", None, "100"),
        ("94", "90", None, None),  # two that do not: either may be the wild one
        ("90", "94", None, None),
        ("94", "60", None, None),
    ],
)
def test_a_second_print_confirms_the_first(earlier, trade, last, price):
    found = confirmed_price(
        unquoted(trade),
        NOW,
        previous_print=Decimal(earlier),
        previous_print_at=ago(300),
        previous_price=last and Decimal(last),
        **LIMITS,
    )
    assert found == Confirmation(price and Decimal(price), Decimal(trade), ago(5))


def test_the_first_print_only_waits():
    found = confirmed_price(unquoted("94"), NOW, **NOTHING, **LIMITS)
    assert found == Confirmation(None, Decimal(94), ago(5))
    known = {**NOTHING, "previous_price": Decimal(100)}
    assert confirmed_price(unquoted("94"), NOW, **known, **LIMITS) == found


@pytest.mark.parametrize(("earlier", "at"), [(Decimal(94), None), (None, ago(300))])
def test_a_print_without_its_time_or_a_time_without_its_print_is_no_witness(earlier, at):
    before = {"previous_print": earlier, "previous_print_at": at, "previous_price": Decimal(95)}
    found = confirmed_price(unquoted("94"), NOW, **before, **LIMITS)
    assert found == Confirmation(None, Decimal(94), ago(5))


def test_what_was_confirmed_cannot_be_changed():
    confirmed = Confirmation(Decimal(100), None, None)
    with pytest.raises(FrozenInstanceError):
        confirmed.price = Decimal(60)


@pytest.mark.parametrize("age", [300.0, 301.0, 4 * 86400.0])
@pytest.mark.parametrize("trade", ["94", "93.9"])
def test_a_print_seen_twice_or_an_older_one_confirms_nothing_and_the_newest_waits_on(age, trade):
    found = confirmed_price(
        unquoted(trade, age),
        NOW,
        previous_print=Decimal(94),
        previous_print_at=ago(300),
        previous_price=Decimal(95),
        **LIMITS,
    )
    assert found == Confirmation(None, Decimal(94), ago(300))


@pytest.mark.parametrize("quote", [unquoted(None), unquoted("94", None)])
def test_a_poll_without_a_trade_or_without_its_time_leaves_the_print_waiting(quote):
    found = confirmed_price(
        quote,
        NOW,
        previous_print=Decimal(94),
        previous_print_at=ago(300),
        previous_price=None,
        **LIMITS,
    )
    assert found == Confirmation(None, Decimal(94), ago(300))


def polled(trades, last=None):
    """Prices of polls five minutes apart, without quotes, each handing on to the next."""
    prices = []
    waiting = Confirmation(last, None, None)
    for k, trade in enumerate(trades):
        at = NOW + timedelta(minutes=5 * k)
        quote = Quote("AAA", None, None, None, Decimal(trade), at)
        waiting = confirmed_price(
            quote,
            at,
            previous_print=waiting.print_price,
            previous_print_at=waiting.print_at,
            previous_price=last,
            **LIMITS,
        )
        last = waiting.price if waiting.price is not None else last
        prices.append(waiting.price)
    return prices


def test_without_quotes_every_poll_after_the_first_has_a_price_and_it_lags_by_one():
    assert polled(["100", "100", "94", "93", "92"], Decimal(100)) == [None, 100, 100, 94, 93]


def test_a_fall_that_nobody_knew_a_price_before_is_believed_at_its_second_print():
    assert polled(["100", "90", "89.5"]) == [None, None, Decimal("89.5")]


# --- what always holds ------------------------------------------------------------------------

property_based = settings(deadline=None, derandomize=True)
wild = st.decimals("0.0001", "1000000", places=4)
calm = st.decimals("90", "110", places=2)
times = st.none() | st.integers(-60, 10**6).map(ago)


@property_based
@given(
    trade=wild,
    trade_at=times,
    bid=calm,
    spread=st.decimals("0", "12", places=2),
    witness=calm,
    last=st.none() | calm,
)
def test_one_wild_print_gives_no_price_outside_the_widened_quote_and_the_other_witnesses(
    trade, trade_at, bid, spread, witness, last
):
    ask = bid + spread
    quote = Quote("AAA", bid, ask, ago(1), trade, trade_at)
    price = price_of(quote, previous_price=last)
    assert price is None or bid * (1 - TOLERANCE) <= price <= ask * (1 + TOLERANCE)
    price = price_of(
        quote, previous_print=witness, previous_print_at=ago(300), previous_price=last
    )
    witnesses = [bid * (1 - TOLERANCE), ask * (1 + TOLERANCE), witness * (1 - AGREEMENT)]
    witnesses += [witness * (1 + AGREEMENT), witness if last is None else last]
    assert price is None or min(witnesses) <= price <= max(witnesses)


@property_based
@given(trade=wild, trade_at=times, witness=calm, last=st.none() | calm, swapped=st.booleans())
def test_one_wild_print_without_a_quote_gives_nothing_or_a_price_between_the_others(
    trade, trade_at, witness, last, swapped
):
    earlier, later, at = (trade, witness, ago(0)) if swapped else (witness, trade, trade_at)
    price = price_of(
        Quote("AAA", None, None, None, later, at),
        previous_print=earlier,
        previous_print_at=ago(300),
        previous_price=last,
    )
    if price is None:
        return
    if last is not None:
        assert min(witness, last) <= price <= max(witness, last)
    else:
        assert abs(price - witness) <= AGREEMENT * witness


@property_based
@given(st.lists(calm, min_size=2, max_size=6), calm, wild, st.integers(0, 5))
def test_one_wild_print_in_a_row_of_polls_is_never_believed(calm_trades, last, trade, where):
    trades = [str(each) for each in calm_trades]
    trades.insert(min(where, len(trades)), str(trade))
    witnesses = [*calm_trades, last]
    for price in polled(trades, last):
        assert price is None or min(witnesses) <= price <= max(witnesses)
