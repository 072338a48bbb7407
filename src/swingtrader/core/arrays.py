"""Array types the core speaks in, and the one way to make an array read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
SessionArray: TypeAlias = NDArray[np.datetime64]

ScalarT = TypeVar("ScalarT", bound=np.generic)

SESSIONS_PER_YEAR = 252
"""The one constant that annualises anything."""


def frozen(array: NDArray[ScalarT]) -> NDArray[ScalarT]:
    """Return a read-only view of `array`; the caller's own array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def session_array(sessions: Iterable[Any]) -> SessionArray:
    """Sessions as datetime64[D], from dates, ISO strings or datetime64 of any unit."""
    return np.asarray(list(sessions), dtype="datetime64[D]")
