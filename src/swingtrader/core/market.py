"""The market as a value: daily bars of N symbols over T sessions, immutable.

A symbol that does not trade on a session has NaN in every field of that row. Nothing is
filled forward here or later: what was not traded is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swingtrader.core.arrays import BoolArray, FloatArray, SessionArray


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so no generated ==
class Panel:
    """Split-adjusted daily bars.

    Attributes
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
        Strictly increasing exchange sessions.
    symbols : tuple of str, length N
        Strictly increasing, so that the order of a file's rows can change no result.
    open, high, low, close : ndarray of shape (T, N), USD
        NaN where the symbol has no bar.
    volume : ndarray of shape (T, N), shares
        NaN where the symbol has no bar; 0 where it has one and nothing was traded.

    Raises
    ------
    ValueError
        Shapes disagree, or sessions or symbols are not strictly increasing.
    """

    sessions: SessionArray
    symbols: tuple[str, ...]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.symbols))
        if not np.all(np.diff(self.sessions) > np.timedelta64(0, "D")):
            raise ValueError("sessions must be strictly increasing")
        if any(a >= b for a, b in zip(self.symbols, self.symbols[1:], strict=False)):
            raise ValueError("symbols must be strictly increasing")
        object.__setattr__(self, "sessions", frozen(self.sessions))
        for field in fields(self)[2:]:
            array = getattr(self, field.name)
            if array.shape != shape:
                raise ValueError(f"{field.name} has shape {array.shape}, expected {shape}")
            object.__setattr__(self, field.name, frozen(array))

    @cached_property
    def traded(self) -> BoolArray:
        """Where a bar exists: ndarray of shape (T, N)."""
        return frozen(~np.isnan(self.close))

    @cached_property
    def first_bar(self) -> tuple[int, ...]:
        """Row of each symbol's first bar; T for a symbol without any."""
        listed = self.traded.any(axis=0)
        rows = np.where(listed, self.traded.argmax(axis=0), len(self.sessions))
        return tuple(int(row) for row in rows)

    @cached_property
    def last_bar(self) -> tuple[int, ...]:
        """Row of each symbol's last bar; -1 for a symbol without any."""
        listed = self.traded.any(axis=0)
        from_the_end = self.traded[::-1].argmax(axis=0)
        rows = np.where(listed, len(self.sessions) - 1 - from_the_end, -1)
        return tuple(int(row) for row in rows)

    def column(self, symbol: str) -> int | None:
        """Column of `symbol`, or None where the panel does not have it."""
        return self._columns.get(symbol)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {symbol: n for n, symbol in enumerate(self.symbols)}

    def rows(self, start: int, stop: int) -> Panel:
        """Sessions `start` up to but not including `stop`, all symbols."""
        return self._sliced(slice(start, stop), slice(None), self.symbols)

    def select(self, symbols: Sequence[str]) -> Panel:
        """All sessions of `symbols`, which must be in the panel."""
        wanted = tuple(sorted(symbols))
        return self._sliced(slice(None), [self._columns[s] for s in wanted], wanted)

    def _sliced(self, rows: slice, columns: slice | list[int], symbols: tuple[str, ...]) -> Panel:
        return Panel(
            self.sessions[rows],
            symbols,
            *(getattr(self, f.name)[rows][:, columns] for f in fields(self)[2:]),
        )
