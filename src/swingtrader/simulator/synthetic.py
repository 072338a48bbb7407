"""A seeded market shaped like real ones, whose truth is known because we wrote it.

Returns have fat tails, clustered volatility, a market factor with two volatility regimes, and
sectors. What they do not have, unless `persistence` plants it, is anything to predict across
the section: every stock's *simple* return has the same conditional mean. Choices that follow:

- Shocks are symmetric simple returns, not log returns. Equal means of log returns would hand
  volatile stocks a higher expected return, which a ranker finds and calls skill.
- Beta earns nothing. The market's drift is paid to every stock alike; were it multiplied by
  beta, past returns would reveal beta and beta would predict the next ones.
- The drift is the same in both regimes, so that timing the market by its volatility earns
  nothing either.
- Volatility is steady in dollars rather than in per cent, while the price stays near its
  average of the last half year. Returns that compound at a fixed percentage have a median
  below their mean, the more so the more volatile the stock; a rank correlation sees that
  (volatility's t averaged -1 over ten years), and here over weeks it all but vanishes at the
  default dispersion. A much larger `idiosyncratic_log_sd` brings it back.
  It is also what prices do: volatility rises as they fall (Black 1976, the leverage effect).

A session is a night and a day drawn with one volatility. High and low are extremes of a
Brownian bridge from open to close, so ranges agree with the volatility that made the close.

Where a default has no paper behind it, it was set beside the daily bars of 66 large US stocks
and SPY, 2010 to 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR, frozen
from swingtrader.core.market import Panel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray, SessionArray

FIRST_PRICE_USD = (20.0, 400.0)
"""Range of the first open, uniform in logs."""

MINIMUM_PRICE_USD = 1.0
"""A stock that would fall lower has all its prices raised, as a reverse split restates them.

The level then tells of the fall to come, as it does in any split-adjusted file.
"""

LARGEST_MOVE = 0.5
"""Bound on a night's and on a day's simple return, either way, so that no mean moves."""

SMALLEST_BETA = 0.2

PARTS = ("regime", "market", "sectors", "stocks", "traits", "persistence", "listings", "bars")
"""Each draws from a stream of its own."""

REFERENCE_HALF_LIFE = 126.0
"""Sessions, of the average price on which volatility in dollars depends."""

LARGEST_LEVERAGE = 2.0
"""Bound on that average over the price, either way."""

DOLLAR_VOLUME_USD = 400e6
"""Median over stocks of a typical session's dollar volume."""

DOLLAR_VOLUME_LOG_SD = 0.7
"""Between stocks; some 1 in 100,000 then typically trades under 20 million USD."""

ETF_DOLLAR_VOLUME_USD = 1e9
MARKET_DOLLAR_VOLUME_USD = 20e9

VOLUME_STATE_LOG_SD = 0.35
VOLUME_STATE_HALF_LIFE = 20.0
"""Sessions. Volume stays high or low for weeks."""

VOLUME_NOISE_LOG_SD = 0.2

VOLUME_PER_MOVE = 0.22
"""Log volume per |return| / mean |return| (Karpoff 1987: volume goes with absolute return)."""


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so no generated ==
class SyntheticMarket:
    """Parameters of one market; equal parameters give equal bars.

    Attributes
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
        The exchange's sessions, at least 10; there is no calendar in here.
    sectors : mapping
        Sector name to (ETF symbol, symbols of its stocks). Each ETF is the equal-weighted
        basket of its listed stocks, rebalanced at every open and close.
    seed : int
        A market with `persistence` has the shocks of its twin without.
    market_symbol : str
        The market factor itself, as a fund.
    drift_annual : float
        Expected simple return of everything, per year of 252 sessions.
    market_volatility_low, market_volatility_high : float
        Annual volatility of the market factor in its two regimes (Hamilton 1989). With the
        durations and the leverage effect they give 0.14 to 0.15 overall, SPY's figure.
    low_duration_sessions, high_duration_sessions : float
        Expected length of a regime, at least 1 session.
    sector_volatility : float
        Annual volatility of each sector's factor.
    idiosyncratic_volatility : float
        Annual, the median over stocks.
    idiosyncratic_log_sd : float
        Spread of its logarithm between stocks.
    beta_sd : float
        Spread of the betas around 1.
    degrees_of_freedom : float
        Of the Student-t shocks, above 2. Cont (2001) puts the tail index between 2 and 5.
    shock_weight, memory : float
        GARCH(1,1) weights of yesterday's squared shock and of yesterday's variance
        (Bollerslev 1987, with Student-t shocks); they sum to less than 1. Every factor and
        every stock clusters on its own.
    overnight_share : float
        Part of the variance that falls between close and open, in (0, 1).
    persistence : float
        Cross-sectional standard deviation of the stocks' own expected annual returns, which
        past relative returns then reveal (Jegadeesh and Titman 1993). 0 is pure noise.
    persistence_half_life_sessions : float
        Time in which such an expected return decays by half.
    late_listings : int
        Stocks whose first bar comes between a tenth and a half of the way.
    delistings : int
        Other stocks, whose last bar comes between a half and nine tenths of the way.

    Raises
    ------
    ValueError
        A parameter outside the range named above, or a symbol that occurs twice.
    """

    sessions: SessionArray
    sectors: Mapping[str, tuple[str, tuple[str, ...]]]
    seed: int = 0
    market_symbol: str = "SPY"
    drift_annual: float = 0.08
    market_volatility_low: float = 0.10
    market_volatility_high: float = 0.22
    low_duration_sessions: float = 200.0
    high_duration_sessions: float = 60.0
    sector_volatility: float = 0.085
    idiosyncratic_volatility: float = 0.15
    idiosyncratic_log_sd: float = 0.3
    beta_sd: float = 0.3
    degrees_of_freedom: float = 5.0
    shock_weight: float = 0.06
    memory: float = 0.92
    overnight_share: float = 0.3
    persistence: float = 0.0
    persistence_half_life_sessions: float = 126.0
    late_listings: int = 2
    delistings: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", frozen(self.sessions))
        for field in fields(self):
            value = getattr(self, field.name)
            signed = field.name == "drift_annual"
            if isinstance(value, (int, float)) and not signed and not value >= 0:
                raise ValueError(f"{field.name} is {value}, expected 0 or more")
        shortest = min(self.low_duration_sessions, self.high_duration_sessions)
        calmest = min(self.market_volatility_low, self.market_volatility_high)
        moved = self.late_listings + self.delistings
        sizes = [len(stocks) for _, stocks in self.sectors.values()]
        for expected, holds in (
            ("at least 10 sessions", len(self.sessions) >= 10),
            ("a stock in every sector", min(sizes, default=0) > 0),
            ("every symbol once", len(set(self.symbols)) == len(self.symbols)),
            ("a market that moves", calmest > 0),
            ("regimes of at least 1 session", shortest >= 1),
            ("more than 2 degrees of freedom", self.degrees_of_freedom > 2),
            ("shock_weight + memory below 1", self.shock_weight + self.memory < 1),
            ("overnight_share between 0 and 1", 0 < self.overnight_share < 1),
            ("a positive half-life", self.persistence_half_life_sessions > 0),
            ("no more listings and delistings than stocks", moved <= len(self.stocks)),
        ):
            if not holds:
                raise ValueError(f"expected {expected}")

    @property
    def stocks(self) -> tuple[str, ...]:
        """Symbols of the stocks, sector by sector."""
        return tuple(stock for _, stocks in self.sectors.values() for stock in stocks)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Stocks, then sector ETFs, then the market: the order of the columns in here."""
        return (*self.stocks, *(etf for etf, _ in self.sectors.values()), self.market_symbol)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Simple returns over night and day, and the day's standard deviation: (T, N) each."""

    overnight: FloatArray
    intraday: FloatArray
    volatility: FloatArray


def _stream(parameters: SyntheticMarket, part: str) -> np.random.Generator:
    return np.random.default_rng([parameters.seed, PARTS.index(part)])


def simulate_market(parameters: SyntheticMarket) -> Panel:
    """Daily bars of the stocks, the sector ETFs and the market.

    Parameters
    ----------
    parameters : SyntheticMarket

    Returns
    -------
    Panel of shape (T, N)
        N counts stocks, ETFs and the market. Prices in whole cents. NaN before a late listing
        and after a delisting, nowhere else; an ETF has bars while any of its stocks has.
    """
    home = np.repeat(
        np.arange(len(parameters.sectors)), [len(s) for _, s in parameters.sectors.values()]
    )
    membership = np.eye(len(parameters.sectors))[home]
    stocks_listed = _listed(parameters)
    etfs_listed = stocks_listed @ membership > 0
    always = np.ones((len(parameters.sessions), 1), dtype=np.bool_)
    listed = np.hstack([stocks_listed, etfs_listed, always])

    return _panel(parameters, _asset_moves(parameters, home, stocks_listed), listed)


def high_volatility_sessions(parameters: SyntheticMarket) -> BoolArray:
    """Sessions on which the market is in its high-volatility regime: shape (T,).

    The truth a regime model is to recover. Two-state Markov chain, begun in its stationary
    distribution.
    """
    leave_low = 1 / parameters.low_duration_sessions
    leave_high = 1 / parameters.high_duration_sessions
    draws = _stream(parameters, "regime").random(len(parameters.sessions))
    high = np.empty(len(draws), dtype=np.bool_)
    high[0] = draws[0] < leave_low / (leave_low + leave_high)
    for t in range(1, len(draws)):
        high[t] = draws[t] >= leave_high if high[t - 1] else draws[t] < leave_low
    return frozen(high)


def _listed(parameters: SyntheticMarket) -> BoolArray:
    """Where each stock has a bar: (T, N). Everything is listed in the middle row."""
    rng = _stream(parameters, "listings")
    count, late = len(parameters.sessions), parameters.late_listings
    first = np.zeros(len(parameters.stocks), dtype=np.int64)
    last = np.full(len(first), count - 1)
    order = rng.permutation(len(first))
    first[order[:late]] = rng.integers(1 + count // 10, 1 + count // 2, late)
    gone = order[late : late + parameters.delistings]
    last[gone] = rng.integers(count // 2, count * 9 // 10, len(gone))
    rows = np.arange(count)[:, None]
    return (rows >= first) & (rows <= last)


def _asset_moves(parameters: SyntheticMarket, home: IntArray, listed: BoolArray) -> _Moves:
    """Draw stocks, ETFs and the market, in the order of `parameters.symbols`.

    `home` is the sector of each of the N stocks, `listed` of shape (T, N) where they trade.
    """
    count, stocks = listed.shape
    high = high_volatility_sessions(parameters)[:, None]
    regime_volatility = np.where(
        high, parameters.market_volatility_high, parameters.market_volatility_low
    )
    traits = _stream(parameters, "traits")
    beta = np.maximum(traits.normal(1, parameters.beta_sd, stocks), SMALLEST_BETA)
    own_volatility = parameters.idiosyncratic_volatility * np.exp(
        parameters.idiosyncratic_log_sd * traits.standard_normal(stocks)
    )
    sector_volatility = np.full((count, len(parameters.sectors)), parameters.sector_volatility)
    market = _shocks(parameters, "market", regime_volatility)
    sector = _shocks(parameters, "sectors", sector_volatility)
    own = _shocks(parameters, "stocks", np.broadcast_to(own_volatility, (count, stocks)))

    stock = _Moves(
        beta * market.overnight + sector.overnight[:, home] + own.overnight,
        beta * market.intraday + sector.intraday[:, home] + own.intraday,
        np.sqrt(
            (beta * market.volatility) ** 2 + sector.volatility[:, home] ** 2 + own.volatility**2
        ),
    )
    leverage = _leverage(stock.overnight + stock.intraday)
    drift = np.full((count, 1), parameters.drift_annual / SESSIONS_PER_YEAR)
    own_drift = drift + _planted_drift(parameters, stocks)
    stock = _scaled(stock, leverage, own_drift, parameters.overnight_share)
    market_leverage = _leverage(market.overnight + market.intraday)
    fund = _scaled(market, market_leverage, drift, parameters.overnight_share)

    membership = np.eye(len(parameters.sectors))[home]
    members = np.maximum(listed @ membership, 1)

    def basket(values: FloatArray) -> FloatArray:
        return np.where(listed, values, 0) @ membership / members

    basket_volatility = np.sqrt(
        (basket(leverage * beta) * market.volatility) ** 2
        + (basket(leverage) * sector.volatility) ** 2
        + basket((leverage * own.volatility) ** 2) / members
    )
    return _Moves(
        np.hstack([stock.overnight, basket(stock.overnight), fund.overnight]),
        np.hstack([stock.intraday, basket(stock.intraday), fund.intraday]),
        np.hstack([stock.volatility, basket_volatility, fund.volatility]),
    )


def _leverage(shock: FloatArray) -> FloatArray:
    """Average price over price before each session, (T, N), of prices without drift."""
    pace = 1 - 0.5 ** (1 / REFERENCE_HALF_LIFE)
    price = average = np.ones(shock.shape[1])
    leverage = np.empty_like(shock)
    for t in range(len(shock)):
        leverage[t] = np.clip(average / price, 1 / LARGEST_LEVERAGE, LARGEST_LEVERAGE)
        price = price * (1 + _bounded(leverage[t] * shock[t]))
        average = average + pace * (price - average)
    return leverage


def _scaled(
    shocks: _Moves, leverage: FloatArray, drift: FloatArray, overnight_share: float
) -> _Moves:
    return _Moves(
        _bounded(overnight_share * drift + leverage * shocks.overnight),
        _bounded((1 - overnight_share) * drift + leverage * shocks.intraday),
        leverage * shocks.volatility,
    )


def _bounded(simple_return: FloatArray) -> FloatArray:
    return np.clip(simple_return, -LARGEST_MOVE, LARGEST_MOVE)


def _shocks(parameters: SyntheticMarket, part: str, volatility_annual: FloatArray) -> _Moves:
    """Mean-zero Student-t GARCH(1,1) shocks with the given long-run volatility, (T, N).

    A Student-t shock is a normal one whose variance was drawn from an inverse chi-square. Night
    and day share that draw, so the day's range knows of it.
    """
    rng = _stream(parameters, part)
    shape = volatility_annual.shape
    freedom = parameters.degrees_of_freedom
    spread = np.sqrt((freedom - 2) / rng.chisquare(freedom, shape))
    overnight = np.sqrt(parameters.overnight_share) * rng.standard_normal(shape)
    intraday = np.sqrt(1 - parameters.overnight_share) * rng.standard_normal(shape)
    long_run = 1 - parameters.shock_weight - parameters.memory
    variance = np.ones(shape[1])
    for t in range(shape[0]):
        spread[t] *= np.sqrt(variance)
        shock = spread[t] * (overnight[t] + intraday[t])
        variance = long_run + parameters.shock_weight * shock**2 + parameters.memory * variance
    spread *= volatility_annual / np.sqrt(SESSIONS_PER_YEAR)
    overnight *= spread
    intraday *= spread
    spread *= np.sqrt(1 - parameters.overnight_share)
    return _Moves(overnight, intraday, spread)


def _planted_drift(parameters: SyntheticMarket, stocks: int) -> FloatArray:
    """Each stock's own expected return a session, (T, N), or (T, 1) of zeros without any."""
    count = len(parameters.sessions)
    if parameters.persistence == 0:
        return np.zeros((count, 1))
    half_life = parameters.persistence_half_life_sessions
    states = _decaying(_stream(parameters, "persistence"), (count, stocks), half_life)
    return parameters.persistence / SESSIONS_PER_YEAR * states


def _decaying(
    rng: np.random.Generator, shape: tuple[int, int], half_life_sessions: float
) -> FloatArray:
    """First-order autoregressions of unit variance, stationary from the first row: (T, N)."""
    memory = 0.5 ** (1 / half_life_sessions)
    states = rng.standard_normal(shape)
    states[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, shape[0]):
        states[t] += memory * states[t - 1]
    return states


def _panel(parameters: SyntheticMarket, moves: _Moves, listed: BoolArray) -> Panel:
    """Bars from moves, columns sorted by symbol."""
    rng = _stream(parameters, "bars")
    assets = np.arange(listed.shape[1])
    close = np.cumprod((1 + moves.overnight) * (1 + moves.intraday), axis=0)
    opening = close / (1 + moves.intraday)
    day = np.log1p(moves.intraday)
    high = opening * np.exp(_highest(rng, day, moves.volatility))
    low = opening * np.exp(-_highest(rng, -day, moves.volatility))

    # Until here only ratios mean anything; this gives each column its level.
    first = opening[listed.argmax(axis=0), assets]
    lowest = np.where(listed, low, np.inf).min(axis=0)
    cheapest, dearest = np.log(FIRST_PRICE_USD)
    drawn = np.exp(rng.uniform(cheapest, dearest, len(assets)))
    level = np.maximum(drawn / first, MINIMUM_PRICE_USD / lowest)

    volume = np.ceil(_dollar_volume(rng, parameters, moves) / (close * level))
    opening, high, low, close = (np.round(p * level, 2) for p in (opening, high, low, close))
    high = np.maximum(high, np.maximum(opening, close))  # the bridge may miss by one rounding
    low = np.minimum(low, np.minimum(opening, close))
    order = np.argsort(parameters.symbols)
    return Panel(
        parameters.sessions,
        tuple(parameters.symbols[n] for n in order),
        *(np.where(listed, v, np.nan)[:, order] for v in (opening, high, low, close, volume)),
    )


def _highest(rng: np.random.Generator, day: FloatArray, volatility: FloatArray) -> FloatArray:
    """Maximum of a Brownian bridge from 0 to `day`, by inverting its distribution.

    P(maximum > b) = exp(-2 b (b - day) / volatility²); Glasserman (2003), section 6.4. The low
    is drawn like the high and, given the close, independently of it.
    """
    reach = 2 * volatility**2 * rng.standard_exponential(day.shape)
    highest: FloatArray = (day + np.sqrt(day**2 + reach)) / 2
    return highest


def _dollar_volume(
    rng: np.random.Generator, parameters: SyntheticMarket, moves: _Moves
) -> FloatArray:
    """Dollar volume, (T, N): log-normal, slow to change, larger where the price moved.

    In dollars rather than shares, so that a price that drifts far away leaves liquidity alone.
    """
    stocks, etfs = len(parameters.stocks), len(parameters.sectors)
    typical = np.concatenate(
        [
            DOLLAR_VOLUME_USD * np.exp(DOLLAR_VOLUME_LOG_SD * rng.standard_normal(stocks)),
            np.full(etfs, ETF_DOLLAR_VOLUME_USD),
            [MARKET_DOLLAR_VOLUME_USD],
        ]
    )
    size = np.abs((1 + moves.overnight) * (1 + moves.intraday) - 1)
    size /= size.mean(axis=0)
    log_volume = VOLUME_STATE_LOG_SD * _decaying(rng, size.shape, VOLUME_STATE_HALF_LIFE)
    log_volume += VOLUME_NOISE_LOG_SD * rng.standard_normal(size.shape)
    log_volume += VOLUME_PER_MOVE * (size - 1)
    volume: FloatArray = typical * np.exp(log_volume)
    return volume
