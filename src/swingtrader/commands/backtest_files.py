"""The files of a backtest, in the formats of the contract.

Numbers are written in full (`repr`), so that equity can be recomputed from the fills to the
cent; nothing in them depends on the clock, so the same run writes the same bytes.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.policy import SIGNALS
from swingtrader.core.reasons import REASON_NUMBER, REASONS, Action, Reason
from swingtrader.reports.html import render_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.result import BacktestResult
    from swingtrader.core.signals import MarketView
    from swingtrader.core.simulate import Simulation


def write_files(
    directory: Path,
    result: BacktestResult,
    simulation: Simulation,
    view: MarketView,
    signals: FloatArray,
) -> None:
    """Write all files into `directory`.

    Parameters
    ----------
    signals : ndarray of shape (T, 6, N)
        What each session's decision knew.
    """
    _write_csv(
        directory / "fills.csv",
        ("session", "symbol", "side", "qty", "price", "costs_usd", "reason"),
        (
            (f.session, f.symbol, f.side, f.qty, f.price, f.costs_usd, f.reason)
            for f in result.fills
        ),
    )
    _write_csv(
        directory / "trades.csv",
        (
            "symbol", "entry_session", "exit_session", "qty", "entry_price", "exit_price",
            "pnl_usd", "return", "exit_reason",
        ),
        (
            (
                t.symbol, t.entry_session, t.exit_session, t.qty, t.entry_price, t.exit_price,
                t.pnl_usd, t.simple_return, t.exit_reason,
            )
            for t in result.trades
        ),
    )  # fmt: skip
    _write_csv(
        directory / "equity.csv",
        ("session", "equity_usd", "cash_usd", "gross_exposure", "benchmark_usd"),
        zip(
            result.sessions.tolist(),
            result.equity_usd.tolist(),
            result.cash_usd.tolist(),
            result.gross_exposure.tolist(),
            result.benchmark_usd.tolist(),
            strict=True,
        ),
    )
    _write_decisions(directory / "decisions.parquet", simulation, view, signals)
    text = json.dumps(result.metrics, indent=2, allow_nan=False)
    (directory / "metrics.json").write_text(text + "\n", encoding="utf-8")
    (directory / "report.html").write_text(render_report(result), encoding="utf-8")


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_decisions(
    path: Path, simulation: Simulation, view: MarketView, signals: FloatArray
) -> None:
    """One row a session and symbol looked at: all with a completed bar, and all held."""
    import pyarrow as pa  # noqa: PLC0415 - only a run that writes files pays for it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    looked_at = simulation.reasons != REASON_NUMBER[Reason.NO_BAR]
    row, column = np.nonzero(looked_at)
    served = signals[simulation.rows.start : simulation.rows.stop]
    sessions = view.stocks.sessions[simulation.rows.start : simulation.rows.stop]

    def named(names: Sequence[str], numbers: np.ndarray) -> pa.Array:
        # Plain text to whoever reads the file; Parquet itself stores each name once.
        coded = pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), pa.array(names))
        return coded.dictionary_decode()

    table = {
        "session": pa.array(sessions[row]),
        "symbol": named(view.stocks.symbols, column),
        **{
            name: pa.array(served[row, k, column], from_pandas=True)
            for k, name in enumerate(SIGNALS)
        },
        "vote": pa.array(simulation.votes[row, column], from_pandas=True),
        "action": named(
            [action.name.lower() for action in Action],
            simulation.actions[row, column] - min(Action),
        ),
        "reason": named([str(reason) for reason in REASONS], simulation.reasons[row, column]),
    }
    pq.write_table(pa.table(table), path)
