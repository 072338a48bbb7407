"""What `decide` can know before it takes the lock: signals from the bars and the models.

The values are those of the backtest's `Known` for the same session, bit by bit, because they are
computed by the same functions: the session decided in is appended to the bars as a row without
any, and the last row of what is known before each open is taken. Bars of that session or later
are cut off first, so a partial bar is never read.

Ranker and trading agents are served from their exports: nothing here imports xgboost or torch.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.calendar import is_session, sessions_between
from swingtrader.commands.live_agents import FUTURE_TOLERANCE, agents_signal
from swingtrader.core.arrays import frozen
from swingtrader.core.factors import FACTORS
from swingtrader.core.market import Panel
from swingtrader.core.signals import before_open, decision_signals, market_view
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.trees import TreeEnsemble, probability
from swingtrader.core.walkforward import rankable
from swingtrader.errors import DataError, FileDataError
from swingtrader.estimators.artifact import serving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swingtrader.adapters.bars import Bars
    from swingtrader.config import Strategy
    from swingtrader.core.agents import Ensemble
    from swingtrader.core.arrays import FloatArray, IntArray
    from swingtrader.core.signals import MarketView
    from swingtrader.estimators.artifact import Artifact

FAMILY = "ranker"
TREES_FILE = "ranker.npz"
RECORD_FILE = "record.csv"
RECORD_COLUMNS = ("exit_session", "simple_return")

MAXIMUM_AGE_DAYS = 21.0
"""An older ranker blocks entries, by the broker's clock."""

TOO_OLD = "ranker_too_old"
FROM_THE_FUTURE = "ranker_from_the_future"


@dataclass(frozen=True, eq=False)
class LiveSignals:
    """What is known before the open of `session`, for N symbols and S sectors.

    Arrays are read-only, and mean what the snapshot's of the same name mean.

    Attributes
    ----------
    session : date
        The session decided in.
    symbols : tuple of str, length N
        Tradable symbols of the bars.
    sector : ndarray of shape (N,)
    probability : ndarray of shape (N,)
        NaN without a ranker, and where a factor is missing.
    signals : ndarray of shape (6, N)
        NaN is absent.
    sector_strength : ndarray of shape (S,)
    close, dollar_volume_usd, atr_fraction : ndarray of shape (N,)
        Of the session before; NaN where that bar is missing.
    bars_session : date or None
        The last session before `session` with any bar.
    complete : bool
        Whether that is the session before `session`.
    """

    session: date
    symbols: tuple[str, ...]
    sector: IntArray
    probability: FloatArray
    signals: FloatArray
    sector_strength: FloatArray
    close: FloatArray
    dollar_volume_usd: FloatArray
    atr_fraction: FloatArray
    bars_session: date | None
    complete: bool


@dataclass(frozen=True, eq=False)
class ServingRanker:
    """The ranker in use.

    Attributes
    ----------
    created_at : datetime
        Aware.
    trades : tuple of (date, float)
        Exit session and simple return of the closed trades of its walk-forward record, in the
        order they were closed.
    validation : mapping of figure to value
        What it was judged by before it served.
    """

    ensemble: TreeEnsemble
    version: str
    created_at: datetime
    trades: tuple[tuple[date, float], ...]
    validation: Mapping[str, float] = field(default_factory=dict)

    def record_before(self, session: date) -> TradeRecord:
        """Trades of the record that closed before `session`."""
        record = TradeRecord()
        for exit_session, simple_return in self.trades:
            if exit_session < session:
                record = record.with_trade(simple_return)
        return record

    def age_days(self, asof: datetime) -> float:
        """Days since the ranker was created; negative before."""
        return (asof - self.created_at) / timedelta(days=1)


def serving_ranker(
    models_dir: Path, *, asof: datetime
) -> tuple[ServingRanker | None, tuple[str, ...]]:
    """Read the serving ranker, with a sentence for whatever keeps it from buying.

    A store without a ranker, or with a damaged one, is no error: exits must go on, and the
    version before serves where there is one.

    Parameters
    ----------
    asof : datetime
        Of the decision, aware.
    """
    found = serving(models_dir, FAMILY)
    if found.artifact is None:
        doubts = found.doubts or ("no ranker is installed",)
        return None, tuple(f"{doubt}: nothing will be bought" for doubt in doubts)
    try:
        ranker = _ranker(found.artifact)
    except DataError as error:
        return None, (*found.doubts, f"{error}: nothing will be bought")
    sentences = {
        TOO_OLD: f"ranker {ranker.version} is {ranker.age_days(asof):.1f} days old, more than "
        f"{MAXIMUM_AGE_DAYS:g}: nothing will be bought until it is trained anew",
        FROM_THE_FUTURE: f"ranker {ranker.version} was created on "
        f"{ranker.created_at.astimezone(UTC):%Y-%m-%d}, later than now: nothing will be bought",
    }
    return ranker, (*found.doubts, *(sentences[halt] for halt in ranker_halts(ranker, asof)))


def ranker_halts(serving: ServingRanker | None, asof: datetime) -> tuple[str, ...]:
    """Reasons for which the ranker's age forbids entries; without a ranker there are no ranks."""
    if serving is None:
        return ()
    if serving.age_days(asof) > MAXIMUM_AGE_DAYS:
        return (TOO_OLD,)
    if serving.created_at > asof + FUTURE_TOLERANCE:
        return (FROM_THE_FUTURE,)
    return ()


def live_signals(
    bars: Bars,
    strategy: Strategy,
    *,
    session: date,
    serving: ServingRanker | None,
    p_high_volatility: float,
    sentiment: FloatArray | None = None,
    ensemble: Ensemble | None = None,
    p_high_path: FloatArray | None = None,
) -> LiveSignals:
    """Compute every signal that needs neither account nor quotes.

    Parameters
    ----------
    bars : Bars
    session : date
        The session decided in; no bar of it or later is read.
    serving : ServingRanker, optional
    p_high_volatility : float
        Filtered to the session before; NaN where unknown.
    sentiment : ndarray of shape (N,), optional
        Of the bars' tradable symbols in their order, at the instant decided; None is absent.
    ensemble : Ensemble, optional
        The trading agents.
    p_high_path : ndarray of shape (P,), optional
        What the agents see of the regime; as for `agents_signal`.

    Raises
    ------
    ValueError
        `session` is no session of the exchange, or the bars have no symbol that may be traded.
    """
    panel = panel_before(bars.panel, session)
    view = market_view(panel, strategy.universe, listed_only=strategy.listed_only)
    ranks = np.full(view.stocks.close.shape, np.nan)
    if serving is not None:
        ranks[-1] = _probabilities(serving.ensemble, view)
    p_high = np.full(len(panel.sessions), np.nan)
    p_high[-1] = p_high_volatility
    rl = agents_signal(ensemble, view, p_high_path)
    with_bars = np.flatnonzero(panel.traded.any(axis=1))
    return LiveSignals(
        session=session,
        symbols=view.stocks.symbols,
        sector=frozen(view.sector),
        probability=frozen(ranks[-1]),
        signals=decision_signals(
            view, ranks, p_high, _in_last_row(sentiment, ranks), _in_last_row(rl, ranks)
        )[-1],
        sector_strength=before_open(view.strength)[-1],
        close=before_open(view.stocks.close)[-1],
        dollar_volume_usd=before_open(view.dollar_volume_usd)[-1],
        atr_fraction=before_open(view.atr_fraction)[-1],
        bars_session=panel.sessions[with_bars[-1]].item() if with_bars.size else None,
        complete=bool(with_bars.size and with_bars[-1] == len(panel.sessions) - 2),
    )


def panel_before(panel: Panel, session: date) -> Panel:
    """Cut the bars off before `session`, and let rows without bars lead up to it.

    Returns
    -------
    Panel
        Its last row is `session`, all NaN, and so is every session that the bars do not reach.

    Raises
    ------
    ValueError
        `session` is no session of the exchange.
    """
    if not is_session(session):
        raise ValueError(f"{session} is no session of the exchange")
    known = panel.rows(0, int(np.searchsorted(panel.sessions, np.datetime64(session, "D"))))
    first = known.sessions[-1].item() + timedelta(days=1) if len(known.sessions) else session
    unknown = sessions_between(first, session)
    empty = np.full((len(unknown), len(panel.symbols)), np.nan)
    return Panel(
        np.concatenate([known.sessions, unknown]),
        known.symbols,
        *(np.concatenate([getattr(known, field.name), empty]) for field in fields(Panel)[2:]),
    )


def _probabilities(ensemble: TreeEnsemble, view: MarketView) -> FloatArray:
    """Probability of every stock from the factors of the last session but one: shape (N,)."""
    ranks = np.full(len(view.stocks.symbols), np.nan)
    if len(view.factors) > 1:
        factors = np.ascontiguousarray(view.factors[-2])
        asked = rankable(factors)
        ranks[asked] = probability(ensemble, factors[asked])
    return ranks


def _in_last_row(values: FloatArray | None, like: FloatArray) -> FloatArray | None:
    """Panel of the shape of `like` with `values` (N,) as its last row, NaN before."""
    if values is None:
        return None
    rows = np.full(like.shape, np.nan)
    rows[-1] = values
    return rows


def _ranker(artifact: Artifact) -> ServingRanker:
    path = artifact.path(TREES_FILE)
    try:
        ensemble = TreeEnsemble.from_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileDataError(path, f"{error}; train a ranker anew") from error
    if ensemble.n_features != len(FACTORS):
        raise FileDataError(
            path,
            f"ranks by {ensemble.n_features} factors, this program has {len(FACTORS)}; "
            "train a ranker anew",
        )
    manifest = artifact.manifest
    trades = _trades(artifact.path(RECORD_FILE))
    return ServingRanker(
        ensemble, manifest.version, manifest.created_at, trades, manifest.validation
    )


def _trades(path: Path) -> tuple[tuple[date, float], ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        closed, earned = (header.index(name) for name in RECORD_COLUMNS)
        return tuple((date.fromisoformat(row[closed]), float(row[earned])) for row in rows)
    except (IndexError, OSError, ValueError, csv.Error) as error:
        why = f"is no record of trades ({error}); train a ranker anew"
        raise FileDataError(path, why) from error
