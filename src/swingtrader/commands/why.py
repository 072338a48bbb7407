"""``swingtrader why SYMBOL``: the last decision on a symbol, taken apart.

From the store alone. A contribution is a signal's share of the vote: weight times signal over
the weight that was present, so that the contributions add up to the score.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store.decisions import SIGNAL_COLUMNS
from swingtrader.commands.status_rows import as_remembered, position_row
from swingtrader.errors import UsageError
from swingtrader.reports.reason_sentences import reason_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.adapters.store import Store


def why_report(store: Store, symbol: str) -> dict[str, Any]:
    """Gather the object of ``why --json``.

    Parameters
    ----------
    store : Store
    symbol : str
        Small letters will do.

    Returns
    -------
    dict
        ``signals``, ``weights`` and ``contributions`` have all six names: None for an absent
        signal, and for weights that were not used because a price alone decided. ``held`` is
        the position as the last run left it, None where there is none.

    Raises
    ------
    UsageError
        No decision on the symbol is stored.
    """
    last = store.decisions.last_of(symbol) or store.decisions.last_of(symbol.upper())
    if last is None:
        raise UsageError(
            f"no decision on {symbol:.20} is stored; symbols are written as AAPL"
            f"{_nearest(store, symbol)}"
        )
    row = last.row
    signals = {name: row.signals.get(name) for name in SIGNAL_COLUMNS}
    weights = {name: last.weights.get(name) for name in SIGNAL_COLUMNS}
    held = store.positions.all().get(row.symbol)
    return {
        "symbol": row.symbol,
        "run_id": last.run_id,
        "command": last.command,
        "session": last.session.isoformat(),
        "asof": last.asof.isoformat(),
        "action": row.action,
        "score": row.score,
        "reason": row.reason,
        "signals": signals,
        "weights": weights,
        "contributions": contributions(signals, weights),
        "held": None if held is None else position_row(as_remembered(held), trades=True),
        "explanation": reason_sentence(row.reason),
    }


def contributions(
    signals: Mapping[str, float | None], weights: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Share of each signal in the vote; None for an absent one, and where nothing has weight."""
    voted = {
        name: (weights[name] or 0.0) * signal
        for name, signal in signals.items()
        if signal is not None
    }
    present = sum(weights[name] or 0.0 for name in voted)
    return {name: voted[name] / present if name in voted and present else None for name in signals}


def _nearest(store: Store, symbol: str) -> str:
    """Hint at a symbol that the last run did look at; nothing where none is alike."""
    known = set(store.positions.all())
    last = store.runs.last_report("decide")
    if last is not None and last.report is not None:
        known |= {str(decision["symbol"]) for decision in last.report["decisions"]}
    alike = difflib.get_close_matches(symbol.upper(), sorted(known), n=1)
    return f"; did you mean {alike[0]}?" if alike else ""
