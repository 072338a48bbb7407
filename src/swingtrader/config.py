"""How to trade: one commented TOML, checked once and handed on as plain values.

An unknown key is refused with the nearest name, because a misspelt limit is no limit. Where
things live, and which account, is in `environment`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from swingtrader.core.costs import Costs
from swingtrader.core.policy import Policy, policy_sections
from swingtrader.core.universe import KINDS, Kind, Sector, Universe
from swingtrader.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

RulesT = TypeVar("RulesT")

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Strategy:
    """Everything that says how to trade.

    Attributes
    ----------
    listed_only : bool
        Symbols outside the universe are not traded.
    unmanaged : tuple of str
        Symbols whose positions are the person's own: never sold, never protected, never added
        to; they count in every limit.
    """

    policy: Policy
    costs: Costs
    universe: Universe
    listed_only: bool = False
    unmanaged: tuple[str, ...] = ()

    def canonical_json(self) -> str:
        """Every value, defaults included, in one order: the same strategy, the same text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def sha256(self) -> str:
        """Fingerprint of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


class _UniverseSection(BaseModel):
    model_config = _STRICT

    file: str | None = None
    restrict: bool = False


class _AccountSection(BaseModel):
    model_config = _STRICT

    unmanaged: list[str] = []


class _SectorTable(BaseModel):
    model_config = _STRICT

    name: str
    etf: str | None = None
    kind: str = "neutral"
    stocks: list[str]


class _UniverseFile(BaseModel):
    model_config = _STRICT

    market: str = "SPY"
    context: list[str] = []
    sector: list[dict[str, object]]


def with_costs(strategy: Strategy, **given: float | None) -> Strategy:
    """Strategy with those costs replaced that are `given` and not None.

    Raises
    ------
    UsageError
        A cost is out of its range.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        return replace(strategy, costs=replace(strategy.costs, **changes))
    except ValueError as error:
        raise UsageError(str(error)) from error


def default_strategy_toml() -> str:
    """Text of the commented TOML with every default."""
    return resources.files("swingtrader").joinpath("strategy.toml").read_text("utf-8")


def load_strategy(path: Path | None, universe_file: Path | None = None) -> Strategy:
    """Read the strategy, or take the defaults where `path` is None.

    Parameters
    ----------
    path : Path, optional
        The operator's TOML.
    universe_file : Path, optional
        A universe given on the command line; only its stocks are then traded.

    Raises
    ------
    ConfigurationError
        A file is missing or no TOML, a key is unknown, a value out of range.
    """
    source = path or Path("strategy.toml")
    tables = {} if path is None else _read_toml(path)
    _refuse_unknown(
        source, "section", tables, [*policy_sections(), "costs", "account", "universe"]
    )
    rules: dict[str, Any] = {
        name: _rules(source, name, kind, tables.get(name, {}))
        for name, kind in policy_sections().items()
    }
    account = _checked(source, "account", _AccountSection, tables.get("account", {}))
    section = _checked(source, "universe", _UniverseSection, tables.get("universe", {}))
    if universe_file is None and section.file is not None:
        universe_file, listed_only = source.parent / section.file, section.restrict
    else:
        listed_only = section.restrict or universe_file is not None
    return Strategy(
        policy=Policy(**rules),
        costs=_rules(source, "costs", Costs, tables.get("costs", {})),
        universe=default_universe() if universe_file is None else load_universe(universe_file),
        listed_only=listed_only,
        unmanaged=tuple(sorted(set(account.unmanaged))),
    )


def default_universe() -> Universe:
    """Universe that comes with the program."""
    with resources.as_file(resources.files("swingtrader") / "universe.toml") as path:
        return load_universe(path)


def load_universe(path: Path) -> Universe:
    """Read a universe from TOML.

    Raises
    ------
    ConfigurationError
        Missing, no TOML, an unknown key or kind, or a stock with two homes.
    """
    table = _checked(path, "universe", _UniverseFile, _read_toml(path))
    rows = [
        _checked(path, f"sector {number}", _SectorTable, row)
        for number, row in enumerate(table.sector, start=1)
    ]
    try:
        return Universe(
            sectors=tuple(
                Sector(row.name, row.etf, _kind(row.kind), tuple(row.stocks)) for row in rows
            ),
            market=table.market,
            context=tuple(table.context),
        )
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if kind == text:
            return kind
    raise ValueError(f"kind '{text}' is none of {', '.join(KINDS)}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def _rules(source: Path, section: str, kind: type[RulesT], values: object) -> RulesT:
    """Build a rules dataclass of the core from one TOML section."""
    hints = get_type_hints(kind)
    # Any: create_model takes (type, default) pairs under names known only here.
    columns: dict[str, Any] = {
        f.name: (hints[f.name], f.default)
        for f in fields(kind)  # type: ignore[arg-type]  # a dataclass, which a TypeVar cannot say
    }
    model = create_model(kind.__name__, __config__=_STRICT, **columns)
    checked = _checked(source, section, model, values)
    try:
        return kind(**checked.model_dump())
    except ValueError as error:
        raise ConfigurationError(f"{source}: [{section}] {error}") from error


ModelT = TypeVar("ModelT", bound=BaseModel)


def _checked(source: Path, section: str, model: type[ModelT], values: object) -> ModelT:
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source}: [{section}] must be a table, not {values!r:.60}")
    _refuse_unknown(source, f"key in [{section}]", values, list(model.model_fields))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{source}: [{section}] {where}: {first['msg']} (found {first['input']!r:.60})"
        ) from error


def _refuse_unknown(
    source: Path, what: str, values: Mapping[str, object], known: list[str]
) -> None:
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ConfigurationError(
                f"{source}: unknown {what}: '{key}'; the nearest is '{nearest[0]}'"
            )
