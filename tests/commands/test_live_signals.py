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
from swingtrader.commands.live_signals import (
    ServingRanker,
    live_signals,
    ranker_halts,
    serving_ranker,
)
from swingtrader.commands.walk_forward import known_at_opens, ranker_known_at, walk_forward
from swingtrader.config import load_strategy
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
    """Return what the backtest knew in its last weeks, and the ranker that served each session."""
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
    return view, known_at_opens(view, opinions), rankers


def signals_of(panel, row, backtest):
    _, known, rankers = backtest
    return live_signals(
        bars_of(panel),
        STRATEGY,
        session=backtest[0].stocks.sessions[row].item(),
        serving=rankers[row],
        p_high_volatility=float(known.p_high_volatility[row]),
    )


def same(one, two, names=BY_SESSION):
    return [n for n in names if not np.array_equal(getattr(one, n), getattr(two, n), True)]


def test_every_value_is_the_backtests_of_that_session_to_the_last_bit(panel, backtest):
    view, known, rankers = backtest
    for row in rankers:
        live = signals_of(panel, row, backtest)
        for name in BY_SESSION:
            assert np.array_equal(getattr(live, name), getattr(known, name)[row], equal_nan=True)
        assert live.symbols == view.stocks.symbols
        assert np.array_equal(live.sector, known.sector)
        assert (live.bars_session, live.complete) == (panel.sessions[row - 1].item(), True)
        assert np.isfinite(live.probability).sum() > 10
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
    unranked = signals_of(panel, row, (*backtest[:2], {row: None}))
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


SERVING = """
    import sys
    from datetime import UTC, date, datetime
    from pathlib import Path
    from swingtrader.adapters.bars import read_bars
    from swingtrader.adapters.store import Store
    from swingtrader.commands.live_signals import live_signals, serving_ranker
    from swingtrader.commands.regime_filter import current_regime
    from swingtrader.config import load_strategy

    bars, home, session = Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3])
    now, strategy = datetime(2016, 3, 5, tzinfo=UTC), load_strategy(None)
    serving, warnings = serving_ranker(home, asof=now)
    assert not warnings
    with Store.open(home / "state", now=now) as store:
        assert current_regime(read_bars(bars), strategy, store, session=session) is None
    live = live_signals(
        read_bars(bars), strategy, session=session, serving=serving, p_high_volatility=0.5
    )
    assert (live.probability == 0.5).all()
    print(*{"hmmlearn", "scipy", "sklearn", "torch", "transformers", "xgboost"} & {*sys.modules})
"""


def test_a_decision_loads_no_library_that_trains(market, tmp_path):
    put(tmp_path)
    after = sessions_between(market.days[-1] + dt.timedelta(days=1), dt.date(2017, 12, 29))[0]
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SERVING), market.path, tmp_path, str(after)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.stdout.split(), run.stderr) == ([], "")
