from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import (
    FINITE,
    INSTANTS,
    NOW,
    SESSIONS,
    TRIAL,
    raw,
    round_trips,
)

from swingtrader.adapters.store import STORE_NAME, Store, Trial


def test_a_recorded_trial_is_there_on_the_next_opening(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        assert store.trials.record(TRIAL)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.trials.all() == (TRIAL,)
        assert store.account.number() is None
        assert store.moved_aside is None


def test_repeating_a_run_is_no_new_trial_and_leaves_the_first_record_as_it_is(tmp_path):
    again = replace(TRIAL, recorded_at=NOW + timedelta(days=1), sharpe=9.9)
    with Store.open(tmp_path, now=NOW) as store:
        store.trials.record(TRIAL)
        assert not store.trials.record(again)
        assert store.trials.all() == (TRIAL,)


def test_trials_come_in_the_order_of_their_instants_and_by_their_data(tmp_path):
    new_york = timezone(timedelta(hours=-5))
    third = replace(TRIAL, fingerprint="a", recorded_at=datetime(2025, 3, 14, 12, tzinfo=new_york))
    first = replace(TRIAL, fingerprint="b", recorded_at=NOW - timedelta(microseconds=1))
    second = replace(TRIAL, fingerprint="c", data_sha256="d2")
    with Store.open(tmp_path, now=NOW) as store:
        for trial in (third, second, first):
            store.trials.record(trial)
        assert [trial.fingerprint for trial in store.trials.all()] == ["b", "c", "a"]
        assert store.trials.all("d2") == (second,)
        assert store.trials.all("unknown") == ()


def test_instants_are_kept_as_text_in_utc(tmp_path):
    paris = timezone(timedelta(hours=1))
    with Store.open(tmp_path, now=NOW) as store:
        store.trials.record(replace(TRIAL, recorded_at=datetime(2025, 1, 1, 0, 30, tzinfo=paris)))
    with raw(tmp_path / STORE_NAME) as connection:
        rows = connection.execute("SELECT recorded_at, first_session FROM trials").fetchall()
    assert rows == [("2024-12-31T23:30:00.000000+00:00", "2020-01-02")]


@pytest.mark.parametrize("name", ["sharpe_per_session", "sharpe", "total_return"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_not_finite_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        replace(TRIAL, **{name: value})


def test_a_naive_instant_is_refused(tmp_path):
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="recorded_at"):
        replace(TRIAL, recorded_at=naive)
    with pytest.raises(ValueError, match="now"):
        Store.open(tmp_path / "state", now=naive)
    assert not (tmp_path / "state").exists()


@round_trips
@given(
    trial=st.builds(
        Trial,
        fingerprint=st.text(),
        recorded_at=INSTANTS,
        command=st.text(),
        config_sha256=st.text(),
        data_sha256=st.text(),
        seed=st.integers(0, 2**63 - 1),
        first_session=SESSIONS,
        last_session=SESSIONS,
        sessions=st.integers(0, 10**6),
        sharpe_per_session=FINITE,
        sharpe=FINITE,
        total_return=FINITE,
        n_trades=st.integers(0, 10**9),
        parameters=st.text(),
    )
)
def test_what_is_recorded_comes_back_to_the_last_bit(long_lived_store, trial):
    trial = replace(trial, fingerprint=f"{len(long_lived_store.trials.all())} {trial.fingerprint}")
    long_lived_store.trials.record(trial)
    (found,) = (t for t in long_lived_store.trials.all() if t.fingerprint == trial.fingerprint)
    assert found == trial
