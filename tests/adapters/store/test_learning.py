"""What learning leaves behind: scores of headlines, the worth of signals, models' validation."""

import hashlib
import math
import sqlite3
from contextlib import closing
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import INSTANTS, NOW, SESSIONS, round_trips

from swingtrader.adapters.migrations import MIGRATIONS, migrate
from swingtrader.adapters.store import STORE_NAME, ModelRow, Store, WorthRow
from swingtrader.adapters.store.sentiment import SCORES_KEPT
from swingtrader.core.worth import SignalWorth

NAN = math.nan
LATER = NOW + timedelta(days=1)
PERIOD = (date(2013, 1, 2), date(2019, 12, 31))
FIGURES = st.floats(-1e6, 1e6)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


ONE, TWO, THREE = map(digest, ("one", "two", "three"))


# --- sentiment --------------------------------------------------------------------------------


@round_trips
@given(
    model=st.text(min_size=1),
    scores=st.dictionaries(
        st.text().map(lambda text: hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()),
        st.floats(-1.0, 1.0),
        max_size=5,
    ),
    at=INSTANTS,
)
def test_scores_come_back_to_the_last_bit(long_lived_store, model, scores, at):
    long_lived_store.sentiment.record(model, scores, at)
    assert long_lived_store.sentiment.scores(model, scores) == scores
    assert long_lived_store.sentiment.scores(model, ()) == {}


def test_a_headline_that_the_model_could_not_read_is_not_tried_again(store):
    store.sentiment.record("a", {ONE: NAN, TWO: 0.5}, NOW)
    found = store.sentiment.scores("a", [ONE, TWO, THREE])
    assert found.keys() == {ONE, TWO}
    assert math.isnan(found[ONE])


def test_each_model_has_scores_of_its_own_and_the_last_one_counts(store):
    store.sentiment.record("a", {ONE: 0.5, TWO: 0.25}, NOW)
    store.sentiment.record("b", {ONE: -0.5}, NOW)
    store.sentiment.record("a", {ONE: 0.75}, LATER)
    assert store.sentiment.scores("a", [ONE, TWO]) == {ONE: 0.75, TWO: 0.25}
    assert store.sentiment.scores("b", [ONE, TWO]) == {ONE: -0.5}
    assert store.sentiment.scores("c", [ONE]) == {}


def test_only_the_scores_written_last_are_kept(store):
    names = [digest(str(n)) for n in range(6)]
    store.sentiment.record("a", {names[0]: 0.0, names[1]: 0.1, names[2]: 0.2}, NOW, keep=4)
    store.sentiment.record("a", {names[0]: 0.9}, LATER, keep=4)  # which makes it the latest
    store.sentiment.record("b", {names[3]: 0.3, names[4]: 0.4}, LATER, keep=4)
    assert store.sentiment.scores("a", names) == {names[0]: 0.9, names[2]: 0.2}
    assert store.sentiment.scores("b", names) == {names[3]: 0.3, names[4]: 0.4}
    assert SCORES_KEPT == 200_000


def test_more_headlines_than_one_query_takes_are_all_found(store):
    scores = {digest(str(n)): n / 2000 for n in range(1201)}
    store.sentiment.record("a", scores, NOW)
    assert store.sentiment.scores("a", [*scores, ONE]) == scores


@pytest.mark.parametrize(
    "scores", [{ONE: 1.5}, {ONE: math.inf}, {"abcd": 0.5}, {"a headline": 0.5}]
)
def test_scores_that_make_no_sense_are_not_recorded_nor_any_beside_them(store, scores):
    with pytest.raises(ValueError, match=r"constraint|hexadecimal"):
        store.sentiment.record("a", {TWO: 0.25, **scores}, NOW)
    assert store.sentiment.scores("a", [ONE, TWO]) == {}


def test_no_headline_is_stored(store):
    store.sentiment.record("a", {digest("Apple beats"): 0.5}, NOW)
    assert b"Apple" not in b"".join(each.read_bytes() for each in store.path.parent.iterdir())


# --- worth ------------------------------------------------------------------------------------


@round_trips
@given(
    ends=st.tuples(FIGURES, FIGURES).map(sorted),
    change=FIGURES,
    ic=st.tuples(FIGURES, FIGURES),
    period=st.tuples(SESSIONS, SESSIONS),
    at=INSTANTS,
)
def test_the_worth_of_a_signal_comes_back_to_the_last_bit(
    long_lived_store, ends, change, ic, period, at
):
    worth = SignalWorth("quant", change, *ends, *ic)
    long_lived_store.worth.replace([worth], period, at)
    assert long_lived_store.worth.latest() == (WorthRow(worth, *period, at),)


def test_a_signal_that_was_never_present_has_no_correlation(store):
    store.worth.replace([SignalWorth("sentiment", 0.0, 0.0, 0.0, NAN, NAN)], PERIOD, NOW)
    (row,) = store.worth.latest()
    assert math.isnan(row.worth.ic_mean)
    assert math.isnan(row.worth.ic_t)
    assert not row.worth.is_distinguishable


def test_a_backtest_replaces_the_one_before_and_keeps_its_order(store):
    assert store.worth.latest() == ()
    names = ("rl", "quant", "market")
    rows = [SignalWorth(name, 0.1, 0.0, 0.2, 0.01, 1.0) for name in names]
    store.worth.replace([SignalWorth("momentum", 0.1, 0.0, 0.2, 0.01, 1.0)], PERIOD, NOW)
    store.worth.replace(rows, PERIOD, LATER)
    latest = store.worth.latest()
    assert [row.worth for row in latest] == rows
    assert {(row.first_session, row.last_session, row.recorded_at) for row in latest} == {
        (*PERIOD, LATER)
    }
    with pytest.raises(ValueError, match="constraint"):
        store.worth.replace([rows[0], rows[0]], PERIOD, LATER)
    assert store.worth.latest() == latest


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-0.2, -0.1, True),
        (0.1, 0.2, True),
        (-0.1, 0.1, False),
        (0.0, 0.1, False),
        (-0.1, 0.0, False),
        (0.0, 0.0, False),
    ],
)
def test_worth_is_told_from_none_where_the_interval_leaves_zero_out(low, high, told):
    assert SignalWorth("rl", -0.15, low, high, 0.0, 0.0).is_distinguishable is told


@pytest.mark.parametrize(("change", "low", "high"), [(NAN, 0, 1), (0, -math.inf, 1), (0, 1, 0)])
def test_a_worth_without_an_interval_is_none(change, low, high):
    with pytest.raises(ValueError, match=r"finite|interval"):
        SignalWorth("rl", change, low, high, 0.0, 0.0)


# --- validation of models ---------------------------------------------------------------------


@round_trips
@given(figures=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_a_model_was_judged_by_comes_back_to_the_last_bit(long_lived_store, figures):
    long_lived_store.models.record("ranker", "v1", NOW, NOW, figures)
    assert long_lived_store.models.all()[-1].validation == figures


def test_a_run_that_says_nothing_of_the_validation_leaves_that_of_the_same_version(store):
    store.models.record("ranker", "v1", NOW, NOW, {"rank_ic": 0.05})
    store.models.record("ranker", "v1", NOW, LATER)
    assert store.models.all() == (ModelRow("ranker", "v1", NOW, LATER, {"rank_ic": 0.05}),)
    store.models.record("ranker", "v2", NOW, LATER)
    assert store.models.all() == (ModelRow("ranker", "v2", NOW, LATER, {}),)
    store.models.record("ranker", "v2", NOW, LATER, {"rank_ic": 0.04})
    store.models.record("ranker", "v2", NOW, LATER, {})
    assert store.models.all() == (ModelRow("ranker", "v2", NOW, LATER, {}),)


def test_a_figure_that_is_none_is_refused(store):
    with pytest.raises(ValueError, match="JSON"):
        store.models.record("ranker", "v1", NOW, NOW, {"rank_ic": NAN})
    assert store.models.all() == ()


def test_models_noted_before_there_was_a_validation_stay(tmp_path):
    path = tmp_path / STORE_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(path, connection, now=NOW, chain=MIGRATIONS[:2])
        connection.execute(
            "INSERT INTO models VALUES ('ranker', 'v1', ?, ?)", (NOW.isoformat(), NOW.isoformat())
        )
    with Store.open(tmp_path, now=LATER) as store:
        assert store.backup.exists()
        assert store.models.all() == (ModelRow("ranker", "v1", NOW, NOW, {}),)
