"""A few closes remembered when a model was promoted, to know the bars again by.

A split restates all of a symbol's history by one factor, and a source may correct a close or
two. Anything else, such as a series that is late by a session or another symbol's, changes the
ratio of new closes to old from session to session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.archive import archived, unarchived
from swingtrader.core.arrays import frozen, session_array

if TYPE_CHECKING:
    from collections.abc import Collection

    from swingtrader.core.arrays import FloatArray, SessionArray
    from swingtrader.core.market import Panel

FORMAT_VERSION = 1

REFERENCE_SESSIONS = 10
CORRECTED_SESSIONS = 2
"""Closes of ten that a source may correct without telling another history."""
LARGEST_RESTATEMENT = 50.0
"""Factor of the largest split, either way."""
RESTATEMENT_TOLERANCE = 0.005
ROUNDING_USD = 0.01
"""Restated prices are rounded to cents anew."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What the bars said when a model was promoted.

    Attributes
    ----------
    symbols : tuple of str, length N
    sessions : ndarray of shape (K,), datetime64[D]
        The last sessions then, `REFERENCE_SESSIONS` or fewer.
    closes : ndarray of shape (K, N), USD
        NaN where there was no bar.

    Raises
    ------
    ValueError
        Shapes disagree, or there is no session.
    """

    symbols: tuple[str, ...]
    sessions: SessionArray
    closes: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.symbols))
        if self.closes.shape != shape or not len(self.sessions):
            raise ValueError(f"closes have shape {self.closes.shape}, expected {shape}")
        object.__setattr__(self, "sessions", frozen(self.sessions))
        object.__setattr__(self, "closes", frozen(self.closes))

    @property
    def n_listed(self) -> int:
        """Symbols that had a bar of the last session."""
        return int(np.isfinite(self.closes[-1]).sum())

    def among(self, symbols: Collection[str]) -> Reference:
        """Reference of those of `symbols` only, for a universe made smaller on purpose."""
        kept = [n for n, symbol in enumerate(self.symbols) if symbol in symbols]
        names = tuple(self.symbols[n] for n in kept)
        return Reference(names, self.sessions, self.closes[:, kept])

    def to_bytes(self) -> bytes:
        """Return the reference as .npz; the same reference gives the same bytes."""
        arrays = {
            "symbols": np.array(self.symbols, dtype=np.str_),
            "sessions": self.sessions.astype(np.str_),
            "closes": self.closes,
        }
        return archived(FORMAT_VERSION, arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> Reference:
        """Read back what `to_bytes` wrote; nothing in it can execute.

        Raises
        ------
        ValueError
            The bytes are damaged, of another version, or no valid reference.
        """
        names = ("symbols", "sessions", "closes")
        arrays = unarchived("reference of bars", FORMAT_VERSION, names, content)
        try:
            closes = arrays["closes"].astype(np.float64)
            sessions = session_array(arrays["sessions"])
            return cls(tuple(str(s) for s in arrays["symbols"]), sessions, closes)
        except TypeError as error:  # a member of another type or with too few dimensions
            raise ValueError(f"not a reference of bars: {error}") from error


@dataclass(frozen=True)
class Comparison:
    """How bars differ from those of a reference.

    Attributes
    ----------
    symbols : int
        How many could be compared.
    gone : tuple of str
        Symbols that had a bar of the reference's last session, and have none of the panel's.
    scaled : tuple of str
        Symbols whose closes were multiplied by what no split is, with the factor.
    altered : tuple of str
        Symbols whose closes differ by more than one factor.
    comparable : bool
        Whether enough of the reference's sessions are among the bars.
    """

    symbols: int
    gone: tuple[str, ...]
    scaled: tuple[str, ...]
    altered: tuple[str, ...]
    comparable: bool


def reference_of(panel: Panel) -> Reference:
    """Remember the last sessions of the bars that trained a model.

    Symbols that begin with ^ are left out, as they train nothing.

    Raises
    ------
    ValueError
        The panel has no session.
    """
    kept = [n for n, symbol in enumerate(panel.symbols) if not symbol.startswith("^")]
    return Reference(
        tuple(panel.symbols[n] for n in kept),
        panel.sessions[-REFERENCE_SESSIONS:],
        panel.close[-REFERENCE_SESSIONS:, kept],
    )


def compared(reference: Reference, panel: Panel) -> Comparison:
    """Hold the closes of `panel` against those remembered; it needs at least one session."""
    traded = {s for s, now in zip(panel.symbols, panel.traded[-1], strict=True) if now}
    listed = np.isfinite(reference.closes[-1])
    gone = [s for s, was in zip(reference.symbols, listed, strict=True) if was and s not in traded]
    _, then, today = np.intersect1d(reference.sessions, panel.sessions, return_indices=True)
    scaled, altered, symbols = [], [], 0
    for n, symbol in enumerate(reference.symbols):
        column = panel.column(symbol)
        if column is None:
            continue
        old, new = reference.closes[then, n], panel.close[today, column]
        both = (old > 0.0) & (new > 0.0)
        if both.sum() <= CORRECTED_SESSIONS:
            continue
        symbols += 1
        ratio = new[both] / old[both]
        usual = float(np.median(ratio))
        if not 1.0 / LARGEST_RESTATEMENT <= usual <= LARGEST_RESTATEMENT:
            scaled.append(f"{symbol} by {usual:,.6g}")
        allowed = RESTATEMENT_TOLERANCE + ROUNDING_USD / new[both]
        if (np.abs(ratio / usual - 1.0) > allowed).sum() > CORRECTED_SESSIONS:
            altered.append(symbol)
    enough = len(then) > CORRECTED_SESSIONS
    return Comparison(symbols, tuple(gone), tuple(scaled), tuple(altered), enough)
