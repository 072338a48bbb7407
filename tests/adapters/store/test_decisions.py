from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import FINITE, INSTANTS, NOW, SESSIONS, round_trips

from swingtrader.adapters.store import DecisionRow, LastDecision
from swingtrader.adapters.store.decisions import SIGNAL_COLUMNS, SNAPSHOT_SESSIONS_KEPT
from swingtrader.core.policy import SIGNALS

SESSION = date(2025, 3, 14)
WEIGHTS = {"market": 0.2, "quant": 0.3}
ABSENT = dict.fromkeys(SIGNALS)
KO = DecisionRow("KO", "buy", 0.31, {**ABSENT, "quant": 0.5, "regime": -0.0}, "entry_vote")
PEP = DecisionRow("PEP", "hold", None, ABSENT, "too_few_signals")


def started(store, run_id="r1", command="decide", at=NOW):
    store.runs.start(run_id, command, "paper", at)
    return run_id


def test_the_signals_are_those_of_the_vote():
    assert SIGNAL_COLUMNS == SIGNALS


@round_trips
@given(
    session=SESSIONS,
    asof=INSTANTS,
    weights=st.dictionaries(st.text(), FINITE, max_size=3),
    row=st.builds(
        DecisionRow,
        symbol=st.text(),
        action=st.sampled_from(["buy", "sell", "hold"]),
        score=st.none() | FINITE,
        signals=st.fixed_dictionaries({name: st.none() | FINITE for name in SIGNALS}),
        reason=st.text(),
    ),
    snapshot=st.none() | st.binary(),
)
def test_a_decision_comes_back_to_the_last_bit(
    long_lived_store, session, asof, weights, row, snapshot
):
    store = long_lived_store
    with store._database.writing() as connection:  # noqa: SLF001 - to begin anew
        connection.execute("DELETE FROM runs")
    started(store)
    store.decisions.record("r1", session, asof, weights, [row], snapshot)
    assert store.decisions.last_of(row.symbol) == LastDecision(
        row, "r1", "decide", session, asof, weights
    )
    assert store.decisions.snapshot("r1") == snapshot


def test_the_last_decision_on_a_symbol_is_that_of_the_run_that_recorded_last(store):
    later = NOW + timedelta(minutes=5)
    sold = replace(KO, action="sell", reason="stop_loss")
    store.decisions.record(started(store), SESSION, NOW, WEIGHTS, [KO, PEP], None)
    store.decisions.record(started(store, "r2", "risk-check"), SESSION, later, {}, [sold], None)
    assert store.decisions.last_of("KO") == LastDecision(
        sold, "r2", "risk-check", SESSION, later, {}
    )
    assert store.decisions.last_of("PEP") == LastDecision(
        PEP, "r1", "decide", SESSION, NOW, WEIGHTS
    )
    assert store.decisions.last_of("ZZ") is None
    assert store.decisions.last_of("ko") is None


def test_a_signal_that_is_not_named_is_absent(store):
    row = replace(PEP, signals={"rl": 0.5})
    store.decisions.record(started(store), SESSION, NOW, {}, [row], None)
    assert store.decisions.last_of("PEP").row.signals == {**ABSENT, "rl": 0.5}


@pytest.mark.parametrize(
    "nonsense",
    [
        [KO, KO],
        [PEP, replace(KO, action="short")],
        [PEP, replace(KO, score=float("nan"))],
        [PEP, replace(KO, signals={"quant": float("inf")})],
        [PEP, replace(KO, signals={"astrology": 1.0})],
    ],
)
def test_decisions_are_recorded_all_or_none(store, nonsense):
    started(store)
    with pytest.raises(ValueError, match=r"constraint|finite|no such signal"):
        store.decisions.record("r1", SESSION, NOW, {}, nonsense, b"known")
    assert store.decisions.last_of("PEP") is None
    assert store.decisions.snapshot("r1") is None


def test_a_run_decides_once_and_must_have_been_started(store):
    with pytest.raises(ValueError, match="constraint"):
        store.decisions.record("r1", SESSION, NOW, {}, [KO], None)
    store.decisions.record(started(store), SESSION, NOW, {}, [KO], None)
    with pytest.raises(ValueError, match="constraint"):
        store.decisions.record("r1", SESSION, NOW, {}, [PEP], None)
    assert store.decisions.last_of("PEP") is None


def test_snapshots_of_the_last_thirty_sessions_are_kept(store):
    runs = [
        (f"{day} {number}", SESSION + timedelta(days=2 * day))
        for day in range(SNAPSHOT_SESSIONS_KEPT + 2)
        for number in range(2)
    ]
    for run_id, session in runs:
        started(store, run_id)
        store.decisions.record(run_id, session, NOW, {}, [KO], run_id.encode())
    kept = [run_id for run_id, _ in runs if store.decisions.snapshot(run_id) is not None]
    assert kept == [run_id for run_id, _ in runs[4:]]
    assert store.decisions.snapshot(kept[0]) == kept[0].encode()
    assert SNAPSHOT_SESSIONS_KEPT == 30
