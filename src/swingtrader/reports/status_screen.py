"""How things stand, on one terminal screen: each figure with its age.

Choices: at most 100 columns, and 80 are enough; bold and dim set headings apart, colour says
nothing, and where there is no terminal neither is there. Stops that rest under the positions
stand in their table and are only counted among the orders. Everything from outside is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table

from swingtrader.reports.models_table import validation_words
from swingtrader.reports.reason_sentences import halt_sentence
from swingtrader.reports.screen_text import (
    DOT,
    UNKNOWN,
    WIDEST,
    ago,
    ahead,
    instant,
    literal,
    new_york_time,
    number,
    percent,
    shares,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console, RenderableType

MODES = {
    "dry_run": "dry run, not one order is sent",
    "paper": "paper trading",
    "live": "LIVE, real money",
}

_STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})
_RIGHT = frozenset(
    {"Shares", "Held", "Entry", "Price", "Gain", "To stop", "To target", "Resting", "Exit"}
)


def print_status(report: Mapping[str, Any], console: Console, now: datetime) -> None:
    """Print a `status_report`.

    Parameters
    ----------
    report : mapping
        The object of ``status --json``.
    console : Console
        Its width and encoding decide the shape; no more than 100 columns are used.
    now : datetime
        Aware; ages are counted to it.
    """
    width = min(console.width, WIDEST)
    screen = _Screen(report, now, width, console.encoding)
    console.print(Group(*screen.parts()), width=width, highlight=False)


class _Screen:
    """One report being laid out for one terminal."""

    def __init__(
        self, report: Mapping[str, Any], now: datetime, width: int, encoding: str
    ) -> None:
        self._report = report
        self._now = now
        self._width = width
        self._encoding = encoding

    def parts(self) -> list[RenderableType]:
        """Every section, in the order a person asks for them."""
        return [
            *self._heading(),
            *self._regime(),
            *self._positions(),
            *self._open_orders(),
            *self._jobs(),
            *self._models(),
            *self._notes(),
        ]

    def _heading(self) -> list[RenderableType]:
        mode, account = self._report["mode"], self._report["account"]
        bound = f"account {account}" if account else "no account seen yet"
        return [
            self._line(f"swingtrader {DOT} {MODES.get(mode, mode)} {DOT} {bound}", "bold"),
            self._line(self._market()),
        ]

    def _market(self) -> str:
        market = self._report["market"]
        seen_at = instant(market["asof"])
        if seen_at is None:
            return "Market never seen: nothing has asked the broker yet"
        state, verb, key = (
            ("open", "closes", "next_close")
            if market["is_open"]
            else ("closed", "opens", "next_open")
        )
        turn = instant(market[key])
        when = UNKNOWN if turn is None else f"{new_york_time(turn)} New York"
        if turn is not None and turn <= self._now:
            verb = "was to close" if market["is_open"] else "was to open"
        elif turn is not None:
            when += f", {ahead(turn, self._now)}"
        return f"Market {state} {self._ago(market['asof'])}; {verb} {when}"

    def _regime(self) -> list[RenderableType]:
        regime = self._report["regime"]
        if regime["session"] is None:
            return ["", self._line("Regime unknown")]
        return [
            "",
            self._line(
                f"Regime {str(regime['label']).replace('_', ' ')} "
                f"(high: {percent(regime['p_high_volatility'], 0)}), entries at "
                f"{percent(regime['exposure_scale'], 0)} of their size "
                f"{DOT} {self._ago(regime['recorded_at'])}"
            ),
        ]

    def _positions(self) -> list[RenderableType]:
        positions: Sequence[Mapping[str, Any]] = self._report["positions"]
        if not positions:
            return self._section("Positions", [self._line("none", "dim")])
        is_wide = self._width >= WIDEST
        headings = (
            "Symbol", "Shares", *(("Entered",) if is_wide else ()), "Held", "Entry", "Price",
            "Seen", "Gain", "To stop", "To target", "Resting",
        )  # fmt: skip
        rows = [
            (
                each["symbol"],
                shares(each["qty"]),
                *((each["entry_session"] or UNKNOWN,) if is_wide else ()),
                UNKNOWN if each["age_sessions"] is None else str(each["age_sessions"]),
                number(each["entry_price"]),
                number(each["price"]),
                self._ago(each["price_at"]),
                percent(each["unrealized_return"], signed=True),
                _distance(each["price"], each["stop_price"]),
                _distance(each["price"], each["target_price"]),
                "none" if each["resting_stop"] is None else number(each["resting_stop"]),
            )
            for each in positions
        ]
        parts: list[RenderableType] = [self._table(headings, rows)]
        yours = [each["symbol"] for each in positions if not each["managed"]]
        if yours:
            parts.append(
                self._line(f"left to you by the configuration: {', '.join(yours)}", "dim")
            )
        return self._section("Positions", parts)

    def _open_orders(self) -> list[RenderableType]:
        held = {position["symbol"] for position in self._report["positions"]}
        orders: Sequence[Mapping[str, Any]] = self._report["open_orders"]
        shown = [each for each in orders if not _rests_under(each, held)]
        parts: list[RenderableType] = []
        if shown:
            headings = ("Symbol", "Side", "Shares", "Type", "Price", "Status", "For", "Sent")
            rows = [
                (
                    each["symbol"],
                    each["side"],
                    shares(each["qty"]),
                    each["type"],
                    _order_price(each),
                    each["status"],
                    each["purpose"] or "not ours",
                    UNKNOWN if each["submitted_at"] is None else self._ago(each["submitted_at"]),
                )
                for each in shown
            ]
            parts.append(self._table(headings, rows))
        resting = len(orders) - len(shown)
        if resting:
            stops = "1 stop rests" if resting == 1 else f"{resting} stops rest"
            parts.append(self._line(f"{stops} under positions", "dim"))
        at = self._report["open_orders_at"]
        title = f"Open orders, seen {self._ago(at)}" if at else "Open orders"
        return self._section(title, parts or [self._line("none" if at else "never seen", "dim")])

    def _jobs(self) -> list[RenderableType]:
        rows = []
        for job in self._report["jobs"]:
            next_at = instant(job["next_run_at"])
            coming = (
                UNKNOWN
                if next_at is None
                else f"{ahead(next_at, self._now)} ({new_york_time(next_at)})"
            )
            rows.append((job["name"], self._ago(job["last_run_at"]), _exit(job), coming))
        table = self._table(("Job", "Last run", "Exit", "Next run, New York"), rows)
        return ["", table]

    def _models(self) -> list[RenderableType]:
        rows = [
            (
                model["family"],
                model["version"],
                f"{number(model['age_days'], 1)} days",
                validation_words(model["validation"]),
            )
            for model in self._report["models"]
        ]
        if not rows:
            return ["", self._line("Models: none in use"), *self._worthless()]
        headings = ("Model", "Version", "Age", "Validation")
        return ["", self._table(headings, rows), *self._worthless()]

    def _worthless(self) -> list[RenderableType]:
        """Signals that a backtest could not tell from noise: no warning, but to be known."""
        worth: Sequence[Mapping[str, Any]] = self._report["signal_worth"]
        if not worth:
            return []
        period = f"in the backtest to {worth[0]['last_session']}"
        idle = [each["signal"] for each in worth if not each["is_distinguishable"]]
        told = (
            f"No measurable worth {period}: {', '.join(idle)}"
            if idle
            else f"Every signal has measurable worth {period}"
        )
        return [self._line(told, "dim")]

    def _notes(self) -> list[RenderableType]:
        """Halts and warnings, which come last: the eye rests where the prompt is."""
        halts = [
            f"{halt_sentence(halt['reason'])} {DOT} {self._ago(halt['since'])}"
            + (f", for the session {halt['session']}" if halt["session"] else ", until resumed")
            + (", everything is sold" if halt["flatten"] else "")
            for halt in self._report["halts"]
        ]
        warnings: Sequence[str] = self._report["warnings"]
        if not halts and not warnings:
            return ["", self._line("No halts, no warnings.")]
        return [*self._list("Halts: no entries", halts), *self._list("Warnings", warnings)]

    def _list(self, title: str, lines: Sequence[str]) -> list[RenderableType]:
        if not lines:
            return []
        items = Table.grid(padding=(0, 1), pad_edge=False)
        items.add_column()
        items.add_column(overflow="fold")
        for line in lines:
            items.add_row("-", self._line(line))
        return self._section(title, [items])

    def _section(self, title: str, parts: Iterable[RenderableType]) -> list[RenderableType]:
        return ["", self._line(title, "bold"), *(Padding.indent(part, 2) for part in parts)]

    def _table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        table = Table.grid(padding=(0, 2 if self._width >= WIDEST else 1), pad_edge=False)
        for heading in headings:
            justify: Any = "right" if heading in _RIGHT else "left"
            table.add_column(justify=justify, overflow="fold")
        table.add_row(*(self._line(heading, "dim") for heading in headings))
        for row in rows:
            table.add_row(*(self._line(cell) for cell in row))
        return table

    def _line(self, content: str, style: str = "") -> Any:
        return literal(content, self._encoding, style)

    def _ago(self, text: str | None) -> str:
        return ago(instant(text), self._now)


def _distance(price: float | None, level: float | None) -> str:
    """How far the price has to go to a level."""
    return percent(level / price - 1.0 if price and level else None, signed=True)


def _rests_under(order: Mapping[str, Any], held: set[str]) -> bool:
    return order["side"] == "sell" and order["type"] in _STOPS and order["symbol"] in held


def _order_price(order: Mapping[str, Any]) -> str:
    prices = [order["limit_price"], order["stop_price"]]
    return " / ".join(number(price) for price in prices if price is not None) or "market"


def _exit(job: Mapping[str, Any]) -> str:
    if job["last_run_at"] is None:
        return ""
    return "running" if job["last_exit"] is None else str(job["last_exit"])
