from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.sentiment import normalised_headline, symbol_sentiment

SYMBOLS = ("AAPL", "MSFT", "XOM")
NOON = np.datetime64("2024-03-06T12:00:00")


def hours_before(*hours):
    return NOON - np.array([round(3600 * h) for h in hours], dtype="timedelta64[s]")


def aapl_at_noon(headlines):
    """Signal of AAPL at noon from (hours ago, id, score), oldest first."""
    hours, ids, scores = zip(*headlines, strict=True)
    signal = symbol_sentiment(
        np.array([NOON]),
        ("AAPL",),
        hours_before(*hours),
        [("AAPL",)] * len(headlines),
        np.array(ids),
        np.array(scores, dtype=float),
    )
    return signal[0, 0]


@pytest.mark.parametrize(
    ("headlines", "expected", "why"),
    [
        ([(0, 1, 0.8), (0, 2, 0.2)], 0.5, "equal ages weigh equally"),
        ([(24, 1, -0.5), (0, 2, 1.0)], 0.5, "(1 - 0.5/2) / 1.5"),
        ([(48, 1, 1.0), (24, 2, 0.0), (0, 3, 0.0)], 1 / 7, "weights 1/4, 1/2, 1"),
        ([(72, 1, 1.0), (24, 2, 0.4), (0, 3, 0.4)], 0.4, "72 hours are too old"),
        ([(71.99, 1, 0.4), (0, 2, 0.4)], 0.4, "just inside"),
        ([(0, 1, 0.8), (0, 2, 0.2), (-0.01, 3, -1.0)], 0.5, "not yet published"),
        ([(24, 1, -0.5), (1, 1, -0.5), (0, 2, 1.0)], 0.5, "a copy counts at its earliest time"),
        ([(96, 1, -0.5), (24, 1, -0.5), (0, 2, 1.0)], 0.5, "the earliest in the window, that is"),
        ([(24, 1, np.nan), (24, 1, -0.5), (0, 2, 1.0)], 0.5, "an unscored copy hides nothing"),
        ([(0, 1, 0.8), (0, 2, 0.2), (0, 3, np.nan)], 0.5, "NaN is skipped"),
    ],
)
def test_signal_is_the_recency_weighted_mean_of_distinct_headlines(headlines, expected, why):
    np.testing.assert_allclose(aapl_at_noon(headlines), expected, rtol=1e-12, err_msg=why)


@pytest.mark.parametrize(
    "headlines",
    [
        [(1, 1, 0.9)],
        [(2, 1, 0.9), (1, 1, 0.9)],
        [(1, 1, 0.9), (1, 2, np.nan)],
        [(72, 1, 0.9), (1, 2, 0.9)],
    ],
    ids=["one", "one and its copy", "one and an unscored one", "one and one too old"],
)
def test_fewer_than_two_distinct_headlines_are_no_view(headlines):
    assert np.isnan(aapl_at_noon(headlines))


def test_headline_about_several_symbols_counts_for_each_and_strangers_are_ignored():
    signal = symbol_sentiment(
        np.array([NOON]),
        SYMBOLS,
        hours_before(2, 1),
        [("MSFT", "AAPL", "ZZZZ"), ("AAPL", "MSFT", "MSFT")],
        np.array(["a", "b"]),
        np.array([0.5, 0.5]),
    )
    np.testing.assert_allclose(signal, [[0.5, 0.5, np.nan]], rtol=1e-12)


def test_no_headlines_are_no_view():
    no_times = np.array([], dtype="datetime64[s]")
    signal = symbol_sentiment(
        np.array([NOON, NOON]), SYMBOLS, no_times, [], np.array([]), np.array([])
    )
    assert signal.shape == (2, 3)
    assert np.isnan(signal).all()


def test_a_headline_milliseconds_after_the_decision_is_not_known():
    published_at = NOON.astype("datetime64[ms]") + np.array([-5, -5, 1], dtype="timedelta64[ms]")
    signal = symbol_sentiment(
        np.array([NOON]),
        ("AAPL",),
        published_at,
        [("AAPL",)] * 3,
        np.arange(3),
        np.array([0.5, 0.5, -1.0]),
    )
    np.testing.assert_allclose(signal, [[0.5]], rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"published_at": hours_before(1, 2)}, "must not decrease"),
        ({"published_at": np.array(["NaT", NOON], dtype="datetime64[s]")}, "missing times"),
        ({"asof": np.array(["NaT"], dtype="datetime64[s]")}, "missing times"),
        ({"scores": np.array([0.5, 1.5])}, r"\[-1, 1\]"),
        ({"scores": np.array([0.5])}, r"lengths \[1, 2\]"),
        ({"symbols": ("AAPL", "AAPL")}, "must not repeat"),
    ],
)
def test_nonsense_is_refused(change, message):
    arguments = {
        "asof": np.array([NOON]),
        "symbols": ("AAPL",),
        "published_at": hours_before(2, 1),
        "headline_symbols": [("AAPL",), ("AAPL",)],
        "headline_ids": np.array([1, 2]),
        "scores": np.array([0.5, 0.5]),
    }
    with pytest.raises(ValueError, match=message):
        symbol_sentiment(**(arguments | change))


@st.composite
def news(draw):
    """Up to 25 headlines over ten days; copies carry the score of their story."""
    hours = sorted(draw(st.lists(st.integers(0, 240), max_size=25)))
    scores = draw(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.7, 1.0]), min_size=8, max_size=8))
    names = st.lists(st.sampled_from((*SYMBOLS, "ZZZZ")), max_size=4).map(tuple)
    return [(h, draw(names), story, scores[story]) for h in hours for story in [draw(STORIES)]]


STORIES = st.integers(0, 7)
DAYS = NOON + np.arange(-2, 12) * np.timedelta64(1, "D")


def signal_of(headlines, symbols=SYMBOLS, asof=DAYS):
    hours, names, ids, scores = zip(*headlines, strict=True) if headlines else ((), (), (), ())
    return symbol_sentiment(
        asof,
        symbols,
        NOON + np.array(hours, dtype="timedelta64[h]"),
        names,
        np.array(ids, dtype=int),
        np.array(scores, dtype=float),
    )


def longhand(headlines):
    """Follow the definition, one cell at a time."""
    signal = np.full((len(DAYS), len(SYMBOLS)), np.nan)
    for (t, day), (n, symbol) in itertools.product(enumerate(DAYS), enumerate(SYMBOLS)):
        first_told = {}
        for hour, names, story, score in headlines:
            age = (day - NOON) / np.timedelta64(1, "h") - hour
            if symbol in names and 0 <= age < 72:
                first_told.setdefault(story, (0.5 ** (age / 24), score))
        if len(first_told) >= 2:
            weights, scores = np.array(list(first_told.values())).T
            signal[t, n] = weights @ scores / weights.sum()
    return signal


@given(news())
@settings(deadline=None, derandomize=True)
def test_signal_equals_the_definition_written_longhand(headlines):
    signal = signal_of(headlines)
    np.testing.assert_allclose(signal, longhand(headlines), rtol=1e-12, atol=1e-12)
    assert np.all(np.isnan(signal) | (np.abs(signal) <= 1.0))


@given(news(), st.integers(0, len(DAYS) - 1))
@settings(deadline=None, derandomize=True)
def test_later_headlines_change_nothing_earlier(headlines, t):
    known = [
        headline for headline in headlines if NOON + np.timedelta64(headline[0], "h") <= DAYS[t]
    ]
    np.testing.assert_array_equal(signal_of(known)[: t + 1], signal_of(headlines)[: t + 1])


@given(news(), st.permutations(range(len(SYMBOLS))))
@settings(deadline=None, derandomize=True)
def test_permuting_symbols_permutes_columns(headlines, order):
    permuted = signal_of(headlines, symbols=tuple(SYMBOLS[n] for n in order))
    np.testing.assert_array_equal(permuted, signal_of(headlines)[:, order])


@given(news(), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True)
def test_a_copy_changes_nothing_while_the_first_telling_is_in_the_window(headlines, random):
    doubled = list(headlines)
    if headlines:
        hour, *story = random.choice(headlines)
        doubled = sorted([*headlines, (hour + random.randrange(24), *story)], key=lambda h: h[0])
        asof = NOON + np.arange(hour, hour + 72).astype("timedelta64[h]")
        np.testing.assert_array_equal(
            signal_of(doubled, asof=asof), signal_of(headlines, asof=asof)
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$AAPL beats estimates", "AAPL beats estimates"),
        ("Apple BEATS  estimates\n", " apple beats estimates"),
        ("Apple beats https://t.co/Ab1?x=2", "Apple beats http://example.com/2"),
        ("Apple beats WWW.example.com/a now", "Apple beats now"),
        ("AT&amp;T&#39;s dividend", "AT&T's dividend"),
        ("Straße gesperrt", "STRASSE GESPERRT"),
        ("Apple\u00a0beats", "Apple beats"),
    ],
)
def test_copies_of_a_headline_have_the_same_normal_form(one, other):
    assert normalised_headline(one) == normalised_headline(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Apple beats", "Apple misses"),
        ("Target raised to $55", "Target raised to $65"),
        ("$AAPL beats", "$MSFT beats"),
        ("Up 3%", "Up 5%"),
    ],
)
def test_different_headlines_have_different_normal_forms(one, other):
    assert normalised_headline(one) != normalised_headline(other)


def test_prices_keep_their_dollar_sign_and_an_address_alone_leaves_nothing():
    assert normalised_headline("$T to pay $5") == "t to pay $5"
    assert normalised_headline(" https://example.com/a ") == ""
