"""Train the agents on recent sessions, and let their signal earn its weight.

The last sessions of a window are held back twice: 126 on which agents are weighed, and 63 on
which the result is later compared with the serving ensemble. One session between the parts is
used for nothing, since a reward looks two opens ahead.

How they are judged is the subject of ``core.agent_trial``: an ensemble that has not earned its
weight has none.

Each agent is cached as soon as it is trained, so an interrupted run resumes and a backtest can
be repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.commands.cached_agents import trained_agents
from swingtrader.core.agent_trial import (
    MINIMUM_SESSIONS,
    holding_book,
    long_only_book,
    split_rows,
    trial,
    trial_figures,
    why_absent,
)
from swingtrader.core.agents import ROLLED_SESSIONS, Ensemble
from swingtrader.core.costs import BPS
from swingtrader.core.paper_book import OPENS_AHEAD, paper_game
from swingtrader.core.performance import sharpe_ratio
from swingtrader.core.walkforward import rankable
from swingtrader.errors import DataError
from swingtrader.estimators.agents import ALGORITHMS, TIMESTEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.adapters.store.scans import ScanRow
    from swingtrader.core.agent_trial import RlRows
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.costs import Costs
    from swingtrader.core.paper_book import Game
    from swingtrader.core.signals import MarketView

SYMBOLS = 15
SCAN_SESSIONS = 21
"""Stored scans that choose the symbols: a month."""

SEEDS = (0, 1, 2, 3, 4)
"""The first one's ensemble serves; the others say how much of it was luck."""


@dataclass(frozen=True, eq=False)
class RlTraining:
    """What a training came to.

    Attributes
    ----------
    ensemble : Ensemble
        Of the first seed; absent where it has not earned its weight.
    why_absent : str, optional
        A sentence without full stop.
    figures : dict
        Of the held-back sessions: annual net Sharpe ratio of each agent over the seeds, and the
        excess of the first seed's ensemble over holding.
    by_seed : tuple of Ensemble
        One a seed, weighted by Sharpe ratios alone.
    symbols : tuple of str
        In alphabetical order.
    """

    ensemble: Ensemble
    why_absent: str | None
    figures: dict[str, float]
    by_seed: tuple[Ensemble, ...]
    symbols: tuple[str, ...]
    training_sessions: tuple[date, date]
    rows: RlRows


def train_rl(  # noqa: PLR0913 - what to train on, how much, and whom to tell
    view: MarketView,
    p_high_volatility: FloatArray,
    symbols: Sequence[str],
    *,
    known: int,
    cost_fraction: float,
    cache: ModelCache,
    progress: Callable[[int], None],
    seeds: Sequence[int] = SEEDS,
    timesteps: int = TIMESTEPS,
) -> RlTraining:
    """Train PPO, A2C and SAC with every seed, and weigh them on sessions they have not seen.

    Parameters
    ----------
    p_high_volatility : ndarray of shape (T,)
        Filtered up to each row's close. Rows after `known` are read of nothing.
    known : int
        Row of the last completed session.
    cost_fraction : float
        From `cost_fraction_of`.
    progress : callable
        Told how many of ``3 * len(seeds)`` agents are done.
    seeds : sequence of int
        At least one.

    Raises
    ------
    DataError
        There are fewer than 378 sessions, no symbols, one that the view does not have, or a
        training diverged.
    """
    chosen = tuple(sorted(set(symbols)))
    rows = rl_rows(view, chosen, known=known)
    game = _game(view, p_high_volatility, chosen, known + 1, cost_fraction)
    lesson = game.rows(rows.training.start, rows.training.stop)
    wanted = [(algorithm, seed) for seed in seeds for algorithm in ALGORITHMS]
    agents = trained_agents(wanted, lesson, timesteps=timesteps, cache=cache, progress=progress)
    trials = [
        trial(agents[n : n + len(ALGORITHMS)], game, rows.weighing)
        for n in range(0, len(agents), len(ALGORITHMS))
    ]
    first = trials[0]
    reason = why_absent(trials)
    silent = Ensemble(first.ensemble.agents, (0.0,) * len(ALGORITHMS))
    sessions = view.stocks.sessions
    return RlTraining(
        ensemble=first.ensemble if reason is None else silent,
        why_absent=reason,
        figures={
            **trial_figures(trials, ALGORITHMS),
            "hold_sharpe": sharpe_ratio(holding_book(game, rows.weighing)),
            "seeds": float(len(trials)),
            "timesteps": float(timesteps),
            "symbols": float(len(chosen)),
            "training_sessions": float(len(rows.training)),
        },
        by_seed=tuple(trial.ensemble for trial in trials),
        symbols=chosen,
        training_sessions=(
            sessions[rows.training.start].item(),
            sessions[rows.training.stop - 1].item(),
        ),
        rows=rows,
    )


def cost_fraction_of(costs: Costs) -> float:
    """What a trade costs an agent, as a fraction of the capital traded; fees are left out."""
    return (costs.half_spread_bps + costs.slippage_bps) / BPS


def rl_rows(view: MarketView, symbols: Sequence[str], *, known: int) -> RlRows:
    """Split the sessions up to row `known` into those to train, to weigh and to validate on.

    Raises
    ------
    DataError
        As for `train_rl`.
    """
    begun = np.flatnonzero(
        rankable(view.factors[: known + 1, _columns(view, symbols)]).any(axis=1)
    )
    first = int(begun[0]) if len(begun) else known + 1
    rows = split_rows(first, known)
    if rows is None:
        last = view.stocks.sessions[known].item()
        raise DataError(
            f"training agents needs {MINIMUM_SESSIONS} sessions with factors of "
            f"{', '.join(symbols)}; the bars to {last} have {known + 1 - first}"
        )
    return rows


def ensemble_returns(
    ensemble: Ensemble,
    view: MarketView,
    p_high_volatility: FloatArray,
    symbols: Sequence[str],
    rows: range,
    *,
    cost_fraction: float,
) -> FloatArray:
    """Net daily returns of the ensemble's long-only book, equal-weighted over `symbols`.

    The book begins flat before the first of `rows`, and the view must reach two opens beyond
    the last one: a later row earns nothing.

    Parameters
    ----------
    p_high_volatility : ndarray of shape (T,)
        Filtered up to each row's close.
    rows : range
        Sessions at whose close is decided, each with 20 sessions before it.

    Returns
    -------
    ndarray of shape (len(rows),)
    """
    first = max(0, rows.start + 1 - ROLLED_SESSIONS)
    game = _game(
        view, p_high_volatility, symbols, rows.stop + OPENS_AHEAD, cost_fraction, first=first
    )
    return long_only_book(ensemble, game, range(rows.start - first, rows.stop - first))[1]


def holding_book_returns(
    view: MarketView, symbols: Sequence[str], rows: range, *, cost_fraction: float
) -> FloatArray:
    """Net daily returns of holding `symbols` with equal weights over `rows`: (len(rows),)."""
    unknown = np.full(len(view.factors), np.nan)
    stop = rows.stop + OPENS_AHEAD
    game = _game(view, unknown, symbols, stop, cost_fraction, first=rows.start)
    return holding_book(game, range(len(rows)))


def top_symbols(
    scans: Iterable[ScanRow], view: MarketView, *, known: int, probability: FloatArray
) -> tuple[tuple[str, ...], str]:
    """The `SYMBOLS` symbols that ranked highest over the last month of stored scans.

    Parameters
    ----------
    scans : iterable of ScanRow
        As from ``store.scans.since``; those before the last `SCAN_SESSIONS` sessions or after
        row `known`, and symbols that the view does not have, are left out.
    probability : ndarray of shape (N,)
        The ranker's of today, by the view's symbols; NaN where it says nothing. Used where the
        scans name fewer than `SYMBOLS`.

    Returns
    -------
    symbols : tuple of str
        Highest first. A symbol's score is its mean over the sessions scanned; a session on
        which it was not chosen counts as 0.
    chosen_by : {'scans', 'ranker'}

    Raises
    ------
    DataError
        Neither scans nor ranker name any symbol.
    """
    sessions = view.stocks.sessions
    month = set(sessions[max(0, known + 1 - SCAN_SESSIONS) : known + 1].tolist())
    total: dict[str, float] = {}
    for row in scans:
        if row.session in month and view.stocks.column(row.symbol) is not None:
            total[row.symbol] = total.get(row.symbol, 0.0) + row.score
    chosen_by = "scans"
    if len(total) < SYMBOLS:
        chosen_by = "ranker"
        pairs = zip(view.stocks.symbols, probability.tolist(), strict=True)
        total = {symbol: p for symbol, p in pairs if not math.isnan(p)}
    if not total:
        raise DataError("neither scans nor ranker name a symbol to train agents on")
    return tuple(sorted(total, key=lambda symbol: (-total[symbol], symbol))[:SYMBOLS]), chosen_by


def _columns(view: MarketView, symbols: Sequence[str]) -> list[int]:
    if not symbols:
        raise DataError("there are no symbols to train agents on")
    columns = [view.stocks.column(symbol) for symbol in symbols]
    missing = [symbol for symbol, n in zip(symbols, columns, strict=True) if n is None]
    if missing:
        raise DataError(f"there are no bars of {', '.join(missing)} to train agents on")
    return [n for n in columns if n is not None]


def _game(
    view: MarketView,
    p_high_volatility: FloatArray,
    symbols: Sequence[str],
    stop: int,
    cost_fraction: float,
    *,
    first: int = 0,
) -> Game:
    """Game of `symbols` over rows `first` to `stop`, which is excluded and never read."""
    columns = _columns(view, symbols)
    rows = slice(first, stop)
    return paper_game(
        view.factors[rows][:, columns],
        p_high_volatility[rows],
        view.atr_fraction[rows][:, columns],
        view.stocks.open[rows][:, columns],
        cost_fraction=cost_fraction,
    )
