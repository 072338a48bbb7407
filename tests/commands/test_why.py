from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.store import DecisionRow, Store
from swingtrader.commands.why import contributions, why_report
from swingtrader.core.policy import SIGNALS, VoteRules
from swingtrader.core.portfolio import TrackedPosition
from swingtrader.core.reasons import Reason
from swingtrader.errors import UsageError
from swingtrader.reports.reason_sentences import (
    HALT_SENTENCES,
    SENTENCES,
    halt_sentence,
    reason_sentence,
)

AT = datetime(2026, 11, 23, 15, 0, 31, tzinfo=UTC)
MONDAY = date(2026, 11, 23)
WEIGHTS = {name: getattr(VoteRules(), name) for name in SIGNALS}
PRESENT = {"market": 0.31, "quant": 0.2, "rl": None, "sentiment": None, "momentum": -0.1,
           "regime": 0.09}  # fmt: skip
ROW = DecisionRow("AAPL", "hold", 0.206, PRESENT, "held")
AAPL = TrackedPosition(
    "AAPL", Decimal(10), Decimal(200), date(2026, 11, 12), age_sessions=7, price=Decimal(210)
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, now=AT) as store:
        yield store


def decided(store, *rows, run_id="r1", command="decide", at=AT, weights=WEIGHTS):
    store.runs.start(run_id, command, "paper", at)
    store.decisions.record(run_id, MONDAY, at, weights, rows, None)
    report = {"orders": [], "decisions": [{"symbol": row.symbol} for row in rows]}
    store.runs.finish(run_id, at, 0, report, None, ())


def test_a_decision_is_taken_apart(store):
    decided(store, ROW)
    store.positions.replace([AAPL], AT)
    report = json.loads(json.dumps(why_report(store, "AAPL"), allow_nan=False))
    held = report.pop("held")
    assert (held["qty"], held["entry_session"], held["age_sessions"]) == (10, "2026-11-12", 7)
    assert report.pop("contributions") == {
        "market": pytest.approx(0.2 * 0.31 / 0.75),
        "quant": pytest.approx(0.3 * 0.2 / 0.75),
        "rl": None,
        "sentiment": None,
        "momentum": pytest.approx(0.15 * -0.1 / 0.75),
        "regime": pytest.approx(0.1 * 0.09 / 0.75),
    }
    assert report == {
        "symbol": "AAPL",
        "run_id": "r1",
        "command": "decide",
        "session": "2026-11-23",
        "asof": "2026-11-23T15:00:31+00:00",
        "action": "hold",
        "score": 0.206,
        "reason": "held",
        "signals": PRESENT,
        "weights": WEIGHTS,
        "explanation": "It is held, and no rule asks for its sale.",
    }


def test_the_last_decision_is_the_one_shown(store):
    decided(store, ROW)
    decided(store, replace(ROW, action="sell", reason="vote", score=-0.2), run_id="r2")
    decided(store, DecisionRow("MSFT", "hold", None, {}, "no_bar"), run_id="r3")
    report = why_report(store, "AAPL")
    assert (report["run_id"], report["action"], report["reason"]) == ("r2", "sell", "vote")
    assert report["held"] is None


def test_a_sale_for_its_price_alone_has_no_weights_and_no_contributions(store):
    sale = DecisionRow("AAPL", "sell", None, {}, "stop_loss")
    decided(store, sale, command="risk-check", weights={})
    report = why_report(store, "AAPL")
    assert report["command"] == "risk-check"
    assert report["score"] is None
    for part in ("signals", "weights", "contributions"):
        assert report[part] == dict.fromkeys(SIGNALS)


@settings(deadline=None, derandomize=True)
@given(
    st.fixed_dictionaries({name: st.none() | st.floats(-1, 1) for name in SIGNALS}),
    st.fixed_dictionaries({name: st.floats(0.01, 1) for name in SIGNALS}),
)
def test_contributions_add_up_to_the_weighted_mean_of_the_present(signals, weights):
    shares = contributions(signals, weights)
    present = [name for name in SIGNALS if signals[name] is not None]
    assert [name for name in SIGNALS if shares[name] is not None] == present
    if present:
        total = sum(weights[name] for name in present)
        vote = sum(weights[name] * signals[name] for name in present) / total
        assert sum(shares[name] for name in present) == pytest.approx(vote, abs=1e-12)


def test_a_signal_without_any_weight_contributes_nothing(store):
    decided(store, ROW, weights=dict.fromkeys(SIGNALS, 0.0))
    assert why_report(store, "AAPL")["contributions"] == dict.fromkeys(SIGNALS)


@pytest.mark.parametrize("typed", ["BRK.B", "brk.b", "Brk.B"])
def test_small_letters_will_do(store, typed):
    decided(store, replace(ROW, symbol="BRK.B"))
    assert why_report(store, typed)["symbol"] == "BRK.B"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("APPL", "; did you mean AAPL?"), ("aaplx", "; did you mean AAPL?"), ("QQQ", "")],
)
def test_a_symbol_that_no_run_looked_at_is_a_usage_error_with_the_nearest_name(store, typed, hint):
    decided(store, ROW, replace(ROW, symbol="MSFT"))
    with pytest.raises(UsageError) as refusal:
        why_report(store, typed)
    assert str(refusal.value) == (
        f"no decision on {typed} is stored; symbols are written as AAPL{hint}"
    )


def test_an_empty_store_has_no_hint(store):
    with pytest.raises(UsageError, match=r"written as AAPL$"):
        why_report(store, "AAPL")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence(reason):
    sentence = reason_sentence(str(reason))
    assert str(reason) in SENTENCES
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_every_sentence_has_a_reason_and_no_two_are_alike():
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_a_code_of_another_version_is_shown_as_it_is():
    assert reason_sentence("moon_phase") == "This version has no sentence for 'moon_phase'."


def test_halts_of_the_program_have_sentences_and_those_of_people_are_sentences():
    assert halt_sentence("daily_loss") == HALT_SENTENCES["daily_loss"]
    assert "rebuilt" in halt_sentence("store_rebuilt")
    assert halt_sentence("earnings week") == "earnings week"
