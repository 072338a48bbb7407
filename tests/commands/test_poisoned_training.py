"""A hundred trials of each poison: none is promoted. A hundred of a real improvement: promoted."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from tests.commands.test_retrain import (
    POISONS,
    SECTORS,
    SESSIONS,
    cut,
    short,
)

from swingtrader.adapters.bars import read_bars, write_bars
from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.ranker_training import TWIN_FILE, judged_ranker
from swingtrader.commands.training_material import material_of
from swingtrader.config import load_strategy
from swingtrader.core.plausibility import doubts_about, reference_of
from swingtrader.errors import DataError
from swingtrader.estimators.installation import install
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

pytestmark = pytest.mark.slow

STRATEGY = load_strategy(None)
TRIALS = 100
KINDS = [poison for poison in POISONS if poison not in {cut, short}]  # nothing to draw in these


def market(seed, persistence):
    sessions = sessions_between(dt.date(2015, 1, 2), dt.date(2017, 6, 30))[:SESSIONS]
    return simulate_market(
        SyntheticMarket(sessions, SECTORS, seed=seed, persistence=persistence, late_listings=0)
    )


@pytest.fixture(scope="module")
def panel():
    return market(5, 0.8)


@pytest.mark.parametrize("poison", KINDS)
def test_no_poisoned_bars_are_trained_on(panel, poison):
    """Against what was remembered at the last promotion, a week before."""
    reference = reference_of(panel.rows(0, SESSIONS - 5))
    last = panel.sessions[-1].item()
    assert not any(doubt.fatal for doubt in doubts_about(panel, last, reference))
    for seed in range(TRIALS):
        poisoned = poison(panel, np.random.default_rng(seed))
        assert any(doubt.fatal for doubt in doubts_about(poisoned, last, reference)), seed


def test_no_truncated_file_is_read(panel, tmp_path):
    whole = tmp_path / "bars.parquet"
    write_bars(panel, whole)
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    torn = tmp_path / "torn.parquet"
    for length in rng.integers(0, len(content), TRIALS):
        torn.write_bytes(content[:length])
        with pytest.raises(DataError):
            read_bars(torn)


def installed(models, material, labels, cache, seed):
    """A serving ranker's twin, learned from given labels."""
    learned = replace(material, labels=labels)
    ensemble, twin, _ = judged_ranker(learned, seed=seed, cache=cache, champion=None)
    return install(
        models, "ranker", f"v{seed}",
        {"ranker.npz": ensemble.to_bytes(), TWIN_FILE: twin.to_bytes()},
        created_at=dt.datetime(2016, 12, 1, tzinfo=dt.UTC), library_versions={}, validation={},
    )  # fmt: skip


def shuffled(labels, rng):
    """Every session's labels dealt out anew."""
    return rng.permuted(labels, axis=1)


def test_no_ranker_of_shuffled_labels_takes_the_place_of_a_good_one(panel, tmp_path):
    material = material_of(panel, STRATEGY, known=SESSIONS - 1)
    cache = ModelCache(tmp_path / "cache")
    champion = installed(tmp_path / "models", material, material.labels, cache, 0)
    for seed in range(TRIALS):
        labels = shuffled(material.labels, np.random.default_rng(seed))
        _, _, verdict = judged_ranker(
            replace(material, labels=labels), seed=0, cache=cache, champion=champion
        )
        assert not verdict.promoted, (seed, verdict.sentence)


def test_a_ranker_that_has_found_what_the_champion_never_knew_is_promoted(panel, tmp_path):
    """The champion learned nothing, as from shuffled labels; the market has something to learn."""
    material = material_of(panel, STRATEGY, known=SESSIONS - 1)
    cache = ModelCache(tmp_path / "cache")
    promoted = 0
    for seed in range(TRIALS):
        labels = shuffled(material.labels, np.random.default_rng(seed))
        champion = installed(tmp_path / "models", material, labels, cache, seed)
        _, _, verdict = judged_ranker(material, seed=0, cache=cache, champion=champion)
        promoted += verdict.promoted
    assert promoted == TRIALS
