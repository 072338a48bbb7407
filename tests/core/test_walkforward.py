from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.arrays import session_array
from swingtrader.core.walkforward import (
    first_decision,
    forward_returns,
    rankable,
    top_quartile,
    training_rows,
    usable_rows,
    weekly_retrainings,
)

NAN = np.nan
property_based = settings(deadline=None, derandomize=True)

# New Year, Martin Luther King Day, Washington's Birthday, Good Friday, Memorial Day,
# Independence Day, Labor Day, Thanksgiving and Christmas, as the exchange kept them.
HOLIDAYS_2019 = np.array(
    ["2019-01-01", "2019-01-21", "2019-02-18", "2019-04-19", "2019-05-27", "2019-07-04",
     "2019-09-02", "2019-11-28", "2019-12-25"],
    dtype="datetime64[D]",
)  # fmt: skip
DAYS_2019 = np.arange("2018-12-24", "2020-01-04", dtype="datetime64[D]")
SESSIONS_2019 = DAYS_2019[
    np.is_busday(DAYS_2019, holidays=[*HOLIDAYS_2019, date(2018, 12, 25), date(2020, 1, 1)])
]


def row_of(day):
    return int(np.searchsorted(SESSIONS_2019, np.datetime64(day)))


@pytest.mark.parametrize(
    ("start", "stop", "trained_before"),
    [
        ("2019-03-04", "2019-03-19", ["2019-03-04", "2019-03-11", "2019-03-18"]),
        ("2019-03-06", "2019-03-13", ["2019-03-06", "2019-03-11"]),
        ("2019-01-14", "2019-01-29", ["2019-01-14", "2019-01-22", "2019-01-28"]),
        ("2019-02-15", "2019-02-21", ["2019-02-15", "2019-02-19"]),
        ("2019-05-24", "2019-06-04", ["2019-05-24", "2019-05-28", "2019-06-03"]),
        ("2019-08-30", "2019-09-10", ["2019-08-30", "2019-09-03", "2019-09-09"]),
        ("2019-04-18", "2019-04-23", ["2019-04-18", "2019-04-22"]),
        ("2018-12-28", "2019-01-08", ["2018-12-28", "2018-12-31", "2019-01-07"]),
        ("2019-12-23", "2020-01-03", ["2019-12-23", "2019-12-30"]),
        ("2019-07-05", "2019-07-06", ["2019-07-05"]),
        ("2019-07-05", "2019-07-05", []),
    ],
)
def test_models_are_trained_before_the_first_session_of_every_week(start, stop, trained_before):
    rows = range(row_of(start), row_of(stop))
    retrainings = weekly_retrainings(SESSIONS_2019, rows)
    served_from = [str(SESSIONS_2019[r.serves.start]) for r in retrainings]
    assert served_from == trained_before


def test_a_week_trains_on_what_was_complete_at_the_close_before_it():
    rows = range(row_of("2019-01-14"), row_of("2019-01-29"))
    known = [str(SESSIONS_2019[r.known]) for r in weekly_retrainings(SESSIONS_2019, rows)]
    assert known == ["2019-01-11", "2019-01-18", "2019-01-25"]


def test_the_first_decision_needs_a_session_before_it():
    with pytest.raises(ValueError, match="before"):
        weekly_retrainings(SESSIONS_2019, range(5))


@property_based
@given(
    st.sets(st.integers(0, 400), min_size=2, max_size=80),
    st.integers(1, 79),
    st.integers(0, 80),
)
def test_every_decision_is_served_once_by_a_model_of_its_own_past(days, start, length):
    sessions = np.datetime64("2019-01-01") + np.array(sorted(days))
    start = min(start, len(sessions) - 1)
    rows = range(start, min(start + length, len(sessions)))
    retrainings = weekly_retrainings(sessions, rows)
    assert [t for r in retrainings for t in r.serves] == list(rows)
    assert all(r.known == r.serves.start - 1 for r in retrainings)
    weeks = [{sessions[t].item().isocalendar()[:2] for t in r.serves} for r in retrainings]
    assert all(len(week) == 1 for week in weeks)
    assert len(set().union(*weeks)) == len(weeks)


@property_based
@given(st.integers(0, 3000), st.integers(0, 1000))
def test_only_labels_realised_at_the_last_completed_session_may_train(known, first):
    rows = training_rows(known, first=first)
    assert len(rows) <= 378
    assert all(first <= s and s + 21 <= known for s in rows)
    # Nothing that may train is left out.
    assert len(rows) == min(378, max(0, known - 21 + 1 - first))


@pytest.mark.parametrize(
    ("known", "given", "rows"),
    [
        (1000, {}, range(602, 980)),
        (100, {}, range(80)),
        (21, {}, range(1)),
        (20, {}, range(0)),
        (0, {}, range(0)),
        (100, {"first": 50}, range(50, 80)),
        (100, {"first": 90}, range(90, 90)),
        (100, {"window": 10}, range(70, 80)),
        (100, {"horizon": 5, "window": 10}, range(86, 96)),
    ],
)
def test_training_rows_are_the_latest_378_with_a_realised_label(known, given, rows):
    assert training_rows(known, **given) == rows


def random_closes(sessions=120, symbols=9):
    rng = np.random.default_rng(2)
    return 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (sessions, symbols)), axis=0))


@pytest.mark.parametrize(("gap", "leaks"), [(21, False), (20, True), (5, True)])
def test_labels_do_not_see_the_sessions_a_model_is_judged_on_unless_the_gap_is_short(gap, leaks):
    known = 90
    close = random_closes()
    tampered = close.copy()
    tampered[known + 1 :] *= np.random.default_rng(7).uniform(0.5, 2.0, tampered[91:].shape)
    rows = training_rows(known, horizon=gap)
    learned = [top_quartile(forward_returns(c))[rows.start : rows.stop] for c in (close, tampered)]
    assert (not np.array_equal(*learned, equal_nan=True)) is leaks


def test_forward_returns_look_exactly_the_horizon_ahead():
    close = random_closes()
    close[50, 3] = NAN
    returns = forward_returns(close)
    for t, n in ((0, 0), (29, 3), (50, 3), (98, 8), (99, 8), (119, 0)):
        longhand = close[t + 21, n] / close[t, n] - 1.0 if t + 21 < len(close) else NAN
        np.testing.assert_allclose(returns[t, n], longhand, rtol=1e-12, atol=0)
    assert np.isnan(returns[[29, 50], 3]).all()


def test_a_history_shorter_than_the_horizon_has_no_forward_return():
    assert np.isnan(forward_returns(random_closes(21))).all()
    assert np.isnan(forward_returns(random_closes(1))).all()


def longhand_top_quartile(row):
    """At or above the 75th percentile, linear between order statistics; NaN keeps out."""
    known = sorted(value for value in row if not np.isnan(value))
    if len(known) < 4:
        return [NAN] * len(row)
    position = 0.75 * (len(known) - 1)
    below = int(position)
    above = min(below + 1, len(known) - 1)
    threshold = known[below] + (position - below) * (known[above] - known[below])
    return [NAN if np.isnan(value) else float(value >= threshold) for value in row]


@pytest.mark.parametrize(
    ("returns", "labels"),
    [
        ([0.4, 0.1, 0.3, 0.2], [1, 0, 0, 0]),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [0, 0, 0, 1, 1]),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0, 0, 0, 0, 0, 0, 1, 1]),
        ([0.4, NAN, 0.1, 0.3, 0.2], [1, NAN, 0, 0, 0]),
        ([0.5, 0.5, 0.5, 0.1], [1, 1, 1, 0]),
        ([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 1]),
        ([0.1, 0.2, 0.3, NAN], [NAN, NAN, NAN, NAN]),
        ([NAN, NAN, NAN, NAN], [NAN, NAN, NAN, NAN]),
    ],
)
def test_the_best_quarter_of_a_session_is_labelled(returns, labels):
    np.testing.assert_array_equal(top_quartile(np.array([returns])), [labels])
    np.testing.assert_array_equal(longhand_top_quartile(returns), labels)


values = st.one_of(st.just(NAN), st.integers(-5, 5).map(lambda k: k / 8.0))


@property_based
@given(st.lists(st.lists(values, min_size=9, max_size=9), min_size=1, max_size=6))
def test_labels_agree_with_longhand_whatever_is_tied_or_missing(rows):
    expected = [longhand_top_quartile(row) for row in rows]
    np.testing.assert_array_equal(top_quartile(np.array(rows)), expected)


def test_a_session_is_labelled_without_regard_to_any_other():
    forward = np.random.default_rng(9).normal(size=(20, 8))
    alone = np.concatenate([top_quartile(forward[t : t + 1]) for t in range(20)])
    np.testing.assert_array_equal(top_quartile(forward), alone)


@pytest.mark.parametrize("missing", range(13))
def test_only_the_252_session_high_and_the_sectors_momentum_may_be_missing(missing):
    factors = np.zeros((1, 2, 13))
    factors[0, 1, missing] = NAN
    expected = [True, missing >= 11]
    assert rankable(factors)[0].tolist() == expected
    assert usable_rows(factors, np.zeros((1, 2)))[0].tolist() == expected


def test_without_a_label_a_row_may_be_ranked_but_not_train():
    factors = np.zeros((1, 2, 13))
    assert usable_rows(factors, np.array([[NAN, 0.0]])).tolist() == [[False, True]]
    assert rankable(factors).all()


def usable_from(first, sessions=400, symbols=6):
    usable = np.zeros((sessions, symbols), dtype=bool)
    usable[first : sessions - 21] = True
    return usable


@pytest.mark.parametrize("first", [0, 10, 63])
def test_the_first_decision_follows_a_year_of_realised_labels(first):
    row = first_decision(usable_from(first))
    known = row - 1
    labelled = [s for s in training_rows(known) if s >= first]
    assert len(labelled) == 252
    assert row == first + 251 + 21 + 1


def test_sessions_without_a_cross_section_do_not_count_toward_the_first_decision():
    usable = usable_from(0)
    usable[100:150, 3:] = False  # three symbols are left
    assert first_decision(usable) == first_decision(usable_from(0)) + 50


@pytest.mark.parametrize(("sessions", "row"), [(274, 273), (273, None), (100, None), (0, None)])
def test_a_history_too_short_to_train_on_has_no_first_decision(sessions, row):
    assert first_decision(np.ones((sessions, 6), dtype=bool)) == row


def test_dates_of_any_kind_make_the_same_weeks():
    nanoseconds = SESSIONS_2019.astype("datetime64[ns]")
    rows = range(1, len(SESSIONS_2019))
    assert weekly_retrainings(nanoseconds, rows) == weekly_retrainings(SESSIONS_2019, rows)
    assert weekly_retrainings(session_array(SESSIONS_2019.tolist()), rows)
