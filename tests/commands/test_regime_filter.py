"""The live regime is the backtest's, day by day, and is fitted once a week."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pytest

from swingtrader.adapters.bars import Bars, panel_sha256
from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.adapters.store import Store
from swingtrader.commands.regime_filter import current_regime, update_regime
from swingtrader.commands.walk_forward import walk_forward
from swingtrader.config import load_strategy
from swingtrader.core.regime import RegimeModel
from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import REGIME_WINDOW, weekly_retrainings
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

STRATEGY = load_strategy(None)
AT = dt.datetime(2020, 6, 1, 12, tzinfo=dt.UTC)
SESSIONS = sessions_between(dt.date(2015, 1, 2), dt.date(2020, 6, 30))
BAR_FIELDS = ("open", "high", "low", "close", "volume")

MONDAY = dt.date(2020, 5, 18)  # of the first week looked at; Monday the 25th is a holiday
DAYS = [d for d in SESSIONS.tolist() if MONDAY <= d < dt.date(2020, 6, 20)]
WEEKS = [MONDAY + dt.timedelta(days=7 * n) for n in range(5)]


def bars_of(panel):
    return Bars(panel, (), panel_sha256(panel))


def row_of(day):
    return int(np.searchsorted(SESSIONS, np.datetime64(day, "D")))


@pytest.fixture(scope="module")
def panel():
    """Return five and a half years of a market with too few stocks for any ranker."""
    return simulate_market(
        SyntheticMarket(SESSIONS, {"Technology": ("XLK", ("AAPL", "MSFT"))}, seed=3)
    )


@pytest.fixture(scope="module")
def bars(panel):
    return bars_of(panel)


@pytest.fixture(scope="module")
def expected(panel, tmp_path_factory):
    """Probability of high volatility that the backtest goes by, by day."""
    view = market_view(panel, STRATEGY.universe)
    absent = np.full(view.stocks.close.shape, np.nan)
    opinions = walk_forward(
        view,
        absent,
        np.zeros(absent.shape, dtype=bool),
        weekly_retrainings(SESSIONS, range(row_of(MONDAY), row_of(DAYS[-1]) + 1)),
        cache=ModelCache(tmp_path_factory.mktemp("cache")),
        seed=0,
        progress=lambda _: None,
    )
    return {day: float(opinions.p_high_volatility[row_of(day)]) for day in DAYS}


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, now=AT) as opened:
        yield opened


def update(bars, store, day):
    return update_regime(bars, STRATEGY, store, session=day, at=AT)


def test_every_day_hears_the_backtest_and_each_week_fits_once(bars, store, expected):
    readings = [update(bars, store, day) for day in DAYS]
    assert [reading.p_high_volatility for reading in readings] == list(expected.values())
    assert len(set(expected.values())) == len(DAYS)
    fitted = [reading.session for reading in readings if reading.refitted]
    assert fitted == [next(d for d in DAYS if d >= week) for week in WEEKS]
    assert dt.date(2020, 5, 26) in fitted  # Tuesday, after Memorial Day
    for reading in readings:
        assert reading.fitted_for == reading.session - dt.timedelta(reading.session.weekday())
        assert reading.exposure_scale == 1.0 - 0.3 * reading.p_high_volatility


def test_the_window_begins_five_years_before_and_moves_with_the_week(bars, store):
    update(bars, store, DAYS[0])
    first = store.regimes.model().first_session
    assert first == SESSIONS[row_of(DAYS[0]) - REGIME_WINDOW].item()
    update(bars, store, DAYS[-1])
    assert store.regimes.model().first_session > first


@pytest.mark.parametrize(
    "skipped",
    [{1, 2}, {0}, {4}, {5}, set(range(4, 9)), set(range(10, 14))],
    ids=["midweek", "Monday", "Friday", "after a holiday", "over a weekend", "most of a week"],
)
def test_a_day_that_was_missed_is_caught_up_with(bars, store, expected, skipped):
    for n, day in enumerate(DAYS):
        if n not in skipped:
            assert update(bars, store, day).p_high_volatility == expected[day], day


def test_a_late_fit_has_the_parameters_of_the_punctual_one(bars, store, tmp_path):
    update(bars, store, DAYS[0])
    punctual = store.regimes.model()
    for day in DAYS[1:5]:
        with Store.open(tmp_path / str(day), now=AT) as other:
            assert update(bars, other, day).refitted
            assert other.regimes.model().content == punctual.content
            assert other.regimes.model().week == punctual.week == MONDAY


def test_the_reading_is_kept_for_status(bars, store, expected):
    reading = update(bars, store, DAYS[3])
    kept = store.regimes.latest()
    assert (kept.session, kept.p_high_volatility) == (DAYS[3], expected[DAYS[3]])
    assert (kept.label, kept.recorded_at) == (reading.label, AT)


def test_a_second_run_of_the_day_changes_nothing(bars, store):
    first = update(bars, store, DAYS[2])
    model = store.regimes.model()
    second = update_regime(bars, STRATEGY, store, session=DAYS[2], at=AT + dt.timedelta(hours=1))
    assert second == replace(first, refitted=False)
    assert store.regimes.model() == model


@pytest.mark.parametrize("damaged", [b"", b"no archive", None], ids=["empty", "noise", "cut"])
def test_a_damaged_model_is_fitted_anew(bars, store, expected, damaged):
    update(bars, store, DAYS[0])
    good = store.regimes.model()
    content = good.content[:-40] if damaged is None else damaged
    store.regimes.save_model(good.week, good.first_session, content, AT)
    assert current_regime(bars, STRATEGY, store, session=DAYS[1]) is None
    reading = update(bars, store, DAYS[1])
    assert (reading.refitted, reading.p_high_volatility) == (True, expected[DAYS[1]])
    assert store.regimes.model().content == good.content


def test_a_model_of_bars_that_are_gone_is_fitted_anew(panel, store):
    update(bars_of(panel), store, DAYS[0])
    gone = store.regimes.model().first_session
    shorter = bars_of(panel.rows(row_of(gone) + 1, len(SESSIONS)))
    assert current_regime(shorter, STRATEGY, store, session=DAYS[1]) is None
    assert update(shorter, store, DAYS[1]).refitted
    assert store.regimes.model().first_session == shorter.panel.sessions[0].item()


def test_bars_of_the_session_or_later_change_nothing(panel, bars, store, tmp_path):
    day = DAYS[6]
    row = row_of(day)
    noise = {name: getattr(panel, name).copy() for name in BAR_FIELDS}
    for values in noise.values():
        values[row:] *= np.linspace(1.0, 3.0, len(values) - row)[:, None]
    honest = update(bars, store, day)
    for n, other in enumerate((replace(panel, **noise), panel.rows(0, row))):
        with Store.open(tmp_path / str(n), now=AT) as fresh:
            assert update(bars_of(other), fresh, day) == honest
            assert fresh.regimes.model() == store.regimes.model()
    noise["close"][row - 1] *= 2.0
    with Store.open(tmp_path / "eve", now=AT) as fresh:
        moved = update(bars_of(replace(panel, **noise)), fresh, day)
        assert moved.p_high_volatility != honest.p_high_volatility


def test_late_bars_leave_the_week_to_a_later_fit(panel, bars, store, expected):
    """The eve of the third week is not known yet when its Monday is asked for."""
    monday = WEEKS[2]
    late = bars_of(panel.rows(0, row_of(monday) - 2))
    update(late, store, DAYS[5])
    early = store.regimes.model()
    reading = update(late, store, monday)
    assert (reading.refitted, reading.fitted_for) == (False, WEEKS[1])
    assert store.regimes.model() == early

    model = RegimeModel.from_bytes(early.content)
    ahead = _prediction(update(late, store, DAYS[row_of(monday) - row_of(DAYS[0]) - 2]), model, 2)
    assert reading.p_high_volatility == pytest.approx(ahead, rel=1e-12)

    caught_up = update(bars, store, monday)
    assert (caught_up.refitted, caught_up.p_high_volatility) == (True, expected[monday])


def _prediction(reading, model, sessions):
    """Probability of high volatility so many sessions ahead, when nothing more is seen."""
    p = np.array([1.0 - reading.p_high_volatility, reading.p_high_volatility])
    return float((p @ np.linalg.matrix_power(model.transmat, sessions))[1])


@pytest.mark.parametrize("sessions", [1, 2, 272])
def test_too_short_a_history_is_an_unknown_regime_and_not_recorded(panel, store, sessions):
    day = SESSIONS[sessions].item()
    reading = update(bars_of(panel.rows(0, sessions)), store, day)
    assert math.isnan(reading.p_high_volatility)
    assert (reading.label, reading.exposure_scale) == ("unknown", 0.7)
    assert (reading.refitted, reading.fitted_for) == (False, None)
    assert store.regimes.model() is None
    assert store.regimes.latest() is None


def test_bars_that_begin_later_say_nothing(panel, store):
    later = bars_of(panel.rows(row_of(DAYS[5]), len(SESSIONS)))
    assert update(later, store, DAYS[0]).label == "unknown"


def test_looking_fits_and_writes_nothing(bars, store, expected):
    assert current_regime(bars, STRATEGY, store, session=DAYS[0]) is None
    update(bars, store, DAYS[0])
    for day in DAYS[:5]:
        reading = current_regime(bars, STRATEGY, store, session=day)
        assert (reading.p_high_volatility, reading.refitted) == (expected[day], False)
    assert store.regimes.latest().session == DAYS[0]


def test_looking_in_a_week_not_fitted_yet_goes_by_the_last_model(bars, store, expected):
    update(bars, store, DAYS[0])
    reading = current_regime(bars, STRATEGY, store, session=DAYS[5])
    assert reading.fitted_for == MONDAY
    assert reading.p_high_volatility == pytest.approx(expected[DAYS[5]], abs=0.05)


def test_a_day_without_session_is_refused(bars, store):
    with pytest.raises(ValueError, match="no session"):
        update(bars, store, dt.date(2020, 5, 25))
