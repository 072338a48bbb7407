"""The doctor's questions to the broker, and what the answers say.

The broker is asked in one go: clock, account, configuration. What it did not come to say is not
checked, and said so: an answer that is missing is neither well nor bad. The one thing mended here
is the account's switch against selling short, in an account that is the store's own.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from swingtrader.commands.doctor_checks import FIX, attempt, merged, told
from swingtrader.commands.trading_command import LARGEST_SKEW
from swingtrader.environment import Mode
from swingtrader.errors import BrokerError, CredentialsRefused
from swingtrader.reports.doctor_screen import Finding, State
from swingtrader.reports.screen_text import new_york_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from swingtrader.core.portfolio import BrokerAccount, MarketClock
    from swingtrader.environment import BrokerSettings
    from swingtrader.errors import SwingtraderError
    from swingtrader.ports import Broker, MarketData

KEYS = {"ALPACA_API_KEY": "alpaca-api-key", "ALPACA_SECRET_KEY": "alpaca-secret-key"}
"""Variables, and the files that stand in for them."""

SYMBOL = "SPY"
"""Asked of the feed: the most traded there is, so its quote is never old while one is open."""

OLD_QUOTE_SECONDS = 60.0
"""On an older quote nothing is bought."""


@dataclass(frozen=True)
class Answers:
    """What the broker said, up to the first question that it did not answer.

    Attributes
    ----------
    local_at : datetime or None
        By this machine's clock, when the broker's was read.
    error : SwingtraderError or None
        What came instead of the first answer that is missing.
    """

    clock: MarketClock | None = None
    local_at: datetime | None = None
    account: BrokerAccount | None = None
    shorting_forbidden: bool | None = None
    error: SwingtraderError | None = None


def asked(broker: Broker, local_now: Callable[[], datetime]) -> Answers:
    """Ask the broker everything that does not change anything."""
    answers = Answers()
    try:
        answers = replace(answers, clock=broker.clock(), local_at=local_now())
        answers = replace(answers, account=broker.account())
        return replace(answers, shorting_forbidden=broker.shorting_forbidden())
    except (BrokerError, CredentialsRefused) as error:
        return replace(answers, error=error)


def not_checked(name: str, why: str) -> Finding:
    """Finding of a check that could not be made."""
    return Finding(name, State.WARNING, f"not checked: {why}")


def about_credentials(
    environment: Mapping[str, str], missing: SwingtraderError | None, answers: Answers | None
) -> Finding:
    """Whether there are keys, nobody else can read them, and the broker accepts them.

    Parameters
    ----------
    missing : SwingtraderError or None
        Why they cannot be read.
    answers : Answers or None
        None where the broker was not asked.
    """
    name = "credentials"
    if missing is not None:
        key, is_absent, remedy = str(missing).partition(" is not set: ")
        if is_absent:
            return Finding(name, State.PROBLEM, f"{key} is not set", remedy)
        return told(name, missing)
    refused = None if answers is None else answers.error
    if isinstance(refused, CredentialsRefused):
        return told(name, refused)
    accepted = answers is not None and answers.account is not None
    verdict = "the broker accepts them" if accepted else "not known whether they are accepted"
    state = State.OK if accepted else State.WARNING
    files = [path for key in KEYS if (path := _file_of(environment, key)) is not None]
    parts = [Finding(name, state, f"keys from {_source(files)}; {verdict}")]
    open_to_all = [path for path in files if path.stat().st_mode & stat.S_IRWXO]
    if open_to_all:
        listed = " ".join(str(path) for path in open_to_all)
        what = f"anybody may read {listed}"
        parts.append(Finding(name, State.WARNING, what, f"chmod o= {listed}"))
    return merged(name, parts)


def _source(files: Sequence[Path]) -> str:
    """Where the keys come from, of which those in `files` are in files."""
    if not files:
        return "the environment"
    if len(files) < len(KEYS):
        return f"the environment and {files[0]}"
    return f"files in {files[0].parent}"


def _file_of(environment: Mapping[str, str], key: str) -> Path | None:
    """File that a key comes from; None where a variable has it."""
    if environment.get(key, "").strip():
        return None
    return Path(environment["CREDENTIALS_DIRECTORY"]) / KEYS[key]


def about_broker(settings: BrokerSettings, answers: Answers) -> Finding:
    """Whether the broker can be reached, and what its market does."""
    host = urlsplit(settings.trading_url).netloc
    if isinstance(answers.error, BrokerError):
        return told("broker", answers.error, remedy=f"try again; is {host} reachable from here?")
    if answers.clock is None:
        return Finding("broker", State.OK, f"{host} answers")
    state, verb, at = (
        ("open", "closes", answers.clock.next_close)
        if answers.clock.is_open
        else ("closed", "opens", answers.clock.next_open)
    )
    what = f"{host} answers: market {state}, {verb} {new_york_time(at)} New York"
    return Finding("broker", State.OK, what)


def about_account(
    answers: Answers,
    settings: BrokerSettings,
    bound: tuple[str | None, SwingtraderError | None],
    broker: Broker,
    *,
    fix: bool,
) -> Finding:
    """Whether this is the right account, open for trading, and unable to sell short.

    Parameters
    ----------
    bound : pair
        Number of the account that the store belongs to, None for none yet; and why that could
        not be read.
    fix : bool
        Whether to forbid selling short. What may be somebody else's account is not changed.
    """
    name, (owner, unread) = "account", bound
    if answers.account is None or answers.shorting_forbidden is None:
        return not_checked(name, "the broker did not say")
    parts = [*_strangers(name, answers.account.number, settings, owner)]
    if unread is not None:
        what = "not known whether it is the store's, which cannot be read"
        parts.append(Finding(name, State.WARNING, what))
    if not answers.shorting_forbidden:
        parts.append(_about_shorting(name, settings, broker, fix=fix and not parts))
    if answers.account.blocked:
        what = "trading is suspended in it"
        parts.append(Finding(name, State.PROBLEM, what, "ask the broker why"))
    whose = "bound to no store yet" if owner is None else "the store's"
    well = f"{answers.account.number}, {whose}; open for trading, cannot sell short"
    return merged(name, parts or (Finding(name, State.OK, well),))


def _strangers(
    name: str, number: str, settings: BrokerSettings, bound: str | None
) -> Iterator[Finding]:
    ending = f"the keys open the account ending in {number[-4:]}"
    if not settings.paper and settings.live_account != number:
        what = f"{ending}, and LIVE_ACCOUNT names another"
        yield Finding(
            name, State.PROBLEM, what, "set LIVE_ACCOUNT to its number, or change the keys"
        )
    if bound not in {None, number}:
        what = f"{ending}, and the store belongs to the one ending in {(bound or '')[-4:]}"
        remedy = "use the other keys, or a state directory of its own for each account"
        yield Finding(name, State.PROBLEM, what, remedy)


def _about_shorting(name: str, settings: BrokerSettings, broker: Broker, *, fix: bool) -> Finding:
    what = "it may sell short: no_shorting is not set"
    if not fix:
        state = State.WARNING if settings.mode is Mode.DRY_RUN else State.PROBLEM
        return Finding(name, state, what, FIX)
    _, error = attempt(broker.forbid_shorting)
    forbidden, unread = attempt(broker.shorting_forbidden)
    if forbidden:
        return Finding(name, State.OK, "shorting is forbidden from now on", fixed=True)
    why = error or unread or "the broker took the change, and did not keep it"
    return Finding(name, State.PROBLEM, f"{what}, and could not be: {why}", FIX)


def about_clock(answers: Answers, settings: BrokerSettings) -> Finding:
    """Whether this machine's clock is the broker's, on whose time the timers depend."""
    if answers.clock is None or answers.local_at is None:
        return not_checked("clock", "the broker did not say its time")
    if settings.is_rehearsal:
        return Finding("clock", State.OK, "not judged: a simulator keeps its own time")
    skew = abs(answers.local_at - answers.clock.at)
    what = f"{skew.total_seconds():,.1f} s off the broker's"
    if skew > LARGEST_SKEW:
        return Finding("clock", State.PROBLEM, what, "set it: timedatectl set-ntp true")
    return Finding("clock", State.OK, what)


def about_feed(clock: MarketClock, feed: str, data: MarketData) -> Finding:
    """Whether the feed that is set has live quotes for us."""
    quote = data.quotes([SYMBOL]).get(SYMBOL)
    usual = "ALPACA_FEED=iex is live without a plan"
    if quote is None:
        return Finding("feed", State.PROBLEM, f"{feed} has no quote of {SYMBOL}", usual)
    what = f"{feed} has a quote of {SYMBOL}"
    if not clock.is_open:
        return Finding("feed", State.OK, f"{what}; the market is closed")
    if quote.quote_at is None or not (quote.bid and quote.ask):
        lame = f"{what} that lacks a side or its time"
        return Finding("feed", State.WARNING, lame, f"try again; {usual}")
    age = (clock.at - quote.quote_at).total_seconds()
    if age > OLD_QUOTE_SECONDS:
        old = f"{what}, {age:,.0f} s old: nothing is bought on it"
        return Finding("feed", State.WARNING, old, usual)
    return Finding("feed", State.OK, f"{what}, {max(age, 0.0):,.0f} s old")
