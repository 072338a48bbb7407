"""``swingtrader doctor``: one line a check, and what to do.

Every check stands alone: what one of them meets, the others do not feel. Those of this machine
need neither network nor keys. Everything is looked at as a run would look at it, through the same
functions, so that what is well here is well there.

A warning is worth knowing; a problem keeps runs from their work, and its code is the exit code.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from swingtrader.commands import doctor_broker as at_broker
from swingtrader.commands import doctor_checks as here
from swingtrader.commands.doctor_checks import attempt, checked, merged, told
from swingtrader.config import load_strategy
from swingtrader.environment import Mode, broker_settings, timers_are_on
from swingtrader.errors import BrokerError, ConfigurationError, CredentialsRefused, DataError
from swingtrader.reports.doctor_screen import Finding, State
from swingtrader.reports.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from swingtrader.commands.trading_command import Connect
    from swingtrader.config import Strategy
    from swingtrader.environment import BrokerSettings, Places
    from swingtrader.errors import SwingtraderError

OLD_RANKER_DAYS = 14.0
"""Two weekly retrainings have not come; from 21 days on nothing is bought."""

NOTHING_BOUGHT = ": nothing will be bought"
"""What `live_signals` says of a ranker that is missing or damaged; a remedy may stand before."""

EXITS: tuple[tuple[type[SwingtraderError], frozenset[str]], ...] = (
    (
        ConfigurationError,
        frozenset({"configuration", "permissions", "disk", "store", "lock", "account", "clock"}),
    ),
    (CredentialsRefused, frozenset({"credentials"})),
    (BrokerError, frozenset({"broker", "feed"})),
    (DataError, frozenset({"models", "data"})),
)
"""What a problem is to the caller, by the name of its check; the first that fits decides."""


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


@dataclass(frozen=True)
class Visit:
    """What the command line hands to the doctor.

    Attributes
    ----------
    environment : mapping of str to str
    started_at : datetime
        Local, aware.
    elapsed_seconds : callable
        Seconds since `started_at`.
    connect : callable
        Opens the way to the broker of some settings.
    fix : bool
        Whether to mend what can be mended safely.
    free_bytes : callable
        Room on the disk that a directory lies on.
    """

    environment: Mapping[str, str]
    places: Places
    started_at: datetime
    elapsed_seconds: Callable[[], float]
    connect: Callable[[BrokerSettings], Connect]
    fix: bool = False
    free_bytes: Callable[[Path], int] = _free_bytes

    def local_now(self) -> datetime:
        """Time by this machine's clock."""
        return self.started_at + timedelta(seconds=self.elapsed_seconds())


def examine(visit: Visit) -> tuple[Finding, ...]:
    """Make every check, one finding each, always in the same order."""
    places, now = visit.places, visit.started_at
    strategy, no_strategy = attempt(lambda: load_strategy(places.config))
    # The keys are another check's: here any will do.
    any_keys = dict.fromkeys(at_broker.KEYS, "any")
    settings, no_settings = attempt(lambda: broker_settings({**visit.environment, **any_keys}))
    timers, no_timers = attempt(lambda: timers_are_on(visit.environment))
    errors = [error for error in (no_strategy, no_settings, no_timers) if error is not None]
    machine = [
        _about_configuration(
            strategy, settings, errors, places.config, timers=timers is not False
        ),
        checked(
            "permissions",
            lambda: here.about_permissions(places, fix=visit.fix),
            remedy=here.OWN,
        ),
        checked("disk", lambda: here.about_disk(places, visit.free_bytes)),
        checked("store", lambda: here.about_store(places.state_dir, now), remedy=here.OWN),
        checked("lock", lambda: here.about_lock(places.state_dir, now), remedy=here.OWN),
    ]
    broker, asof = _about_the_broker(visit, is_configured=settings is not None)
    return (
        *machine,
        *broker,
        checked("models", lambda: _about_models(places.models_dir, asof)),
        checked("data", lambda: _about_data(places.data_dir, strategy, asof)),
    )


def report_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the object of ``doctor --json``."""
    return {
        "command": "doctor",
        "findings": [finding.as_json() for finding in findings],
        "fixed": [finding.name for finding in findings if finding.fixed],
    }


def require_health(findings: Sequence[Finding]) -> None:
    """Raise the error whose exit code is due, if there is any problem."""
    problems = [finding.name for finding in findings if finding.state is State.PROBLEM]
    for kind, names in EXITS:
        if names.intersection(problems):
            raise kind(f"{counted(len(problems), 'problem')}: {', '.join(problems)}")


def _about_the_broker(visit: Visit, *, is_configured: bool) -> tuple[list[Finding], datetime]:
    """Findings of everything that the broker must answer, and the time that they tell."""
    names = ("credentials", "broker", "account", "clock", "feed")
    of_keys = {
        name: visit.environment[name]
        for name in (*at_broker.KEYS, "CREDENTIALS_DIRECTORY")
        if name in visit.environment
    }
    _, missing = attempt(lambda: broker_settings(of_keys))
    if missing is not None or not is_configured:
        why = "there are no keys" if missing is not None else "the configuration cannot be read"
        keys = checked(
            "credentials", lambda: at_broker.about_credentials(visit.environment, missing, None)
        )
        return [keys, *(at_broker.not_checked(name, why) for name in names[1:])], visit.started_at
    return _about_the_answers(visit, broker_settings(visit.environment))


def _about_the_answers(visit: Visit, settings: BrokerSettings) -> tuple[list[Finding], datetime]:
    connect = visit.connect(settings)
    broker = connect.broker()
    answers = at_broker.asked(broker, visit.local_now)
    clock = answers.clock

    def account() -> Finding:
        bound = attempt(lambda: here.bound_account(visit.places.state_dir, visit.started_at))
        return at_broker.about_account(answers, settings, bound, broker, fix=visit.fix)

    def feed() -> Finding:
        if clock is None:
            return at_broker.not_checked("feed", "the broker did not say its time")
        return at_broker.about_feed(clock, settings.feed, connect.data(clock.at))

    findings = [
        checked(
            "credentials", partial(at_broker.about_credentials, visit.environment, None, answers)
        ),
        at_broker.about_broker(settings, answers),
        checked("account", account),
        at_broker.about_clock(answers, settings),
        checked("feed", feed, remedy="try again"),
    ]
    return findings, visit.started_at if clock is None else clock.at


def _about_configuration(
    strategy: Strategy | None,
    settings: BrokerSettings | None,
    errors: Sequence[SwingtraderError],
    config: Path | None,
    *,
    timers: bool,
) -> Finding:
    name = "configuration"
    mode = [] if settings is None else [Finding(name, State.OK, _mode(settings))]
    parts = [told(name, error) for error in errors]
    if not timers:
        what = "ENABLE_CRON=false: runs that timers fire do nothing"
        parts.append(Finding(name, State.WARNING, what, "leave ENABLE_CRON out to trade by timer"))
    if strategy is not None and not parts:
        source = "default strategy" if config is None else str(config)
        parts.append(Finding(name, State.OK, source))
    return merged(name, (*mode, *parts), whole=True)


def _mode(settings: BrokerSettings) -> str:
    """What becomes of a plan, in plain words."""
    account = "paper account"
    if not settings.paper:
        account = f"real account ending in {(settings.live_account or '')[-4:]}"
    if settings.is_rehearsal:
        account = "simulator on this machine"
    if settings.mode is Mode.DRY_RUN:
        return f"dry run, sends no order; {account}"
    money = "REAL MONEY: " if settings.mode is Mode.LIVE else ""
    return f"{money}orders go to the {account}"


def _about_models(models_dir: Path, asof: datetime) -> Finding:
    """Whether a ranker serves, intact and young enough, and whether sentiment has a model."""
    return merged("models", [*_about_ranker(models_dir, asof), _about_sentiment(models_dir)])


def _about_ranker(models_dir: Path, asof: datetime) -> Iterator[Finding]:
    from swingtrader.commands.live_signals import serving_ranker  # noqa: PLC0415 - heavy

    train = "train one: swingtrader retrain"
    serving, sentences = serving_ranker(models_dir, asof=asof)
    for sentence in sentences:
        damage = sentence.removesuffix(NOTHING_BOUGHT)
        finding = told("models", damage, remedy=train)
        yield replace(finding, what=f"{finding.what}{sentence[len(damage) :]}")
    if serving is None or sentences:
        return
    age = serving.age_days(asof)
    what = f"ranker {serving.version}, {age:.1f} days old"
    if age > OLD_RANKER_DAYS:
        yield Finding("models", State.WARNING, f"{what}: its retraining did not come", train)
    else:
        yield Finding("models", State.OK, what)


def _about_sentiment(models_dir: Path) -> Finding:
    from swingtrader.commands.news_sentiment import FAMILY  # noqa: PLC0415 - heavy
    from swingtrader.estimators.artifact import serving_artifact  # noqa: PLC0415 - as above

    def intact() -> str:
        artifact = serving_artifact(models_dir, FAMILY)
        if artifact is None:
            return f"{FAMILY} is not installed: sentiment is absent"
        for name in artifact.manifest.sha256:
            artifact.path(name)
        return f"{FAMILY} {artifact.manifest.version}"

    return checked("models", lambda: Finding("models", State.OK, intact()))


def _about_data(data_dir: Path, strategy: Strategy | None, asof: datetime) -> Finding:
    """Whether the cached bars may be traded on."""
    from swingtrader.commands.data_check import check  # noqa: PLC0415 - heavy

    if strategy is None:
        return at_broker.not_checked("data", "the strategy cannot be read")
    found = check(data_dir, strategy, now=asof)
    if not found.tradeable:
        first = told("data", found.reasons[0], remedy="swingtrader data pull")
        more = len(found.reasons) - 1
        what = f"{first.what} (and {counted(more, 'more reason')})" if more else first.what
        return Finding("data", State.PROBLEM, what, f"{first.remedy}, then swingtrader data check")
    odd = sum(bool(row.findings) for row in found.rows)
    what = f"{counted(found.symbols, 'symbol')} until {found.session}"
    return Finding("data", State.OK, f"{what}, {odd} with findings" if odd else what)
