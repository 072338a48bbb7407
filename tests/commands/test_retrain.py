"""``swingtrader retrain`` on a file: what is trained, what serves, and what is left as it was."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.calendar import session_closes, sessions_between
from swingtrader.adapters.lock import RETRAIN_LOCK_NAME, state_lock
from swingtrader.adapters.store import Store
from swingtrader.core.agents import Ensemble
from swingtrader.core.perceptron import OBSERVATIONS
from swingtrader.estimators.artifact import serving
from swingtrader.estimators.installation import rollback
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

FAMILIES = ("ranker", "regime", "rl")
SECTORS = {
    "Technology": ("XLK", ("AAPL", "MSFT", "CRM", "ORCL")),
    "Financials": ("XLF", ("JPM", "BAC", "GS", "MA")),
    "Healthcare": ("XLV", ("LLY", "UNH", "ABBV")),
}
SESSIONS = 490
"""Enough for a ranker with a twin, for a regime, and for agents."""
KNOWN = SESSIONS - 5
"""Sessions known at the first retraining."""
QUICK = ("--timesteps", 1000, "--agent-seeds", 1)
KEYS = {
    "run_id", "command", "mode", "asof", "session", "dry_run", "stages", "skipped", "warnings",
}  # fmt: skip
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def panel():
    sessions = sessions_between(dt.date(2015, 1, 2), dt.date(2017, 6, 30))[:SESSIONS]
    return simulate_market(
        SyntheticMarket(sessions, SECTORS, seed=5, persistence=0.8, late_listings=0)
    )


@pytest.fixture(scope="module")
def bars(panel, tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    write_bars(panel, path)
    return path


@pytest.fixture(scope="module")
def trained(swingtrader, bars, panel, tmp_path_factory):
    """One retraining with everything, a week before the bars end: to read and not to touch."""
    home = tmp_path_factory.mktemp("trained")
    return home, retrained(swingtrader, home, bars, "--as-of", panel.sessions[KNOWN - 1])


@pytest.fixture
def home(trained, tmp_path):
    """A copy of it, for a test to do with as it likes."""
    shutil.copytree(trained[0], tmp_path / "home")
    return tmp_path / "home"


def retrain(swingtrader, home, bars, *options):
    return swingtrader(
        "--json", "--state-dir", home / "state", "--models-dir", home / "models",
        "retrain", "--bars", bars, *QUICK, *options,
    )  # fmt: skip


def retrained(swingtrader, home, bars, *options):
    outcome = retrain(swingtrader, home, bars, *options)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def pointers(home):
    return {
        family: (home / "models" / family / "serving").read_text()
        for family in FAMILIES
        if (home / "models" / family / "serving").exists()
    }


def digests(home, family):
    artifact = serving(home / "models", family).artifact
    return artifact.manifest.version, dict(artifact.manifest.sha256)


def test_everything_is_trained_judged_and_let_serve(trained, panel):
    home, report = trained
    assert report.keys() == KEYS
    assert [stage["family"] for stage in report["stages"]] == list(FAMILIES)
    assert all(stage["promoted"] and stage["verdict"] for stage in report["stages"])
    assert report["session"] == panel.sessions[KNOWN].item().isoformat()
    closed_at = session_closes(panel.sessions[KNOWN - 1 : KNOWN])[0].item().replace(tzinfo=dt.UTC)
    assert report["asof"] == closed_at.isoformat()
    for stage in report["stages"]:
        found = serving(home / "models", stage["family"])
        manifest = found.artifact.intact().manifest
        assert (manifest.version, found.doubts) == (stage["version"], ())
        assert dict(manifest.validation) == stage["figures"]
        assert manifest.created_at == closed_at
        assert all(name.endswith((".npz", ".csv", ".json")) for name in manifest.sha256)


def test_the_ranker_is_judged_on_half_a_year_that_its_twin_has_not_seen(trained):
    figures = trained[1]["stages"][0]["figures"]
    assert figures["sessions"] == 126
    assert figures["rank_ic"] > 0.05  # persistence was planted
    assert figures["training_sessions"] == 378


def test_status_learns_what_serves_and_how_it_was_judged(trained):
    home, report = trained
    with Store.open(home / "state", now=NOW) as store:
        rows = {row.family: row for row in store.models.all()}
    for stage in report["stages"]:
        row = rows[stage["family"]]
        assert (row.version, dict(row.validation)) == (stage["version"], stage["figures"])


@pytest.mark.slow
def test_the_same_bars_and_seed_give_the_same_models(swingtrader, trained, bars, panel, tmp_path):
    """With nothing cached: bit for bit, and for the agents the same actions within 1e-6."""
    home, _ = trained
    retrained(swingtrader, tmp_path, bars, "--as-of", panel.sessions[KNOWN - 1])
    for family in ("ranker", "regime"):
        assert digests(tmp_path, family) == digests(home, family)
    first, second = (_ensemble(each) for each in (home, tmp_path))
    seen = np.random.default_rng(0).normal(0.0, 1.0, (500, OBSERVATIONS)).astype(np.float32)
    for one, other in zip(first.agents, second.agents, strict=True):
        assert np.abs(one.act(seen) - other.act(seen)).max() <= 1e-6
    assert first.weights == pytest.approx(second.weights, abs=1e-6)


def _ensemble(home):
    artifact = serving(home / "models", "rl").artifact
    return Ensemble.from_bytes(artifact.path("ensemble.npz").read_bytes())


def test_a_second_run_on_the_same_bars_changes_nothing(swingtrader, home, bars, panel):
    before = {family: digests(home, family) for family in FAMILIES}
    report = retrained(swingtrader, home, bars, "--as-of", panel.sessions[KNOWN - 1])
    assert all(stage["promoted"] for stage in report["stages"])
    assert {family: digests(home, family) for family in FAMILIES} == before


def test_a_dry_run_installs_nothing(swingtrader, bars, trained, tmp_path):
    shutil.copytree(trained[0] / "models" / "walk-forward", tmp_path / "models" / "walk-forward")
    report = retrained(swingtrader, tmp_path, bars, "--dry-run")
    assert report["dry_run"]
    assert not any(stage["promoted"] for stage in report["stages"])
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["walk-forward"]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_family_alone_leaves_the_others(swingtrader, home, bars, family):
    """A week later."""
    before = pointers(home)
    report = retrained(swingtrader, home, bars, "--only", family)
    (stage,) = report["stages"]
    assert stage["family"] == family
    after = pointers(home)
    assert {**after, family: None} == {**before, family: None}
    served = [before[family].strip()]
    assert after[family].split() == [stage["version"], *served][not stage["promoted"] :]
    assert stage["promoted"] or family == "rl"  # the agents have learned next to nothing


def test_agents_alone_learn_by_the_regime_that_serves(swingtrader, home, bars):
    """Not by one that this week's bars would give and nobody asked for."""
    (known,) = retrained(swingtrader, home, bars, "--only", "rl", "--dry-run")["stages"]
    shutil.rmtree(home / "models" / "regime")
    (unknown,) = retrained(swingtrader, home, bars, "--only", "rl", "--dry-run")["stages"]
    assert known["version"] != unknown["version"]


def test_a_second_retraining_at_the_same_time_is_exit_75(swingtrader, home, bars):
    before = pointers(home)
    with state_lock(home / "state", wait_seconds=0.0, name=RETRAIN_LOCK_NAME):
        line = retrain(swingtrader, home, bars).refusal(75)
    assert RETRAIN_LOCK_NAME in line
    assert pointers(home) == before


def test_the_lock_of_what_trades_is_left_alone(swingtrader, home, bars):
    with state_lock(home / "state", wait_seconds=0.0):
        assert retrain(swingtrader, home, bars, "--only", "regime").code == 0


def test_a_model_later_than_the_bars_is_not_taken_from_its_place(swingtrader, home, bars, panel):
    """Its twin has seen what the older one would be judged on."""
    before = pointers(home)
    day = panel.sessions[KNOWN - 6].item()
    report = retrained(swingtrader, home, bars, "--as-of", day, "--only", "ranker")
    assert not report["stages"][0]["promoted"]
    assert "later" in report["stages"][0]["verdict"]
    assert pointers(home) == before


@pytest.mark.parametrize("family", ["ranker", "regime"])
def test_what_was_taken_back_by_hand_is_not_promoted_again(swingtrader, home, bars, family):
    retrained(swingtrader, home, bars, "--only", family)
    rolled = rollback(home / "models", family).version
    (stage,) = retrained(swingtrader, home, bars, "--only", family)["stages"]
    assert not stage["promoted"]
    assert "taken back by hand" in stage["verdict"]
    assert serving(home / "models", family).artifact.version == rolled


def test_a_champion_of_another_format_is_no_reason_to_stop(swingtrader, home, bars):
    """Its hash is right, so another version of the program wrote it."""
    artifact = serving(home / "models", "ranker").artifact
    changed = {}
    for name in ("held-back.npz", "reference.npz"):
        (artifact.directory / name).write_bytes(b"a format to come")
        changed[name] = hashlib.sha256(b"a format to come").hexdigest()
    path = artifact.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sha256"].update(changed)
    path.write_text(json.dumps(manifest))
    report = retrained(swingtrader, home, bars, "--only", "ranker")
    assert report["stages"][0]["promoted"]
    assert any("not compared with earlier ones" in warning for warning in report["warnings"])


def test_what_is_older_is_pruned_and_disk_use_bounded(swingtrader, tmp_path, bars, panel):
    home = tmp_path
    for known in range(KNOWN - 35, KNOWN, 5):  # seven weeks
        day = panel.sessions[known]
        retrained(swingtrader, home, bars, "--only", "regime", "--as-of", day)
    versions = [path for path in (home / "models" / "regime").iterdir() if path.is_dir()]
    assert 3 <= len(versions) <= 5


# What must not be trained on.


def cut(panel, _draw):
    """Without the last month."""
    return panel.rows(0, SESSIONS - 21)


def short(panel, _draw):
    return panel.rows(SESSIONS - 300, SESSIONS)


def thousandfold(panel, draw):
    """One symbol in another unit, from some session on."""
    return _scaled(panel, draw.integers(len(panel.symbols)), draw.integers(1, SESSIONS - 5), 1e3)


def thousandfold_always(panel, draw):
    """One symbol in another unit, all of it: only what was remembered tells."""
    return _scaled(panel, draw.integers(len(panel.symbols)), 0, 1e3)


def _scaled(panel, column, start, factor):
    changed = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(panel, name).copy()
        values[start:, column] *= factor
        changed[name] = values
    return replace(panel, **changed)


def year_of_zeros(panel, draw):
    """Prices that do not move for a year."""
    start, column = draw.integers(0, SESSIONS - 252), draw.integers(len(panel.symbols))
    changed = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(panel, name).copy()
        values[start : start + 252, column] = values[start, column]
        changed[name] = values
    return replace(panel, **changed)


def year_without_volume(panel, draw):
    start, column = draw.integers(0, SESSIONS - 252), draw.integers(len(panel.symbols))
    volume = panel.volume.copy()
    volume[start : start + 252, column] = 0.0
    return replace(panel, volume=volume)


def mixed_up(panel, draw):
    """Every session's bars dealt out anew among the symbols."""
    changed = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for row in range(SESSIONS):
        order = draw.permutation(len(panel.symbols))
        for values in changed.values():
            values[row] = values[row, order]
    return replace(panel, **changed)


def shifted(panel, _draw):
    """Every bar a session late."""
    fields = ("open", "high", "low", "close", "volume")
    late = {name: np.vstack([getattr(panel, name)[:1], getattr(panel, name)[:-1]])
            for name in fields}  # fmt: skip
    return replace(panel, **late)


POISONS = [
    cut, short, thousandfold, thousandfold_always, year_of_zeros, year_without_volume, mixed_up,
    shifted,
]  # fmt: skip


@pytest.mark.parametrize("poison", POISONS)
def test_poisoned_bars_are_refused_before_anything_is_trained(
    swingtrader, trained, panel, poison, tmp_path
):
    (tmp_path / "models").mkdir()
    for family in FAMILIES:
        shutil.copytree(trained[0] / "models" / family, tmp_path / "models" / family)
    poisoned = tmp_path / "bars.parquet"
    write_bars(poison(panel, np.random.default_rng(0)), poisoned)
    before = pointers(tmp_path)
    as_of = () if poison is not cut else ("--as-of", panel.sessions[-1].item())
    line = retrain(swingtrader, tmp_path, poisoned, *as_of).refusal(65)
    assert "must not be trained on" in line
    assert pointers(tmp_path) == before
    assert not (tmp_path / "models" / "walk-forward").exists()


def test_a_truncated_file_is_refused_and_nothing_changes(swingtrader, home, bars, tmp_path):
    before = pointers(home)
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(bars.read_bytes()[:-100])
    assert str(torn) in retrain(swingtrader, home, torn).refusal(65)
    assert pointers(home) == before


@settings(deadline=None, derandomize=True, max_examples=10)
@given(
    share=st.floats(0.0, 0.999),
    family=st.sampled_from(FAMILIES),
)
def test_a_serving_model_that_was_cut_short_is_said_and_the_one_before_serves(
    trained, share, family, tmp_path_factory
):
    models = tmp_path_factory.mktemp("cut") / "models"
    shutil.copytree(trained[0] / "models" / family, models / family)
    artifact = serving(models, family).artifact
    name = min(artifact.manifest.sha256)
    path = artifact.directory / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    found = serving(models, family)
    assert found.artifact is None  # nothing served before
    assert name in found.doubts[0]


# Wrong words on the command line.


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--only", "everything"), 2, "everything"),
        (("--timesteps", "10"), 2, "timesteps"),
        (("--as-of", "tomorrow"), 2, "2019-12-31"),
        (("--as-of", "2010-01-01"), 2, "begin on"),
    ],
)
def test_a_mistake_is_one_line(swingtrader, home, bars, options, code, said):
    assert said in retrain(swingtrader, home, bars, *options).refusal(code)


def test_a_day_without_a_file_is_refused(swingtrader, home):
    outcome = swingtrader("--state-dir", home / "state", "retrain", "--as-of", "2016-01-04")
    assert "--bars" in outcome.refusal(2)


def test_a_file_that_is_not_there_is_named(swingtrader, home, tmp_path):
    assert "no.parquet" in retrain(swingtrader, home, tmp_path / "no.parquet").refusal(65)


def test_without_a_file_it_asks_the_broker_and_so_needs_keys(swingtrader, home):
    outcome = swingtrader("--state-dir", home / "state", "retrain")
    assert "ALPACA_API_KEY" in outcome.refusal(78)
