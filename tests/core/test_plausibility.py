"""Which bars may train: each poison is refused wherever it strikes, and no real market is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.bars import read_bars
from swingtrader.core.bar_reference import REFERENCE_SESSIONS
from swingtrader.core.plausibility import DoubtKind, Reference, doubts_about, reference_of
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

PRICES = ("open", "high", "low", "close")
BARS = (*PRICES, "volume")
NAN = np.nan

SECTORS = {
    "One": ("XLA", ("AAA", "AAB", "AAC", "AAD")),
    "Two": ("XLB", ("BBA", "BBB", "BBC")),
    "Three": ("XLC", ("CCA", "CCB", "CCC", "CCD", "CCE")),
}
WEEKDAYS = np.busday_offset("2016-01-04", np.arange(1700), roll="forward")
T = 440


def market_of(seed, length=T, **parameters):
    return simulate_market(SyntheticMarket(WEEKDAYS[:length], SECTORS, seed=seed, **parameters))


@pytest.fixture(scope="module")
def market():
    return market_of(7, late_listings=1, persistence=0.3)


@pytest.fixture(scope="module")
def reference(market):
    return reference_of(market.rows(0, T - 21))


def changed(panel, change, fields=BARS):
    """Panel of which `change` has written into a copy of each of the fields."""

    def written(field):
        values = getattr(panel, field).copy()
        change(values)
        return values

    return replace(panel, **{field: written(field) for field in fields})


def multiplied(panel, symbol, factor, rows=slice(None), fields=PRICES):
    def change(values):
        values[rows, panel.column(symbol)] *= factor

    return changed(panel, change, fields)


def judged(panel, reference=None):
    """Kinds of the doubts that forbid to train, by sentence."""
    doubts = doubts_about(panel, panel.sessions[-1].item(), reference)
    return {doubt.kind: doubt.sentence for doubt in doubts if doubt.fatal}


# Markets that may train --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_market_with_listings_and_delistings_raises_no_doubt(seed):
    length = 1700 if seed % 4 == 0 else 412
    panel = market_of(seed, length, persistence=0.3 * (seed % 2), delistings=seed % 3)
    before = reference_of(panel.rows(0, length - 63))
    assert doubts_about(panel, panel.sessions[-1].item(), before) == ()


SHARED = Path(__file__).parents[3] / "shared" / "data" / "bars.parquet"


@pytest.fixture(scope="module")
def real_bars():
    if not SHARED.exists():
        pytest.skip(f"{SHARED.name} with real bars is absent")
    return read_bars(SHARED).panel


@pytest.mark.parametrize("year", [2012, 2014, 2016, 2019])
def test_a_year_end_of_the_real_market_raises_no_doubt(real_bars, year):
    years = real_bars.sessions.astype("datetime64[Y]").astype(int) + 1970
    before, end = np.searchsorted(years, [year, year + 1])
    panel = real_bars.rows(0, int(end))
    then = reference_of(real_bars.rows(0, int(before)))
    assert doubts_about(panel, panel.sessions[-1].item(), then) == ()


def test_symbols_of_indices_are_not_looked_at(market, reference):
    added = {f: np.column_stack([getattr(market, f), np.full(T, 0.0)]) for f in BARS}
    panel = replace(market, symbols=(*market.symbols, "^VIX"), **added)
    assert judged(panel, reference) == {}
    assert "^VIX" not in reference_of(panel).symbols


# One poison of each kind -------------------------------------------------------------------------


def without_end(panel):
    return panel.rows(0, T - 1)


def test_bars_that_end_before_the_last_session_are_stale(market):
    (doubt,) = doubts_about(without_end(market), market.sessions[-1].item())
    assert (doubt.kind, doubt.fatal) == (DoubtKind.STALE, True)
    assert str(market.sessions[-2]) in doubt.sentence
    assert str(market.sessions[-1]) in doubt.sentence


def test_bars_that_go_on_after_the_last_session_are_refused(market):
    (doubt,) = doubts_about(market, market.sessions[-2].item())
    assert (doubt.kind, doubt.fatal) == (DoubtKind.AHEAD, True)


@pytest.mark.parametrize("kept", [0, 1, 20, 335])
def test_a_history_too_short_to_train_on_is_refused(market, kept):
    panel = market.rows(T - kept, T)
    assert DoubtKind.SHORT in {d.kind for d in doubts_about(panel, market.sessions[-1].item())}


@pytest.mark.parametrize("symbols", [(), ("AAA",), ("AAA", "AAB", "BBA")])
def test_a_market_of_too_few_symbols_is_refused(market, symbols):
    assert DoubtKind.SHORT in judged(market.select(symbols))


def test_one_symbol_may_go_at_any_time(market, reference):
    def delist(values):
        values[T - 5 :, market.column("BBB")] = NAN

    assert judged(changed(market, delist), reference) == {}


def test_a_cross_section_that_shrinks_at_once_is_refused(market):
    def delist(values):
        values[T - 5 :, :5] = NAN

    assert set(judged(changed(market, delist))) == {DoubtKind.SHRUNK}


def test_a_file_that_lost_symbols_since_the_last_promotion_is_refused(market, reference):
    fewer = market.select(market.symbols[:9])
    assert judged(fewer) == {}
    assert set(judged(fewer, reference)) == {DoubtKind.SHRUNK}


def test_a_universe_made_smaller_on_purpose_is_compared_with_its_own_part(market, reference):
    fewer = market.select(market.symbols[:9])
    part = reference.among(fewer.symbols)
    assert part.n_listed == len(part.symbols) == 9
    assert judged(fewer, part) == {}


def test_gaps_all_over_the_market_are_refused(market):
    rng = np.random.default_rng(1)
    lost = rng.random(market.close.shape) < 0.1
    lost[-1] = False

    def lose(values):
        values[lost] = NAN

    assert set(judged(changed(market, lose))) == {DoubtKind.MISSING}


def test_gaps_of_one_symbol_are_told_and_train(market):
    def lose(values):
        values[200:240, market.column("BBB")] = NAN

    doubts = doubts_about(changed(market, lose), market.sessions[-1].item())
    assert [(d.kind, d.fatal) for d in doubts] == [(DoubtKind.MISSING, False)]
    assert "BBB" in doubts[0].sentence


def test_a_field_without_values_counts_as_missing(market):
    def lose(values):
        values[300:400] = NAN

    assert set(judged(changed(market, lose, ("volume",)))) == {DoubtKind.MISSING}


@pytest.mark.parametrize("symbols", [slice(3, 4), slice(None)], ids=["one symbol", "all"])
def test_closes_that_do_not_move_for_weeks_are_refused(market, symbols):
    def stop(values):
        values[300:311, symbols] = market.close[299, symbols]

    assert set(judged(changed(market, stop, PRICES))) == {DoubtKind.CONSTANT}


def test_closes_that_do_not_move_for_a_week_are_not(market):
    def stop(values):
        values[300:305, 3] = market.close[299, 3]

    assert judged(changed(market, stop, PRICES)) == {}


@pytest.mark.parametrize("symbols", [slice(3, 4), slice(None)], ids=["one symbol", "all"])
def test_a_year_without_volume_is_refused(market, symbols):
    def idle(values):
        values[100:352, symbols] = 0.0

    assert set(judged(changed(market, idle, ("volume",)))) == {DoubtKind.ZERO_VOLUME}


def test_a_week_without_volume_is_not(market):
    def idle(values):
        values[100:105, 3] = 0.0

    assert judged(changed(market, idle, ("volume",))) == {}


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_prices_that_are_none_are_refused(market, price):
    def write(values):
        values[100:352, 3] = price

    assert DoubtKind.IMPOSSIBLE in judged(changed(market, write, PRICES))


def test_closes_of_other_sessions_than_their_bars_are_refused(market):
    def delay(values):
        values[1:] = values[:-1].copy()

    assert DoubtKind.IMPOSSIBLE in judged(changed(market, delay, ("close",)))


@pytest.mark.parametrize("factor", [1000.0, 1 / 1000, 6.0, 1 / 6])
def test_a_price_that_changes_its_unit_is_refused(market, factor):
    found = judged(multiplied(market, "BBB", factor, slice(200, None)))
    assert DoubtKind.JUMPS in found
    assert "BBB (last on " in found[DoubtKind.JUMPS]


def test_a_single_bar_in_another_unit_is_refused(market):
    assert set(judged(multiplied(market, "BBB", 1000.0, slice(200, 201), ("high",)))) == {
        DoubtKind.JUMPS
    }


@pytest.mark.parametrize("factor", [0.35, 1.6, 2.5])
def test_a_stock_may_fall_by_two_thirds_or_double_overnight(market, factor):
    assert judged(multiplied(market, "BBB", factor, slice(200, None))) == {}


def test_a_jump_across_a_gap_is_seen(market):
    def suspend(values):
        values[195:200, market.column("BBB")] = NAN

    panel = changed(multiplied(market, "BBB", 1000.0, slice(200, None)), suspend)
    assert DoubtKind.JUMPS in judged(panel)


@pytest.mark.parametrize("symbol", ["AAA", "BBB", "CCC", "XLA", "SPY"])
def test_a_whole_history_times_a_thousand_is_no_security(market, symbol):
    found = judged(multiplied(market, symbol, 1000.0))
    assert set(found) == {DoubtKind.SCALED}
    assert symbol in found[DoubtKind.SCALED]


@pytest.mark.parametrize(("shares", "refused"), [(5e3, False), (5e5, True)])
def test_a_dear_security_is_one_that_few_shares_are_traded_of(market, shares, refused):
    def trade(values):
        values[:, market.column("BBB")] = shares

    dear = multiplied(market, "BBB", 30_000.0 / market.close[-1, market.column("BBB")])
    assert (DoubtKind.SCALED in judged(changed(dear, trade, ("volume",)))) is refused


@pytest.mark.parametrize("factor", [1 / 1000, 60.0])
def test_a_whole_history_in_a_unit_no_split_makes_is_seen_by_the_reference(
    market, reference, factor
):
    found = judged(multiplied(market, "BBB", factor), reference)
    assert "BBB by " in found[DoubtKind.SCALED]


@pytest.mark.parametrize("factor", [1 / 20, 1 / 4, 2 / 3, 2.0, 10.0])
def test_a_history_restated_for_a_split_is_not(market, reference, factor):
    panel = multiplied(market, "BBB", factor)
    rounded = changed(panel, lambda values: np.round(values, 2, out=values), PRICES)
    assert judged(rounded, reference) == {}


def test_restated_prices_of_cents_are_known_again_in_spite_of_their_rounding(market, reference):
    cheap = int(np.argmin(reference.closes[-1]))
    symbol = reference.symbols[cheap]
    panel = multiplied(market, symbol, 0.5 / reference.closes[-1, cheap])
    rounded = changed(panel, lambda values: np.round(values, 2, out=values), PRICES)
    told = doubts_about(rounded, market.sessions[-1].item(), reference)
    assert DoubtKind.SHIFTED not in {doubt.kind for doubt in told}


def test_rows_of_other_symbols_are_refused(market):
    rng = np.random.default_rng(5)
    order = np.array([rng.permutation(len(market.symbols)) for _ in range(T)])

    def mix(values):
        values[300:] = np.take_along_axis(values, order, axis=1)[300:]

    assert DoubtKind.MIXED in judged(changed(market, mix))


def test_columns_of_other_symbols_are_refused_by_the_reference(market, reference):
    def swap(values):
        values[:] = np.roll(values, 1, axis=1)

    assert DoubtKind.SHIFTED in judged(changed(market, swap), reference)


def test_sessions_out_of_order_are_refused(market):
    order = np.random.default_rng(5).permutation(T)

    def mix(values):
        values[:] = values[order]

    assert DoubtKind.MIXED in judged(changed(market, mix))


def test_sessions_out_of_order_in_one_quarter_are_seen_by_their_nights(market):
    order = np.append(np.arange(T - 63), T - 63 + np.random.default_rng(5).permutation(63))

    def mix(values):
        values[:] = values[order]

    found = judged(changed(market, mix))
    assert set(found) == {DoubtKind.MIXED}
    assert "by night" in found[DoubtKind.MIXED]


def test_a_crash_of_everything_together_is_not(market):
    def crash(values):
        values[300:] *= 0.7

    assert judged(changed(market, crash, PRICES)) == {}


@pytest.mark.parametrize("late", [1, 2, 5])
def test_bars_that_are_late_by_sessions_are_refused_by_the_reference(market, reference, late):
    def delay(values):
        values[late:] = values[:-late].copy()

    panel = changed(market, delay)
    assert judged(panel) == {}
    assert set(judged(panel, reference)) == {DoubtKind.SHIFTED}


def test_a_corrected_close_is_no_other_history(market, reference):
    last = slice(T - 23, T - 22)
    assert doubts_about(
        multiplied(market, "BBB", 1.02, last), market.sessions[-1].item(), reference
    ) == ()  # fmt: skip


def test_other_closes_of_one_symbol_are_told_and_train(market, reference):
    def alter(values):
        values[T - 31 :, market.column("BBB")] *= np.linspace(1.0, 1.2, 31)

    doubts = doubts_about(changed(market, alter, PRICES), market.sessions[-1].item(), reference)
    assert [(d.kind, d.fatal) for d in doubts] == [(DoubtKind.SHIFTED, False)]
    assert "BBB" in doubts[0].sentence


def test_a_history_that_lacks_the_remembered_sessions_is_refused(market):
    then = reference_of(market.rows(0, 100))
    assert set(judged(market.rows(100, T), then)) == {DoubtKind.SHIFTED}


def test_a_sentence_names_three_symbols_and_counts_the_rest(market):
    def idle(values):
        values[100:352] = 0.0

    sentence = judged(changed(market, idle, ("volume",)))[DoubtKind.ZERO_VOLUME]
    assert sentence.count("last on") == 3
    assert "and 13 more; pull" in sentence


# The same poisons wherever they strike -----------------------------------------------------------


def poisoned(panel, kind, rng):
    """The panel with one poison whose place and size were drawn."""
    start = int(rng.integers(0, T - 252))
    year = slice(start, start + 252)
    symbol = panel.symbols[rng.integers(len(panel.symbols))]
    n = panel.column(symbol)

    def write(values):
        if kind == "shifted":
            values[late:] = values[:-late].copy()
        elif kind == "constant":
            values[max(start, first + 1) : start + 252, n] = values[max(start, first), n]
        elif kind == "holes":
            values[holes] = NAN
        elif kind == "shuffled":
            values[year] = values[year][:, order]
        else:
            values[year, n] = 0.0

    late = int(rng.integers(1, 10))
    holes = rng.random(panel.close.shape) < 0.15
    first = panel.first_bar[n]
    order = rng.permutation(len(panel.symbols))
    if kind == "times 1,000":
        return multiplied(panel, symbol, 1000.0, slice(int(rng.integers(0, T)), None))
    if kind == "year times 1,000":
        return multiplied(panel, symbol, 1000.0, year)
    return changed(panel, write, {"no volume": ("volume",), "constant": PRICES}.get(kind, BARS))


@pytest.mark.parametrize(
    ("kind", "trials"),
    [
        ("times 1,000", 100),
        ("year times 1,000", 25),
        ("zeros", 100),
        ("no volume", 25),
        ("constant", 25),
        ("holes", 25),
        ("shifted", 25),
        ("shuffled", 100),
    ],
)
def test_no_poison_trains_in_any_trial(market, reference, kind, trials):
    rngs = [np.random.default_rng(seed) for seed in range(trials)]
    trained = [
        seed for seed, rng in enumerate(rngs)
        if not judged(poisoned(market, kind, rng), reference)
    ]  # fmt: skip
    assert trained == []


# The reference -----------------------------------------------------------------------------------


def test_a_reference_holds_the_closes_of_the_last_sessions(market):
    reference = reference_of(market)
    assert reference.symbols == market.symbols
    np.testing.assert_array_equal(reference.sessions, market.sessions[-REFERENCE_SESSIONS:])
    np.testing.assert_array_equal(reference.closes, market.close[-REFERENCE_SESSIONS:])


def test_a_reference_can_not_be_written_to(reference):
    with pytest.raises(ValueError, match="read-only"):
        reference.closes[0, 0] = 1.0


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    closes=st.lists(
        st.lists(st.floats(0.01, 1e6) | st.just(NAN), min_size=2, max_size=2),
        min_size=1,
        max_size=10,
    )
)
def test_a_reference_survives_being_stored(closes):
    stored = Reference(("A", "B.C"), WEEKDAYS[: len(closes)], np.array(closes))
    found = Reference.from_bytes(stored.to_bytes())
    assert found.symbols == stored.symbols
    np.testing.assert_array_equal(found.sessions, stored.sessions)
    np.testing.assert_array_equal(found.closes, stored.closes)
    assert found.to_bytes() == stored.to_bytes()


@pytest.mark.parametrize("keep", [0, 10, 300, -1])
def test_a_damaged_reference_is_refused(reference, keep):
    with pytest.raises(ValueError, match="reference of bars"):
        Reference.from_bytes(reference.to_bytes()[:keep])


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (3,)])
def test_a_reference_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="closes have shape"):
        Reference(("A", "B"), WEEKDAYS[: shape[0]], np.ones(shape))


# Properties --------------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=8)
@given(factor=st.floats(0.2, 5.0), seed=st.integers(0, 1000))
def test_prices_in_another_currency_are_judged_alike(market, factor, seed):
    panel = poisoned(market, "times 1,000", np.random.default_rng(seed))

    def convert(values):
        values *= factor

    kinds, converted = judged(panel), judged(changed(panel, convert, PRICES))
    assert kinds.keys() - {DoubtKind.SCALED} == converted.keys() - {DoubtKind.SCALED}
