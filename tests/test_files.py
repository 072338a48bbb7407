import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from swingtrader.errors import ConfigurationError
from swingtrader.files import (
    OutputDirectory,
    abandoned,
    atomic_write_bytes,
    ensure_directory,
    interruptions_held_back,
    unused_path,
)

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from swingtrader.files import OutputDirectory
with OutputDirectory(Path(sys.argv[1])) as directory:
    (directory / "equity.csv").write_text("new")
    print(directory, flush=True)
    sys.stdin.read()
"""

INTERRUPT_THE_MOVES = """
import os, signal, sys, threading
from pathlib import Path
from swingtrader.files import OutputDirectory
path = Path(sys.argv[1])

def interrupt_once_some_file_is_there():
    print("watching", flush=True)
    while not any(path.glob("*")):
        pass
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

watcher = threading.Thread(target=interrupt_once_some_file_is_there, daemon=True)
with OutputDirectory(path) as directory:
    for number in range(400):
        (directory / f"{number}.csv").touch()
    watcher.start()
watcher.join()
"""


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path):
    """Give an output directory that holds an earlier run's file and somebody's note."""
    path = tmp_path / "out"
    path.mkdir()
    (path / "equity.csv").write_text("old")
    (path / "note.txt").write_text("mine")
    return path


BEFORE = {"equity.csv": "old", "note.txt": "mine"}


@pytest.fixture
def writer(out):
    """Start a second process that writes into `out` until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        process.directory = Path(process.stdout.readline().strip())
        yield process
        process.kill()


# --- single files ---------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path, durable):
    path = tmp_path / "pointer"
    atomic_write_bytes(path, b"old", durable=durable)
    with path.open("rb") as reader:
        atomic_write_bytes(path, b"new", durable=durable)
        assert reader.read() == b"old", "an open reader keeps what it opened"
    assert contents(tmp_path) == {"pointer": "new"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_replaced_is_refused_and_nothing_left_beside_it(tmp_path):
    (tmp_path / "pointer").mkdir()
    with pytest.raises(ConfigurationError, match=r"pointer: cannot be written \(Is a directory"):
        atomic_write_bytes(tmp_path / "pointer", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["pointer"]


def test_a_file_in_no_directory_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="pointer"):
        atomic_write_bytes(tmp_path / "missing" / "pointer", b"new")


def test_an_existing_directory_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o700)
    ensure_directory(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_an_unused_path_is_free_with_all_its_endings(tmp_path):
    path = tmp_path / "state"
    assert unused_path(path) == path
    path.touch()
    (tmp_path / "state.1-wal").symlink_to("nowhere")
    assert unused_path(path) == tmp_path / "state.1"
    assert unused_path(path, ("", "-wal")) == tmp_path / "state.2"


# --- sets of files --------------------------------------------------------------------------


def test_files_appear_together_at_the_end(tmp_path):
    path = tmp_path / "deep" / "out"
    with OutputDirectory(path) as directory:
        (directory / "equity.csv").write_text("1")
        (directory / "charts").mkdir()
        (directory / "charts" / "equity.svg").write_text("2")
        assert directory.parent == path.parent
        assert directory.name.startswith(".out.")
        assert not path.exists()
    assert contents(tmp_path / "deep") == {"out/equity.csv": "1", "out/charts/equity.svg": "2"}


def test_files_the_run_did_not_write_are_left_alone(out):
    with OutputDirectory(out) as directory:
        (directory / "equity.csv").write_text("new")
        assert contents(out) == BEFORE
    assert contents(out) == {"equity.csv": "new", "note.txt": "mine"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_that_fails_leaves_everything_as_it_was(out, failure):
    def write_and_fail():
        with OutputDirectory(out) as directory:
            (directory / "equity.csv").write_text("new")
            raise failure

    with pytest.raises(failure):
        write_and_fail()
    assert contents(out.parent) == {f"out/{name}": text for name, text in BEFORE.items()}


def test_a_run_that_fails_makes_no_directories(tmp_path):
    with pytest.raises(ValueError, match="midway"), OutputDirectory(tmp_path / "a" / "b" / "out"):
        raise ValueError("midway")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_said_in_one_line(out):
    with (
        pytest.raises(ConfigurationError, match=r"out: .*No space left on device\)$"),
        OutputDirectory(out),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert contents(out) == BEFORE


def test_an_output_that_is_a_file_is_refused_before_any_work(tmp_path):
    path = tmp_path / "out"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="out"), OutputDirectory(path):
        pytest.fail("hours of work begin")
    assert contents(tmp_path) == {"out": "precious"}


@pytest.mark.parametrize("unwritable", [".", "out"])
def test_an_output_that_cannot_be_written_to_is_refused_before_any_work(
    unprivileged_dir, unwritable
):
    if unwritable == "out":
        (unprivileged_dir / "out").mkdir()
    (unprivileged_dir / unwritable).chmod(0o550)
    before = sorted(unprivileged_dir.rglob("*"))
    with (
        pytest.raises(ConfigurationError, match=r"out: .*Permission denied"),
        OutputDirectory(unprivileged_dir / "out"),
    ):
        pytest.fail("hours of work begin")
    assert sorted(unprivileged_dir.rglob("*")) == before


def test_an_output_of_our_own_in_a_directory_of_others_is_written_from_within(unprivileged_dir):
    path = unprivileged_dir / "out"
    path.mkdir()
    unprivileged_dir.chmod(0o550)
    with OutputDirectory(path) as directory:
        (directory / "equity.csv").write_text("new")
        assert directory.parent == path
    assert [file.name for file in path.iterdir()] == ["equity.csv"]


def test_a_link_to_an_output_stays_a_link(tmp_path, out):
    link = tmp_path / "link"
    link.symlink_to(out)
    with OutputDirectory(link) as directory:
        (directory / "equity.csv").write_text("new")
    assert link.is_symlink()
    assert contents(out)["equity.csv"] == "new"


# --- runs that are stopped ------------------------------------------------------------------


def test_an_interrupted_run_cleans_up(out, writer):
    assert contents(writer.directory) == {"equity.csv": "new"}
    writer.send_signal(signal.SIGINT)
    assert writer.wait(timeout=60) == -signal.SIGINT
    assert contents(out) == BEFORE
    assert os.listdir(out.parent) == ["out"]  # noqa: PTH208 - names, hidden ones too


def test_what_a_killed_run_left_is_swept_by_the_next(out, writer):
    writer.kill()
    writer.wait()
    assert contents(out) == BEFORE
    assert abandoned(out.parent) == (writer.directory,)
    with OutputDirectory(out):
        assert not writer.directory.exists()
    assert contents(out) == BEFORE


def test_what_a_running_one_writes_is_not_swept(out, writer):
    with OutputDirectory(out):
        assert contents(writer.directory) == {"equity.csv": "new"}
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert contents(out) == {"equity.csv": "new", "note.txt": "mine"}


def test_only_the_leftovers_of_the_same_output_are_swept(tmp_path):
    gone = 2**31 - 1  # beyond any system's largest process id
    other = tmp_path / f".other.partial-{gone}-abc"
    ours = tmp_path / f".out.partial-{gone}-abc"
    alike = tmp_path / ".out.partial-notes"
    for directory in (other, ours, alike):
        directory.mkdir()
    with OutputDirectory(tmp_path / "out"):
        pass
    assert other.exists()
    assert alike.exists()
    assert not ours.exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_the_final_moves_waits_until_the_set_is_complete(tmp_path, name):
    path = tmp_path / "out"
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPT_THE_MOVES, str(path), name],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert process.returncode == -getattr(signal, name), "and is then obeyed"
    assert len(list(path.iterdir())) == 400
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - names, hidden ones too


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_held_back_is_delivered_after_the_block_to_the_handler_of_before(number):
    events = []
    before = signal.signal(number, lambda *_: events.append("delivered"))
    try:
        with interruptions_held_back():
            os.kill(os.getpid(), number)
            events.append("block ended")
        assert events == ["block ended", "delivered"]
        os.kill(os.getpid(), number)
        assert events == ["block ended", "delivered", "delivered"]
    finally:
        signal.signal(number, before)


def test_a_thread_that_may_not_hold_signals_back_can_write_all_the_same(out):
    def write():
        with OutputDirectory(out) as directory:
            (directory / "equity.csv").write_text("new")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert contents(out) == {"equity.csv": "new", "note.txt": "mine"}
