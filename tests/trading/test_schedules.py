"""Seeded schedules of faults, kills, overlapping runs and hand trades: the fixed part of them.

Each chunk plays a few seeds; what must hold is looked at in `fuzz/witness` at every order that is
sent, in `fuzz/books` at every fill and in `fuzz/audit` after every run. As many more as wanted
are played by ``scripts/fuzz-schedules``.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import pytest
from tests.trading.fuzz.play import play

SEEDS_A_CHUNK = 6
CHUNKS = range(8)

played = lru_cache(maxsize=None)(play)


def seeds_of(chunk):
    return range(chunk * SEEDS_A_CHUNK, (chunk + 1) * SEEDS_A_CHUNK)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_whatever_happens_nothing_that_must_hold_is_broken(chunk):
    failures = [played(seed).failure for seed in seeds_of(chunk)]
    broken = [failure for failure in failures if failure is not None]
    assert not broken, "\n".join(broken)


def test_the_fixed_part_meets_what_it_is_there_for():
    counts = Counter()
    for chunk in CHUNKS:
        for seed in seeds_of(chunk):
            counts.update(played(seed).counts)
    needed = {
        "ended killed": 20, "ended 69": 50, "ended 75": 5, "ended 0": 500,
        "entry filled": 50, "entry canceled": 1, "exit filled": 50, "exit rejected": 2,
        "protection new": 50, "ByHand": 50, "Halted": 5, "Resumed": 3, "StoreLost": 5,
        "met silence": 10, "met reset": 10, "met status": 50, "met cut_json": 5,
        "met cut_connection": 5, "met empty": 5, "met edit": 10,
    }  # fmt: skip
    assert {what: counts[what] for what, least in needed.items() if counts[what] < least} == {}


def test_a_schedule_is_replayed_by_its_seed():
    first, again = [], []
    play(3, first.append)
    play(3, again.append)
    assert first == again
    assert len(first) > 20
