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
from swingtrader.commands.regime_training import FAMILY, serving_regime
from swingtrader.commands.walk_forward import walk_forward
from swingtrader.config import load_strategy
from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import REGIME_WINDOW, weekly_retrainings
from swingtrader.estimators.installation import rollback
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


class Machine:
    """State and models of one installation."""

    def __init__(self, home):
        self.store = Store.open(home / "state", now=AT)
        self.models = home / "models"

    def update(self, bars, day, at=AT):
        """Run `regime` before the session of `day`."""
        return update_regime(bars, STRATEGY, self.store, self.models, session=day, at=at)

    def look(self, bars, day):
        """What `decide` would read."""
        return current_regime(bars, STRATEGY, self.models, session=day)

    @property
    def serving(self):
        """The model that serves, None for none."""
        return serving_regime(self.models)[0]

    @property
    def content(self):
        """What identifies it: manifest and files."""
        manifest = self.serving.artifact.manifest
        return manifest.version, dict(manifest.sha256)


@pytest.fixture
def machines(tmp_path):
    """Return a maker of installations, closed at the end."""
    made = []

    def make(name):
        made.append(Machine(tmp_path / name))
        return made[-1]

    yield make
    for machine in made:
        machine.store.close()


@pytest.fixture
def machine(machines):
    return machines("one")


def same_reading(one, other):
    left, right = ({**vars(r), "path": r.path.tolist()} for r in (one, other))
    return left == right


def test_every_day_hears_the_backtest_and_each_week_fits_once(bars, machine, expected):
    readings = [machine.update(bars, day) for day in DAYS]
    assert [reading.p_high_volatility for reading in readings] == list(expected.values())
    assert len(set(expected.values())) == len(DAYS)
    fitted = [reading.session for reading in readings if reading.refitted]
    assert fitted == [next(d for d in DAYS if d >= week) for week in WEEKS]
    assert dt.date(2020, 5, 26) in fitted  # Tuesday, after Memorial Day
    for reading in readings:
        assert reading.fitted_for == reading.session - dt.timedelta(reading.session.weekday())
        assert reading.exposure_scale == 1.0 - 0.3 * reading.p_high_volatility


def test_the_window_begins_five_years_before_and_moves_with_the_week(bars, machine):
    machine.update(bars, DAYS[0])
    first = machine.serving.first_session
    assert first == SESSIONS[row_of(DAYS[0]) - REGIME_WINDOW].item()
    machine.update(bars, DAYS[-1])
    assert machine.serving.first_session > first


@pytest.mark.parametrize(
    "skipped",
    [{1, 2}, {0}, {4}, {5}, set(range(4, 9)), set(range(10, 14))],
    ids=["midweek", "Monday", "Friday", "after a holiday", "over a weekend", "most of a week"],
)
def test_a_day_that_was_missed_is_caught_up_with(bars, machine, expected, skipped):
    for n, day in enumerate(DAYS):
        if n not in skipped:
            assert machine.update(bars, day).p_high_volatility == expected[day], day


def test_a_late_fit_has_the_parameters_of_the_punctual_one(bars, machine, machines):
    machine.update(bars, DAYS[0])
    for day in DAYS[1:5]:
        other = machines(str(day))
        assert other.update(bars, day).refitted
        assert other.content == machine.content
        assert other.serving.week == MONDAY


def test_the_reading_is_kept_for_status(bars, machine, expected):
    reading = machine.update(bars, DAYS[3])
    kept = machine.store.regimes.latest()
    assert (kept.session, kept.p_high_volatility) == (DAYS[3], expected[DAYS[3]])
    assert (kept.label, kept.recorded_at) == (reading.label, AT)


def test_a_second_run_of_the_day_changes_nothing(bars, machine):
    first = machine.update(bars, DAYS[2])
    content = machine.content
    second = machine.update(bars, DAYS[2], AT + dt.timedelta(hours=1))
    assert same_reading(second, replace(first, refitted=False))
    assert machine.content == content


@pytest.mark.parametrize("name", ["regime.npz", "window.json", "held-back.npz"])
@pytest.mark.parametrize("damaged", [b"", b"no archive"], ids=["empty", "noise"])
def test_a_damaged_model_is_said_and_fitted_anew(bars, machine, expected, name, damaged):
    machine.update(bars, DAYS[0])
    good = machine.content
    (machine.serving.artifact.directory / name).write_bytes(damaged)
    unknown = machine.look(bars, DAYS[1])
    assert unknown.label == "unknown"
    assert name in unknown.doubts[0]
    reading = machine.update(bars, DAYS[1])
    assert (reading.refitted, reading.p_high_volatility) == (True, expected[DAYS[1]])
    assert (machine.content, reading.doubts) == (good, ())


def test_a_damaged_model_leaves_the_week_to_the_one_before(bars, machine, expected):
    machine.update(bars, DAYS[0])
    machine.update(bars, DAYS[5])
    (machine.serving.artifact.directory / "regime.npz").write_bytes(b"")
    reading = machine.look(bars, DAYS[6])
    assert (reading.fitted_for, len(reading.doubts)) == (MONDAY, 1)
    assert reading.p_high_volatility == pytest.approx(expected[DAYS[6]], abs=0.05)


def test_a_model_taken_back_by_hand_stays_back_for_the_week(bars, machine, expected):
    machine.update(bars, DAYS[0])
    machine.update(bars, DAYS[5])
    rollback(machine.models, FAMILY)
    for day in DAYS[5:9]:
        reading = machine.update(bars, day)
        assert (reading.refitted, reading.fitted_for) == (False, MONDAY)
    monday = next(day for day in DAYS if day >= WEEKS[2])
    assert machine.update(bars, monday).p_high_volatility == expected[monday]


def test_a_worse_model_does_not_serve_and_is_not_tried_again_that_week(panel, bars, machine):
    """Years without movement teach a model that the quarter it is judged on is impossible."""
    machine.update(bars, DAYS[0])
    row = row_of(WEEKS[2])
    closes = panel.close.copy()
    calm = np.random.default_rng(0).normal(0.0, 1e-5, (row - 64, closes.shape[1]))
    closes[: row - 64] = closes[row - 64] * np.exp(np.cumsum(calm, axis=0))
    worse = bars_of(replace(panel, close=closes))
    reading = machine.update(worse, WEEKS[2])
    assert (reading.refitted, reading.fitted_for) == (False, MONDAY)
    assert len(list((machine.models / FAMILY).glob("2020*"))) == 2  # kept, to be looked at
    assert machine.update(worse, WEEKS[2] + dt.timedelta(days=1)).fitted_for == MONDAY


def test_a_missing_close_does_not_keep_the_weeks_that_follow_from_their_models(panel, machine):
    """It takes a month of sessions out of the features, and not out of the comparison."""
    machine.update(bars_of(panel), DAYS[0])
    closes = panel.close.copy()
    closes[row_of(DAYS[0]) - 5, :] = np.nan
    holed = bars_of(replace(panel, close=closes))
    for week in WEEKS[1:4]:
        day = next(d for d in DAYS if d >= week)
        assert machine.update(holed, day).fitted_for == week


def test_a_model_of_bars_that_are_gone_is_fitted_anew(panel, machine):
    machine.update(bars_of(panel), DAYS[0])
    gone = machine.serving.first_session
    shorter = bars_of(panel.rows(row_of(gone) + 1, len(SESSIONS)))
    unknown = machine.look(shorter, DAYS[1])
    assert (unknown.label, unknown.path.size) == ("unknown", 0)
    assert "do not reach back" in unknown.doubts[0]
    assert machine.update(shorter, DAYS[1]).refitted
    assert machine.serving.first_session == shorter.panel.sessions[0].item()


def test_bars_of_the_session_or_later_change_nothing(panel, bars, machine, machines):
    day = DAYS[6]
    row = row_of(day)
    noise = {name: getattr(panel, name).copy() for name in BAR_FIELDS}
    for values in noise.values():
        values[row:] *= np.linspace(1.0, 3.0, len(values) - row)[:, None]
    honest = machine.update(bars, day)
    for n, other in enumerate((replace(panel, **noise), panel.rows(0, row))):
        fresh = machines(str(n))
        assert same_reading(fresh.update(bars_of(other), day), honest)
        assert fresh.content == machine.content
    noise["close"][row - 1] *= 2.0
    moved = machines("eve").update(bars_of(replace(panel, **noise)), day)
    assert moved.p_high_volatility != honest.p_high_volatility


def test_the_path_is_what_each_session_ended_with(bars, machine, expected):
    reading = machine.update(bars, DAYS[4])
    assert reading.path[-1] == reading.p_high_volatility
    assert reading.path[-5:].tolist() == [expected[day] for day in DAYS[:5]]
    assert len(reading.path) == row_of(DAYS[4]) - row_of(machine.serving.first_session)


def test_late_bars_leave_the_week_to_a_later_fit(panel, bars, machine, expected):
    """The eve of the third week is not known yet when its Monday is asked for."""
    monday = WEEKS[2]
    late = bars_of(panel.rows(0, row_of(monday) - 2))
    machine.update(late, DAYS[5])
    early = machine.content
    reading = machine.update(late, monday)
    assert (reading.refitted, reading.fitted_for) == (False, WEEKS[1])
    assert machine.content == early

    day = DAYS[row_of(monday) - row_of(DAYS[0]) - 2]
    ahead = _prediction(machine.update(late, day), machine.serving.model, 2)
    assert reading.p_high_volatility == pytest.approx(ahead, rel=1e-12)

    caught_up = machine.update(bars, monday)
    assert (caught_up.refitted, caught_up.p_high_volatility) == (True, expected[monday])


def _prediction(reading, model, sessions):
    """Probability of high volatility so many sessions ahead, when nothing more is seen."""
    p = np.array([1.0 - reading.p_high_volatility, reading.p_high_volatility])
    return float((p @ np.linalg.matrix_power(model.transmat, sessions))[1])


@pytest.mark.parametrize("sessions", [1, 2, 272])
def test_too_short_a_history_is_an_unknown_regime_and_not_recorded(panel, machine, sessions):
    day = SESSIONS[sessions].item()
    reading = machine.update(bars_of(panel.rows(0, sessions)), day)
    assert math.isnan(reading.p_high_volatility)
    assert (reading.label, reading.exposure_scale) == ("unknown", 0.7)
    assert (reading.refitted, reading.fitted_for) == (False, None)
    assert machine.serving is None
    assert machine.store.regimes.latest() is None


def test_bars_that_begin_later_say_nothing(panel, machine):
    later = bars_of(panel.rows(row_of(DAYS[5]), len(SESSIONS)))
    assert machine.update(later, DAYS[0]).label == "unknown"


def test_looking_fits_and_writes_nothing(bars, machine, expected):
    assert machine.look(bars, DAYS[0]).fitted_for is None
    assert not machine.models.exists()
    machine.update(bars, DAYS[0])
    for day in DAYS[:5]:
        reading = machine.look(bars, day)
        assert (reading.p_high_volatility, reading.refitted) == (expected[day], False)
    assert machine.store.regimes.latest().session == DAYS[0]


def test_looking_in_a_week_not_fitted_yet_goes_by_the_last_model(bars, machine, expected):
    machine.update(bars, DAYS[0])
    reading = machine.look(bars, DAYS[5])
    assert reading.fitted_for == MONDAY
    assert reading.p_high_volatility == pytest.approx(expected[DAYS[5]], abs=0.05)


def test_a_day_without_session_is_refused(bars, machine):
    with pytest.raises(ValueError, match="no session"):
        machine.update(bars, dt.date(2020, 5, 25))
