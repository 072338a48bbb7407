"""What the tests of the store share: values to store, and ways to look at the file itself."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from swingtrader.adapters.store import Store, Trial

NOW = datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC)

TRIAL = Trial(
    fingerprint="f1",
    recorded_at=NOW,
    command="backtest",
    config_sha256="c1",
    data_sha256="d1",
    seed=7,
    first_session=date(2020, 1, 2),
    last_session=date(2024, 12, 31),
    sessions=1258,
    sharpe_per_session=0.031,
    sharpe=0.49,
    total_return=0.27,
    n_trades=412,
    parameters='{"cash": 100000.0}',
)


def schema(connection):
    """Everything in the database that is not data."""
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def raw(path):
    return closing(sqlite3.connect(path, isolation_level=None))


def names(directory):
    return sorted(path.name for path in directory.iterdir())


FINITE = st.floats(allow_nan=False, allow_infinity=False)
SESSIONS = st.dates()
INSTANTS = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001
    # Fixed offsets: in the hour that a zone goes through twice, Python finds no two equal.
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-4, minutes=-30))]),
)
DECIMALS = (
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.decimals(min_value=0, max_value=10**9, places=9)
    | st.sampled_from([Decimal("1E+2"), Decimal("0E-9"), Decimal("-0"), Decimal("1.500")])
)
round_trips = settings(deadline=None, derandomize=True, max_examples=50)


def digits(record):
    """Every decimal of a record to the digit: 1E+2 equals 100, and is not written so."""
    return {name: str(value) for name, value in vars(record).items() if isinstance(value, Decimal)}


def content(path):
    """Everything in a database, as text."""
    with raw(path) as connection:
        return list(connection.iterdump())


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        yield store


@pytest.fixture(scope="module")
def long_lived_store(tmp_path_factory):
    with Store.open(tmp_path_factory.mktemp("state"), now=NOW) as store:
        yield store


OPEN_AND_RECORD = """
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from swingtrader.adapters.store import Store, Trial
now = datetime(2025, 3, 14, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
for state_dir in sys.argv[2:]:
    with Store.open(Path(state_dir), now=now) as store:
        for fingerprint in (sys.argv[1], "shared"):
            figures = (0, date.min, date.max, 2, 0.0, 0.0, 0.0, 0)
            store.trials.record(Trial(fingerprint, now, "", "", "", *figures, ""))
        print(store.moved_aside)
"""
