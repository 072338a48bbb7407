import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.migrations import (
    MIGRATIONS,
    migrate,
    schema_version,
    transaction,
)
from swingtrader.adapters.store import STORE_NAME, Store, Trial
from swingtrader.errors import ConfigurationError, FileDataError, LockHeld

NOW = datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC)
NOBODY = 65534

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


@pytest.fixture
def unprivileged_dir():
    """Give a directory of our own, and no power to override permissions, also to root."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


# --- trials ---------------------------------------------------------------------------------


def test_a_recorded_trial_is_there_on_the_next_opening(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        assert store.record_trial(TRIAL)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.trials() == (TRIAL,)
        assert store.trial_count() == 1
        assert store.moved_aside is None


def test_repeating_a_run_is_no_new_trial_and_leaves_the_first_record_as_it_is(tmp_path):
    again = replace(TRIAL, recorded_at=NOW + timedelta(days=1), sharpe=9.9)
    with Store.open(tmp_path, now=NOW) as store:
        store.record_trial(TRIAL)
        assert not store.record_trial(again)
        assert store.trials() == (TRIAL,)


def test_trials_come_in_the_order_of_their_instants_and_by_their_data(tmp_path):
    new_york = timezone(timedelta(hours=-5))
    third = replace(TRIAL, fingerprint="a", recorded_at=datetime(2025, 3, 14, 12, tzinfo=new_york))
    first = replace(TRIAL, fingerprint="b", recorded_at=NOW - timedelta(microseconds=1))
    second = replace(TRIAL, fingerprint="c", data_sha256="d2")
    with Store.open(tmp_path, now=NOW) as store:
        for trial in (third, second, first):
            store.record_trial(trial)
        assert [trial.fingerprint for trial in store.trials()] == ["b", "c", "a"]
        assert store.trials("d2") == (second,)
        assert store.trials("unknown") == ()


def test_instants_are_kept_as_text_in_utc(tmp_path):
    paris = timezone(timedelta(hours=1))
    with Store.open(tmp_path, now=NOW) as store:
        store.record_trial(replace(TRIAL, recorded_at=datetime(2025, 1, 1, 0, 30, tzinfo=paris)))
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


@pytest.fixture(scope="module")
def long_lived_store(tmp_path_factory):
    with Store.open(tmp_path_factory.mktemp("state"), now=NOW) as store:
        yield store


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    trial=st.builds(
        Trial,
        fingerprint=st.text(),
        recorded_at=st.datetimes(
            min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
            max_value=datetime(2090, 1, 1),  # noqa: DTZ001
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=-4, minutes=-30))]),
        ),
        command=st.text(),
        config_sha256=st.text(),
        data_sha256=st.text(),
        seed=st.integers(0, 2**63 - 1),
        first_session=st.dates(),
        last_session=st.dates(),
        sessions=st.integers(0, 10**6),
        sharpe_per_session=finite,
        sharpe=finite,
        total_return=finite,
        n_trades=st.integers(0, 10**9),
        parameters=st.text(),
    )
)
def test_what_is_recorded_comes_back_to_the_last_bit(long_lived_store, trial):
    trial = replace(trial, fingerprint=f"{long_lived_store.trial_count()} {trial.fingerprint}")
    long_lived_store.record_trial(trial)
    (found,) = (t for t in long_lived_store.trials() if t.fingerprint == trial.fingerprint)
    assert found == trial


# --- opening --------------------------------------------------------------------------------


def test_the_database_outlives_a_power_cut_and_minds_its_references(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        connection = store._connection  # noqa: SLF001 - the settings show nowhere else
        settings_found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert settings_found == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def test_the_directory_is_for_the_group_to_read_and_for_others_not_at_all(tmp_path):
    state_dir = tmp_path / "deep" / "state"
    with Store.open(state_dir, now=NOW) as store:
        store.record_trial(TRIAL)
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o750
        assert names(state_dir) == [STORE_NAME, f"{STORE_NAME}-shm", f"{STORE_NAME}-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in state_dir.iterdir()} == {0o640}


def test_a_state_directory_that_is_a_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "state"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="state"):
        Store.open(path, now=NOW)
    assert path.read_text() == "precious"


def test_a_database_that_is_a_directory_is_refused_and_kept(tmp_path):
    (tmp_path / STORE_NAME / "precious").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=STORE_NAME) as refusal:
        Store.open(tmp_path, now=NOW)
    assert "\n" not in str(refusal.value)
    assert names(tmp_path / STORE_NAME) == ["precious"]


def test_a_directory_that_cannot_be_written_to_is_refused(unprivileged_dir):
    unprivileged_dir.chmod(0o550)
    with pytest.raises(ConfigurationError, match=STORE_NAME):
        Store.open(unprivileged_dir, now=NOW)


def test_a_read_only_database_is_refused_on_opening_and_not_hours_later(unprivileged_dir):
    with Store.open(unprivileged_dir, now=NOW) as store:
        store.record_trial(TRIAL)
    path = unprivileged_dir / STORE_NAME
    path.chmod(0o440)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"readonly.*writable"):
        Store.open(unprivileged_dir, now=NOW)
    assert path.read_bytes() == before


def test_a_full_disk_is_said_in_one_line_and_loses_nothing(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        store.record_trial(TRIAL)
        store._connection.execute("PRAGMA max_page_count = 1")  # noqa: SLF001 - SQLite's own "full"
        large = replace(TRIAL, fingerprint="f2", parameters="x" * 1_000_000)
        with pytest.raises(ConfigurationError, match="full; free some space") as refusal:
            store.record_trial(large)
        assert "\n" not in str(refusal.value)
        assert store.trials() == (TRIAL,)


def test_a_writer_that_does_not_end_is_a_held_lock(tmp_path):
    with Store.open(tmp_path, now=NOW) as store, raw(tmp_path / STORE_NAME) as other:
        store._connection.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001 - to wait for nothing
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockHeld, match=STORE_NAME):
            store.record_trial(TRIAL)
        assert store.trial_count() == 0, "reading goes on meanwhile"


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
            store.record_trial(Trial(fingerprint, now, "", "", "", *figures, ""))
        print(store.moved_aside)
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_that_open_it_at_once_all_get_their_trials_in(tmp_path, damaged):
    state_dirs = [tmp_path / str(number) for number in range(12)]
    if damaged:
        for state_dir in state_dirs:
            state_dir.mkdir()
            (state_dir / STORE_NAME).write_bytes(b"not a database at all" * 100)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_RECORD, str(number), *map(str, state_dirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    for state_dir, moved_aside in zip(state_dirs, zip(*said, strict=True), strict=True):
        assert sum(line != "None" for line in moved_aside) == damaged, "one of them does it"
        with Store.open(state_dir, now=NOW) as store:
            assert {trial.fingerprint for trial in store.trials()} == {"0", "1", "2", "shared"}


# --- damage ---------------------------------------------------------------------------------


def overwritten(path):
    path.write_bytes(b"\x00garbage" * 1000)


def cut_short(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def scribbled_on(path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def too_short(path):
    path.write_bytes(b"SQLite format 3")


@pytest.mark.parametrize("damage", [overwritten, cut_short, scribbled_on, too_short])
def test_a_damaged_database_is_moved_aside_whole_and_a_fresh_one_takes_its_place(tmp_path, damage):
    with Store.open(tmp_path, now=NOW) as store:
        store.record_trial(TRIAL)
    path = tmp_path / STORE_NAME
    damage(path)
    evidence = path.read_bytes()
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside == tmp_path / f"{STORE_NAME}.damaged-20250314T150926Z"
        assert store.moved_aside.read_bytes() == evidence
        assert store.trials() == ()
        assert store.record_trial(TRIAL)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside is None
        assert store.trials() == (TRIAL,)


def test_a_second_damaged_database_of_the_same_second_spares_the_first(tmp_path):
    path = tmp_path / STORE_NAME
    aside = []
    for content in (b"first", b"second", b"third"):
        path.write_bytes(content)
        with Store.open(tmp_path, now=NOW) as store:
            aside.append(store.moved_aside)
    assert [file.read_bytes() for file in aside] == [b"first", b"second", b"third"]


def killed_writer(state_dir):
    """Leave a database whose last commits are still in its journal."""
    code = OPEN_AND_RECORD.replace("print(store.moved_aside)", "import os; os._exit(0)")
    subprocess.run(
        [sys.executable, "-c", code, "f1", str(state_dir)],
        input=b"go\n",
        stdout=subprocess.DEVNULL,
        check=True,
    )


def test_commits_of_a_killed_run_are_kept(tmp_path):
    killed_writer(tmp_path)
    assert (tmp_path / f"{STORE_NAME}-wal").stat().st_size > 0
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside is None
        assert {trial.fingerprint for trial in store.trials()} == {"f1", "shared"}


def test_the_journal_of_a_damaged_database_goes_with_it_unchanged(tmp_path):
    killed_writer(tmp_path)
    wal = tmp_path / f"{STORE_NAME}-wal"
    evidence = wal.read_bytes()
    (tmp_path / STORE_NAME).write_bytes(b"garbage" * 1000)
    with Store.open(tmp_path, now=NOW) as store:
        moved = store.moved_aside
    assert moved.with_name(f"{moved.name}-wal").read_bytes() == evidence
    assert moved.with_name(f"{moved.name}-shm").exists()


def damaged_below_its_journal(path):
    """Spoil a page that the journal does not cover."""
    with Store.open(path.parent, now=NOW) as store:
        for number in range(40):
            store.record_trial(replace(TRIAL, fingerprint=f"old {number}", command="x" * 2000))
    killed_writer(path.parent)
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        file.seek(4096 * (pages // 2))
        file.write(b"\xff" * 4096)


def test_evidence_is_not_touched_by_looking_at_it(tmp_path):
    path = tmp_path / STORE_NAME
    damaged_below_its_journal(path)
    wal = path.with_name(f"{STORE_NAME}-wal")
    evidence = path.read_bytes(), wal.read_bytes()
    with Store.open(tmp_path, now=NOW) as store:
        moved = store.moved_aside
    assert (moved.read_bytes(), moved.with_name(f"{moved.name}-wal").read_bytes()) == evidence


@pytest.mark.parametrize("gone", ["removed", "emptied"])
def test_a_journal_that_has_lost_its_database_is_moved_aside_too(tmp_path, gone):
    evidence = []
    for _ in range(2):  # in one second
        killed_writer(tmp_path)
        evidence.append((tmp_path / f"{STORE_NAME}-wal").read_bytes())
        if gone == "removed":
            (tmp_path / STORE_NAME).unlink()
        else:
            (tmp_path / STORE_NAME).write_bytes(b"")
        with Store.open(tmp_path, now=NOW) as store:
            assert store.moved_aside is not None
            assert store.trials() == ()
    kept = tmp_path.glob(f"{STORE_NAME}.damaged-*-wal")
    assert sorted(file.read_bytes() for file in kept) == sorted(evidence)


def test_a_crash_while_the_database_was_made_is_undone_and_no_damage(tmp_path):
    code = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("CREATE TABLE kept (a)")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE trials (half)")
for number in range(500):
    connection.execute("INSERT INTO trials VALUES (?)", ("x" * 1000,))
os._exit(0)
"""
    path = tmp_path / STORE_NAME
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name(f"{STORE_NAME}-journal").stat().st_size > 0
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside is None
        assert store.record_trial(TRIAL)


def test_damage_found_while_working_is_bad_data_and_says_what_happens_next(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        for number in range(40):
            store.record_trial(replace(TRIAL, fingerprint=str(number), command="x" * 2000))
    with Store.open(tmp_path, now=NOW) as store:
        path = tmp_path / STORE_NAME
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        with pytest.raises(FileDataError, match=r"damaged.*next run"):
            store.trials()


# --- migrations -----------------------------------------------------------------------------


def m001_assets(connection):
    connection.execute("CREATE TABLE assets (symbol TEXT PRIMARY KEY)")


def m002_bars(connection):
    connection.execute("CREATE TABLE bars (symbol TEXT REFERENCES assets, close REAL)")


def m003_volume(connection):
    connection.execute("ALTER TABLE bars ADD COLUMN volume INTEGER")


SAMPLE = (m001_assets, m002_bars, m003_volume)


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "sample.sqlite3"
    with raw(path) as connection:
        yield path, connection


@pytest.mark.parametrize("chain", [MIGRATIONS, SAMPLE], ids=["ours", "sample"])
def test_any_beginning_of_the_chain_and_then_the_rest_ends_in_one_schema(tmp_path, chain):
    found = []
    for length in range(len(chain) + 1):
        path = tmp_path / f"{length}.sqlite3"
        with raw(path) as connection:
            migrate(path, connection, now=NOW, chain=chain[:length])
            assert schema_version(connection) == length
            migrate(path, connection, now=NOW, chain=chain)
            assert schema_version(connection) == len(chain)
            found.append(schema(connection))
    assert all(earlier == later for earlier, later in pairwise(found))
    assert "migrations" in {name for _, name, _ in found[0]}


def test_each_migration_is_recorded_once_with_its_name_and_time(database):
    path, connection = database
    later = NOW + timedelta(days=1)
    migrate(path, connection, now=NOW, chain=SAMPLE[:2])
    migrate(path, connection, now=later, chain=SAMPLE)
    migrate(path, connection, now=later, chain=SAMPLE)
    assert connection.execute("SELECT * FROM migrations ORDER BY number").fetchall() == [
        (1, "m001_assets", "2025-03-14T15:09:26.000000+00:00"),
        (2, "m002_bars", "2025-03-14T15:09:26.000000+00:00"),
        (3, "m003_volume", "2025-03-15T15:09:26.000000+00:00"),
    ]


def test_numbers_in_the_names_are_the_numbers_of_the_migrations():
    assert [int(migration.__name__[1:4]) for migration in MIGRATIONS] == list(
        range(1, len(MIGRATIONS) + 1)
    )


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_every_migration_can_be_undone_with_its_transaction(database, migration):
    path, connection = database
    migrate(path, connection, now=NOW, chain=MIGRATIONS[: MIGRATIONS.index(migration)])
    before = schema(connection)

    def migrate_and_fail():
        with transaction(connection):
            migration(connection)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate_and_fail()
    assert schema(connection) == before


def test_a_migration_that_fails_leaves_its_predecessors_and_nothing_of_itself(database):
    path, connection = database

    def m002_broken(connection):
        connection.execute("CREATE TABLE half (a)")
        connection.execute("no such statement")

    with pytest.raises(sqlite3.OperationalError):
        migrate(path, connection, now=NOW, chain=(m001_assets, m002_broken))
    assert schema_version(connection) == 1
    assert {name for _, name, _ in schema(connection)} >= {"assets", "migrations"}
    assert "half" not in {name for _, name, _ in schema(connection)}
    assert connection.execute("SELECT count(*) FROM migrations").fetchone() == (1,)


def test_a_migration_and_its_record_are_one(database):
    path, connection = database
    migrate(path, connection, now=NOW, chain=SAMPLE[:1])
    connection.execute("INSERT INTO migrations VALUES (2, 'in the way', '')")
    with pytest.raises(sqlite3.IntegrityError):
        migrate(path, connection, now=NOW, chain=SAMPLE)
    assert schema_version(connection) == 1
    assert "bars" not in {name for _, name, _ in schema(connection)}


def test_a_migration_that_leaves_a_reference_dangling_is_undone(database):
    path, connection = database

    def m003_orphan(connection):
        connection.execute("INSERT INTO bars VALUES ('GONE', 1.0)")

    with pytest.raises(sqlite3.IntegrityError, match="migration 3"):
        migrate(path, connection, now=NOW, chain=(*SAMPLE[:2], m003_orphan))
    assert schema_version(connection) == 2
    assert connection.execute("SELECT count(*) FROM bars").fetchone() == (0,)


def test_a_backup_is_made_before_an_existing_database_is_migrated(database):
    path, connection = database
    assert migrate(path, connection, now=NOW, chain=SAMPLE[:2]) is None, "nothing to lose yet"
    connection.execute("INSERT INTO assets VALUES ('KO')")
    backup = migrate(path, connection, now=NOW, chain=SAMPLE)
    assert backup == path.with_name("sample.sqlite3.before-3")
    assert migrate(path, connection, now=NOW, chain=SAMPLE) is None, "nothing to do any more"
    with raw(backup) as copy:
        assert schema_version(copy) == 2
        assert copy.execute("SELECT symbol FROM assets").fetchall() == [("KO",)]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert names(path.parent) == ["sample.sqlite3", "sample.sqlite3.before-3"]


def test_a_backup_never_overwrites_an_earlier_one(database):
    path, connection = database
    path.with_name("sample.sqlite3.before-2").write_text("earlier")
    migrate(path, connection, now=NOW, chain=SAMPLE[:1])
    backup = migrate(path, connection, now=NOW, chain=SAMPLE)
    assert backup == path.with_name("sample.sqlite3.before-2.1")
    assert path.with_name("sample.sqlite3.before-2").read_text() == "earlier"


@pytest.mark.parametrize("statement", ["CREATE TABLE x (a)", "A STATEMENT OF SQLITE 4"])
def test_a_database_newer_than_the_program_is_refused_and_nothing_written(tmp_path, statement):
    with Store.open(tmp_path, now=NOW) as store:
        store.record_trial(TRIAL)
    path = tmp_path / STORE_NAME
    with raw(path) as connection:
        connection.execute("CREATE TABLE x (a)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'x'", (statement,))
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=rf"{STORE_NAME}.* 99.* {len(MIGRATIONS)};"):
        Store.open(tmp_path, now=NOW)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.damaged-*"))
    assert not list(tmp_path.glob("*.before-*"))
