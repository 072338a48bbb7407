import io
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.model_cache import ModelCache, fingerprint
from swingtrader.errors import ConfigurationError

KEY = "0a" * 32
PARTS = st.lists(st.binary(max_size=4) | st.text(max_size=3), max_size=4)


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "cache")


def stored(cache):
    return sorted(path.name for path in cache.directory.iterdir())


def use(cache, key, at):
    os.utime(cache.directory / f"{key}.npz", ns=(at, at))


# --- fingerprints ---------------------------------------------------------------------------


def test_a_fingerprint_is_the_sha256_of_each_part_after_its_length():
    # printf '\0\0\0\0\0\0\0\3abc' | sha256sum, and sha256sum of nothing
    assert fingerprint("abc") == "c3494ca1a2cf8eeb8a11ded316fb55b83c3bbbedb6313cd50415251e5d09e12f"
    assert fingerprint() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@settings(deadline=None, derandomize=True)
@given(one=PARTS, other=PARTS)
def test_two_lists_of_parts_share_a_fingerprint_only_if_they_are_equal(one, other):
    def as_bytes(parts):
        return [part.encode() if isinstance(part, str) else part for part in parts]

    same = as_bytes(one) == as_bytes(other)
    assert (fingerprint(*one) == fingerprint(*other)) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a", ""), ("a",)), (("",), ()), (("a", "b"), ("b", "a"))],
)
def test_where_a_part_ends_counts(one, other):
    assert fingerprint(*one) != fingerprint(*other)


# --- keeping --------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=30)
@given(content=st.binary())
def test_what_was_put_comes_back(tmp_path_factory, content):
    directory = tmp_path_factory.getbasetemp() / "any content"
    ModelCache(directory).put(KEY, b"earlier")
    ModelCache(directory).put(KEY, content)
    assert ModelCache(directory).get(KEY) == content


def test_an_unknown_key_is_a_miss_and_makes_nothing(cache):
    assert cache.get(KEY) is None
    assert cache.damaged == 0
    assert not cache.directory.exists()


def test_a_kept_file_can_be_opened_with_numpy(cache):
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.arange(5.0))
    cache.put(KEY, buffer.getvalue())
    with np.load(cache.directory / f"{KEY}.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["weights"], np.arange(5.0))


@pytest.mark.parametrize("key", ["", "ABC", "../0a", "0g", "0a\n", "0" * 129])
def test_a_key_that_is_not_lower_case_hexadecimal_is_refused(cache, key):
    with pytest.raises(ValueError, match="hexadecimal"):
        cache.get(key)
    with pytest.raises(ValueError, match="hexadecimal"):
        cache.put(key, b"")


# --- damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda stored: stored[:0],
        lambda stored: stored[:-1],
        lambda stored: stored[: len(stored) // 2],
        lambda stored: stored + b"\0",
        lambda stored: bytes([stored[0] ^ 1]) + stored[1:],
        lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
    ],
    ids=["emptied", "last byte lost", "cut in half", "appended to", "first bit", "last bit"],
)
def test_a_damaged_file_is_removed_counted_and_a_miss(cache, spoiled):
    cache.put(KEY, b"weights" * 20)
    path = cache.directory / f"{KEY}.npz"
    path.write_bytes(spoiled(path.read_bytes()))
    assert cache.get(KEY) is None
    assert cache.damaged == 1
    assert not path.exists()
    assert cache.get(KEY) is None
    assert cache.damaged == 1, "what is gone is no longer damaged"


def test_a_file_under_another_key_is_damaged(cache):
    cache.put(KEY, b"weights")
    (cache.directory / f"{KEY}.npz").rename(cache.directory / "ff.npz")
    assert cache.get("ff") is None
    assert cache.damaged == 1


def test_a_directory_that_cannot_be_written_to_is_refused_on_the_first_put(tmp_path):
    (tmp_path / "file").write_text("precious")
    cache = ModelCache(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="file"):
        cache.put(KEY, b"weights")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_file_that_cannot_be_read_is_refused(cache):
    (cache.directory / f"{KEY}.npz").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        cache.get(KEY)


# --- bounds ---------------------------------------------------------------------------------


def test_pruning_drops_the_least_recently_used(cache):
    for at, key in enumerate(("aa", "bb", "cc", "dd"), start=1):
        cache.put(key, key.encode())
        use(cache, key, at)
    assert cache.get("aa") == b"aa", "which makes it the most recently used"
    assert cache.prune(2) == 2
    assert stored(cache) == ["aa.npz", "dd.npz"]


@pytest.mark.parametrize(("max_files", "left"), [(0, 0), (1, 1), (3, 3), (4, 3)])
def test_pruning_leaves_at_most_so_many(cache, max_files, left):
    for key in ("aa", "bb", "cc"):
        cache.put(key, b"")
    assert cache.prune(max_files) == 3 - left
    assert len(stored(cache)) == left


def test_pruning_spares_what_is_not_the_caches_and_sweeps_what_killed_runs_left(cache):
    cache.put("aa", b"")
    gone = 2**31 - 1  # beyond any system's largest process id
    (cache.directory / f".bb.npz.partial-{gone}-abc").touch()
    (cache.directory / f".cc.npz.partial-{os.getppid()}-abc").touch()
    (cache.directory / "README").touch()
    assert cache.prune(0) == 1
    assert stored(cache) == [f".cc.npz.partial-{os.getppid()}-abc", "README"]


def test_pruning_what_does_not_exist_does_nothing(cache):
    assert cache.prune(10) == 0
    with pytest.raises(ValueError, match="max_files"):
        cache.prune(-1)


# --- two at once ----------------------------------------------------------------------------

PUT_AND_GET = """
import sys
from pathlib import Path
from swingtrader.adapters.model_cache import ModelCache
cache = ModelCache(Path(sys.argv[1]))
content = b"weights" * 10_000
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    cache.put("aa", content)
    assert cache.get("aa") == content
assert cache.damaged == 0
"""


def test_processes_that_write_one_key_at_once_do_no_harm(cache):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PUT_AND_GET, str(cache.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=60)
    assert [child.returncode for child in children] == [0, 0]
    assert stored(cache) == ["aa.npz"]
    assert cache.get("aa") == b"weights" * 10_000
