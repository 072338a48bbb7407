"""Signals of a live run are the backtest's of the same session, from bars that end before it."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
import textwrap
from dataclasses import fields, replace

import numpy as np
import pytest

from swingtrader.adapters.bars import Bars, panel_sha256
from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.live_agents import ENSEMBLE_FILE, FAMILY, serving_ensemble
from swingtrader.commands.live_signals import (
    ServingRanker,
    live_signals,
    ranker_halts,
    serving_ranker,
)
from swingtrader.commands.outlook import NoProgress
from swingtrader.commands.walk_forward import known_at_opens, ranker_known_at, walk_forward
from swingtrader.commands.walk_forward_agents import TrainedAgents, hear_agents
from swingtrader.config import load_strategy
from swingtrader.core.agents import OBSERVATIONS, Agent, Ensemble
from swingtrader.core.policy import SIGNALS
from swingtrader.core.signals import market_view
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.trees import TreeEnsemble
from swingtrader.core.universe import Universe
from swingtrader.core.walkforward import (
    forward_returns,
    top_quartile,
    usable_rows,
    weekly_retrainings,
)
from swingtrader.estimators.installation import install, promote

STRATEGY = load_strategy(None)
WEEKS = 2
BAR_FIELDS = ("open", "high", "low", "close", "volume")
BY_SESSION = (
    "probability",
    "signals",
    "sector_strength",
    "close",
    "dollar_volume_usd",
    "atr_fraction",
)
CREATED_AT = dt.datetime(2016, 3, 4, 21, tzinfo=dt.UTC)
RL, SENTIMENT = SIGNALS.index("rl"), SIGNALS.index("sentiment")


def an_agent(seed, *, squashed):
    """Return an agent that looks at everything, its own position most of all."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((OBSERVATIONS, 8)) / 4
    first[-1] *= 8
    layers = ((first, rng.standard_normal(8)), (rng.standard_normal((8, 1)), np.zeros(1)))
    return Agent(f"agent {seed}", layers, "tanh", squashed=squashed)


AGENTS = Ensemble((an_agent(1, squashed=True), an_agent(2, squashed=False)), (0.75, 0.25))
NOBODY = TreeEnsemble(*(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 0.0, 13)
"""A ranker that has learnt nothing: a probability of one half for everybody."""


def bars_of(panel):
    return Bars(panel, (), panel_sha256(panel))


def changed(panel, change):
    """Return the panel with `change` applied to a copy of each field."""
    return replace(panel, **{name: change(getattr(panel, name).copy()) for name in BAR_FIELDS})


@pytest.fixture(scope="module")
def panel(market):
    """Return the market with a bar missing here and there, one of them on the last eve."""

    def with_holes(values):
        values[-2, 1] = values[-9, 4] = values[-40, 2] = np.nan
        return values

    return changed(market.panel, with_holes)


@pytest.fixture(scope="module")
def backtest(panel, tmp_path_factory):
    """What the backtest knew in its last weeks, and who served each session.

    Its agents are trained by hand; its headlines are drawn.
    """
    view = market_view(panel, STRATEGY.universe)
    labels = top_quartile(forward_returns(view.stocks.close))
    usable = usable_rows(view.factors, labels)
    count = len(panel.sessions)
    weeks = weekly_retrainings(panel.sessions, range(1, count))[-WEEKS:]
    cache = ModelCache(tmp_path_factory.mktemp("cache"))
    opinions = walk_forward(
        view, labels, usable, weeks, cache=cache, seed=0, progress=lambda _: None
    )
    rankers = {}
    for week in weeks:
        factors = np.ascontiguousarray(view.factors)
        ensemble, _ = ranker_known_at(week.known, factors, labels, usable, seed=0, cache=cache)
        rankers |= dict.fromkeys(week.serves, ServingRanker(ensemble, "v", CREATED_AT, ()))
    trained = TrainedAgents(AGENTS, {})
    heard = hear_agents(view, opinions, weeks, lambda *_: trained, NoProgress())
    sentiment = np.random.default_rng(5).uniform(-1.0, 1.0, view.stocks.close.shape)
    sentiment[:, ::3] = np.nan
    paths = {row: path.before(row, row) for path in opinions.paths for row in path.serves}
    # As the regime filter gives them: from the first session of the model on.
    paths = {row: path[np.isfinite(path)] for row, path in paths.items()}
    return view, known_at_opens(view, opinions, sentiment, heard.signal), rankers, paths


def signals_of(panel, row, backtest):
    _, known, rankers, paths = backtest
    return live_signals(
        bars_of(panel),
        STRATEGY,
        session=backtest[0].stocks.sessions[row].item(),
        serving=rankers[row],
        p_high_volatility=float(known.p_high_volatility[row]),
        sentiment=known.signals[row, SENTIMENT],
        ensemble=AGENTS,
        p_high_path=paths[row],
    )


def same(one, two, names=BY_SESSION):
    return [n for n in names if not np.array_equal(getattr(one, n), getattr(two, n), True)]


def test_every_value_is_the_backtests_of_that_session_to_the_last_bit(panel, backtest):
    view, known, rankers, _ = backtest
    for row in rankers:
        live = signals_of(panel, row, backtest)
        for name in BY_SESSION:
            assert np.array_equal(getattr(live, name), getattr(known, name)[row], equal_nan=True)
        assert live.symbols == view.stocks.symbols
        assert np.array_equal(live.sector, known.sector)
        assert (live.bars_session, live.complete) == (panel.sessions[row - 1].item(), True)
        assert np.isfinite(live.probability).sum() > 10
        assert (np.isfinite(live.signals).sum(axis=1) > 8).all()
        assert np.nanstd(live.signals[RL]) > 0
    assert len(rankers) > 5


def test_bars_of_the_session_or_later_change_nothing(panel, backtest):
    row = min(backtest[2]) + 2
    honest = signals_of(panel, row, backtest)

    def noise(values):
        values[row:] = values[:-row][::-1][: len(values) - row] * 3.0
        return values

    for other in (changed(panel, noise), panel.rows(0, row), panel.rows(0, row + 1)):
        assert not same(honest, signals_of(other, row, backtest))


def test_a_bar_of_the_eve_changes_much(panel, backtest):
    """Else the check above would prove nothing."""
    row = min(backtest[2]) + 2

    def noise(values):
        values[row - 1] *= np.linspace(0.8, 1.2, values.shape[1])
        return values

    moved = same(
        signals_of(panel, row, backtest), signals_of(changed(panel, noise), row, backtest)
    )
    assert moved == list(BY_SESSION)


def test_a_missing_bar_of_the_eve_leaves_its_symbol_unranked(panel, backtest):
    live = signals_of(panel, len(panel.sessions) - 1, backtest)
    column = live.symbols.index(panel.symbols[1])
    assert live.complete
    assert np.isnan(live.close[column])
    assert np.isnan(live.probability[column])
    assert np.isfinite(np.delete(live.close, column)).all()


@pytest.mark.parametrize("missing", [1, 2, 7])
def test_bars_that_end_too_early_leave_everything_unknown(panel, backtest, missing):
    row = max(backtest[2])
    live = signals_of(panel.rows(0, row - missing), row, backtest)
    assert not live.complete
    assert live.bars_session == panel.sessions[row - missing - 1].item()
    for name in ("probability", "close", "dollar_volume_usd", "atr_fraction", "sector_strength"):
        assert np.isnan(getattr(live, name)).all(), name


def test_before_the_first_bar_nothing_is_known(panel):
    live = live_signals(
        bars_of(panel),
        STRATEGY,
        session=panel.sessions[0].item(),
        serving=ServingRanker(NOBODY, "v", CREATED_AT, ()),
        p_high_volatility=math.nan,
    )
    assert (live.bars_session, live.complete) == (None, False)
    assert len(live.symbols) == 14
    assert np.isnan(live.signals).all()
    assert np.isnan(live.probability).all()


def test_without_a_ranker_the_other_signals_stand(panel, backtest):
    row = max(backtest[2])
    ranked = signals_of(panel, row, backtest)
    unranked = signals_of(panel, row, (*backtest[:2], {row: None}, backtest[3]))
    assert np.isnan(unranked.probability).all()
    assert same(ranked, unranked) == ["probability", "signals"]


def test_arrays_are_read_only(panel, backtest):
    live = signals_of(panel, max(backtest[2]), backtest)
    arrays = [v for f in fields(live) if isinstance(v := getattr(live, f.name), np.ndarray)]
    assert len(arrays) == 7
    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"session": dt.date(2016, 7, 4)}, "no session"), ({"strategy": True}, "may be traded")],
)
def test_what_cannot_be_decided_at_all_is_refused(panel, change, message):
    nobody = replace(STRATEGY, universe=Universe(()), listed_only=True)
    with pytest.raises(ValueError, match=message):
        live_signals(
            bars_of(panel),
            nobody if "strategy" in change else STRATEGY,
            session=change.get("session", panel.sessions[-1].item()),
            serving=None,
            p_high_volatility=0.5,
        )


# The ranker that serves.

RECORD = b"exit_session,simple_return\n2016-03-01,0.04\n2016-03-02,-0.01\n2016-03-02,0.02\n"


def put(models, *, files=None, version="v1"):
    """Install a ranker and let it serve."""
    content = {"ranker.npz": NOBODY.to_bytes(), "record.csv": RECORD} | (files or {})
    install(
        models, "ranker", version, {name: c for name, c in content.items() if c is not None},
        created_at=CREATED_AT, library_versions={}, validation={},
    )  # fmt: skip
    promote(models, "ranker", version)
    return models / "ranker" / version


def test_the_serving_ranker_comes_with_its_record_and_age(tmp_path):
    put(tmp_path)
    serving, warnings = serving_ranker(tmp_path, asof=CREATED_AT)
    assert warnings == ()
    assert (serving.version, serving.created_at) == ("v1", CREATED_AT)
    assert np.array_equal(serving.ensemble.leaf, NOBODY.leaf)
    assert serving.age_days(CREATED_AT + dt.timedelta(hours=36)) == 1.5


@pytest.mark.parametrize(
    ("session", "record"),
    [
        (dt.date(2016, 3, 1), TradeRecord()),
        (dt.date(2016, 3, 2), TradeRecord(1, 0, 0.04, 0.0)),
        (dt.date(2016, 3, 3), TradeRecord(2, 1, 0.04 + 0.02, -0.01)),
    ],
)
def test_the_record_of_a_session_holds_trades_that_closed_before_it(tmp_path, session, record):
    put(tmp_path)
    serving, _ = serving_ranker(tmp_path, asof=CREATED_AT)
    assert serving.record_before(session) == record


def test_without_a_ranker_nothing_is_bought_and_that_is_said(tmp_path):
    for models in (tmp_path, tmp_path / "nowhere"):
        serving, warnings = serving_ranker(models, asof=CREATED_AT)
        assert serving is None
        assert warnings == ("no ranker is installed: nothing will be bought",)
    assert ranker_halts(None, CREATED_AT) == ()


TWELVE_FACTORS = TreeEnsemble(*(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 0.0, 12)


@pytest.mark.parametrize(
    "files",
    [
        {"ranker.npz": b"no archive"},
        {"ranker.npz": TWELVE_FACTORS.to_bytes()},
        {"ranker.npz": None},
        {"record.csv": None},
        {"record.csv": b""},
        {"record.csv": b"exit_session,return\n2016-03-01,0.04\n"},
        {"record.csv": b"exit_session,simple_return\n2016-03-01\n"},
        {"record.csv": b"exit_session,simple_return\nMarch,0.04\n"},
        {"record.csv": b"exit_session,simple_return\n2016-03-01,much\n"},
        {"record.csv": b"\xff"},
    ],
)
def test_a_ranker_that_cannot_be_read_is_a_warning_with_the_file_and_no_error(tmp_path, files):
    directory = put(tmp_path, files=files)
    serving, (warning,) = serving_ranker(tmp_path, asof=CREATED_AT)
    assert serving is None
    assert str(directory) in warning
    assert warning.endswith(": nothing will be bought")


@pytest.mark.parametrize("name", ["ranker.npz", "record.csv", "manifest.json"])
def test_a_file_altered_since_it_was_installed_is_not_served(tmp_path, name):
    path = put(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-1])
    serving, (warning,) = serving_ranker(tmp_path, asof=CREATED_AT)
    assert serving is None
    assert str(path) in warning


@pytest.mark.parametrize("name", ["ranker.npz", "record.csv", "manifest.json"])
def test_until_a_damaged_ranker_is_mended_the_one_before_it_serves(tmp_path, name):
    put(tmp_path, version="v1")
    path = put(tmp_path, version="v2") / name
    path.write_bytes(path.read_bytes()[:-1])
    serving, (warning,) = serving_ranker(tmp_path, asof=CREATED_AT)
    assert serving.version == "v1"
    assert str(path) in warning
    assert "nothing will be bought" not in warning


@pytest.mark.parametrize(
    ("days", "halts", "said"),
    [
        (-1.5, ("ranker_from_the_future",), "created on 2016-03-04, later than now"),
        (-1.0, (), ""),
        (0.0, (), ""),
        (21.0, (), ""),
        (21.01, ("ranker_too_old",), "21.0 days old, more than 21"),
        (400.0, ("ranker_too_old",), "400.0 days old"),
    ],
)
def test_a_ranker_out_of_its_time_blocks_entries_and_says_so(tmp_path, days, halts, said):
    put(tmp_path)
    asof = CREATED_AT + dt.timedelta(days=days)
    serving, warnings = serving_ranker(tmp_path, asof=asof)
    assert ranker_halts(serving, asof) == halts
    assert len(warnings) == len(halts)
    assert said in "".join(warnings)


# The agents that serve.


def put_agents(models, *, ensemble=AGENTS, version="q1", created_at=CREATED_AT, content=None):
    """Install agents and let them serve."""
    install(
        models, FAMILY, version, {ENSEMBLE_FILE: content or ensemble.to_bytes()},
        created_at=created_at, library_versions={}, validation={"sharpe": 0.5},
    )  # fmt: skip
    promote(models, FAMILY, version)
    return models / FAMILY / version / ENSEMBLE_FILE


@pytest.mark.parametrize("days", [-1, 0, 100])
def test_the_serving_agents_come_as_they_were_installed(tmp_path, days):
    put_agents(tmp_path)
    agents, warnings = serving_ensemble(tmp_path, asof=CREATED_AT + dt.timedelta(days=days))
    assert warnings == ()
    assert agents.ensemble.to_bytes() == AGENTS.to_bytes()
    assert agents.artifact.manifest.validation == {"sharpe": 0.5}


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (-1.01, "agents q1 were created on 2016-03-04, later than now: they are not heard"),
        (100.6, "agents q1 are 101 days old, more than 100: they are not heard"),
    ],
)
def test_agents_out_of_their_time_are_on_record_and_not_heard(tmp_path, days, why):
    put_agents(tmp_path)
    asof = CREATED_AT + dt.timedelta(days=days)
    agents, (warning,) = serving_ensemble(tmp_path, asof=asof)
    assert (agents.ensemble, agents.artifact.version) == (None, "q1")
    assert warning == f"the trading {why}"


def test_without_agents_or_with_none_worth_hearing_nothing_is_said(tmp_path):
    assert serving_ensemble(tmp_path, asof=CREATED_AT) == (None, ())
    put_agents(tmp_path, ensemble=Ensemble(AGENTS.agents, (0.0, 0.0)))
    agents, warnings = serving_ensemble(tmp_path, asof=CREATED_AT)
    assert (agents.ensemble.is_absent, warnings) == (True, ())


def test_damaged_agents_are_not_heard_and_those_before_them_are(tmp_path):
    put_agents(tmp_path, version="q1")
    path = put_agents(tmp_path, version="q2", ensemble=Ensemble(AGENTS.agents, (1.0, 0.0)))
    path.write_bytes(path.read_bytes()[:-1])
    agents, (warning,) = serving_ensemble(tmp_path, asof=CREATED_AT)
    assert agents.ensemble.weights == AGENTS.weights
    assert str(path) in warning
    assert warning.endswith("until then version q1 serves")


def test_agents_that_are_none_are_one_warning(tmp_path):
    path = put_agents(tmp_path, content=b"no archive")
    agents, (warning,) = serving_ensemble(tmp_path, asof=CREATED_AT)
    assert agents is None
    assert str(path) in warning
    assert warning.endswith("the trading agents are not heard")


@pytest.mark.parametrize("heard", [None, Ensemble(AGENTS.agents, (0.0, 0.0))])
def test_agents_that_are_not_heard_leave_the_other_signals_as_they_are(panel, backtest, heard):
    row = max(backtest[2])
    with_agents = signals_of(panel, row, backtest)
    silent = live_signals(
        bars_of(panel),
        STRATEGY,
        session=panel.sessions[row].item(),
        serving=backtest[2][row],
        p_high_volatility=float(backtest[1].p_high_volatility[row]),
        sentiment=backtest[1].signals[row, SENTIMENT],
        ensemble=heard,
        p_high_path=backtest[3][row],
    )
    assert np.isnan(silent.signals[RL]).all()
    others = [n for n in range(len(SIGNALS)) if n != RL]
    assert np.array_equal(silent.signals[others], with_agents.signals[others], equal_nan=True)


def test_agents_walk_with_as_much_of_the_regime_as_is_known(panel, backtest):
    row = max(backtest[2])
    view, known, rankers, paths = backtest

    def heard(path):
        short = {row: path}
        return signals_of(panel, row, (view, known, rankers, short)).signals[RL]

    def unknown_before(count):
        return np.concatenate([np.full(30 - count, np.nan), paths[row][-count:]])

    assert np.array_equal(heard(paths[row]), heard(paths[row][-21:]), equal_nan=True)
    assert not np.array_equal(heard(paths[row]), heard(paths[row][-2:]), equal_nan=True)
    assert np.array_equal(heard(paths[row][-2:]), heard(unknown_before(2)), equal_nan=True)
    assert np.isfinite(heard(np.zeros(0))).sum() > 8


SERVING = """
    import sys
    from datetime import UTC, date, datetime
    from pathlib import Path
    from swingtrader.adapters.bars import read_bars
    from swingtrader.commands.live_agents import serving_ensemble
    from swingtrader.commands.live_signals import live_signals, serving_ranker
    from swingtrader.commands.regime_filter import current_regime
    from swingtrader.config import load_strategy

    bars, home, session = Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3])
    now, strategy = datetime(2016, 3, 5, tzinfo=UTC), load_strategy(None)
    serving, warnings = serving_ranker(home, asof=now)
    assert not warnings
    reading = current_regime(read_bars(bars), strategy, home, session=session)
    assert reading.fitted_for is None
    agents, warnings = serving_ensemble(home, asof=now)
    assert not warnings
    live = live_signals(
        read_bars(bars), strategy, session=session, serving=serving, p_high_volatility=0.5,
        ensemble=agents.ensemble, p_high_path=reading.path,
    )
    assert (live.probability == 0.5).all()
    assert live.signals[2][live.symbols.index("AAPL")] != 0
    print(*{"hmmlearn", "scipy", "sklearn", "torch", "transformers", "xgboost"} & {*sys.modules})
"""


def test_a_decision_loads_no_library_that_trains(market, tmp_path):
    put(tmp_path)
    put_agents(tmp_path, created_at=CREATED_AT)
    after = sessions_between(market.days[-1] + dt.timedelta(days=1), dt.date(2017, 12, 29))[0]
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SERVING), market.path, tmp_path, str(after)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.stdout.split(), run.stderr) == ([], "")
