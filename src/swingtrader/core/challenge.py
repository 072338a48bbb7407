"""Whether a newly trained model may take the place of the one that serves.

Challenger and champion are held against each other session by session, on the same sessions,
on which neither was trained. Choices:

- Half a year of 21-session outcomes is six that do not overlap, so errors and bounds are those
  of ``short_samples``. Newey-West errors with 42 lags, which judge a backtest of years, called
  two equal rankers different "beyond 1.645 errors" in 15 to 18 of 100 tries on either side.
- *Not worse* is the rule for what learned the same: a difference below the 5 % point of pure
  noise refuses, so one of twenty equals is turned away, and retraining has another go.
- A ranker that ranks unlike the champion has learned something else, as from shuffled labels.
  It has the burden of proof: better than the champion by more than a standard error, and better
  than nothing beyond noise. The first alone would let noise pass after half a year in which the
  champion had no luck; asking for 5 % there too would turn away a rank IC of 0.20 against 0.02
  every fourth time.
- Without a champion the first model is promoted, unless what it does is beyond noise the
  opposite of what it should. There is nothing to compare a likelihood with.
- Sharpe ratios are compared as means of returns in units of their own volatility. That leaves
  out that volatility is estimated, a term of half the squared Sharpe ratio per session in
  Ledoit and Wolf (2008): under 1 % of the variance for any ratio a year has seen. In return
  more gain can never look worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR, frozen
from swingtrader.core.performance import finite_series, sharpe_per_session
from swingtrader.core.short_samples import mean_of_overlapping, noise_allowance
from swingtrader.core.walkforward import LABEL_HORIZON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.inference import Estimate

SPAN_RANKER = LABEL_HORIZON
"""Sessions by which neighbouring outcomes of a rank IC overlap."""
SPAN_REGIME = 21
"""Sessions of the longest average among the regime's features."""
SPAN_RETURNS = 1
"""Daily returns follow on each other with next to no memory."""

WRONG_NATS = 5.0
"""Difference of two log-likelihoods beyond which one of them is simply wrong about a session, by
a factor of 150. Were more counted, one session that a model calls impossible would widen the
noise until nothing could be said against it."""

IMMATERIAL_NATS = 0.05
"""Mean difference of log-likelihoods a session that is no reason to live on with last week's
regime model, however sure it is: the backtest goes on with the new one. Two of 366 weekly refits
on the default universe's bars of 2013 to 2019 were worse by 0.02, beyond noise."""

CLEARLY_BETTER = 1.0
"""Standard errors by which a ranker that ranks otherwise must lead."""
AGREEMENT = 0.5
"""Mean rank correlation of two rankers' scores from which they have learned the same."""
MINIMUM_SESSIONS = 3 * LABEL_HORIZON
"""With fewer than three outcomes that do not overlap nothing is known of their noise."""


@dataclass(frozen=True)
class Verdict:
    """What came of a challenge.

    Attributes
    ----------
    promoted : bool
    sentence : str
        Why, in words for the operator, without a full stop.
    figures : mapping of str to float
        Finite; what could not be measured is missing.
    """

    promoted: bool
    sentence: str
    figures: Mapping[str, float]

    def __post_init__(self) -> None:
        finite = {name: float(value) for name, value in self.figures.items()}
        finite = {name: value for name, value in finite.items() if math.isfinite(value)}
        object.__setattr__(self, "figures", MappingProxyType(finite))


def ranker_verdict(
    challenger_ic: FloatArray, champion_ic: FloatArray | None, agreement: float | None
) -> Verdict:
    """Whether a ranker may serve.

    Parameters
    ----------
    challenger_ic, champion_ic : ndarray of shape (V,)
        Rank IC of each held-back session against the 21-session forward return, in time order.
        A session where one of them is NaN is left out. No champion: None.
    agreement : float, optional
        Mean over the sessions of the rank correlation between both models' scores. None or
        NaN, where that is unknown, counts as no agreement.

    Returns
    -------
    Verdict
        Figures `rank_ic`, `rank_ic_t`, `champion_rank_ic`, `champion_rank_ic_t`,
        `difference_t`, `agreement`, `sessions`.

    Raises
    ------
    ValueError
        Lengths differ.
    """
    series = _paired(challenger_ic, champion_ic)
    sessions = series.shape[1]
    figures = {"sessions": float(sessions)}
    if sessions < MINIMUM_SESSIONS:
        return _too_few(sessions, figures, first=champion_ic is None)
    own = mean_of_overlapping(series[0], SPAN_RANKER)
    figures |= {"rank_ic": own.value, "rank_ic_t": _t(own)}
    allowed = noise_allowance(sessions, SPAN_RANKER)
    if champion_ic is None:
        found = f"rank IC {own.value:+.3f} over {sessions} sessions"
        if own.value < -allowed * own.standard_error:
            return Verdict(False, f"{found} is negative beyond noise", figures)
        return Verdict(True, f"{found}, with no champion to beat", figures)
    champion = mean_of_overlapping(series[1], SPAN_RANKER)
    gain = mean_of_overlapping(series[0] - series[1], SPAN_RANKER)
    agreed = math.nan if agreement is None else agreement
    figures |= {
        "champion_rank_ic": champion.value,
        "champion_rank_ic_t": _t(champion),
        "difference_t": _t(gain),
        "agreement": agreed,
    }
    found = f"rank IC {own.value:+.3f} against the champion's {champion.value:+.3f}"
    if agreed >= AGREEMENT:
        return _not_worse(found, gain, allowed, figures)
    otherwise = f"ranks unlike the champion ({agreed:+.2f})"
    if agreement is None or math.isnan(agreed):
        otherwise = "ranks unlike the champion as far as is known"
    ahead = gain.value > 0.0 and gain.value >= CLEARLY_BETTER * gain.standard_error
    if ahead and own.value > 0.0 and own.value >= allowed * own.standard_error:
        return Verdict(True, f"{found}: {otherwise}, and is clearly better", figures)
    return Verdict(False, f"{found}: {otherwise} without being clearly better", figures)


def regime_verdict(
    challenger_log_likelihood: FloatArray, champion_log_likelihood: FloatArray | None
) -> Verdict:
    """Whether a regime model may serve.

    Parameters
    ----------
    challenger_log_likelihood, champion_log_likelihood : ndarray of shape (V,)
        Log density of each held-back session's features as the forward filter predicted them
        from the sessions before. NaN as for `ranker_verdict`; minus infinity refuses.

    Returns
    -------
    Verdict
        Figures `log_likelihood`, `champion_log_likelihood` (means per session), `difference_t`,
        `sessions`.

    Raises
    ------
    ValueError
        Lengths differ.
    """
    series = _paired(challenger_log_likelihood, champion_log_likelihood)
    sessions = series.shape[1]
    figures = {"sessions": float(sessions), "log_likelihood": _mean(series[0])}
    if champion_log_likelihood is not None:
        figures["champion_log_likelihood"] = _mean(series[1])
    if np.isinf(series[0]).any():
        what = "says of a session that it could not happen"
        return Verdict(False, f"the challenger {what}", figures)
    if sessions < MINIMUM_SESSIONS:
        return _too_few(sessions, figures, first=champion_log_likelihood is None)
    found = f"log-likelihood {figures['log_likelihood']:.3f} a session"
    if champion_log_likelihood is None:
        return Verdict(True, f"{found}, with no champion to beat", figures)
    if np.isinf(series[1]).any():
        what = "the champion says of a session that it could not happen"
        return Verdict(True, f"{found}, and {what}", figures)
    difference = np.clip(series[0] - series[1], -WRONG_NATS, WRONG_NATS)
    gain = mean_of_overlapping(difference, SPAN_REGIME)
    figures["difference_t"] = _t(gain)
    found = f"{found} against the champion's {figures['champion_log_likelihood']:.3f}"
    if -IMMATERIAL_NATS <= gain.value < 0.0:
        return Verdict(True, f"{found} is not worse by more than {IMMATERIAL_NATS:g}", figures)
    return _not_worse(found, gain, noise_allowance(sessions, SPAN_REGIME), figures)


def ensemble_verdict(
    challenger_returns: FloatArray, champion_returns: FloatArray | None
) -> Verdict:
    """Whether an ensemble of agents may serve.

    Parameters
    ----------
    challenger_returns, champion_returns : ndarray of shape (V,)
        Net return of each held-back session. NaN as for `ranker_verdict`. Returns that do not
        vary, as of an ensemble without a view, have Sharpe ratio 0.

    Returns
    -------
    Verdict
        Figures `net_sharpe`, `champion_net_sharpe` (annual), `difference_t`, `sessions`.

    Raises
    ------
    ValueError
        Lengths differ, or a return is infinite.
    """
    series = _paired(challenger_returns, champion_returns)
    sessions = series.shape[1]
    figures = {"sessions": float(sessions)}
    if sessions < MINIMUM_SESSIONS:
        return _too_few(sessions, figures, first=champion_returns is None)
    allowed = noise_allowance(sessions, SPAN_RETURNS)
    own = _at_unit_volatility(series[0])
    figures["net_sharpe"] = _annual(own)
    found = f"net Sharpe ratio {figures['net_sharpe']:+.2f}"
    if champion_returns is None:
        alone = mean_of_overlapping(own, SPAN_RETURNS)
        found = f"{found} over {sessions} sessions"
        if alone.value < -allowed * alone.standard_error:
            return Verdict(False, f"{found} is negative beyond noise", figures)
        return Verdict(True, f"{found}, with no champion to beat", figures)
    champion = _at_unit_volatility(series[1])
    figures["champion_net_sharpe"] = _annual(champion)
    gain = mean_of_overlapping(own - champion, SPAN_RETURNS)
    figures["difference_t"] = _t(gain)
    found = f"{found} against the champion's {figures['champion_net_sharpe']:+.2f}"
    return _not_worse(found, gain, allowed, figures)


def _paired(challenger: FloatArray, champion: FloatArray | None) -> FloatArray:
    """Both series where neither is NaN, (2, V), or the challenger's alone, (1, V)."""
    given = (challenger,) if champion is None else (challenger, champion)
    if len({np.shape(series) for series in given}) > 1 or np.ndim(challenger) != 1:
        raise ValueError(f"series have shapes {[np.shape(series) for series in given]}")
    both = np.stack([np.asarray(series, dtype=np.float64) for series in given])
    return frozen(both[:, ~np.isnan(both).any(axis=0)])


def _not_worse(found: str, gain: Estimate, allowed: float, figures: dict[str, float]) -> Verdict:
    if gain.value < -allowed * gain.standard_error:
        return Verdict(False, f"{found} is worse beyond noise", figures)
    return Verdict(True, f"{found} is not worse beyond noise", figures)


def _too_few(sessions: int, figures: dict[str, float], *, first: bool) -> Verdict:
    what = f"{sessions} held-back sessions are too few to judge by, expected {MINIMUM_SESSIONS}"
    outcome = "there is no champion to keep" if first else "the champion stays"
    return Verdict(first, f"{what}; {outcome}", figures)


def _t(estimate: Estimate) -> float:
    """Standard errors from zero, NaN where nothing varies."""
    return estimate.t if estimate.standard_error > 0.0 else math.nan


def _mean(series: FloatArray) -> float:
    return float(series.mean()) if len(series) else math.nan


def _at_unit_volatility(returns: FloatArray) -> FloatArray:
    """Returns (V,) over their own standard deviation; their mean is the Sharpe ratio."""
    if sharpe_per_session(finite_series(returns, "returns")) == 0.0:
        return np.zeros(len(returns))
    return returns / np.std(returns, ddof=1)


def _annual(at_unit_volatility: FloatArray) -> float:
    return float(at_unit_volatility.mean()) * math.sqrt(SESSIONS_PER_YEAR)
