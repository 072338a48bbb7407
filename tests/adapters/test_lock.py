import stat
import subprocess
import sys

import pytest

from swingtrader.adapters.lock import LOCK_NAME, state_lock
from swingtrader.errors import ConfigurationError, LockHeld

HOLD = """
import sys
from pathlib import Path
from swingtrader.adapters.lock import state_lock
with state_lock(Path(sys.argv[1]), wait_seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Start a second process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_of_another_process_is_waited_for_only_so_long(tmp_path, holder):
    with (
        pytest.raises(LockHeld, match=rf"{LOCK_NAME}.*waited 0.05 s") as refusal,
        state_lock(tmp_path, wait_seconds=0.05),
    ):
        pytest.fail("two processes hold one lock")
    assert refusal.value.path == tmp_path / LOCK_NAME
    assert refusal.value.waited_seconds == 0.05
    assert holder.poll() is None


def test_the_lock_is_free_once_its_holder_is_done(tmp_path, holder):
    holder.communicate()
    with state_lock(tmp_path, wait_seconds=0):
        pass


def test_a_lock_that_comes_free_during_the_wait_is_taken(tmp_path, holder):
    holder.stdin.close()  # it ends whenever it gets round to it
    with state_lock(tmp_path, wait_seconds=60):
        pass


def test_a_killed_holder_frees_the_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    with state_lock(tmp_path, wait_seconds=0):
        pass


def test_the_lock_is_freed_when_its_block_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), state_lock(tmp_path, wait_seconds=0):
        raise KeyboardInterrupt
    with state_lock(tmp_path, wait_seconds=0):
        pass


def test_a_second_hold_in_one_process_is_refused_too(tmp_path):
    with (
        state_lock(tmp_path, wait_seconds=0),
        pytest.raises(LockHeld),
        state_lock(tmp_path, wait_seconds=0),
    ):
        pytest.fail("held twice")


def test_the_directory_is_made_and_the_lock_file_kept_from_others(tmp_path):
    state_dir = tmp_path / "state"
    with state_lock(state_dir, wait_seconds=0):
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o750
        assert stat.S_IMODE((state_dir / LOCK_NAME).stat().st_mode) == 0o640


@pytest.mark.parametrize("wait_seconds", [-1, float("inf"), float("nan")])
def test_a_wait_without_bound_is_refused(tmp_path, wait_seconds):
    with (
        pytest.raises(ValueError, match="wait_seconds"),
        state_lock(tmp_path, wait_seconds=wait_seconds),
    ):
        pytest.fail("waited without bound")


def test_a_state_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "state").write_text("precious")
    with (
        pytest.raises(ConfigurationError, match="state"),
        state_lock(tmp_path / "state", wait_seconds=0),
    ):
        pytest.fail("locked a file's inside")


def test_a_lock_file_that_is_a_directory_is_refused(tmp_path):
    (tmp_path / LOCK_NAME).mkdir()
    with (
        pytest.raises(ConfigurationError, match=LOCK_NAME),
        state_lock(tmp_path, wait_seconds=0),
    ):
        pytest.fail("locked a directory")
