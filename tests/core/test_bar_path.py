from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swingtrader.core.bar_path import BarExit, bar_exit
from swingtrader.core.exits import ExitDistances, Marks, exit_levels, raised_marks

# Stop at 0.975, target at 1.04, trailing stop 3 % below the high-water mark.
DISTANCES = ExitDistances(stop=0.025, target=0.04, trail=0.03)
FRESH = raised_marks(Marks(), 1.0, DISTANCES)
RISEN = raised_marks(Marks(), 1.03, DISTANCES)  # trailing stop at 0.9991


def walked(marks, open_, high, low, close, distances=DISTANCES):
    return bar_exit(
        marks,
        distances,
        open_ratio=open_,
        high_ratio=high,
        low_ratio=low,
        close_ratio=close,
    )


@pytest.mark.parametrize(
    ("case", "marks", "bar", "price", "reason"),
    [
        ("quiet", FRESH, (1.0, 1.01, 0.98, 1.005), None, None),
        ("stop inside the bar", FRESH, (1.0, 1.01, 0.97, 1.0), 0.975, "stop_loss"),
        ("low just at the stop", FRESH, (1.0, 1.01, 0.975, 1.0), 0.975, "stop_loss"),
        ("gap through the stop", FRESH, (0.95, 0.99, 0.94, 0.98), 0.95, "stop_loss"),
        ("target inside the bar", FRESH, (1.0, 1.05, 0.99, 1.045), 1.04, "target"),
        ("high just at the target", FRESH, (1.0, 1.04, 0.99, 1.03), 1.04, "target"),
        ("gap through the target", FRESH, (1.06, 1.07, 1.05, 1.06), 1.06, "target"),
        ("stop and target: stop first", FRESH, (1.0, 1.05, 0.97, 1.05), 0.975, "stop_loss"),
        ("old trailing stop", RISEN, (1.01, 1.02, 0.99, 1.02), 0.9991, "trailing_stop"),
        ("gap through it", RISEN, (0.98, 1.02, 0.979, 1.01), 0.98, "trailing_stop"),
        ("it and the target", RISEN, (1.01, 1.05, 0.99, 1.05), 0.9991, "trailing_stop"),
        # High 1.038 raises the trailing stop to 1.00686. The low may have come before it ...
        ("raised, close above", FRESH, (1.0, 1.038, 0.98, 1.03), None, None),
        # ... but a close below means that the path crossed the raised stop after the high.
        ("raised, close below", FRESH, (1.0, 1.038, 0.98, 0.99), 1.00686, "trailing_stop"),
        ("raised, close at it", FRESH, (1.0, 1.038, 0.98, 1.038 * 0.97), 1.00686, "trailing_stop"),
        # Rounded adjustment may leave the close a little outside of low to high.
        ("close below the low", FRESH, (1.0, 1.0, 0.98, 0.97), 0.975, "stop_loss"),
    ],
)
def test_bar_is_walked_pessimistically(case, marks, bar, price, reason):
    _, sale = walked(marks, *bar)
    if reason is None:
        assert sale is None, case
    else:
        assert sale is not None, case
        assert (sale.price_ratio, sale.reason) == (pytest.approx(price, rel=1e-12), reason), case


def test_high_water_mark_of_the_bar_is_remembered():
    marks, sale = walked(FRESH, 1.0, 1.038, 0.98, 1.03)
    assert sale is None
    assert marks.high_water == 1.038
    assert marks.trailing_stop == pytest.approx(1.038 * 0.97, rel=1e-12)
    # So the next bar's low meets the raised stop.
    assert walked(marks, 1.03, 1.035, 1.0, 1.03)[1] == BarExit(
        marks.trailing_stop, "trailing_stop"
    )


@st.composite
def bars(draw):
    low, high = sorted(draw(st.tuples(st.floats(0.7, 1.3), st.floats(0.7, 1.3))))
    return draw(st.floats(low, high)), high, low, draw(st.floats(low, high))


marks_at_open = st.tuples(st.floats(1.0, 1.2), st.floats(0.9, 1.1))
distances = st.builds(
    ExitDistances,
    stop=st.floats(0.0125, 0.05),
    target=st.floats(0.02, 0.08),
    trail=st.floats(0.015, 0.06),
)


@settings(deadline=None, derandomize=True)
@given(bars(), marks_at_open, distances)
def test_sale_happens_at_a_price_of_the_bar(bar, marks, distance):
    sale = walked(Marks(*marks), *bar, distance)[1]
    assume(sale is not None)
    assert bar[2] <= sale.price_ratio <= bar[1]


@settings(deadline=None, derandomize=True)
@given(bars(), marks_at_open, distances)
def test_low_at_or_below_the_floor_never_sells_above_floor_or_open(bar, marks, distance):
    floor = exit_levels(Marks(*marks), distance).floor
    assume(bar[2] <= floor)
    sale = walked(Marks(*marks), *bar, distance)[1]
    assert sale is not None
    assert sale.price_ratio == min(floor, bar[0])
    assert sale.reason in {"stop_loss", "trailing_stop"}


@settings(deadline=None, derandomize=True)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), distances)
def test_bar_that_stays_between_floor_and_target_and_above_its_trail_sells_nothing(
    up, down, back, distance
):
    levels = exit_levels(Marks(), distance)
    high = 1.0 + up * (levels.target - 1.0) * 0.999
    low = 1.0 - down * (1.0 - levels.floor) * 0.999
    close_floor = max(low, high * (1 - distance.trail) * 1.0001)
    close = high - back * (high - close_floor)
    assert walked(Marks(), 1.0, high, low, close, distance)[1] is None


@settings(deadline=None, derandomize=True)
@given(bars(), marks_at_open, distances)
def test_no_bar_lowers_a_mark(bar, marks, distance):
    raised, _ = walked(Marks(*marks), *bar, distance)
    assert raised.high_water == max(marks[0], bar[1])
    assert raised.trailing_stop >= marks[1]
