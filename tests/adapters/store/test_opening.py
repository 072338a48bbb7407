import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.adapters.store.conftest import NOW, OPEN_AND_RECORD, TRIAL, names, raw

from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.adapters.store.opening import refuse_old_sqlite
from swingtrader.errors import ConfigurationError, FileDataError, LockHeld


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
        store.trials.record(TRIAL)
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
        store.trials.record(TRIAL)
    path = unprivileged_dir / STORE_NAME
    path.chmod(0o440)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"readonly.*writable"):
        Store.open(unprivileged_dir, now=NOW)
    assert path.read_bytes() == before


def test_a_full_disk_is_said_in_one_line_and_loses_nothing(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        store.trials.record(TRIAL)
        store._connection.execute("PRAGMA max_page_count = 1")  # noqa: SLF001 - SQLite's own "full"
        large = replace(TRIAL, fingerprint="f2", parameters="x" * 1_000_000)
        with pytest.raises(ConfigurationError, match="full; free some space") as refusal:
            store.trials.record(large)
        assert "\n" not in str(refusal.value)
        assert store.trials.all() == (TRIAL,)


def test_a_writer_that_does_not_end_is_a_held_lock(tmp_path):
    with Store.open(tmp_path, now=NOW) as store, raw(tmp_path / STORE_NAME) as other:
        store._connection.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001 - to wait for nothing
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockHeld, match=STORE_NAME):
            store.trials.record(TRIAL)
        assert len(store.trials.all()) == 0, "reading goes on meanwhile"


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
            assert {trial.fingerprint for trial in store.trials.all()} == {"0", "1", "2", "shared"}


# --- what an opening tells, and what it may leave out ----------------------------------------


def test_a_store_says_that_it_was_just_made_and_only_then(tmp_path):
    with Store.open(tmp_path / "state", now=NOW) as store:
        assert store.created
        assert (store.moved_aside, store.backup) == (None, None)
    with Store.open(tmp_path / "state", now=NOW) as store:
        assert not store.created


@pytest.mark.parametrize("checked", [True, False])
def test_an_empty_file_is_no_store_yet(tmp_path, checked):
    (tmp_path / STORE_NAME).touch()
    with Store.open(tmp_path, now=NOW, checked=checked) as store:
        assert store.created
        assert store.moved_aside is None


def test_a_store_that_took_the_place_of_a_damaged_one_was_just_made(tmp_path):
    (tmp_path / STORE_NAME).write_bytes(b"not a database at all" * 100)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.created
        assert store.moved_aside is not None


def test_an_unchecked_opening_makes_what_is_missing_and_sees_what_is_there(tmp_path):
    state_dir = tmp_path / "deep" / "state"
    with Store.open(state_dir, now=NOW, checked=False) as store:
        assert store.created
        store.trials.record(TRIAL)
    with Store.open(state_dir, now=NOW, checked=False) as store:
        assert not store.created
        assert store.trials.all() == (TRIAL,)


def test_an_unchecked_opening_writes_nothing(tmp_path):
    Store.open(tmp_path, now=NOW).close()
    before = (tmp_path / STORE_NAME).read_bytes()
    with Store.open(tmp_path, now=NOW, checked=False) as store:
        assert store.positions.all() == {}
        wal = tmp_path / f"{STORE_NAME}-wal"
        assert not wal.exists() or wal.stat().st_size == 0
    assert (tmp_path / STORE_NAME).read_bytes() == before


def test_what_may_not_be_written_can_be_read_unchecked(unprivileged_dir):
    with Store.open(unprivileged_dir, now=NOW) as store:
        store.trials.record(TRIAL)
    (unprivileged_dir / STORE_NAME).chmod(0o440)
    with Store.open(unprivileged_dir, now=NOW, checked=False) as store:
        assert store.trials.all() == (TRIAL,)
        with pytest.raises(ConfigurationError, match=r"readonly.*writable"):
            store.halts.add("by_hand", NOW)


def test_damage_met_by_an_unchecked_opening_is_left_for_a_checked_one(tmp_path):
    path = tmp_path / STORE_NAME
    path.write_bytes(b"not a database at all" * 100)
    evidence = path.read_bytes()
    with pytest.raises(FileDataError, match=r"damaged.*next run"):
        Store.open(tmp_path, now=NOW, checked=False)
    assert names(tmp_path) == [STORE_NAME]
    assert path.read_bytes() == evidence


def test_a_sqlite_without_strict_tables_is_refused_by_name():
    refuse_old_sqlite((3, 37, 0))
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.34\.1.* 3\.37;"):
        refuse_old_sqlite((3, 34, 1))


def test_the_store_loads_nothing_heavy():
    code = """
import sys
from swingtrader.adapters.store import Store
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert "sqlite3" in loaded
    assert not {"numpy", "pandas", "pydantic", "structlog"} & set(loaded)
