"""Where a backtest's reinforcement-learning signal comes from; light, so that ``--help`` may ask.

``off`` has none. ``walk-forward`` trains an ensemble before the first session of every calendar
quarter, ``frozen`` one before the first session of all. Neither is the installed ensemble, which
may have been trained on the very sessions that are to be traded.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

RlMode: TypeAlias = Literal["off", "frozen", "walk-forward"]
