from __future__ import annotations

import inspect
import json
import math
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.store import Store
from swingtrader.commands import live_signals, remembered_positions, trading_command
from swingtrader.commands.status import (
    DAMAGED,
    MAXIMUM_AGE_DAYS,
    RANKER,
    SOLD_SHORT,
    LiveView,
    needs_person,
    status_report,
)
from swingtrader.commands.status_rows import as_remembered, position_row
from swingtrader.core.orders import BrokerOrder, Intent, OrderType, Purpose
from swingtrader.core.portfolio import (
    BrokerAccount,
    BrokerPosition,
    MarketClock,
    TrackedPosition,
)
from swingtrader.core.regime import exposure_scale
from swingtrader.core.worth import SignalWorth
from swingtrader.errors import ConfigurationError

MONDAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 15, 3, tzinfo=UTC)  # 10:03 in New York
AT = datetime(2026, 11, 23, 15, 0, 2, tzinfo=UTC)
CLOCK = MarketClock(
    at=AT,
    is_open=True,
    next_open=datetime(2026, 11, 24, 14, 30, tzinfo=UTC),
    next_close=datetime(2026, 11, 23, 21, 0, tzinfo=UTC),
)
AAPL = TrackedPosition(
    symbol="AAPL",
    qty=Decimal(10),
    entry_price=Decimal("200.00"),
    entry_session=date(2026, 11, 12),
    age_sessions=7,
    price=Decimal("210.00"),
    price_at=AT,
    stop_ratio=0.975,
    target_ratio=1.06,
    resting_qty=Decimal(10),
    resting_stop=Decimal("188.00"),
)
STOP = BrokerOrder(
    id="b-1",
    client_order_id="st-20261112-AAPL-sell-protection-2",
    symbol="AAPL",
    side="sell",
    type="stop",
    status="new",
    qty=Decimal(10),
    stop_price=Decimal("188.00"),
    submitted_at=AT - timedelta(days=11),
)

KEYS = {
    "mode", "account", "market", "regime", "positions", "open_orders", "jobs", "models", "halts",
    "warnings",
}  # fmt: skip
MARKET_KEYS = {"is_open", "asof", "next_open", "next_close"}
POSITION_KEYS = {
    "symbol", "qty", "entry_session", "age_sessions", "entry_price", "price", "unrealized_return",
    "stop_price", "target_price", "resting_stop",
}  # fmt: skip
JOB_KEYS = {"name", "last_run_at", "last_exit", "next_run_at"}


@contextmanager
def opened(directory):
    with Store.open(directory, now=NOW) as store:
        yield store


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path) as store:
        yield store


def ran(
    store, command, at, *, exit_code=0, warnings=(), mode="paper", clock=CLOCK, session=MONDAY
):
    """Record one finished run; it has a report unless it failed."""
    run_id = f"{command}-{at:%d%H%M%S}"
    store.runs.start(run_id, command, mode, at)
    if clock is not None:
        store.runs.saw_clock(run_id, replace(clock, at=at), session)
    report = None if exit_code else {"orders": [], "warnings": list(warnings)}
    store.runs.finish(run_id, at, exit_code, report, None, warnings)
    return run_id


@pytest.fixture(scope="module")
def quiet_state(tmp_path_factory):
    """Directory with the store of a system in which all is well."""
    directory = tmp_path_factory.mktemp("quiet") / "state"
    with opened(directory) as store:
        ran(store, "retrain", datetime(2026, 11, 22, 11, 0, 1, tzinfo=UTC), clock=None)
        ran(store, "regime", datetime(2026, 11, 23, 13, 45, 1, tzinfo=UTC))
        ran(store, "risk-check", AT)
        ran(store, "decide", datetime(2026, 11, 23, 15, 0, 31, tzinfo=UTC))
        store.account.bind("PA3X7Y2Z", AT)
        store.regimes.record(MONDAY, 0.25, "low_volatility", AT)
        store.positions.replace([AAPL], AT)
        store.orders.replace([STOP], AT)
    return directory


@pytest.fixture
def quiet(quiet_state, tmp_path):
    """Copy of it, to be disturbed."""
    shutil.copytree(quiet_state, tmp_path / "state")
    with opened(tmp_path / "state") as store:
        yield store


def report_of(store, **changes):
    return status_report(store, **{"mode": "paper", "asof": NOW, **changes})


def test_a_system_in_which_all_is_well_warns_of_nothing_and_needs_nobody(quiet):
    report = report_of(quiet)
    assert report["warnings"] == []
    assert needs_person(report) == ()


def test_every_key_of_the_contract_is_there_and_figures_are_numbers(quiet):
    quiet.models.record("ranker", "v7", NOW - timedelta(days=2.5), NOW, {"rank_ic": 0.05})
    quiet.halts.add("by hand", AT)
    report = json.loads(json.dumps(report_of(quiet), allow_nan=False))
    assert report.keys() >= KEYS
    assert report["mode"] == "paper"
    assert report["account"] == "PA3X7Y2Z"
    assert report["market"].keys() == MARKET_KEYS
    assert report["market"]["is_open"] is True
    assert report["market"]["asof"] == "2026-11-23T15:00:31+00:00"  # the latest run's
    (position,) = report["positions"]
    assert position.keys() >= POSITION_KEYS
    assert {name: position[name] for name in POSITION_KEYS} == {
        "symbol": "AAPL",
        "qty": 10,
        "entry_session": "2026-11-12",
        "age_sessions": 7,
        "entry_price": 200,
        "price": 210,
        "unrealized_return": pytest.approx(0.05),
        "stop_price": pytest.approx(195),
        "target_price": pytest.approx(212),
        "resting_stop": 188,
    }
    (order,) = report["open_orders"]
    assert (order["symbol"], order["side"], order["qty"]) == ("AAPL", "sell", 10)
    assert (order["type"], order["stop_price"], order["limit_price"]) == ("stop", 188, None)
    assert order["purpose"] == "protection"
    assert [job["name"] for job in report["jobs"]] == ["risk-check", "decide", "regime", "retrain"]
    assert all(job.keys() >= JOB_KEYS for job in report["jobs"])
    assert report["jobs"][0]["last_run_at"] == AT.isoformat()
    assert report["jobs"][0]["last_exit"] == 0
    assert report["jobs"][0]["next_run_at"] == "2026-11-23T15:05:00+00:00"
    assert report["models"] == [
        {"family": "ranker", "version": "v7", "age_days": 2.5, "validation": {"rank_ic": 0.05}}
    ]
    assert [(h["reason"], h["since"]) for h in report["halts"]] == [("by hand", AT.isoformat())]
    assert report["regime"]["label"] == "low_volatility"
    assert report["regime"]["p_high_volatility"] == 0.25
    assert report["regime"]["exposure_scale"] == pytest.approx(0.925)


# --- models and signals -------------------------------------------------------------------------


def test_what_signals_were_worth_is_told_and_needs_nobody(quiet):
    rows = [
        SignalWorth("quant", -0.3, -0.5, -0.1, 0.04, 3.1),
        SignalWorth("sentiment", 0.0, 0.0, 0.0, math.nan, math.nan),
    ]
    quiet.worth.replace(rows, (date(2013, 1, 2), date(2019, 12, 31)), AT)
    report = json.loads(json.dumps(report_of(quiet), allow_nan=False))
    assert [(row["signal"], row["is_distinguishable"]) for row in report["signal_worth"]] == [
        ("quant", True), ("sentiment", False),
    ]  # fmt: skip
    assert report["signal_worth"][1] == {
        "signal": "sentiment",
        "sharpe_change": 0.0,
        "low": 0.0,
        "high": 0.0,
        "ic_mean": None,
        "ic_t": None,
        "is_distinguishable": False,
        "first_session": "2013-01-02",
        "last_session": "2019-12-31",
        "recorded_at": AT.isoformat(),
    }
    assert report["warnings"] == []
    assert needs_person(report) == ()


@pytest.mark.parametrize(
    ("family", "days", "warned"),
    [("ranker", 21.0, False), ("ranker", 21.2, True), ("finbert", 400.0, False)],
)
def test_a_ranker_that_is_too_old_to_buy_by_is_a_warning(quiet, family, days, warned):
    quiet.models.record(family, "v7", NOW - timedelta(days=days), NOW)
    report = report_of(quiet)
    told = (
        f"ranker v7 is {days} days old, more than 21: nothing will be bought until it is trained"
    )
    assert report["warnings"] == [f"{told} anew"] * warned
    assert needs_person(report) == ()


def test_the_age_of_a_ranker_is_told_once(quiet):
    said = "ranker v7 is 21.3 days old, more than 21: nothing will be bought until it is trained"
    quiet.models.record("ranker", "v7", NOW - timedelta(days=21.4), NOW)
    ran(quiet, "decide", AT + timedelta(seconds=60), warnings=[said])
    assert report_of(quiet)["warnings"] == [said]


def test_the_ranker_and_its_age_are_those_of_the_decision():
    assert live_signals.FAMILY == RANKER
    assert live_signals.MAXIMUM_AGE_DAYS == MAXIMUM_AGE_DAYS


def test_an_empty_store_has_the_same_keys_and_knows_nothing(quiet, tmp_path):
    full = report_of(quiet)
    with opened(tmp_path / "new") as empty:
        report = report_of(empty, mode="dry_run")
    assert report.keys() == full.keys()
    assert report["account"] is None
    assert set(report["market"].values()) == {None}
    assert report["regime"].keys() == full["regime"].keys()
    assert report["regime"]["label"] is None
    assert report["positions"] == report["open_orders"] == report["halts"] == []
    assert [job["last_run_at"] for job in report["jobs"]] == [None] * 4
    assert all(job["next_run_at"] > NOW.isoformat() for job in report["jobs"])
    assert report["warnings"] == []
    assert needs_person(report) == ()


def test_what_is_not_known_of_a_position_is_null(quiet):
    bare = TrackedPosition("XYZ", Decimal("0.5"), None, MONDAY)
    quiet.positions.replace([bare], AT)
    (position,) = report_of(quiet)["positions"]
    assert position["qty"] == 0.5
    for name in ("entry_price", "price", "unrealized_return", "stop_price", "target_price",
                 "resting_stop"):  # fmt: skip
        assert position[name] is None, name


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_exposure_is_that_of_the_decision(quiet, p):
    quiet.regimes.record(MONDAY, p, "low_volatility", AT)
    assert report_of(quiet)["regime"]["exposure_scale"] == exposure_scale(p)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"resting_qty": Decimal(7)}, "AAPL: 3 of 10 shares have no resting stop"),
        (
            {"resting_qty": Decimal(0), "resting_stop": None},
            "AAPL: 10 of 10 shares have no resting stop",
        ),
        (
            {"qty": Decimal("10.75"), "resting_qty": Decimal(9)},
            "AAPL: 1 of 10.75 shares have no resting stop",
        ),
        ({"qty": Decimal("10.75")}, None),  # a fraction can have none
        ({"qty": Decimal("0.75"), "resting_qty": Decimal(0)}, None),
        ({"resting_qty": Decimal(0), "managed": False}, None),
        (
            {"qty": Decimal(1234567), "resting_qty": Decimal(0)},
            "AAPL: 1234567 of 1234567 shares have no resting stop",
        ),
    ],
)
def test_a_position_without_its_stop_needs_a_person(quiet, changes, sentence):
    quiet.positions.replace([replace(AAPL, **changes)], AT)
    report = report_of(quiet)
    expected = () if sentence is None else (sentence,)
    assert needs_person(report) == expected
    assert tuple(report["warnings"]) == expected


def test_in_a_dry_run_no_stop_is_expected_but_said_to_be_missing(quiet):
    quiet.positions.replace([replace(AAPL, resting_qty=Decimal(0))], AT)
    ran(quiet, "decide", NOW, mode="dry_run")
    report = report_of(quiet, mode="dry_run")
    assert report["warnings"] == [
        "1 position held in a dry run: nothing is sold, and no stop placed"
    ]
    assert needs_person(report) == ()


def test_a_shell_of_another_mode_than_the_timers_hides_no_missing_stop(quiet):
    quiet.positions.replace([replace(AAPL, resting_qty=Decimal(0))], AT)
    report = report_of(quiet, mode="dry_run")
    assert report["mode"] == "dry_run"
    assert report["warnings"] == [
        "the last decide ran in mode paper, and this environment says dry_run",
        "AAPL: 10 of 10 shares have no resting stop",
    ]
    assert needs_person(report) == ("AAPL: 10 of 10 shares have no resting stop",)


def test_halts_of_this_session_and_for_good_need_a_person_and_past_ones_do_not(quiet):
    quiet.halts.add("earnings week", AT)
    quiet.halts.add("daily_loss", AT, session=MONDAY)
    quiet.halts.add("store_rebuilt", AT, session=date(2026, 11, 20))
    report = report_of(quiet)
    assert [halt["reason"] for halt in report["halts"]] == ["earnings week", "daily_loss"]
    assert needs_person(report) == ("halted: earnings week", "halted: daily_loss")


@pytest.mark.parametrize(
    ("command", "exit_code", "trouble"),
    [
        ("decide", 69, "decide failed with exit code 69"),
        ("risk-check", 78, "risk-check failed with exit code 78"),
        ("regime", 65, "regime failed with exit code 65"),
        ("retrain", 70, "retrain failed with exit code 70"),
        ("decide", 75, None),  # the lock was held once: a later run comes through
    ],
)
def test_a_last_run_that_failed_needs_a_person(quiet, command, exit_code, trouble):
    ran(quiet, command, NOW - timedelta(seconds=5), exit_code=exit_code)
    report = report_of(quiet)
    expected = () if trouble is None else (trouble,)
    assert needs_person(report) == expected
    assert tuple(report["warnings"]) == expected


@pytest.mark.parametrize(
    ("held_at", "trouble"),
    [
        (["15:05:00"], None),
        (["15:05:00", "15:10:00"], "risk-check found the lock held more than once in a row"),
    ],
)
def test_a_lock_held_twice_in_a_row_needs_a_person(quiet, held_at, trouble):
    for moment in held_at:
        at = datetime.fromisoformat(f"2026-11-23T{moment}+00:00")
        ran(quiet, "risk-check", at, exit_code=75)
    report = report_of(quiet, asof=datetime(2026, 11, 23, 15, 11, tzinfo=UTC))
    assert needs_person(report) == (() if trouble is None else (trouble,))


def test_a_lock_held_once_in_the_morning_is_not_counted_with_the_night(quiet):
    morning = datetime(2026, 11, 24, 14, 30, 1, tzinfo=UTC)
    ran(quiet, "risk-check", datetime(2026, 11, 23, 21, 0, 1, tzinfo=UTC))
    ran(quiet, "risk-check", morning, exit_code=75)
    (risk_check, *_) = report_of(quiet, asof=morning)["jobs"]
    assert risk_check["trouble"] is None


@pytest.mark.parametrize(("age", "trouble"), [(4, None), (61, "decide was killed or hangs")])
def test_a_run_that_never_finished_needs_a_person(quiet, age, trouble):
    quiet.runs.start("x", "decide", "paper", NOW)
    asof = NOW + timedelta(minutes=age)
    report = status_report(quiet, mode="paper", asof=asof, expects_timers=False)
    assert report["jobs"][1]["last_exit"] is None
    assert needs_person(report) == (() if trouble is None else (trouble,))


def test_a_job_that_did_not_run_when_it_should_have_needs_a_person(quiet):
    asof = datetime(2026, 11, 23, 15, 10, 30, tzinfo=UTC)
    expected = ("risk-check has not run when it should have",)
    report = report_of(quiet, asof=asof)
    assert needs_person(report) == tuple(report["warnings"]) == expected
    assert needs_person(report_of(quiet, asof=asof, expects_timers=False)) == ()


def test_over_a_holiday_that_the_broker_announced_no_run_is_missed(quiet):
    evening = datetime(2026, 11, 25, 21, 0, 1, tzinfo=UTC)
    friday = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
    closed = MarketClock(evening, is_open=False, next_open=friday, next_close=friday)
    ran(quiet, "regime", datetime(2026, 11, 25, 13, 45, 1, tzinfo=UTC))
    ran(quiet, "decide", datetime(2026, 11, 25, 20, 45, 31, tzinfo=UTC))
    ran(quiet, "risk-check", evening, clock=closed, session=date(2026, 11, 27))
    thanksgiving = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
    assert needs_person(report_of(quiet, asof=thanksgiving)) == ()
    saturday = datetime(2026, 11, 28, 18, 0, tzinfo=UTC)
    assert needs_person(report_of(quiet, asof=saturday)) == (
        "risk-check has not run when it should have",
        "decide has not run when it should have",
    )


def test_warnings_of_the_last_trading_runs_are_shown_once_and_need_nobody(quiet):
    edge = "the ranker's walk-forward record shows no edge"
    ran(quiet, "decide", NOW - timedelta(minutes=2), warnings=["an older one"])
    ran(quiet, "decide", NOW - timedelta(minutes=1), warnings=[edge, "MSFT: something"])
    ran(quiet, "risk-check", NOW, warnings=[edge])
    report = report_of(quiet)
    assert report["warnings"] == [edge, "MSFT: something"]
    assert needs_person(report) == ()


def test_a_run_under_way_has_no_warnings_yet_so_those_before_it_stand(quiet):
    ran(quiet, "decide", NOW - timedelta(minutes=1), warnings=["MSFT: something"])
    quiet.runs.start("now", "decide", "paper", NOW)
    assert report_of(quiet)["warnings"] == ["MSFT: something"]


def test_a_short_that_a_run_has_seen_needs_a_person(quiet):
    # As swingtrader.commands.remembered_positions words it.
    short = "TSLA is sold short: this program does not trade it; close it by hand"
    ran(quiet, "risk-check", NOW, warnings=[short])
    assert needs_person(report_of(quiet)) == (short,)


@pytest.mark.parametrize(
    ("alarm", "module"), [(SOLD_SHORT, remembered_positions), (DAMAGED, trading_command)]
)
def test_alarms_are_recognised_in_the_words_that_runs_use(alarm, module):
    assert alarm in inspect.getsource(module)


def intent(written_at):
    return Intent(
        client_order_id="st-20261123-MSFT-buy-entry-3",
        session=MONDAY,
        symbol="MSFT",
        side="buy",
        purpose=Purpose.ENTRY,
        qty=Decimal("3.00"),
        type=OrderType.LIMIT,
        reason="entry_vote",
        run_id="r",
        written_at=written_at,
        limit_price=Decimal("410.20"),
    )


def test_an_order_that_no_later_run_could_settle_needs_a_person(quiet):
    quiet.intents.write(intent(AT))
    report = report_of(quiet)
    (said,) = needs_person(report)
    assert said == (
        "MSFT: whether the broker has the buy order of 3 shares is unknown, and no run since has "
        "settled it"
    )
    assert report["warnings"] == [said]


def test_an_order_of_the_run_under_way_is_no_news(quiet):
    quiet.intents.write(intent(datetime(2026, 11, 23, 15, 0, 31, tzinfo=UTC)))
    assert report_of(quiet)["warnings"] == []


@pytest.mark.parametrize(
    ("of", "seen_at", "session", "stale"),
    [
        (date(2026, 11, 20), AT, MONDAY, True),
        (MONDAY, AT, MONDAY, False),
        # On Sunday the session is Monday's already, and its regime not yet due.
        (date(2026, 11, 20), datetime(2026, 11, 22, 18, 0, tzinfo=UTC), MONDAY, False),
        (date(2026, 11, 20), datetime(2026, 11, 23, 13, 44, tzinfo=UTC), MONDAY, False),
        (date(2026, 11, 20), datetime(2026, 11, 23, 13, 45, tzinfo=UTC), MONDAY, True),
    ],
)
def test_a_regime_older_than_the_session_is_said_to_be(store, of, seen_at, session, stale):
    store.regimes.record(of, 0.25, "low_volatility", seen_at)
    ran(store, "decide", seen_at, session=session)
    report = report_of(store, asof=seen_at)
    assert report["regime"]["stale"] is stale
    assert report["warnings"] == (
        ["the regime is that of 2026-11-20; swingtrader regime has not run since"] if stale else []
    )
    assert needs_person(report) == ()


def test_a_missing_regime_is_said_once_a_run_has_seen_the_market(store):
    ran(store, "risk-check", AT)
    assert report_of(store)["warnings"] == [
        "no regime is stored: exposure is kept low until swingtrader regime has run"
    ]


def live(**changes):
    view = LiveView(
        clock=replace(CLOCK, at=NOW),
        account=BrokerAccount("PA3X7Y2Z", Decimal(1), Decimal(1), Decimal(1), Decimal(1)),
        positions=(
            BrokerPosition("AAPL", Decimal(20), Decimal(0), Decimal(100), Decimal("90.00")),
        ),
        open_orders=(replace(STOP, qty=Decimal(15), stop_price=Decimal("94.00")),),
    )
    return replace(view, **changes)


def test_live_figures_are_the_brokers_and_memories_the_stores(quiet):
    report = report_of(quiet, live=live())
    assert report["market"]["asof"] == NOW.isoformat()
    assert report["open_orders_at"] == NOW.isoformat()
    (position,) = report["positions"]
    assert {name: position[name] for name in POSITION_KEYS} == {
        "symbol": "AAPL",
        "qty": 20,
        "entry_session": "2026-11-12",
        "age_sessions": 7,
        "entry_price": 100,
        "price": 90,
        "unrealized_return": pytest.approx(-0.1),
        # Ratios to the entry price, so the split that halved it halves the levels.
        "stop_price": pytest.approx(97.5),
        "target_price": pytest.approx(106),
        "resting_stop": 94,
    }
    assert report["open_orders"][0]["qty"] == 15
    assert needs_person(report) == ("AAPL: 5 of 20 shares have no resting stop",)


def test_live_knows_positions_that_no_run_has_seen_and_forgets_those_that_are_gone(quiet):
    bought = BrokerPosition("ZM", Decimal(2), Decimal(2), Decimal(60), None)
    (position,) = report_of(quiet, live=live(positions=(bought,), open_orders=()))["positions"]
    assert position["symbol"] == "ZM"
    assert position["entry_session"] is position["price"] is position["stop_price"] is None
    assert position["unprotected_qty"] == 2


def test_live_alarms_for_a_short_and_for_suspended_trading(quiet):
    short = BrokerPosition("TSLA", Decimal(-5), Decimal(0), Decimal(200), Decimal(210))
    blocked = replace(live().account, blocked=True)
    report = report_of(quiet, live=live(positions=(short,), account=blocked))
    assert report["positions"][0]["unrealized_return"] == pytest.approx(-0.05)
    assert needs_person(report) == (
        "trading is suspended in this account; ask the broker why",
        "TSLA is sold short: this program does not trade it; close it by hand",
    )


def test_live_tells_a_quantity_the_broker_did_not_state(quiet):
    unread = BrokerPosition("AAPL", None, None, None, None)
    (position,) = report_of(quiet, live=live(positions=(unread,), open_orders=()))["positions"]
    assert position["qty"] is position["unrealized_return"] is None


def test_the_store_of_another_account_is_not_mixed_with_the_brokers_word(quiet):
    stranger = replace(live().account, number="PA0000AB")
    with pytest.raises(ConfigurationError, match=r"ending in 7Y2Z.*ending in 00AB"):
        report_of(quiet, live=live(account=stranger))


def test_looking_writes_nothing_and_binds_no_account(tmp_path):
    with opened(tmp_path) as store:
        report = report_of(store, live=live())
        assert report["account"] == "PA3X7Y2Z"
        # A trading run that finds the store unbound knows by it that the store was lost.
        assert store.account.number() is None
        assert store.positions.all() == {}


def test_a_damaged_database_needs_a_person(tmp_path):
    (tmp_path / "swingtrader.sqlite3").write_bytes(b"no database" * 1000)
    with opened(tmp_path) as store:
        report = report_of(store)
    (said,) = needs_person(report)
    assert said.startswith("the state database was damaged and is now swingtrader.sqlite3.damaged")


@settings(deadline=None, derandomize=True)
@given(
    qty=st.decimals(0, 10_000, places=3),
    resting=st.decimals(0, 10_000, places=0),
    entry=st.none() | st.decimals("0.01", 5_000, places=2),
    price=st.none() | st.decimals("0.01", 5_000, places=2),
    ratio=st.none() | st.floats(0.1, 3.0),
)
def test_any_position_gives_json_and_counts_no_more_bare_shares_than_there_are(
    qty, resting, entry, price, ratio
):
    position = replace(
        AAPL, qty=qty, resting_qty=resting, entry_price=entry, price=price, stop_ratio=ratio
    )
    row = position_row(as_remembered(position), trades=True)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert 0 <= row["unprotected_qty"] <= row["qty"]
    assert row["unprotected_qty"] + row["resting_qty"] > row["qty"] - 1
    assert (row["unrealized_return"] is None) == (entry is None or price is None)


def test_status_loads_nothing_heavy():
    heavy = {
        "numpy", "pandas", "pyarrow", "pydantic", "pydantic_settings", "structlog", "alpaca",
        "requests", "torch", "xgboost", "rich",
    }  # fmt: skip
    code = (
        "import sys, swingtrader.adapters.store, swingtrader.commands.status\n"
        f"print(sorted({heavy!r} & set(sys.modules)))\n"
        "import swingtrader.reports.status_screen\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n['rich']\n"
