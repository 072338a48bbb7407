"""The ranker installed is the one the backtest would serve, with the backtest's own record."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from swingtrader.adapters.bars import panel_sha256
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.live_signals import serving_ranker
from swingtrader.commands.model_candidate import settle
from swingtrader.commands.ranker_training import ranker_candidate
from swingtrader.commands.training_material import material_of
from swingtrader.commands.walk_forward import walk_forward
from swingtrader.config import load_strategy
from swingtrader.core.signals import market_view
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.trees import TreeEnsemble, probability
from swingtrader.core.universe import Universe
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    first_decision,
    forward_returns,
    rankable,
    top_quartile,
    usable_rows,
    weekly_retrainings,
)
from swingtrader.errors import DataError
from swingtrader.estimators.artifact import serving_artifact

STRATEGY = load_strategy(None)
NOW = dt.datetime(2016, 8, 22, 8, tzinfo=dt.UTC)
BAR_FIELDS = ("open", "high", "low", "close", "volume")


class Watched:
    """Progress that remembers what it was told."""

    def __init__(self):
        self.phases = {}

    def phase(self, name, total=1):
        """Begin a phase."""
        self.phases[name] = [total, 0]
        return lambda done: self.phases[name].__setitem__(1, done)

    def warn(self, event, **facts):
        """Fail: nothing here is worth a warning."""
        pytest.fail(f"{event} {facts}")


@pytest.fixture(scope="module")
def cache(finished, models_dir):
    """Every model of the finished backtest, so that little is fitted here."""
    assert finished.models_dir == models_dir
    return ModelCache(models_dir / "walk-forward")


@pytest.fixture(scope="module")
def opinions(market, cache):
    """Return the backtest's view, its last weeks' retrainings, and what its rankers said."""
    view = market_view(market.panel, STRATEGY.universe)
    labels = top_quartile(forward_returns(view.stocks.close))
    usable = usable_rows(view.factors, labels)
    rows = range(first_decision(usable), len(usable))
    weeks = weekly_retrainings(market.panel.sessions, rows)
    said = walk_forward(view, labels, usable, weeks, cache=cache, seed=0, progress=lambda _: None)
    assert said.trained == 0
    return view, weeks, said


@pytest.fixture(scope="module")
def known(opinions):
    """Return the last session before one of the backtest's last weeks."""
    return opinions[1][-2].known


@pytest.fixture
def train(market, cache, known, tmp_path):
    """Return a caller that trains, judges and settles; anything may be changed."""

    def call(panel=market.panel, strategy=STRATEGY, *, models_dir=tmp_path, at=known, **changes):
        options = {"seed": 0, "cache": cache, "champion": None, "progress": Watched()} | changes
        material = material_of(panel, strategy, known=at)
        candidate, _ = ranker_candidate(material, strategy, **options)
        return settle(models_dir, candidate, None, created_at=NOW)

    return call


def trees_of(artifact):
    return TreeEnsemble.from_bytes(artifact.path("ranker.npz").read_bytes())


@pytest.mark.parametrize("week", [0, 4, -1])
def test_probabilities_are_the_backtests_of_that_week_to_the_last_bit(opinions, train, week):
    view, weeks, said = opinions
    serves = weeks[week].serves
    trees = trees_of(train(at=weeks[week].known))
    for row in serves:
        factors = view.factors[row - 1]
        asked = rankable(factors)
        assert np.array_equal(probability(trees, factors[asked]), said.probability[row, asked])
        assert asked.sum() > 10


def test_the_record_is_the_backtests_trades_that_had_closed_by_then(
    market, finished, train, known, tmp_path
):
    train()
    serving, _ = serving_ranker(tmp_path, asof=NOW)
    last = market.days[known]
    closed = [
        (dt.date.fromisoformat(trade["exit_session"]), float(trade["return"]))
        for trade in finished.rows("trades.csv")
        if trade["exit_session"] <= last.isoformat()
    ]
    assert list(serving.trades) == closed
    assert len(finished.rows("trades.csv")) > len(closed) > 5

    middle = closed[len(closed) // 2][0]
    record = TradeRecord()
    for _, earned in (trade for trade in closed if trade[0] < middle):
        record = record.with_trade(earned)
    assert serving.record_before(middle) == record
    assert record.trades > 1


def test_what_comes_after_the_last_completed_session_is_not_read(market, train, known, tmp_path):
    honest = train()
    noise = {name: getattr(market.panel, name).copy() for name in BAR_FIELDS}
    for values in noise.values():
        values[known + 1 :] *= 7.0
    for n, panel in enumerate((replace(market.panel, **noise), market.panel.rows(0, known + 1))):
        again = train(panel, models_dir=tmp_path / str(n))
        assert again.manifest == honest.manifest
    noise["close"][known] *= 1.01
    moved = train(replace(market.panel, **noise), models_dir=tmp_path / "moved")
    assert moved.manifest.version != honest.manifest.version


def test_the_manifest_says_what_it_was_trained_on(market, train, known, tmp_path):
    artifact = train()
    manifest = artifact.manifest
    assert serving_artifact(tmp_path, "ranker") == artifact
    assert manifest.version.startswith(f"{market.days[known]:%Y%m%d}-")
    assert (manifest.created_at, manifest.seed) == (NOW, 0)
    assert manifest.training_sessions[1] == market.days[known - LABEL_HORIZON]
    assert manifest.data_sha256 == panel_sha256(market.panel.rows(0, known + 1))
    assert manifest.library_versions.keys() >= {"numpy", "swingtrader", "xgboost"}
    trades = artifact.path("record.csv").read_text().count("\n") - 1
    assert manifest.validation["record_trades"] == trades
    assert manifest.validation["training_rows"] > 14 * 200


def test_a_version_is_named_for_its_day_and_content(train, tmp_path):
    """Other costs make another record, and so another version of the same day."""
    other = replace(STRATEGY, costs=replace(STRATEGY.costs, slippage_bps=40.0))
    names = [train(strategy=strategy).version for strategy in (STRATEGY, other, STRATEGY)]
    assert names[0] == names[2] != names[1]
    assert len({name[:8] for name in names}) == 1
    assert len(list((tmp_path / "ranker").glob("2*"))) == 2


def test_a_version_that_is_there_already_is_taken_as_it_is(train):
    assert train() == train()


def test_a_damaged_version_is_put_there_anew(train):
    first = train()
    content = first.path("ranker.npz").read_bytes()
    (first.directory / "ranker.npz").write_bytes(b"")
    assert train() == first
    assert first.path("ranker.npz").read_bytes() == content


def test_models_of_the_record_are_kept_where_backtests_look_for_them(
    market, train, opinions, tmp_path
):
    """The first week has no history to trade yet: one ranker and no more."""
    cache = ModelCache(tmp_path / "cache")
    artifact = train(at=opinions[1][0].known, cache=cache)
    assert artifact.manifest.validation["record_trades"] == 0
    assert len(list(cache.directory.iterdir())) == 1
    assert first_decision_of(market) == opinions[1][0].known + 1


def test_a_history_too_short_for_a_twin_serves_without_a_comparison(train, opinions, tmp_path):
    artifact = train(at=opinions[1][0].known)
    assert serving_artifact(tmp_path, "ranker") == artifact
    assert "held-back.npz" not in artifact.manifest.sha256
    assert "rank_ic" not in artifact.manifest.validation


def first_decision_of(market):
    view = market_view(market.panel, STRATEGY.universe)
    labels = top_quartile(forward_returns(view.stocks.close))
    return first_decision(usable_rows(view.factors, labels))


def test_progress_tells_of_both_long_phases(train):
    watched = Watched()
    train(progress=watched)
    assert list(watched.phases) == ["Training models", "Trading the record"]
    for total, done in watched.phases.values():
        assert done == total > 0


def test_too_short_a_history_names_what_is_missing(market, train, opinions, tmp_path):
    known = opinions[1][0].known - 1
    with pytest.raises(DataError) as refusal:
        train(at=known)
    said = str(refusal.value)
    assert f"the {known + 1} sessions of bars to {market.days[known]} are too few" in said
    assert "251 of them can train it, and it needs 252" in said
    with pytest.raises(DataError, match="0 of them"):
        train(at=0)
    assert not (tmp_path / "ranker").exists()


def test_bars_of_nothing_that_may_be_traded_are_refused(train):
    nobody = replace(STRATEGY, universe=Universe(()), listed_only=True)
    with pytest.raises(DataError, match="no symbol that may be traded"):
        train(strategy=nobody)
