from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import (
    FINITE,
    INSTANTS,
    NOW,
    SESSIONS,
    TRIAL,
    round_trips,
)

from swingtrader.adapters.store import DecisionRow, RunRecord, Trial
from swingtrader.core.portfolio import MarketClock

SESSION = date(2025, 3, 14)
CLOCK = MarketClock(
    at=NOW,
    is_open=True,
    next_open=datetime(2025, 3, 17, 13, 30, tzinfo=UTC),
    next_close=datetime(2025, 3, 14, 20, 0, tzinfo=UTC),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def minutes(number):
    return NOW + timedelta(minutes=number)


def run(store, run_id, command="decide", *, at=NOW, report=None, skipped=None):
    """Start and finish a run."""
    store.runs.start(run_id, command, "paper", at)
    store.runs.finish(run_id, at, 0, report, skipped, [])


@round_trips
@given(
    command=st.text(),
    mode=st.sampled_from(["dry_run", "paper", "live"]),
    started_at=INSTANTS,
    clock=st.none() | st.builds(MarketClock, INSTANTS, st.booleans(), INSTANTS, INSTANTS),
    session=SESSIONS,
    finished_at=INSTANTS,
    exit_code=st.integers(0, 255),
    report=st.none() | st.dictionaries(st.text(), JSON, max_size=3),
    skipped=st.none() | st.text(),
    warnings=st.lists(st.text(), max_size=3),
)
def test_a_run_comes_back_as_it_was(  # noqa: PLR0917 - hypothesis names them
    long_lived_store,
    command,
    mode,
    started_at,
    clock,
    session,
    finished_at,
    exit_code,
    report,
    skipped,
    warnings,
):
    store = long_lived_store
    with store._database.writing() as connection:  # noqa: SLF001 - to begin anew
        connection.execute("DELETE FROM runs")
    store.runs.start("r", command, mode, started_at)
    if clock is not None:
        store.runs.saw_clock("r", clock, session)
        assert store.runs.last_clock() == (clock, session)
    store.runs.finish("r", finished_at, exit_code, report, skipped, warnings)
    assert store.runs.last(command) == RunRecord(
        run_id="r",
        command=command,
        mode=mode,
        started_at=started_at,
        asof=clock and clock.at,
        session=clock and session,
        market_open=clock and clock.is_open,
        next_open=clock and clock.next_open,
        next_close=clock and clock.next_close,
        finished_at=finished_at,
        exit_code=exit_code,
        skipped=skipped,
        report=report,
        warnings=tuple(warnings),
    )


def test_a_run_under_way_or_killed_is_the_last_of_its_command_without_an_end(store):
    run(store, "r1", at=minutes(0))
    store.runs.start("r2", "decide", "live", minutes(15))
    run(store, "r3", "risk-check", at=minutes(20))
    last = store.runs.last("decide")
    assert (last.run_id, last.mode, last.started_at) == ("r2", "live", minutes(15))
    assert (last.finished_at, last.exit_code, last.report) == (None, None, None)
    assert (last.asof, last.session, last.market_open, last.warnings) == (None, None, None, ())
    assert store.runs.last("regime") is None


def test_the_last_run_is_the_one_that_started_last_whatever_its_zone(store):
    tokyo = timezone(timedelta(hours=9))
    run(store, "later", at=minutes(1).astimezone(tokyo))
    run(store, "earlier", at=minutes(0))
    assert store.runs.last("decide").run_id == "later"
    run(store, "same moment, written after", at=minutes(1))
    assert store.runs.last("decide").run_id == "same moment, written after"


def test_the_last_report_is_that_of_any_command_asked_for(store):
    assert store.runs.last_report("decide", "risk-check") is None
    run(store, "r1", "decide", at=minutes(0), report={"orders": []})
    run(store, "r2", "risk-check", at=minutes(5), report={"orders": [1]})
    run(store, "r3", "risk-check", at=minutes(10), report=None)
    store.runs.start("r4", "decide", "paper", minutes(15))
    run(store, "r5", "regime", at=minutes(20), report={})
    run(store, "r6", "decide", at=minutes(25), report={"orders": []}, skipped="market_closed")
    assert store.runs.last_report("decide", "risk-check").run_id == "r2"
    assert store.runs.last_report("decide").run_id == "r1", "a skipped run tells nothing"
    assert store.runs.last_report("regime").report == {}
    assert store.runs.last_report("retrain") is None
    assert store.runs.last_report() is None


def test_the_last_clock_is_that_of_the_latest_run_that_saw_one(store):
    assert store.runs.last_clock() is None
    for number, run_id in enumerate(("r1", "r2", "r3")):
        store.runs.start(run_id, "decide", "paper", minutes(number))
    assert store.runs.last_clock() is None
    store.runs.saw_clock("r2", replace(CLOCK, is_open=False), date(2025, 3, 17))
    store.runs.saw_clock("r1", CLOCK, SESSION)
    assert store.runs.last_clock() == (replace(CLOCK, is_open=False), date(2025, 3, 17))


def test_a_run_that_was_not_started_has_no_clock_and_no_end(store):
    with pytest.raises(ValueError, match="r9"):
        store.runs.saw_clock("r9", CLOCK, SESSION)
    with pytest.raises(ValueError, match="r9"):
        store.runs.finish("r9", NOW, 0, None, None, [])


@pytest.mark.parametrize(
    ("run_id", "mode", "at"),
    [("r1", "paper", NOW), ("r2", "demo", NOW), ("r2", "paper", NOW.replace(tzinfo=None))],
)
def test_a_run_that_makes_no_sense_is_not_started(store, run_id, mode, at):
    store.runs.start("r1", "regime", "paper", NOW)
    with pytest.raises(ValueError, match=r"constraint|aware"):
        store.runs.start(run_id, "decide", mode, at)
    assert store.runs.last("decide") is None


def test_a_session_is_no_instant(store):
    store.runs.start("r1", "decide", "paper", NOW)
    with pytest.raises(ValueError, match="constraint"):
        store.runs.saw_clock("r1", CLOCK, NOW)
    assert store.runs.last_clock() is None


def test_a_report_must_be_what_json_can_say(store):
    store.runs.start("r1", "decide", "paper", NOW)
    with pytest.raises(ValueError, match="JSON"):
        store.runs.finish("r1", NOW, 0, {"score": float("nan")}, None, [])
    assert store.runs.last("decide").finished_at is None


# --- forgetting -------------------------------------------------------------------------------

QUARTER = timedelta(days=90)
ROW = DecisionRow("KO", "hold", None, {}, "held")


def known(store):
    with store._database.writing() as connection:  # noqa: SLF001 - no query tells all of them
        rows = connection.execute("SELECT run_id FROM runs ORDER BY run_id").fetchall()
    return [row["run_id"] for row in rows]


def test_runs_older_than_ninety_days_are_forgotten_when_one_finishes(store):
    just_too_old = NOW - QUARTER - timedelta(microseconds=1)
    run(store, "a too old", at=just_too_old)
    run(store, "b as old as may be", at=NOW - QUARTER)
    store.runs.start("c never finished", "decide", "paper", just_too_old)
    store.runs.start("d now", "decide", "paper", NOW)
    assert known(store) == ["a too old", "b as old as may be", "c never finished", "d now"]
    store.runs.finish("d now", NOW, 0, None, None, [])
    assert known(store) == ["b as old as may be", "d now"]


def test_the_last_run_of_each_command_is_never_forgotten(store):
    for command in ("regime", "retrain"):
        run(store, f"{command} 1", command, at=NOW - 3 * QUARTER)
        run(store, f"{command} 2", command, at=NOW - 3 * QUARTER)
    run(store, "now", "decide", at=NOW)
    assert known(store) == ["now", "regime 2", "retrain 2"]


def test_decisions_and_snapshots_go_with_their_run(store):
    old = NOW - 2 * QUARTER
    for run_id, at, symbol in (("old", old, "KO"), ("new", NOW, "PEP")):
        store.runs.start(run_id, "decide", "paper", at)
        row = replace(ROW, symbol=symbol)
        store.decisions.record(run_id, at.date(), at, {}, [row], run_id.encode())
    assert store.decisions.last_of("KO").run_id == "old"
    store.runs.finish("new", NOW, 0, None, None, [])
    assert store.decisions.last_of("KO") is None
    assert store.decisions.snapshot("old") is None
    assert store.decisions.last_of("PEP").run_id == "new"
    assert store.decisions.snapshot("new") == b"new"


def test_a_run_forgotten_takes_no_intent_fill_or_trial_along(store):
    # What they are is the matter of their own tests.
    from tests.adapters.store.test_fills import execution  # noqa: PLC0415
    from tests.adapters.store.test_intents import intent  # noqa: PLC0415

    run(store, "r1", at=NOW - 2 * QUARTER)
    store.intents.write(replace(intent(), written_at=NOW - 2 * QUARTER))
    store.fills.add([execution(1, NOW - 2 * QUARTER)])
    store.trials.record(replace(TRIAL, recorded_at=NOW - 2 * QUARTER))
    run(store, "r2", at=NOW)
    assert known(store) == ["r2"]
    assert store.intents.get(intent().client_order_id).run_id == "r1"
    assert len(store.fills.all_of("KO")) == 1
    assert all(isinstance(trial, Trial) for trial in store.trials.all())
    assert len(store.trials.all()) == 1
