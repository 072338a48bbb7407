"""Which version serves: promotion, rollback, damage, and what is cleared away."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.errors import DataError, UsageError
from swingtrader.estimators.artifact import (
    SERVED_KEPT,
    Serving,
    families,
    served_versions,
    serving,
    serving_artifact,
    version_names,
)
from swingtrader.estimators.installation import install, installed, promote, prune, rollback

START = dt.datetime(2024, 3, 6, 21, tzinfo=dt.UTC)


def put(models, *versions, family="ranker"):
    """Install versions, each a day younger than the one before."""
    there = len(version_names(models, family))
    for age, version in enumerate(versions, start=there):
        install(
            models, family, version, {"a": version.encode(), "b": b"1" * 9999},
            created_at=START + dt.timedelta(days=age), library_versions={}, validation={},
        )  # fmt: skip


def served(models, *versions):
    """Install versions and promote each in turn."""
    for version in versions:
        put(models, version)
        promote(models, "ranker", version)


def pointer(models):
    return (models / "ranker" / "serving").read_text().splitlines()


def spoil(models, version, how):
    directory = models / "ranker" / version
    if how == "missing":
        (directory / "a").unlink()
    elif how == "truncated":
        (directory / "b").write_bytes(b"1" * 9998)
    elif how == "altered":
        (directory / "a").write_bytes(b"x" * (directory / "a").stat().st_size)
    elif how == "no manifest":
        (directory / "manifest.json").unlink()
    else:
        directory.rename(models / "elsewhere")


# --- promotion and rollback --------------------------------------------------------------------


def test_the_pointer_names_what_serves_and_the_two_that_served_before(tmp_path):
    served(tmp_path, "v1", "v2", "v3", "v4")
    assert pointer(tmp_path) == ["v4", "v3", "v2"]
    assert served_versions(tmp_path, "ranker") == ("v4", "v3", "v2")
    assert serving_artifact(tmp_path, "ranker").version == "v4"


def test_a_version_promoted_again_moves_to_the_front(tmp_path):
    served(tmp_path, "v1", "v2", "v3")
    promote(tmp_path, "ranker", "v1")
    assert pointer(tmp_path) == ["v1", "v3", "v2"]
    promote(tmp_path, "ranker", "v1")
    assert pointer(tmp_path) == ["v1", "v3", "v2"]


def test_a_rollback_undoes_a_promotion(tmp_path):
    served(tmp_path, "v1", "v2", "v3")
    assert rollback(tmp_path, "ranker").version == "v2"
    assert rollback(tmp_path, "ranker").version == "v1"
    assert pointer(tmp_path) == ["v1"]
    with pytest.raises(UsageError, match=r"before version v1; .*models promote ranker"):
        rollback(tmp_path, "ranker")
    assert pointer(tmp_path) == ["v1"]


def test_where_nothing_serves_there_is_nothing_to_roll_back_to(tmp_path):
    put(tmp_path, "v1")
    for family in ("ranker", "finbert"):
        with pytest.raises(UsageError, match=f"no {family} serves"):
            rollback(tmp_path, family)


def test_a_pointer_of_an_earlier_release_is_a_list_of_one(tmp_path):
    put(tmp_path, "v1", "v2")
    (tmp_path / "ranker" / "serving").write_text("v1")
    assert served_versions(tmp_path, "ranker") == ("v1",)
    promote(tmp_path, "ranker", "v2")
    assert pointer(tmp_path) == ["v2", "v1"]


@pytest.mark.parametrize("how", ["missing", "truncated", "altered", "no manifest", "gone"])
def test_a_damaged_version_is_not_rolled_back_to(tmp_path, how):
    served(tmp_path, "v1", "v2")
    spoil(tmp_path, "v1", how)
    with pytest.raises(DataError, match=r"v1.*models promote ranker"):
        rollback(tmp_path, "ranker")
    assert pointer(tmp_path) == ["v2", "v1"]


def test_a_promotion_mends_a_pointer_that_says_nothing(tmp_path):
    served(tmp_path, "v1")
    (tmp_path / "ranker" / "serving").write_text("")
    with pytest.raises(DataError, match=r"does not name a version; .*models promote ranker"):
        rollback(tmp_path, "ranker")
    promote(tmp_path, "ranker", "v1")
    assert pointer(tmp_path) == ["v1"]


@settings(deadline=None, derandomize=True, max_examples=10)
@given(steps=st.lists(st.sampled_from(["v1", "v2", "v3", "v4", "v5", None]), max_size=8))
def test_the_pointer_is_what_a_list_would_be(steps):
    with tempfile.TemporaryDirectory() as home:
        models, expected = Path(home), []
        put(models, "v1", "v2", "v3", "v4", "v5")
        for step in steps:
            if step is not None:
                promote(models, "ranker", step)
                expected = [step, *(each for each in expected if each != step)][:SERVED_KEPT]
            elif len(expected) > 1:
                rollback(models, "ranker")
                expected = expected[1:]
            assert list(served_versions(models, "ranker")) == expected
            found = serving(models, "ranker").artifact
            assert (found and found.version) == (expected[0] if expected else None)


# --- damage ------------------------------------------------------------------------------------


def test_what_is_intact_serves_without_a_doubt(tmp_path):
    assert serving(tmp_path, "ranker") == Serving(None, ())
    served(tmp_path, "v1", "v2")
    found = serving(tmp_path, "ranker")
    assert found == Serving(serving_artifact(tmp_path, "ranker"), ())
    assert found.artifact.verified
    assert found.artifact.path("a").read_text() == "v2"


@pytest.mark.parametrize("how", ["missing", "truncated", "altered", "no manifest", "gone"])
def test_the_version_before_serves_where_the_one_in_use_is_damaged(tmp_path, how):
    served(tmp_path, "v1", "v2", "v3")
    spoil(tmp_path, "v3", how)
    found = serving(tmp_path, "ranker")
    assert found.artifact.version == "v2"
    (doubt,) = found.doubts
    assert doubt.startswith(str(tmp_path / "ranker" / "v3"))
    assert "install ranker version v3 again" in doubt
    assert doubt.endswith("; until then version v2 serves")
    assert pointer(tmp_path) == ["v3", "v2", "v1"]  # mended, it serves again


def test_every_version_passed_over_is_named_and_none_may_be_left(tmp_path):
    served(tmp_path, "v1", "v2", "v3")
    for version in ("v3", "v2"):
        spoil(tmp_path, version, "altered")
    found = serving(tmp_path, "ranker")
    assert found.artifact.version == "v1"
    assert len(found.doubts) == 2
    spoil(tmp_path, "v1", "missing")
    found = serving(tmp_path, "ranker")
    assert found.artifact is None
    assert [doubt.endswith("until then none serves") for doubt in found.doubts] == [True] * 3


@pytest.mark.parametrize("content", [b"", b"../v1\n", b"\xff\n", None])
def test_a_pointer_that_cannot_be_read_leaves_nothing_serving_and_says_so(tmp_path, content):
    served(tmp_path, "v1")
    place = tmp_path / "ranker" / "serving"
    place.unlink()
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    found = serving(tmp_path, "ranker")
    assert found.artifact is None
    (doubt,) = found.doubts
    assert str(place) in doubt


# --- what is there -----------------------------------------------------------------------------


def test_families_are_what_has_a_version_or_a_pointer(tmp_path):
    assert families(tmp_path / "models") == ()
    put(tmp_path, "v1", family="rl")
    served(tmp_path, "v1")
    (tmp_path / "walk-forward").mkdir()
    (tmp_path / "walk-forward" / "0a.npz").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("")
    assert families(tmp_path) == ("ranker", "rl")


def test_installed_versions_come_newest_first_without_those_nobody_can_read(tmp_path):
    put(tmp_path, "b", "c", "a")
    (tmp_path / "ranker" / "d").mkdir()
    (tmp_path / "ranker" / "d" / "manifest.json").write_text("{")
    assert [artifact.version for artifact in installed(tmp_path, "ranker")] == ["a", "c", "b"]
    assert version_names(tmp_path, "ranker") == ("a", "b", "c", "d")
    assert installed(tmp_path, "finbert") == version_names(tmp_path, "finbert") == ()


# --- pruning -----------------------------------------------------------------------------------


def test_what_neither_serves_nor_served_lately_nor_is_new_goes(tmp_path):
    served(tmp_path, "v1", "v2", "v3", "v4")
    put(tmp_path, "v5", "v6", "v7")
    promote(tmp_path, "ranker", "v1")  # however old
    assert prune(tmp_path, "ranker") == ("v5", "v2")
    assert version_names(tmp_path, "ranker") == ("v1", "v3", "v4", "v6", "v7")
    assert prune(tmp_path, "ranker") == ()
    assert prune(tmp_path, "ranker", keep=0) == ("v7", "v6")
    assert version_names(tmp_path, "ranker") == ("v1", "v3", "v4")
    assert prune(tmp_path, "finbert") == ()


@settings(deadline=None, derandomize=True, max_examples=5)
@given(promoted=st.lists(st.booleans(), min_size=6, max_size=8), keep=st.integers(0, 3))
def test_however_many_are_trained_the_store_stays_small(promoted, keep):
    with tempfile.TemporaryDirectory() as home:
        models = Path(home)
        for number, wins in enumerate(promoted):
            put_one = f"v{number:02}"
            install(
                models, "ranker", put_one, {"a": b"1"}, created_at=START + dt.timedelta(number),
                library_versions={}, validation={},
            )  # fmt: skip
            if wins:
                promote(models, "ranker", put_one)
            before = serving(models, "ranker")
            prune(models, "ranker", keep)
            assert serving(models, "ranker") == before
            assert len(version_names(models, "ranker")) <= SERVED_KEPT + keep


def test_what_has_no_sound_manifest_is_left_to_a_person(tmp_path):
    served(tmp_path, "v1")
    put(tmp_path, *(f"w{n}" for n in range(4)))
    spoil(tmp_path, "w0", "no manifest")
    (tmp_path / "ranker" / "w1" / "manifest.json").write_text("{")
    assert prune(tmp_path, "ranker", keep=0) == ("w3", "w2")
    assert version_names(tmp_path, "ranker") == ("v1", "w0", "w1")


def test_nothing_goes_while_it_is_not_known_what_serves(tmp_path):
    put(tmp_path, "v1", "v2", "v3", "v4")
    (tmp_path / "ranker" / "serving").write_text("?")
    with pytest.raises(DataError, match="does not name a version"):
        prune(tmp_path, "ranker")
    assert len(version_names(tmp_path, "ranker")) == 4


def test_a_reader_keeps_what_it_has_open_while_the_version_goes(tmp_path):
    put(tmp_path, "v1", "v2", "v3")
    with (tmp_path / "ranker" / "v1" / "b").open("rb") as file:
        assert prune(tmp_path, "ranker") == ("v1",)
        assert file.read() == b"1" * 9999


# --- kills and several at once ------------------------------------------------------------------

KILLED_AT_EVERY_STEP = """
    import os, pathlib, shutil, signal, sys
    from swingtrader.estimators.installation import promote, prune, rollback

    CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
    ACTIONS = {
        "promote": lambda models: promote(models, "ranker", "v2"),
        "rollback": lambda models: rollback(models, "ranker"),
        "prune": lambda models: prune(models, "ranker", keep=0),
    }

    def killed_at(step, action, models):
        left = step
        def count(event, arguments):
            nonlocal left
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            left -= event in CHANGES or bool(writes)
            if left == 0:
                left = -1  # the kill itself is such an event
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        action(models)
        os._exit(0)

    template, home = map(pathlib.Path, sys.argv[1:])
    promote(template, "ranker", "v4")  # which it is; whatever is imported late is here now
    for name, action in ACTIONS.items():
        step, code = 0, -9
        while code:
            step += 1
            models = home / f"{name}-{step}"
            shutil.copytree(template, models)
            child = os.fork()
            if not child:
                killed_at(step, action, models)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in {0, -signal.SIGKILL}
"""


def test_a_kill_at_any_step_leaves_the_store_as_it_was_or_as_it_was_to_become(tmp_path):
    template = tmp_path / "template"
    served(template, "v1", "v3", "v4")
    put(template, "v2", "v5")
    done = {
        "promote": ("v2", "v4", "v3"),
        "rollback": ("v3", "v1"),
        "prune": ("v4", "v3", "v1"),
    }
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED_AT_EVERY_STEP), template, tmp_path],
        check=True,
    )
    seen = {name: set() for name in done}
    for models in sorted(set(tmp_path.iterdir()) - {template}):
        name = models.name.partition("-")[0]
        versions = served_versions(models, "ranker")
        assert versions in {("v4", "v3", "v1"), done[name]}
        found = serving(models, "ranker")
        assert found.doubts == ()
        assert found.artifact.version == versions[0]
        # Whatever is there to be seen is whole.
        whole = [artifact.intact().version for artifact in installed(models, "ranker")]
        assert sorted(whole) == list(version_names(models, "ranker"))
        seen[name].add((versions, len(whole)))
        # What the kill left is swept, and what it cut short is done.
        prune(models, "ranker", keep=0)
        left = {"serving", *served_versions(models, "ranker")}
        assert {path.name for path in (models / "ranker").iterdir()} == left
    assert seen["promote"] == {(("v4", "v3", "v1"), 5), (done["promote"], 5)}
    assert seen["rollback"] == {(("v4", "v3", "v1"), 5), (done["rollback"], 5)}
    assert seen["prune"] == {(done["prune"], count) for count in (5, 4, 3)}


PROMOTES = """
    import pathlib, sys
    from swingtrader.estimators.installation import promote, prune
    for _ in range(8):
        promote(pathlib.Path(sys.argv[1]), "ranker", sys.argv[2])
        prune(pathlib.Path(sys.argv[1]), "ranker", keep=0)
"""


def test_of_several_at_once_none_removes_what_another_lets_serve(tmp_path):
    served(tmp_path, "v1")
    put(tmp_path, "v2", "v3")
    promote(tmp_path, "ranker", "v2")
    promote(tmp_path, "ranker", "v3")
    code = textwrap.dedent(PROMOTES)
    children = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, version])
        for version in ("v1", "v2", "v3")
    ]
    while any(child.poll() is None for child in children):
        assert serving(tmp_path, "ranker").doubts == ()
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sorted(served_versions(tmp_path, "ranker")) == ["v1", "v2", "v3"]
    assert version_names(tmp_path, "ranker") == ("v1", "v2", "v3")


def is_locked(family):
    descriptor = os.open(family, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize(
    "act", [lambda home: promote(home, "ranker", "v2"), lambda home: rollback(home, "ranker")]
)
def test_from_looking_a_version_through_until_it_serves_nobody_else_writes(tmp_path, act):
    served(tmp_path, "v2", "v1")
    file = tmp_path / "ranker" / "v2" / "a"
    file.unlink()
    os.mkfifo(file)  # whoever reads it waits for what is written below
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act, tmp_path)
        with file.open("wb") as writing:
            assert is_locked(tmp_path / "ranker")
            assert served_versions(tmp_path, "ranker") == ("v1", "v2")
            writing.write(b"v2")
        assert acting.result(60).version == "v2"
    assert not is_locked(tmp_path / "ranker")
    assert served_versions(tmp_path, "ranker")[0] == "v2"


def test_one_that_was_killed_while_it_wrote_keeps_nobody_waiting(tmp_path):
    put(tmp_path, "v1")
    holder = (
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", holder, tmp_path / "ranker"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert promote(tmp_path, "ranker", "v1").version == "v1"
