from __future__ import annotations

import pytest

from swingtrader.core.universe import KINDS, NO_SECTOR, OTHER, Sector, Universe

TECHNOLOGY = Sector("Technology", "XLK", "growth", ("AAPL", "MSFT"))
STAPLES = Sector("Consumer Staples", "XLP", "defensive", ("KO",))
INNOVATION = Sector("Innovation", None, "speculative", ("COIN",))
UNIVERSE = Universe((TECHNOLOGY, STAPLES, INNOVATION))


@pytest.mark.parametrize(
    ("symbol", "context", "why"),
    [
        ("SPY", True, "the market"),
        ("QQQ", True, "named as context"),
        ("XLK", True, "a sector's fund"),
        ("XLP", True, "a sector's fund"),
        ("^VIX", True, "an index"),
        ("^", True, "begins with ^"),
        ("AAPL", False, "a stock"),
        ("ZZZZ", False, "an unlisted stock"),
        ("XLE", False, "a fund of no sector here"),
        ("BRK^A", False, "^ inside, not at the beginning"),
    ],
)
def test_context_is_never_traded(symbol, context, why):
    assert UNIVERSE.is_context(symbol) is context, why
    assert UNIVERSE.tradable([symbol]) == (() if context else (symbol,)), why


def test_market_and_context_are_the_users_to_choose():
    universe = Universe((STAPLES,), market="VTI", context=("DIA",))
    symbols = ("DIA", "QQQ", "SPY", "VTI", "XLP")
    assert universe.tradable(symbols) == ("QQQ", "SPY")


def test_unlisted_symbols_are_traded_unless_only_listed_ones_are_asked_for():
    symbols = ("ZZZZ", "MSFT", "SPY", "AAPL", "BBBB")
    assert UNIVERSE.tradable(symbols) == ("ZZZZ", "MSFT", "AAPL", "BBBB")
    assert UNIVERSE.tradable(symbols, listed_only=True) == ("MSFT", "AAPL")


def test_every_stock_is_at_home_in_one_sector_and_unlisted_ones_in_none():
    numbers = UNIVERSE.sector_numbers(("KO", "ZZZZ", "AAPL", "COIN", "MSFT"))
    assert numbers.tolist() == [1, NO_SECTOR, 0, 2, 0]
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 0


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [("AAPL", "growth"), ("KO", "defensive"), ("COIN", "speculative"), ("ZZZZ", "neutral")],
)
def test_a_stock_is_of_its_sectors_kind_and_neutral_without_one(symbol, kind):
    assert UNIVERSE.kind_of(symbol) == kind
    assert kind in KINDS


@pytest.mark.parametrize(
    ("sectors", "named"),
    [
        ((TECHNOLOGY, Sector("Hardware", None, "growth", ("AAPL",))), "AAPL"),
        ((Sector("Technology", None, "growth", ("AAPL", "AAPL")),), "AAPL"),
        ((TECHNOLOGY, Sector("Technology", None, "growth", ("CRM",))), "Technology"),
        ((Sector("Funds", None, "growth", ("SPY",)),), "SPY"),
        ((Sector("Funds", None, "growth", ("QQQ",)),), "QQQ"),
        ((TECHNOLOGY, Sector("Funds", None, "growth", ("XLK",))), "XLK"),
        ((Sector(OTHER, None, "growth", ("AAPL",)),), OTHER),
    ],
)
def test_a_universe_that_contradicts_itself_is_refused(sectors, named):
    with pytest.raises(ValueError, match=named):
        Universe(sectors)
