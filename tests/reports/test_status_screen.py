from __future__ import annotations

import copy
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from swingtrader.reports.screen_text import (
    ago,
    ahead,
    new_york_time,
    number,
    percent,
    shares,
)
from swingtrader.reports.status_screen import print_status

MINUS = "\N{MINUS SIGN}"
NOW = datetime(2026, 11, 23, 16, 3, tzinfo=UTC)
AT = "2026-11-23T16:00:02+00:00"
HOSTILE = "[red]x[/red] [link=a]:warning: \x1b[31mred\x07\r\n[/]"
SHOWN = "[red]x[/red] [link=a]:warning: [31mred [/]"


def position(symbol, **changes):
    return {
        "symbol": symbol,
        "qty": 10.0,
        "entry_session": "2026-11-12",
        "age_sessions": 7,
        "entry_price": 231.2,
        "price": 240.11,
        "price_at": AT,
        "unrealized_return": 0.03854,
        "stop_price": 223.108,
        "target_price": 242.76,
        "resting_stop": 217.33,
        "resting_qty": 10.0,
        "unprotected_qty": 0.0,
        "managed": True,
        **changes,
    }


def order(symbol, **changes):
    return {
        "symbol": symbol,
        "side": "sell",
        "qty": 10.0,
        "filled_qty": 0.0,
        "type": "stop",
        "limit_price": None,
        "stop_price": 217.33,
        "status": "new",
        "purpose": "protection",
        "client_order_id": f"st-20261112-{symbol}-sell-protection-2",
        "submitted_at": "2026-11-12T15:00:00+00:00",
        **changes,
    }


def job(name, last_run_at, last_exit, next_run_at):
    return {
        "name": name,
        "last_run_at": last_run_at,
        "last_exit": last_exit,
        "next_run_at": next_run_at,
        "skipped": None,
        "trouble": None,
    }


def worth(signal, **changes):
    return {
        "signal": signal,
        "sharpe_change": -0.1,
        "low": -0.2,
        "high": -0.05,
        "ic_mean": 0.03,
        "ic_t": 2.4,
        "is_distinguishable": True,
        "first_session": "2013-01-02",
        "last_session": "2019-12-31",
        "recorded_at": AT,
        **changes,
    }


FULL = {
    "mode": "paper",
    "account": "PA3X7Y2Z",
    "market": {
        "is_open": True,
        "asof": AT,
        "next_open": "2026-11-24T14:30:00+00:00",
        "next_close": "2026-11-23T21:00:00+00:00",
    },
    "regime": {
        "label": "low_volatility",
        "p_high_volatility": 0.12,
        "exposure_scale": 0.964,
        "session": "2026-11-23",
        "recorded_at": "2026-11-23T13:45:04+00:00",
        "stale": False,
    },
    "positions": [
        position("AAPL"),
        position(
            "NVDA", qty=120.5, entry_price=140.2, price=139.9, unrealized_return=-0.00214,
            stop_price=135.293, target_price=147.21, resting_stop=131.79, resting_qty=120.0,
        ),
        position(
            "XOM", qty=45.0, entry_price=None, price=None, price_at=None, unrealized_return=None,
            stop_price=None, target_price=None, resting_stop=None, managed=False,
        ),
    ],
    "open_orders": [
        order("AAPL"),
        order("NVDA"),
        order(
            "XOM", type="limit", qty=45.0, limit_price=130.0, stop_price=None, purpose=None,
            submitted_at="2026-11-20T16:00:00+00:00",
        ),
    ],
    "open_orders_at": AT,
    "jobs": [
        job("risk-check", AT, 0, "2026-11-23T16:05:00+00:00"),
        job("decide", "2026-11-23T16:02:31+00:00", None, "2026-11-23T16:15:30+00:00"),
        job("regime", "2026-11-23T13:45:01+00:00", 69, "2026-11-24T13:45:00+00:00"),
        job("retrain", None, None, "2026-11-29T11:00:00+00:00"),
    ],
    "models": [
        {"family": "finbert", "version": "4556d130", "age_days": 200.0, "validation": {}},
        {
            "family": "ranker", "version": "20261108T110000Z-3f2a", "age_days": 15.2,
            "validation": {"rank_ic": 0.0491, "rank_ic_t": 2.13},
        },
    ],
    "signal_worth": [
        worth("market", is_distinguishable=False),
        worth("quant"),
        worth("rl", is_distinguishable=False),
    ],
    "halts": [
        {
            "reason": "earnings week",
            "since": "2026-11-23T13:00:00+00:00",
            "session": None,
            "flatten": True,
        },
        {"reason": "daily_loss", "since": AT, "session": "2026-11-23", "flatten": False},
    ],
    "warnings": ["regime failed with exit code 69"],
}  # fmt: skip
EMPTY = {
    "mode": "dry_run",
    "account": None,
    "market": dict.fromkeys(("is_open", "asof", "next_open", "next_close")),
    "regime": {
        **dict.fromkeys(
            ("label", "p_high_volatility", "exposure_scale", "session", "recorded_at")
        ),
        "stale": False,
    },
    "positions": [],
    "open_orders": [],
    "open_orders_at": None,
    "jobs": [job("decide", None, None, "2026-11-23T16:15:30+00:00")],
    "models": [],
    "signal_worth": [],
    "halts": [],
    "warnings": [],
}

# A tilde stands for the true minus.
GOLDEN_100 = """\
swingtrader · paper trading · account PA3X7Y2Z
Market open 2 min ago; closes Mon 2026-11-23 16:00 New York, in 4 h

Regime low volatility (high: 12%), entries at 96% of their size · 2 h ago

Positions
  Symbol  Shares  Entered     Held   Entry   Price  Seen        Gain  To stop  To target  Resting
  AAPL        10  2026-11-12     7  231.20  240.11  2 min ago  +3.9%    ~7.1%      +1.1%   217.33
  NVDA     120.5  2026-11-12     7  140.20  139.90  2 min ago  ~0.2%    ~3.3%      +5.2%   131.79
  XOM         45  2026-11-12     7     n/a     n/a  never        n/a      n/a        n/a     none
  left to you by the configuration: XOM

Open orders, seen 2 min ago
  Symbol  Side  Shares  Type    Price  Status  For       Sent
  XOM     sell      45  limit  130.00  new     not ours  3 days ago
  2 stops rest under positions

Job         Last run      Exit  Next run, New York
risk-check  2 min ago        0  in 2 min (Mon 2026-11-23 11:05)
decide      29 s ago   running  in 12 min (Mon 2026-11-23 11:15)
regime      2 h ago         69  in 21 h (Tue 2026-11-24 08:45)
retrain     never               in 5 days (Sun 2026-11-29 06:00)

Model    Version                Age         Validation
finbert  4556d130               200.0 days  n/a
ranker   20261108T110000Z-3f2a  15.2 days   rank IC +0.049, t +2.1
No measurable worth in the backtest to 2019-12-31: market, rl

Halts: no entries
  - earnings week · 3 h ago, until resumed, everything is sold
  - the session's loss has reached its limit · 2 min ago, for the session 2026-11-23

Warnings
  - regime failed with exit code 69
"""

GOLDEN_80 = """\
swingtrader · paper trading · account PA3X7Y2Z
Market open 2 min ago; closes Mon 2026-11-23 16:00 New York, in 4 h

Regime low volatility (high: 12%), entries at 96% of their size · 2 h ago

Positions
  Symbol Shares Held  Entry  Price Seen       Gain To stop To target Resting
  AAPL       10    7 231.20 240.11 2 min ago +3.9%   ~7.1%     +1.1%  217.33
  NVDA    120.5    7 140.20 139.90 2 min ago ~0.2%   ~3.3%     +5.2%  131.79
  XOM        45    7    n/a    n/a never       n/a     n/a       n/a    none
  left to you by the configuration: XOM

Open orders, seen 2 min ago
  Symbol Side Shares Type   Price Status For      Sent
  XOM    sell     45 limit 130.00 new    not ours 3 days ago
  2 stops rest under positions

Job        Last run     Exit Next run, New York
risk-check 2 min ago       0 in 2 min (Mon 2026-11-23 11:05)
decide     29 s ago  running in 12 min (Mon 2026-11-23 11:15)
regime     2 h ago        69 in 21 h (Tue 2026-11-24 08:45)
retrain    never             in 5 days (Sun 2026-11-29 06:00)

Model   Version               Age        Validation
finbert 4556d130              200.0 days n/a
ranker  20261108T110000Z-3f2a 15.2 days  rank IC +0.049, t +2.1
No measurable worth in the backtest to 2019-12-31: market, rl

Halts: no entries
  - earnings week · 3 h ago, until resumed, everything is sold
  - the session's loss has reached its limit · 2 min ago, for the session
    2026-11-23

Warnings
  - regime failed with exit code 69
"""

GOLDEN_EMPTY = """\
swingtrader · dry run, not one order is sent · no account seen yet
Market never seen: nothing has asked the broker yet

Regime unknown

Positions
  none

Open orders
  never seen

Job    Last run Exit Next run, New York
decide never         in 12 min (Mon 2026-11-23 11:15)

Models: none in use

No halts, no warnings.
"""


def screen(report, width=100, encoding="utf-8", **options) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        print_status(report, Console(file=file, width=width, **options), NOW)
        file.flush()
        return raw.getvalue().decode(encoding)


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("report", "width", "golden"),
    [(FULL, 100, GOLDEN_100), (FULL, 200, GOLDEN_100), (FULL, 80, GOLDEN_80),
     (EMPTY, 80, GOLDEN_EMPTY)],
)  # fmt: skip
def test_screen_reads_like_this(report, width, golden):
    assert trimmed(screen(report, width)) == golden.replace("~", MINUS)


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_screen_keeps_to_the_terminal_and_to_100_columns(width, encoding):
    lines = screen(FULL, width, encoding).splitlines()
    assert max(cell_len(line) for line in lines) <= min(width, 100)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([worth("rl")], "Every signal has measurable worth in the backtest to 2019-12-31"),
        ([worth("rl", is_distinguishable=False)], "No measurable worth in the backtest to"),
    ],
)
def test_what_signals_are_worth_is_one_line_also_where_no_model_serves(rows, said):
    assert said in screen({**EMPTY, "signal_worth": rows})


def test_ten_positions_with_their_stops_fit_one_screen():
    symbols = [f"SYM{n}" for n in range(10)]
    report = {
        **FULL,
        "positions": [position(symbol) for symbol in symbols],
        "open_orders": [order(symbol) for symbol in symbols],
        "halts": [],
    }
    assert len(screen(report).splitlines()) <= 40


def test_a_stop_under_no_position_is_an_open_order():
    report = {**FULL, "open_orders": [order("GONE"), order("AAPL", side="buy")]}
    text = screen(report)
    assert "GONE    sell" in text
    assert "AAPL    buy" in text
    assert "under positions" not in text


@pytest.mark.parametrize(
    ("market", "said"),
    [
        ({"is_open": True}, "Market open 2 min ago; closes Mon 2026-11-23 16:00 New York, in 4 h"),
        (
            {"is_open": False},
            "Market closed 2 min ago; opens Tue 2026-11-24 09:30 New York, in 22 h",
        ),
        (
            {"next_close": "2026-11-20T21:00:00+00:00", "asof": "2026-11-20T20:55:00+00:00"},
            "Market open 2 days ago; was to close Fri 2026-11-20 16:00 New York\n",
        ),
    ],
)
def test_market_is_as_of_the_last_run_and_says_so(market, said):
    assert said in trimmed(screen({**FULL, "market": {**FULL["market"], **market}}))


def test_a_terminal_without_unicode_gets_plain_characters():
    text = screen(FULL, encoding="ascii")
    assert text.isascii()
    assert "?" not in text
    assert trimmed(text) == GOLDEN_100.replace("~", "-").replace("·", "-")


def test_a_pipe_gets_no_control_sequences():
    assert "\x1b" not in screen(FULL)


def test_a_terminal_shows_the_same_text_without_any_colour():
    styled = screen(FULL, force_terminal=True, color_system="truecolor")
    plain = styled
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):  # bold, dim, reset
        plain = plain.replace(code, "")
    assert plain == screen(FULL)
    assert plain != styled


def test_text_from_outside_is_neither_markup_nor_a_control_sequence():
    report = copy.deepcopy(FULL)
    report["account"] = report["mode"] = report["regime"]["label"] = HOSTILE
    report["warnings"] = [HOSTILE]
    report["halts"][0]["reason"] = HOSTILE
    report["models"][0]["version"] = HOSTILE
    report["positions"] = [position(HOSTILE, managed=False)]
    report["open_orders"][2].update(symbol=HOSTILE, status=HOSTILE, type=HOSTILE, side=HOSTILE)
    text = screen(report, force_terminal=True, color_system=None)
    assert "\x1b[31m" not in text
    assert "\x07" not in text
    assert "\r" not in text
    words = " ".join(text.split())
    assert words.count(" ".join(SHOWN.split())) >= 6


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_from_outside_breaks_the_screen(symbol, warning):
    report = {**FULL, "positions": [position(symbol)], "warnings": [warning]}
    for width in (80, 100):
        lines = screen(report, width).splitlines()
        assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize(
    ("seconds", "past", "coming"),
    [
        (-3, "0 s ago", "in 3 s"),  # a clock slightly ahead
        (0, "0 s ago", "due"),
        (59, "59 s ago", "due"),
        (60, "1 min ago", "due"),
        (3_599, "59 min ago", "due"),
        (3_600, "1 h ago", "due"),
        (172_799, "47 h ago", "due"),
        (172_800, "2 days ago", "due"),
    ],
)
def test_ages_are_in_the_largest_whole_unit(seconds, past, coming):
    at = NOW - timedelta(seconds=seconds)
    assert ago(at, NOW) == past
    assert ahead(at, NOW) == coming


def test_what_never_was_has_no_age():
    assert ago(None, NOW) == "never"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(1234.567), "1,234.57"),
        (number(-0.001, signed=True), "0.00"),
        (number(None), "n/a"),
        (percent(-0.0712, signed=True), f"{MINUS}7.1%"),
        (percent(0.0712, signed=True), "+7.1%"),
        (percent(None), "n/a"),
        (shares(10.0), "10"),
        (shares(100.0), "100"),
        (shares(0.123456), "0.1235"),
        (shares(-1200.5), f"{MINUS}1,200.5"),
        (shares(None), "n/a"),
        (new_york_time(datetime(2026, 7, 1, 13, 30, tzinfo=UTC)), "Wed 2026-07-01 09:30"),
        (new_york_time(datetime(2026, 11, 23, 14, 30, tzinfo=UTC)), "Mon 2026-11-23 09:30"),
    ],
)
def test_figures_are_written_for_people(shown, expected):
    assert shown == expected
