"""What the environment says: where things live, which account, whether to trade.

Read once a run, checked, and handed on as plain values. There is no pydantic-settings here: it
takes 0.1 s to import, of the quarter of a second that `status` has (ADR 9).

Keys may also come as files in ``$CREDENTIALS_DIRECTORY``, where systemd puts them; a variable
comes first. They appear in no message and in no `repr`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE_URL = "https://api.alpaca.markets"
PAPER_URL = "https://paper-api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
FEEDS = ("iex", "sip", "delayed_sip", "boats", "overnight")

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_KEY_FILES = {"ALPACA_API_KEY": "alpaca-api-key", "ALPACA_SECRET_KEY": "alpaca-secret-key"}


class Mode(StrEnum):
    """What becomes of a plan."""

    DRY_RUN = "dry_run"
    """It is stored and shown; not one order is sent."""
    PAPER = "paper"
    LIVE = "live"


@dataclass(frozen=True)
class Places:
    """Where things live."""

    config: Path | None
    state_dir: Path
    models_dir: Path
    data_dir: Path

    @property
    def bars_file(self) -> Path:
        """Daily bars in the local cache."""
        return self.data_dir / "bars.parquet"


@dataclass(frozen=True)
class BrokerSettings:
    """How to reach the broker, and what may be done there.

    Attributes
    ----------
    live_account : str or None
        Number of the account that may be traded with real money.
    """

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    trading_url: str
    data_url: str
    feed: str
    mode: Mode
    paper: bool
    live_account: str | None

    @property
    def is_rehearsal(self) -> bool:
        """Whether the broker is a simulator on this machine, whose time is not ours."""
        return _is_loopback(self.trading_url)


def places(
    environment: Mapping[str, str],
    *,
    config: Path | None = None,
    state_dir: Path | None = None,
    models_dir: Path | None = None,
) -> Places:
    """Where things live: what is given before the environment before the defaults."""
    config = config or _path(environment, "SWINGTRADER_CONFIG")
    state_dir = state_dir or _path(environment, "SWINGTRADER_STATE_DIR") or Path("state")
    models_dir = models_dir or _path(environment, "SWINGTRADER_MODELS_DIR") or Path("models")
    data_dir = _path(environment, "SWINGTRADER_DATA_DIR") or state_dir / "data"
    return Places(config, state_dir, models_dir, data_dir)


def trading_mode(environment: Mapping[str, str]) -> Mode:
    """What the next run would do with its plan, as far as the environment says.

    Raises
    ------
    ConfigurationError
        A switch is neither true nor false.
    """
    trading = _switch(environment, "LIVE_TRADING", default=False)
    paper = _switch(environment, "ALPACA_PAPER", default=True)
    if not trading:
        return Mode.DRY_RUN
    return Mode.PAPER if paper else Mode.LIVE


def broker_settings(environment: Mapping[str, str]) -> BrokerSettings:
    """Read how to reach the broker.

    Raises
    ------
    ConfigurationError
        A key is missing, a switch is neither true nor false, a URL is not one that keys may be
        sent to, the feed is unknown, or real money is asked for without naming the account.
    """
    mode = trading_mode(environment)
    paper = _switch(environment, "ALPACA_PAPER", default=True)
    live_account = environment.get("LIVE_ACCOUNT", "").strip() or None
    if not paper and live_account is None:
        raise ConfigurationError(
            "ALPACA_PAPER=false reaches real money: set LIVE_ACCOUNT to that account's number, "
            "or leave ALPACA_PAPER out"
        )
    feed = environment.get("ALPACA_FEED", "").strip().lower() or "iex"
    if feed not in FEEDS:
        raise ConfigurationError(f"ALPACA_FEED={feed:.40}: is none of {', '.join(FEEDS)}")
    return BrokerSettings(
        api_key=_key(environment, "ALPACA_API_KEY"),
        secret_key=_key(environment, "ALPACA_SECRET_KEY"),
        trading_url=_url(environment, "ALPACA_TRADING_URL", PAPER_URL if paper else LIVE_URL),
        data_url=_url(environment, "ALPACA_DATA_URL", DATA_URL),
        feed=feed,
        mode=mode,
        paper=paper,
        live_account=live_account,
    )


def timers_are_off(environment: Mapping[str, str]) -> bool:
    """Whether this run was fired by a timer and ``ENABLE_CRON`` says that timers do nothing.

    systemd gives every process of a unit an ``INVOCATION_ID``; a login shell has none.

    Raises
    ------
    ConfigurationError
        The switch is neither true nor false.
    """
    return not timers_are_on(environment) and "INVOCATION_ID" in environment


def timers_are_on(environment: Mapping[str, str]) -> bool:
    """Whether what a timer fires is to do anything.

    Raises
    ------
    ConfigurationError
        The switch is neither true nor false.
    """
    return _switch(environment, "ENABLE_CRON", default=True)


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "")
    return Path(text) if text else None


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if not text:
        return default
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ConfigurationError(f"{name}={text:.40}: must be true or false")


def _key(environment: Mapping[str, str], name: str) -> str:
    key = environment.get(name, "").strip() or _key_file(environment, name)
    if not key:
        raise ConfigurationError(
            f"{name} is not set: take the key from the broker's website, or put it into the file "
            f"{_KEY_FILES[name]} of $CREDENTIALS_DIRECTORY"
        )
    if not (key.isascii() and key.isprintable()) or any(letter.isspace() for letter in key):
        raise ConfigurationError(f"{name}: holds a character that no key has; copy it again")
    return key


def _key_file(environment: Mapping[str, str], name: str) -> str:
    directory = environment.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        return ""
    path = Path(directory) / _KEY_FILES[name]
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        # The error itself would quote the key.
        raise ConfigurationError(f"{path}: is no text; copy the key again") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error


def _url(environment: Mapping[str, str], name: str, default: str) -> str:
    url = (environment.get(name, "").strip() or default).rstrip("/")
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(f"{name}: must look like https://host or http://127.0.0.1:8000")
    if parts.scheme != "https" and not _is_loopback(url):
        raise ConfigurationError(f"{name}: would send the keys unencrypted; use https")
    return url


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
