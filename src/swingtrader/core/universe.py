"""Which symbols may be traded, and in which sector each of them is at home.

Sectors are data (``universe.toml``). A symbol that no sector names is traded all the same, in
`OTHER`: it has no sector signal, no sector limit and passes the sector step of the scan.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from swingtrader.core.arrays import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swingtrader.core.arrays import IntArray

Kind = Literal["growth", "defensive", "speculative", "neutral"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OTHER = "Other"
NO_SECTOR = -1
"""Index of a stock in `OTHER` in arrays of sector numbers."""


@dataclass(frozen=True)
class Sector:
    """A sector, the exchange-traded fund that stands for it, and its member stocks."""

    name: str
    etf: str | None
    kind: Kind
    stocks: tuple[str, ...]


@dataclass(frozen=True)
class Universe:
    """Sectors with their stocks, and the symbols that are context only.

    Attributes
    ----------
    market : str
        Proxy of the whole market; the equal-weighted universe stands in where it is missing.
    context : tuple of str
        Further symbols that are never ranked and never traded.

    Raises
    ------
    ValueError
        A stock has two homes, a sector two entries, or a stock is context as well.
    """

    sectors: tuple[Sector, ...]
    market: str = "SPY"
    context: tuple[str, ...] = ("QQQ",)

    def __post_init__(self) -> None:
        for what, names in (
            ("sector", [sector.name for sector in self.sectors]),
            ("stock", [stock for sector in self.sectors for stock in sector.stocks]),
        ):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            if twice:
                raise ValueError(f"{what} {', '.join(twice)} is listed twice; it has one home")
        if OTHER in (sector.name for sector in self.sectors):
            raise ValueError(f"'{OTHER}' is the name of the sector of unlisted symbols")
        both = sorted(symbol for symbol in self.sector_of if self.is_context(symbol))
        if both:
            raise ValueError(f"{', '.join(both)} is listed both as a stock and as context")

    @cached_property
    def sector_of(self) -> dict[str, int]:
        """Index in `sectors` of each listed stock."""
        return {s: k for k, sector in enumerate(self.sectors) for s in sector.stocks}

    @cached_property
    def _context(self) -> frozenset[str]:
        etfs = (sector.etf for sector in self.sectors if sector.etf)
        return frozenset((self.market, *self.context, *etfs))

    def is_context(self, symbol: str) -> bool:
        """Whether `symbol` only informs: never ranked, never traded."""
        return symbol.startswith("^") or symbol in self._context

    def tradable(self, symbols: Sequence[str], *, listed_only: bool = False) -> tuple[str, ...]:
        """Those of `symbols` that may be ranked and traded, in their order."""
        return tuple(
            symbol
            for symbol in symbols
            if not self.is_context(symbol) and (symbol in self.sector_of or not listed_only)
        )

    def sector_numbers(self, symbols: Sequence[str]) -> IntArray:
        """Sector index of each symbol, `NO_SECTOR` for those in `OTHER`: shape (N,)."""
        return frozen(
            np.array([self.sector_of.get(s, NO_SECTOR) for s in symbols], dtype=np.int64)
        )

    def kind_of(self, symbol: str) -> Kind:
        """Kind of the symbol's sector; a symbol in `OTHER` is neutral."""
        k = self.sector_of.get(symbol)
        return "neutral" if k is None else self.sectors[k].kind
