"""What is kept by session or by name: account, regimes, ranges, scans, models."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import FINITE, INSTANTS, NOW, SESSIONS, round_trips

from swingtrader.adapters.store import (
    ModelRow,
    RegimeRow,
    ScanRow,
    Store,
)
from swingtrader.adapters.store.ranges import SESSIONS_KEPT
from swingtrader.core.regime import regime_label
from swingtrader.errors import ConfigurationError

SESSION = date(2025, 3, 14)
DAY = timedelta(days=1)
LATER = NOW + DAY

# --- account ----------------------------------------------------------------------------------


def test_a_store_belongs_to_the_first_account_that_uses_it(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        assert store.account.number() is None
        assert store.account.bind("PA3XYZ00AB12", NOW)
        assert not store.account.bind("PA3XYZ00AB12", LATER)
    with Store.open(tmp_path, now=NOW) as store:
        assert not store.account.bind("PA3XYZ00AB12", LATER)
        assert store.account.number() == "PA3XYZ00AB12"


def test_any_other_account_is_refused_and_named_by_its_ending(store):
    store.account.bind("PA3XYZ00AB12", NOW)
    with pytest.raises(ConfigurationError, match=r"AB12.*CD34.*state directory") as refusal:
        store.account.bind("999888CD34", LATER)
    said = str(refusal.value)
    assert "\n" not in said
    assert "PA3" not in said
    assert "0AB12" not in said
    assert "8CD34" not in said
    assert store.account.number() == "PA3XYZ00AB12"


# --- regimes ----------------------------------------------------------------------------------


@round_trips
@given(session=SESSIONS, p=st.floats(0, 1), at=INSTANTS)
def test_a_regime_comes_back_to_the_last_bit(long_lived_store, session, p, at):
    long_lived_store.regimes.record(session, p, regime_label(p), at)
    assert long_lived_store.regimes.of(session) == RegimeRow(session, p, regime_label(p), at)


def test_the_latest_regime_is_that_of_the_latest_session(store):
    assert store.regimes.latest() is None
    assert store.regimes.of(SESSION) is None
    store.regimes.record(SESSION, 0.9, "high_volatility", NOW)
    store.regimes.record(SESSION, 0.1, "low_volatility", LATER)
    store.regimes.record(SESSION - DAY, 0.5, "high_volatility", LATER + DAY)
    assert store.regimes.latest() == RegimeRow(SESSION, 0.1, "low_volatility", LATER)
    assert store.regimes.of(SESSION - DAY).p_high_volatility == 0.5


@pytest.mark.parametrize(
    ("session", "p", "label"),
    [
        (SESSION, 1.5, "high_volatility"),
        (SESSION, float("nan"), "high_volatility"),
        (SESSION, 0.5, "sideways"),
        (NOW, 0.5, "high_volatility"),
    ],
)
def test_a_regime_that_makes_no_sense_is_refused(store, session, p, label):
    with pytest.raises(ValueError, match=r"constraint|finite"):
        store.regimes.record(session, p, label, NOW)
    assert store.regimes.latest() is None


# --- ranges -----------------------------------------------------------------------------------


@round_trips
@given(session=SESSIONS, ranges=st.dictionaries(st.text(), FINITE, max_size=4))
def test_ranges_come_back_to_the_last_bit(long_lived_store, session, ranges):
    with long_lived_store._database.writing() as connection:  # noqa: SLF001 - to begin anew
        connection.execute("DELETE FROM ranges")
    long_lived_store.ranges.record(session, ranges, NOW)
    assert long_lived_store.ranges.of(session, ranges) == ranges


def test_ranges_of_a_session_are_told_of_the_symbols_asked_for(store):
    store.ranges.record(SESSION, {"KO": 0.01, "PEP": 0.02}, NOW)
    store.ranges.record(SESSION - DAY, {"ZZ": 0.03}, NOW)
    assert store.ranges.of(SESSION, iter(["KO", "ZZ"])) == {"KO": 0.01}
    assert store.ranges.of(SESSION, []) == {}
    assert store.ranges.of(SESSION + DAY, ["KO"]) == {}


def test_recording_ranges_again_replaces_those_named_and_keeps_the_others(store):
    store.ranges.record(SESSION, {"KO": 0.01, "PEP": 0.02, "V": 0.03}, NOW)
    store.ranges.record(SESSION, {"KO": 0.04, "PEP": float("nan"), "MA": 0.05}, LATER)
    assert store.ranges.of(SESSION, ["KO", "PEP", "V", "MA"]) == {
        "KO": 0.04,
        "PEP": 0.02,
        "V": 0.03,
        "MA": 0.05,
    }


def test_ranges_of_the_last_thirty_sessions_are_kept(store):
    sessions = [SESSION + 3 * number * DAY for number in range(SESSIONS_KEPT + 2)]
    for session in reversed(sessions[1:]):
        store.ranges.record(session, {"KO": 0.01}, NOW)
    store.ranges.record(sessions[0], {"KO": 0.01}, NOW)
    kept = [session for session in sessions if store.ranges.of(session, ["KO"])]
    assert kept == sessions[2:]
    assert SESSIONS_KEPT == 30


# --- scans ------------------------------------------------------------------------------------


@round_trips
@given(
    session=SESSIONS,
    scores=st.dictionaries(st.text(), FINITE, max_size=4),
)
def test_a_scan_comes_back_by_rank_and_to_the_last_bit(long_lived_store, session, scores):
    with long_lived_store._database.writing() as connection:  # noqa: SLF001 - to begin anew
        connection.execute("DELETE FROM scans")
    ranked = [(symbol, rank, score) for rank, (symbol, score) in enumerate(scores.items(), 1)]
    long_lived_store.scans.record(session, ranked[::-1])
    assert long_lived_store.scans.since(session) == tuple(ScanRow(session, *row) for row in ranked)


def test_a_scan_replaces_the_one_of_the_same_session_and_no_other(store):
    store.scans.record(SESSION - DAY, [("V", 1, 0.9)])
    store.scans.record(SESSION, [("KO", 1, 0.8), ("PEP", 2, 0.7)])
    store.scans.record(SESSION, [("MA", 1, 0.6)])
    before, now = ScanRow(SESSION - DAY, "V", 1, 0.9), ScanRow(SESSION, "MA", 1, 0.6)
    assert store.scans.since(SESSION - 30 * DAY) == (before, now)
    assert store.scans.since(SESSION) == (now,)
    assert store.scans.since(SESSION + DAY) == ()


@pytest.mark.parametrize(
    "nonsense", [[("KO", 1, 0.8), ("KO", 2, 0.7)], [("MA", 1, 0.6), ("KO", 2, float("nan"))]]
)
def test_a_scan_that_makes_no_sense_leaves_the_one_before(store, nonsense):
    store.scans.record(SESSION, [("V", 1, 0.9)])
    with pytest.raises(ValueError, match=r"constraint|finite"):
        store.scans.record(SESSION, nonsense)
    assert store.scans.since(SESSION) == (ScanRow(SESSION, "V", 1, 0.9),)


# --- models -----------------------------------------------------------------------------------


@round_trips
@given(model=st.builds(ModelRow, st.text(), st.text(), INSTANTS, INSTANTS))
def test_a_model_in_use_comes_back_as_it_was(long_lived_store, model):
    long_lived_store.models.record(
        model.family, model.version, model.trained_at, model.recorded_at
    )
    assert model in long_lived_store.models.all()


def test_one_model_of_each_family_is_in_use(store):
    assert store.models.all() == ()
    store.models.record("ranker", "v1", NOW, NOW)
    store.models.record("finbert", "v7", NOW, NOW)
    store.models.record("ranker", "v2", NOW, LATER)
    assert store.models.all() == (
        ModelRow("finbert", "v7", NOW, NOW),
        ModelRow("ranker", "v2", NOW, LATER),
    )
