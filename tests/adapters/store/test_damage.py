import subprocess
import sys
from dataclasses import replace

import pytest
from tests.adapters.store.conftest import NOW, OPEN_AND_RECORD, TRIAL

from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.errors import FileDataError


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
        store.trials.record(TRIAL)
    path = tmp_path / STORE_NAME
    damage(path)
    evidence = path.read_bytes()
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside == tmp_path / f"{STORE_NAME}.damaged-20250314T150926Z"
        assert store.moved_aside.read_bytes() == evidence
        assert store.trials.all() == ()
        assert store.trials.record(TRIAL)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside is None
        assert store.trials.all() == (TRIAL,)


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
        assert {trial.fingerprint for trial in store.trials.all()} == {"f1", "shared"}


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
            store.trials.record(replace(TRIAL, fingerprint=f"old {number}", command="x" * 2000))
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


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("gone", ["removed", "emptied"])
def test_a_journal_that_has_lost_its_database_is_moved_aside_too(tmp_path, gone, checked):
    evidence = []
    for _ in range(2):  # in one second
        killed_writer(tmp_path)
        evidence.append((tmp_path / f"{STORE_NAME}-wal").read_bytes())
        if gone == "removed":
            (tmp_path / STORE_NAME).unlink()
        else:
            (tmp_path / STORE_NAME).write_bytes(b"")
        with Store.open(tmp_path, now=NOW, checked=checked) as store:
            assert store.moved_aside is not None
            assert store.trials.all() == ()
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
        assert store.trials.record(TRIAL)


def test_damage_found_while_working_is_bad_data_and_says_what_happens_next(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        for number in range(40):
            store.trials.record(replace(TRIAL, fingerprint=str(number), command="x" * 2000))
    with Store.open(tmp_path, now=NOW) as store:
        path = tmp_path / STORE_NAME
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        with pytest.raises(FileDataError, match=r"damaged.*next run"):
            store.trials.all()
