import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.store import killed_writes
from tests.adapters.store.conftest import NOW, TRIAL, content
from tests.adapters.store.killed_writes import WRITES, statements_of

from swingtrader.adapters.store import STORE_NAME, Store


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Do all writes, one after the other.

    Returns
    -------
    tuple
        The directory of the store before each write and after the last; the statements of each.
    """
    home = tmp_path_factory.mktemp("history")
    Store.open(home / "0", now=NOW).close()
    states, statements = [home / "0"], []
    for number, write in enumerate(WRITES, start=1):
        states.append(shutil.copytree(states[-1], home / str(number)))
        with Store.open(states[-1], now=NOW) as store:
            statements.append(statements_of(store, write))
    return states, statements


def test_every_write_changes_something_in_one_transaction(history):
    states, statements = history
    contents = [content(state / STORE_NAME) for state in states]
    for number, seen in enumerate(statements):
        assert seen[0] == "BEGIN IMMEDIATE"
        assert seen[-1] == "COMMIT" or seen[-2] == "COMMIT"  # binding looks afterwards
        assert sum(statement.startswith(("BEGIN", "COMMIT")) for statement in seen) == 2
        assert contents[number] != contents[number + 1], f"write {number}"


def test_a_process_killed_anywhere_in_a_write_leaves_all_of_it_or_nothing(history, tmp_path):
    states, statements = history
    kills = [
        (number, statement, tmp_path / f"{number}-{statement}")
        for number, seen in enumerate(statements)
        for statement in range(seen.index("COMMIT") + 2)
    ]
    for number, _, state_dir in kills:
        shutil.copytree(states[number], state_dir)
    said = subprocess.run(
        [sys.executable, killed_writes.__file__],
        input="".join(f"{state_dir} {number} {kill}\n" for number, kill, state_dir in kills),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    assert [int(code) for code in said] == [-signal.SIGKILL] * len(kills)
    contents = [content(state / STORE_NAME) for state in states]
    for number, statement, state_dir in kills:
        with Store.open(state_dir, now=NOW) as store:
            assert (store.created, store.moved_aside) == (False, None)
        was_done = statement == 0
        assert content(state_dir / STORE_NAME) == contents[number + was_done], (number, statement)


BEFORE = f"{2**255:064x}"
FULL_DISK = """
import resource, sys
from pathlib import Path
from swingtrader.adapters.store import Store
from swingtrader.errors import ConfigurationError
from tests.adapters.store.conftest import NOW
from tests.adapters.store.killed_writes import POSITIONS
with Store.open(Path(sys.argv[1]), now=NOW) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    try:
        for number in range(10_000):
            store.observe(POSITIONS[:1], [], [], NOW)
            store.sentiment.record("model", {f"{n:064x}": 0.5 for n in range(2_000)}, NOW)
    except ConfigurationError as error:
        print(error)
"""


def test_a_file_that_cannot_grow_is_an_error_in_one_line_and_spoils_nothing(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        store.trials.record(TRIAL)
        store.sentiment.record("model", {BEFORE: -0.5}, NOW)
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = ended.stdout.splitlines()
    assert STORE_NAME in line
    assert "the disk is full or failing" in line
    with Store.open(tmp_path, now=NOW) as store:
        assert store.moved_aside is None
        assert store.trials.all() == (TRIAL,)
        assert list(store.positions.all()) == ["KO"]
        assert store.sentiment.scores("model", [BEFORE]) == {BEFORE: -0.5}
        store.sentiment.record("model", {BEFORE: 0.5}, NOW)
