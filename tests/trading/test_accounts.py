"""One store, one account (DESIGN §8, §9)."""

from __future__ import annotations

import pytest
from tests.trading.conftest import ACCOUNT, world_on

from swingtrader.environment import Mode
from swingtrader.errors import ConfigurationError


def test_the_account_is_recorded_at_first_use(world):
    world.risk_check()

    with world.store() as store:
        assert store.account.number() == ACCOUNT


def test_a_dry_run_records_it_too(tmp_path):
    world = world_on(tmp_path, mode=Mode.DRY_RUN)
    world.decide(AAA=0.5)

    with world.store() as store:
        assert store.account.number() == ACCOUNT


@pytest.mark.parametrize("command", ["decide", "risk-check"])
def test_another_account_is_refused_and_nothing_is_sent_to_it(world, tmp_path, command):
    world.decide(AAA=0.5)
    world.exchange = world_on(tmp_path, account_number="PA9SOMEBODY").exchange

    ran = world.run(command)

    assert (ran.code, world.order_requests()) == (78, [])
    assert isinstance(ran.error, ConfigurationError)
    assert ACCOUNT[-4:] in str(ran.error)
    with world.store() as store:
        assert store.account.number() == ACCOUNT
        assert set(store.positions.all()) == {"AAA"}


@pytest.mark.parametrize("named", [None, "", "PA9SOMEBODY", ACCOUNT.lower(), f"{ACCOUNT} "])
def test_real_money_needs_the_accounts_own_number(world, named):
    world.mode = Mode.LIVE
    world.live_account = "" if named is None else named

    ran = world.decide(AAA=0.5)

    assert (ran.code, world.order_requests()) == (78, [])
    with world.store() as store:
        assert store.account.number() is None


def test_with_the_accounts_own_number_it_is_traded(world):
    world.mode = Mode.LIVE
    world.live_account = ACCOUNT

    ran = world.decide(AAA=0.5)

    assert (ran.code, ran.report["mode"], world.held("AAA")) == (0, "live", 46)


def test_an_account_with_a_past_counts_as_lost_and_a_fresh_one_does_not(tmp_path):
    fresh, used = world_on(tmp_path / "fresh"), world_on(tmp_path / "used")
    used.holding("BBB", 1)
    used.by_hand("BBB", "sell", 1)
    used.wait(minutes=5)

    assert fresh.decide(AAA=0.5).reason("AAA") == "entry_vote"
    assert used.decide(AAA=0.5).reason("AAA") == "halted"
