"""The strategy TOML, the universe and the environment: what is believed and what is refused."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace

import pytest

from swingtrader.config import (
    default_strategy_toml,
    default_universe,
    load_strategy,
    load_universe,
    with_costs,
)
from swingtrader.core.costs import Costs
from swingtrader.core.policy import Policy, policy_sections
from swingtrader.core.universe import Sector
from swingtrader.errors import ConfigurationError, UsageError

RULES = {**policy_sections(), "costs": Costs}
ONE_SECTOR = '[[sector]]\nname = "Technology"\nstocks = ["AAPL", "MSFT"]\n'


@pytest.fixture
def toml(tmp_path):
    """Return a writer of TOML files."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


# --- defaults ---------------------------------------------------------------------------------


def test_the_commented_toml_says_exactly_the_defaults(toml):
    assert load_strategy(toml(default_strategy_toml())) == load_strategy(None)


OTHER_SECTIONS = {"universe": {"file", "restrict"}, "account": {"unmanaged"}}


@pytest.mark.parametrize("section", [*RULES, *OTHER_SECTIONS])
def test_the_commented_toml_names_every_key_of(section):
    text = default_strategy_toml().split(f"[{section}]")[1].split("\n[")[0]
    named = set(re.findall(r"^(?:# )?(\w+) = ", text, flags=re.MULTILINE))
    known = OTHER_SECTIONS.get(section) or {f.name for f in fields(RULES[section])}
    assert named == known


def test_the_commented_toml_has_no_other_section():
    assert set(tomllib.loads(default_strategy_toml())) == {*RULES, *OTHER_SECTIONS}


def test_a_file_without_a_key_is_the_defaults(toml):
    assert load_strategy(toml("# nothing yet\n")) == load_strategy(None)


def test_keys_that_are_given_replace_their_defaults_and_no_other(toml):
    strategy = load_strategy(toml("[vote]\nbuy_at = 0.3\n[costs]\nslippage_bps = 7.5\n"))
    default = load_strategy(None)
    vote = replace(default.policy.vote, buy_at=0.3)
    assert strategy.policy == replace(default.policy, vote=vote)
    assert strategy.costs == replace(default.costs, slippage_bps=7.5)


def test_a_whole_number_will_do_where_a_fraction_is_meant(toml):
    assert load_strategy(toml("[costs]\nslippage_bps = 7\n")).costs.slippage_bps == 7.0


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[votes]\nbuy_at = 0.3", "unknown section: 'votes'; the nearest is 'vote'"),
        ("[cost]", "unknown section: 'cost'; the nearest is 'costs'"),
        (
            "[vote]\nbuy_above = 0.3",
            r"unknown key in \[vote\]: 'buy_above'; the nearest is 'buy_at'",
        ),
        (
            "[limits]\nposition = 3",
            r"unknown key in \[limits\]: 'position'; the nearest is 'positions'",
        ),
        (
            "[costs]\nslipage_bps = 3",
            r"unknown key in \[costs\]: 'slipage_bps'; the nearest is 'slippage_bps'",
        ),
        (
            "[universe]\nrestrikt = true",
            r"unknown key in \[universe\]: 'restrikt'; the nearest is 'restrict'",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(toml, text, said):
    with pytest.raises(ConfigurationError, match=f"mine.toml: {said}"):
        load_strategy(toml(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[vote]\nbuy_at = "0.3"', r"\[vote\] buy_at: .* number .*'0.3'"),
        ("[vote]\nbuy_at = true", r"\[vote\] buy_at: .* number"),
        ("[vote]\nbuy_at = nan", r"\[vote\] buy_at: .* finite"),
        ("[exits]\nstop = inf", r"\[exits\] stop: .* finite"),
        ("[limits]\npositions = 2.5", r"\[limits\] positions: .* integer"),
        ("[limits]\npositions = 2.0", r"\[limits\] positions: .* integer"),
        ("[universe]\nrestrict = 1", r"\[universe\] restrict: .* boolean"),
        ("[universe]\nfile = 1", r"\[universe\] file: .* string"),
        ("vote = 3", r"\[vote\] must be a table, not 3"),
        ("[[vote]]\nbuy_at = 0.3", r"\[vote\] must be a table"),
    ],
)
def test_a_value_of_another_type_is_refused(toml, text, said):
    with pytest.raises(ConfigurationError, match=f"mine.toml: {said}"):
        load_strategy(toml(text))


@pytest.mark.parametrize(
    "text",
    [
        "[vote]\nbuy_at = 1.5",
        "[vote]\nsell_at = 0.2",
        "[vote]\nquant = -0.1",
        "[vote]\nmarket = 0\nquant = 0\nrl = 0\nsentiment = 0\nmomentum = 0\nregime = 0",
        "[scan]\ntop_sectors = 0",
        "[scan]\nminimum_probability = 1.0",
        "[exits]\nstop = 0.0",
        "[exits]\nclamp_low = 3.0",
        "[exits]\nclamp_high = 40.0",
        "[exits]\nmissed_sessions = 0",
        "[sizing]\nprior_win_rate = 1.0",
        "[sizing]\nminimum_weight = 0.2",
        "[limits]\ngross = 1.1",
        "[limits]\npositions = 0",
        "[costs]\nhalf_spread_bps = -1",
        "[costs]\nparticipation = 0",
    ],
)
def test_a_value_out_of_its_range_is_refused(toml, text):
    section = text[1 : text.index("]")]
    with pytest.raises(ConfigurationError, match=rf"mine.toml: \[{section}\] \w"):
        load_strategy(toml(text))


@pytest.mark.parametrize("text", ["[vote", "buy_at", "[vote]\nbuy_at=0.1\nbuy_at=0.2"])
def test_what_is_no_toml_is_refused(toml, text):
    with pytest.raises(ConfigurationError, match=r"mine.toml: not valid TOML"):
        load_strategy(toml(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"mine.toml: not valid TOML"):
        load_strategy(tmp_path / "mine.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"mine.toml: cannot be read: No such file"):
        load_strategy(tmp_path / "mine.toml")


# --- the fingerprint of a strategy ------------------------------------------------------------


def test_the_fingerprint_depends_on_what_is_said_and_not_on_how(toml):
    one = load_strategy(toml("[vote]\nbuy_at = 0.3\nsell_at = -0.3\n[limits]\npositions = 3\n"))
    two = load_strategy(
        toml("[limits]\npositions = 3 # few\n[vote]\nsell_at = -0.30\nbuy_at = 0.3\n")
    )
    assert one.sha256() == two.sha256() != load_strategy(None).sha256()


@pytest.mark.parametrize("section", RULES)
def test_every_key_enters_the_fingerprint(section):
    default = load_strategy(None)
    rules = default.costs if section == "costs" else getattr(default.policy, section)
    prints = {default.sha256()}
    for field in fields(rules):
        value = getattr(rules, field.name)
        changed = replace(
            rules, **{field.name: value + 1 if isinstance(value, int) else value * 0.95}
        )
        strategy = (
            replace(default, costs=changed)
            if section == "costs"
            else replace(default, policy=replace(default.policy, **{section: changed}))
        )
        prints.add(strategy.sha256())
    assert len(prints) == 1 + len(fields(rules))


def test_universe_and_restriction_enter_the_fingerprint(toml):
    default = load_strategy(None)
    other = replace(default, universe=load_universe(toml(ONE_SECTOR)))
    prints = {s.sha256() for s in (default, other, replace(default, listed_only=True))}
    assert len(prints) == 3


def test_unmanaged_symbols_are_a_set_whatever_their_order(toml):
    strategy = load_strategy(toml('[account]\nunmanaged = ["ZZ", "AA", "ZZ"]\n'))
    assert strategy.unmanaged == ("AA", "ZZ")
    assert strategy.sha256() != load_strategy(None).sha256()


# --- costs of the command line ----------------------------------------------------------------


def test_costs_given_on_the_command_line_replace_the_configured_ones(toml):
    strategy = load_strategy(toml("[costs]\nslippage_bps = 7.0\nhalf_spread_bps = 1.0\n"))
    changed = with_costs(strategy, slippage_bps=0.0, half_spread_bps=None)
    assert changed.costs == replace(strategy.costs, slippage_bps=0.0)
    assert with_costs(strategy, slippage_bps=None) == strategy


@pytest.mark.parametrize("bps", [-0.1, 5000.0, float("nan"), float("inf")])
def test_costs_out_of_range_are_a_mistake_of_usage(bps):
    with pytest.raises(UsageError, match="slippage_bps"):
        with_costs(load_strategy(None), slippage_bps=bps)


# --- universe ---------------------------------------------------------------------------------


def test_the_default_universe_is_that_of_the_design():
    universe = default_universe()
    assert {s.name: (s.etf, len(s.stocks), s.kind) for s in universe.sectors} == {
        "Technology": ("XLK", 4, "growth"),
        "Semiconductors": ("SMH", 7, "growth"),
        "Financials": ("XLF", 6, "growth"),
        "Healthcare": ("XLV", 6, "defensive"),
        "Consumer Discretionary": ("XLY", 5, "growth"),
        "Communication": ("XLC", 5, "growth"),
        "Industrials": ("XLI", 6, "neutral"),
        "Energy": ("XLE", 4, "neutral"),
        "Consumer Staples": ("XLP", 5, "defensive"),
        "Biotech": ("IBB", 4, "speculative"),
        "Innovation": ("ARKK", 3, "speculative"),
        "Materials": ("XLB", 4, "neutral"),
        "Utilities": ("XLU", 4, "defensive"),
        "Real Estate": ("XLRE", 4, "defensive"),
    }
    assert universe.market == "SPY"
    for symbol in ("SPY", "QQQ", "XLK", "^VIX"):
        assert universe.is_context(symbol)


def test_a_sector_needs_no_more_than_a_name_and_stocks(toml):
    universe = load_universe(toml(ONE_SECTOR))
    assert universe.sectors == (Sector("Technology", None, "neutral", ("AAPL", "MSFT")),)
    assert universe.market == "SPY"


def test_a_universe_of_the_command_line_restricts(toml):
    strategy = load_strategy(None, toml(ONE_SECTOR))
    assert strategy.listed_only
    assert strategy.universe == load_universe(toml(ONE_SECTOR))
    assert strategy.policy == Policy()


def test_a_universe_of_the_configuration_is_relative_to_it_and_restricts_if_told(toml, tmp_path):
    toml(ONE_SECTOR, "small.toml")
    (tmp_path / "etc").mkdir()
    for restrict in ("false", "true"):
        text = f'[universe]\nfile = "../small.toml"\nrestrict = {restrict}\n'
        strategy = load_strategy(toml(text, "etc/mine.toml"))
        assert strategy.universe == load_universe(tmp_path / "small.toml")
        assert strategy.listed_only == (restrict == "true")


def test_the_universe_of_the_command_line_comes_before_that_of_the_configuration(toml):
    other = toml(ONE_SECTOR.replace("AAPL", "ORCL"), "other.toml")
    mine = toml(f'[universe]\nfile = "{toml(ONE_SECTOR, "small.toml")}"\n')
    assert load_strategy(mine, other).universe == load_universe(other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE_SECTOR.replace("MSFT", "AAPL"), "stock AAPL is listed twice"),
        (ONE_SECTOR + ONE_SECTOR.replace("Technology", "Media"), "stock AAPL, MSFT is listed twi"),
        (ONE_SECTOR + ONE_SECTOR.replace("AAPL", "A").replace("MSFT", "B"), "sector Technology"),
        (ONE_SECTOR + 'kind = "growing"', "kind 'growing' is none of growth"),
        (ONE_SECTOR + 'kinds = "growth"', "'kinds'; the nearest is 'kind'"),
        (ONE_SECTOR.replace("[[sector]]", "[[sectors]]"), "'sectors'; the nearest is 'sector'"),
        (ONE_SECTOR + '[[sector]]\nname = "Media"', r"\[sector 2\] stocks: Field required"),
        (ONE_SECTOR.replace('["AAPL", "MSFT"]', '"AAPL"'), r"\[sector 1\] stocks: .* list"),
        (ONE_SECTOR + 'etf = "AAPL"', "AAPL is listed both as a stock and as context"),
        (ONE_SECTOR.replace("AAPL", "SPY"), "SPY is listed both as a stock and as context"),
        (ONE_SECTOR.replace("Technology", "Other"), "'Other' is the name of"),
        ("sector = 3", r"\[universe\] sector: .* list"),
        ("", r"\[universe\] sector: Field required"),
    ],
)
def test_a_universe_that_cannot_be_meant_is_refused(toml, text, said):
    with pytest.raises(ConfigurationError, match=f"mine.toml: .*{said}"):
        load_universe(toml(text))
