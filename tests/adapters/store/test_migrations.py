import sqlite3
import stat
from datetime import timedelta
from itertools import pairwise

import pytest
from tests.adapters.store.conftest import NOW, TRIAL, names, raw

from swingtrader.adapters.migrations import (
    MIGRATIONS,
    m001_trials,
    migrate,
    schema_version,
    transaction,
)
from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.adapters.store.cells import cells, insertion, values_of
from swingtrader.errors import ConfigurationError


def schema(connection):
    """Everything in the database that is not data."""
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


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


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("statement", ["CREATE TABLE x (a)", "A STATEMENT OF SQLITE 4"])
def test_a_database_newer_than_the_program_is_refused_and_nothing_written(
    tmp_path, statement, checked
):
    with Store.open(tmp_path, now=NOW) as store:
        store.trials.record(TRIAL)
    path = tmp_path / STORE_NAME
    with raw(path) as connection:
        connection.execute("CREATE TABLE x (a)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'x'", (statement,))
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=rf"{STORE_NAME}.* 99.* {len(MIGRATIONS)};"):
        Store.open(tmp_path, now=NOW, checked=checked)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.damaged-*"))
    assert not list(tmp_path.glob("*.before-*"))


# --- from a database of an earlier release ----------------------------------------------------


@pytest.fixture
def first_release(tmp_path):
    """Make a state directory as the program left it that knew migration 1 only."""
    with raw(tmp_path / STORE_NAME) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(tmp_path / STORE_NAME, connection, now=NOW, chain=[m001_trials])
        row = cells(**values_of(TRIAL))
        connection.execute(insertion("trials", row), row)
    return tmp_path


@pytest.mark.parametrize("checked", [True, False])
def test_trials_of_the_first_release_are_kept_and_so_is_its_database(first_release, checked):
    with Store.open(first_release, now=NOW + timedelta(days=1), checked=checked) as store:
        assert store.trials.all() == (TRIAL,)
        assert not store.trials.record(TRIAL)
        assert store.account.number() is None
        assert store.backup == first_release / f"{STORE_NAME}.before-2"
        assert (store.created, store.moved_aside) == (False, None)
    with raw(store.backup) as copy:
        assert schema_version(copy) == 1
        assert copy.execute("SELECT fingerprint FROM trials").fetchall() == [("f1",)]
    with Store.open(first_release, now=NOW) as store:
        assert store.backup is None, "there was nothing to migrate any more"
        assert store.trials.all() == (TRIAL,)
