"""``swingtrader backtest`` from the command line to the files, on a small synthetic market."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import fields, replace
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from swingtrader.adapters.calendar import session_opens
from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.core.market import Panel

CASH = 100_000.0
CENT = 0.005  # to the cent: less than half of one
FILES = {
    "decisions.parquet", "equity.csv", "fills.csv", "metrics.json", "report.html", "trades.csv",
}  # fmt: skip
SIGNALS = ("market", "quant", "rl", "sentiment", "momentum", "regime")
WEIGHTS = dict(zip(SIGNALS, (0.20, 0.30, 0.15, 0.10, 0.15, 0.10), strict=True))
COLUMNS = {
    "fills.csv": ["session", "symbol", "side", "qty", "price", "costs_usd", "reason"],
    "trades.csv": [
        "symbol", "entry_session", "exit_session", "qty", "entry_price", "exit_price", "pnl_usd",
        "return", "exit_reason",
    ],
    "equity.csv": ["session", "equity_usd", "cash_usd", "gross_exposure", "benchmark_usd"],
}  # fmt: skip
FIGURES = (
    "sessions", "n_trades", "total_return", "cagr", "volatility_annual", "sharpe", "sharpe_ci95",
    "psr", "dsr", "trials", "max_drawdown", "turnover_annual", "hit_rate", "payoff",
    "exposure_mean", "rank_ic_mean", "rank_ic_t", "costs_usd", "benchmark", "equal_weight",
    "leave_one_out", "signal_worth", "rl", "seed",
)  # fmt: skip


def fills_of(run):
    """Fills as (session, symbol, side, qty, price, costs, reason)."""
    return [
        (
            date.fromisoformat(row["session"]), row["symbol"], row["side"], int(row["qty"]),
            float(row["price"]), float(row["costs_usd"]), row["reason"],
        )
        for row in run.rows("fills.csv")
    ]  # fmt: skip


def decisions_of(run):
    return pq.read_table(run.out / "decisions.parquet")


def session_of(row, name="session"):
    return date.fromisoformat(row[name])


@pytest.fixture(scope="session")
def traded_days(finished):
    return [session_of(row) for row in finished.rows("equity.csv")]


@pytest.fixture(scope="session")
def thin(backtest_in, tmp_path_factory):
    """Trade so much that a session's volume rarely takes a whole position."""
    home = tmp_path_factory.mktemp("thin")
    (home / "thin.toml").write_text("[costs]\nparticipation = 0.0005\n")
    return backtest_in(home, "--cash", 1e9, before=("--config", home / "thin.toml"))


@pytest.fixture(scope="session", params=["finished", "thin"])
def any_run(request):
    return request.getfixturevalue(request.param)


# --- the files -------------------------------------------------------------------------------


def test_every_file_is_there_and_no_other(finished):
    assert set(finished.digests()) == FILES
    assert [path.name for path in finished.out.parent.iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize("name", COLUMNS)
def test_csv_columns_are_those_of_the_contract(finished, name):
    header, *lines = (finished.out / name).read_text(encoding="utf-8").splitlines()
    assert header.split(",") == COLUMNS[name]
    assert len(lines) > 20


def test_decisions_hold_every_symbol_of_every_session(finished, market, traded_days):
    table = decisions_of(finished)
    assert table.column_names == ["session", "symbol", *SIGNALS, "vote", "action", "reason"]
    rows = table.to_pylist()
    stocks = [s for s in market.panel.symbols if s not in {"SPY", "XLF", "XLK", "XLV"}]
    looked_at = [(row["session"], row["symbol"]) for row in rows]
    assert looked_at == [(day, stock) for day in traded_days for stock in stocks]
    assert {row["action"] for row in rows} == {"buy", "sell", "hold"}
    assert all(row["reason"] for row in rows)


def test_metrics_are_finite_numbers_under_every_name_of_the_contract(finished):
    metrics = finished.metrics
    assert {*FIGURES, "data_sha256", "config_sha256", "versions"} <= set(metrics)
    assert list(metrics["leave_one_out"]) == list(SIGNALS)
    for benchmark in ("benchmark", "equal_weight"):
        assert {"total_return", "sharpe", "max_drawdown"} <= set(metrics[benchmark])
    for name in ("data_sha256", "config_sha256"):
        assert len(bytes.fromhex(metrics[name])) == 32

    def check(value, name):
        if isinstance(value, dict):
            for key, item in value.items():
                check(item, f"{name}.{key}")
        elif isinstance(value, list):
            for item in value:
                check(item, name)
        elif not isinstance(value, str):
            assert isinstance(value, int | float), name
            assert math.isfinite(value), name

    check(metrics, "metrics")
    numbers = [metrics[name] for name in FIGURES if not isinstance(metrics[name], dict | list)]
    assert all(isinstance(number, int | float) for number in numbers)
    for changes in metrics["leave_one_out"].values():
        assert len(changes) == 2
        assert all(isinstance(change, float) for change in changes.values())


def test_the_report_stands_alone_and_names_the_caveats(finished):
    text = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "<svg" in text
    assert "Survivorship" in text
    assert "The rank IC rests on 56 sessions" in text  # 76, less the last 20
    assert "src=" not in text


# --- the figures agree with the fills and the bars -------------------------------------------


def recomputed_account(cash, fills, market, days):
    """Cash and positions' value at each close, from fills and bars alone."""
    held = defaultdict(int)
    account = []
    for day in days:
        for session, symbol, side, qty, price, costs, _ in fills:
            if session == day:
                sign = 1 if side == "buy" else -1
                cash -= sign * qty * price + costs
                held[symbol] += sign * qty
                assert held[symbol] >= 0
        value = sum(qty * market.bar(symbol, day)[3] for symbol, qty in held.items() if qty)
        account.append((cash, value))
    return account


def test_equity_can_be_recomputed_from_fills_and_bars_to_the_cent(any_run, market, traded_days):
    initial = any_run.metrics["initial_cash_usd"]
    account = recomputed_account(initial, fills_of(any_run), market, traded_days)
    for row, (cash, value) in zip(any_run.rows("equity.csv"), account, strict=True):
        assert float(row["cash_usd"]) == pytest.approx(cash, abs=CENT), row
        assert float(row["equity_usd"]) == pytest.approx(cash + value, abs=CENT), row
        exposure = value / (cash + value)
        assert float(row["gross_exposure"]) == pytest.approx(exposure, abs=1e-9), row
        assert cash >= 0
    assert any(value > 0 for _, value in account)


def test_the_benchmark_is_the_cash_held_in_spy(finished, market, traded_days):
    before = market.days[market.days.index(traded_days[0]) - 1]
    start = market.bar("SPY", before)[3]
    for day, row in zip(traded_days, finished.rows("equity.csv"), strict=True):
        worth = CASH * market.bar("SPY", day)[3] / start
        assert float(row["benchmark_usd"]) == pytest.approx(worth, abs=CENT)


def test_trades_are_the_fills_paired(any_run):
    open_trips, trips = {}, []
    for session, symbol, side, qty, price, costs, reason in fills_of(any_run):
        trip = open_trips.setdefault(
            symbol, {"entry": session, "bought": 0, "paid": 0.0, "sold": 0, "received": 0.0}
        )
        if side == "buy":
            trip["bought"], trip["paid"] = trip["bought"] + qty, trip["paid"] + qty * price + costs
            continue
        trip["sold"], trip["received"] = trip["sold"] + qty, trip["received"] + qty * price
        trip["fees"] = trip.get("fees", 0.0) + costs
        if trip["sold"] == trip["bought"]:
            trips.append((symbol, session, reason, open_trips.pop(symbol)))
    for row, (symbol, exit_session, reason, trip) in zip(
        any_run.rows("trades.csv"), trips, strict=True
    ):
        assert (row["symbol"], row["exit_reason"]) == (symbol, reason)
        assert session_of(row, "entry_session") == trip["entry"]
        assert session_of(row, "exit_session") == exit_session
        qty, pnl = trip["bought"], trip["received"] - trip["fees"] - trip["paid"]
        assert int(row["qty"]) == qty
        assert float(row["entry_price"]) == pytest.approx(trip["paid"] / qty, abs=1e-9)
        assert float(row["exit_price"]) == pytest.approx(trip["received"] / qty, abs=1e-9)
        assert float(row["pnl_usd"]) == pytest.approx(pnl, abs=1e-6)
        assert float(row["return"]) == pytest.approx(pnl / trip["paid"], abs=1e-9)


def test_a_position_too_large_for_a_session_is_sold_over_several(thin):
    sales = [fill[:2] for fill in fills_of(thin) if fill[2] == "sell"]
    assert len(sales) == len(set(sales))
    assert len(sales) > 1.2 * len(thin.rows("trades.csv"))


def test_fills_lie_in_their_bar_and_cost_half_spread_and_slippage(any_run, market):
    grid, rounding = 1e-4 + 1e-9, 1e-9  # booked in hundredths of a cent
    for session, symbol, side, qty, price, costs, reason in fills_of(any_run):
        open_, high, low, _ = market.bar(symbol, session)
        assert qty > 0
        if side == "buy":
            assert reason == "entry_vote"
            assert costs == 0
            assert -rounding <= price - open_ * 1.0005 <= grid
        else:
            assert costs > 0
            assert low * 0.9995 - grid <= price <= high * 0.9995 + rounding
        if reason in {"vote", "missed_scans", "stagnant"}:  # decided before the open
            assert -grid <= price - open_ * 0.9995 <= rounding


def test_figures_agree_with_the_files(finished, traded_days):
    metrics, trades = finished.metrics, finished.rows("trades.csv")
    curve = [CASH, *(float(row["equity_usd"]) for row in finished.rows("equity.csv"))]
    peaks = np.maximum.accumulate(curve)
    pnl = [float(row["pnl_usd"]) for row in trades]
    exposure = [float(row["gross_exposure"]) for row in finished.rows("equity.csv")]
    fills = fills_of(finished)
    assert metrics["sessions"] == len(traded_days) == 76
    assert (metrics["first_session"], metrics["last_session"]) == (
        traded_days[0].isoformat(),
        traded_days[-1].isoformat(),
    )
    assert metrics["n_trades"] == len(trades) > 20
    assert metrics["total_return"] == pytest.approx(curve[-1] / CASH - 1, abs=1e-12)
    assert metrics["max_drawdown"] == pytest.approx((curve / peaks - 1).min(), abs=1e-12)
    assert metrics["hit_rate"] == pytest.approx(np.mean(np.array(pnl) > 0), abs=1e-12)
    assert metrics["costs_usd"] == pytest.approx(sum(fill[5] for fill in fills), abs=1e-9)
    assert metrics["costs_usd"] > 0
    assert metrics["exposure_mean"] == pytest.approx(np.mean(exposure), abs=1e-12)
    assert metrics["trials"] == 1
    assert metrics["seed"] == 0


def test_the_vote_is_the_mean_of_the_present_signals_by_weight(finished):
    for row in decisions_of(finished).to_pylist():
        present = [name for name in SIGNALS if row[name] is not None]
        assert all(-1 <= row[name] <= 1 for name in present)
        weight = sum(WEIGHTS[name] for name in present)
        vote = sum(WEIGHTS[name] * row[name] for name in present) / weight
        assert row["vote"] == pytest.approx(vote, abs=1e-9)
        if row["action"] == "buy":
            assert row["vote"] >= 0.2
            assert row["quant"] > 2 * (0.40 - 0.5)  # p above 0.40
            assert weight >= 0.5


def test_every_fill_was_decided_on_for_the_reason_it_gives(any_run):
    decided = {
        (row["session"], row["symbol"]): (row["action"], row["reason"])
        for row in decisions_of(any_run).to_pylist()
    }
    fills = fills_of(any_run)
    for session, symbol, side, *_, reason in fills:
        assert decided[session, symbol] == (side, reason)
    acted = [key for key, (action, _) in decided.items() if action != "hold"]
    assert sorted(acted) == sorted({(fill[0], fill[1]) for fill in fills})


def test_stocks_the_universe_does_not_know_are_traded_without_a_sector(finished):
    strangers = ("ZZA", "ZZB", "ZZC", "ZZD")
    assert any(fill[1] in strangers for fill in fills_of(finished))
    for row in decisions_of(finished).to_pylist():
        assert (row["market"] is None) == (row["symbol"] in strangers)
        assert row["rl"] is None
        assert row["sentiment"] is None


# --- the same question, the same answer ------------------------------------------------------


def cached_models(directory):
    """Name and inode of every cached model; a model trained anew is a new file."""
    return {(path.name, path.stat().st_ino) for path in directory.glob("walk-forward/*")}


def test_a_second_run_trains_nothing_counts_no_trial_and_writes_the_same_bytes(
    backtest, finished, tmp_path
):
    shutil.copytree(finished.state_dir, tmp_path / "state")
    before = cached_models(finished.models_dir)
    again = backtest()
    assert cached_models(finished.models_dir) == before
    assert again.digests() == finished.digests()


def test_models_trained_anew_give_the_same_bytes(backtest, tmp_path):
    late = ("--start", "2016-08-11")
    cached = backtest(*late)
    anew = backtest(*late, out="anew", state="another", models=tmp_path / "models")
    assert cached_models(anew.models_dir)
    assert anew.digests() == cached.digests()


def test_order_and_format_of_the_file_change_nothing(backtest, finished, market, tmp_path):
    table = pq.read_table(market.path)
    table = table.append_column("note", pa.array(["extra"] * table.num_rows))
    order = np.random.default_rng(1).permutation(table.num_rows)
    shuffled = table.take(order).set_column(
        0, "symbol", pc.cast(table["symbol"].take(order), pa.string())
    )
    pa.csv.write_csv(shuffled.select(shuffled.column_names[::-1]), tmp_path / "bars.csv")
    pq.write_table(shuffled, tmp_path / "bars.parquet")
    for name in ("bars.csv", "bars.parquet"):
        run = backtest("--bars", tmp_path / name, out=f"of {name}", state=f"state of {name}")
        for file in (*COLUMNS, "metrics.json", "decisions.parquet"):
            assert run.digests()[file] == finished.digests()[file], (name, file)


def test_cash_sets_the_size_of_everything(backtest, finished):
    rich = backtest("--cash", 3 * CASH)
    assert rich.metrics["initial_cash_usd"] == 3 * CASH
    (day, symbol, side, qty, *_) = fills_of(finished)[0]
    assert fills_of(rich)[0][:3] == (day, symbol, side)
    assert 3 * qty <= fills_of(rich)[0][3] <= 3 * qty + 2  # whole shares, rounded down


def test_the_seed_is_said_and_draws_the_interval(backtest):
    runs = [backtest("--start", "2016-08-11", "--seed", n, out=f"{n}") for n in (0, 7)]
    assert [run.metrics["seed"] for run in runs] == [0, 7]
    assert [run.metrics["trials"] for run in runs] == [1, 2]
    assert runs[0].metrics["sharpe_ci95"] != runs[1].metrics["sharpe_ci95"]


# --- the ledger of trials --------------------------------------------------------------------


def test_every_configuration_tried_counts_once(backtest, tmp_path):
    (tmp_path / "mine.toml").write_text("[vote]\nbuy_at = 0.25\n")
    late = ("--start", "2016-08-18")
    trials = [
        backtest(*late, *options, before=before).metrics["trials"]
        for options, before in (
            ((), ()),
            ((), ()),  # the same again
            ((), ("--config", tmp_path / "mine.toml")),
            (("--end", "2016-08-18"), ()),
            ((), ()),
        )
    ]
    assert trials == [1, 1, 2, 3, 3]
    assert backtest(*late, state="another").metrics["trials"] == 1


def test_a_refused_run_is_no_trial(backtest, tmp_path):
    late = ("--start", "2016-08-18")
    assert backtest(*late, "--news", tmp_path / "none").outcome.code == 65
    assert backtest(*late).metrics["trials"] == 1


# --- damage ----------------------------------------------------------------------------------


def test_a_damaged_model_is_trained_anew_with_a_warning(backtest, models_dir, tmp_path):
    late = ("--start", "2016-08-11")
    sound = backtest(*late, models=tmp_path / "models", out="sound")
    assert sound.outcome.warnings == []
    (largest, *_) = sorted(
        (tmp_path / "models" / "walk-forward").iterdir(), key=lambda path: -path.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    mended = backtest(*late, models=tmp_path / "models", out="mended", state="other")
    (warning,) = mended.outcome.warnings
    assert "models.damaged files=1" in warning.replace("  ", " ")
    assert mended.digests() == sound.digests()
    assert largest.read_bytes() == (models_dir / "walk-forward" / largest.name).read_bytes()


def test_a_damaged_database_is_moved_aside_and_said(backtest, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / STORE_NAME).write_bytes(b"no database" * 1000)
    run = backtest("--start", "2016-08-18")
    assert run.metrics["trials"] == 1
    (aside,) = (tmp_path / "state").glob(f"{STORE_NAME}.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    (warning,) = run.outcome.warnings
    assert aside.name in warning


def test_an_interrupt_while_training_leaves_no_trace_and_the_earlier_report(
    backtest, finished, market, tmp_path
):
    shutil.copytree(finished.out, tmp_path / "report")
    program = (  # a shell may have told us to ignore interrupts, and children inherit that
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from swingtrader.cli import main; main()"
    )
    for out in ("report", "new"):
        with subprocess.Popen(
            [
                sys.executable, "-c", program, "--state-dir", str(tmp_path / "state"),
                "--models-dir", str(tmp_path / "models"), "backtest", "--bars", str(market.path),
                "--out", str(tmp_path / out),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:  # fmt: skip
            said = process.stderr.readline()
            assert "Training models" in said
            process.send_signal(signal.SIGINT)
            out_text, err = process.communicate()
        assert process.returncode == 130
        assert out_text == ""
        assert err == "swingtrader: interrupted; nothing was left half-written\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"report", "state", "models"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES
    assert replace(finished, out=tmp_path / "report").digests() == finished.digests()
    assert backtest("--start", "2016-08-18").metrics["trials"] == 1


# --- data that cannot be used ----------------------------------------------------------------


def test_bars_that_cannot_be_used_exit_65(backtest, market, bars_file, tmp_path):
    table = pq.read_table(market.path)
    pq.write_table(table.drop_columns(["volume"]), tmp_path / "column.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "rows.parquet")
    (tmp_path / "damaged.parquet").write_bytes(market.path.read_bytes()[:-100])
    (tmp_path / "empty.csv").touch()
    short = bars_file(market.panel.rows(0, 300))
    context = bars_file(market.panel.select(["SPY", "XLK"]))
    for path, said in (
        (tmp_path / "none.parquet", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "column.parquet", "has no column volume"),
        (tmp_path / "rows.parquet", "no rows"),
        (tmp_path / "damaged.parquet", "cannot be read"),
        (tmp_path / "empty.csv", "is empty"),
        (short, "its 300 sessions are too few"),
        (context, "no symbol that may be traded"),
    ):
        run = backtest("--bars", path)
        line = run.outcome.refusal(65)
        assert f"{path}: " in line
        assert said in line
        assert not run.out.exists()


def test_a_period_without_bars_or_without_history_exits_65(backtest, market, traded_days):
    for options, said in (
        (("--start", "2030-01-01"), "no session to trade"),
        (("--end", "2010-01-01"), "no session to trade"),
        (("--start", "2016-08-13", "--end", "2016-08-14"), "no session to trade"),  # a weekend
        (("--start", "2015-06-01"), "too little history before 2015-06-01"),
    ):
        line = backtest(*options).outcome.refusal(65)
        assert said in line
        assert traded_days[0].isoformat() in line
    assert market.days[-1] == traded_days[-1]


def test_other_files_that_cannot_be_used_exit_65(backtest, tmp_path):
    (tmp_path / "news.csv").write_text("ts,headline\n2016-08-01T12:00Z,Apple beats\n")
    (tmp_path / "intraday.csv").write_text("symbol,ts,open,high,low,close\n")
    for option, name, said in (
        ("--news", "none.csv", "cannot be read"),
        ("--news", "news.csv", "has no column symbols"),
        ("--intraday", "none.csv", "cannot be read"),
        ("--intraday", "intraday.csv", "has no column volume"),
    ):
        line = backtest(option, tmp_path / name).outcome.refusal(65)
        assert f"{tmp_path / name}: " in line
        assert said in line


# --- other markets ---------------------------------------------------------------------------


def test_start_and_end_bound_the_sessions_traded(backtest, finished, traded_days):
    first, last = traded_days[40], traded_days[49]
    sunday = first - timedelta(days=first.weekday() + 1)
    run = backtest("--start", first, "--end", last)
    assert [session_of(row) for row in run.rows("equity.csv")] == traded_days[40:50]
    weekend = backtest("--start", sunday, "--end", sunday + timedelta(days=6), out="week")
    week = [day for day in traded_days if sunday < day < sunday + timedelta(days=6)]
    assert [session_of(row) for row in weekend.rows("equity.csv")] == week
    assert run.metrics["data_sha256"] == finished.metrics["data_sha256"]


def test_bars_without_spy_run_against_the_equal_weighted_universe(backtest, market, bars_file):
    others = [symbol for symbol in market.panel.symbols if symbol != "SPY"]
    run = backtest("--start", "2016-08-11", "--bars", bars_file(market.panel.select(others)))
    assert run.outcome.code == 0
    benchmark = {k: v for k, v in run.metrics["benchmark"].items() if k != "name"}
    assert benchmark == pytest.approx(run.metrics["equal_weight"], abs=1e-12)
    assert "SPY is not in the file" in (run.out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("symbols", [("AAPL",), ("AAPL", "MSFT", "SPY", "ZZA")])
def test_bars_of_too_few_stocks_to_rank_run_without_a_trade(backtest, market, bars_file, symbols):
    bars = bars_file(market.panel.select(symbols))
    run = backtest("--bars", bars, "--start", "2016-07-25", "--json")
    assert run.outcome.code == 0
    assert run.metrics["n_trades"] == 0
    assert run.metrics["total_return"] == 0.0
    assert run.rows("fills.csv") == []
    assert all(float(row["equity_usd"]) == CASH for row in run.rows("equity.csv"))
    assert any("fewer than 4 stocks" in line for line in run.outcome.warnings)
    assert "quant" in run.metrics["absent_signals"]
    assert backtest("--bars", bars, out="all").metrics["sessions"] > 100


def test_a_universe_of_the_command_line_restricts_what_is_traded(backtest, tmp_path):
    listed = {"AAPL", "MSFT", "CRM", "ORCL", "JPM", "LLY"}
    sector = f'[[sector]]\nname = "Few"\nstocks = {sorted(listed)}\n'
    (tmp_path / "few.toml").write_text(sector)
    run = backtest("--start", "2016-08-11", "--universe", tmp_path / "few.toml")
    assert run.outcome.code == 0
    assert set(decisions_of(run)["symbol"].to_pylist()) == listed
    assert all(row["market"] is not None for row in decisions_of(run).to_pylist())


def test_a_position_that_stops_trading_is_closed_at_its_last_close(
    backtest, finished, market, bars_file
):
    trade = next(
        row
        for row in finished.rows("trades.csv")
        if market.days.index(session_of(row, "exit_session"))
        >= market.days.index(session_of(row, "entry_session")) + 3
    )
    symbol, entry = trade["symbol"], market.days.index(session_of(trade, "entry_session"))
    column = market.panel.column(symbol)
    last = entry + 1
    gone = bars_file(_changed(market.panel, last + 1, lambda values, _: _blanked(values, column)))
    run = backtest("--bars", gone, "--end", market.days[last + 3])
    assert run.outcome.code == 0
    sales = [fill for fill in fills_of(run) if fill[1] == symbol and fill[0] > market.days[entry]]
    (session, _, side, qty, price, costs, reason) = sales[0]
    assert (session, side, reason) == (market.days[last + 1], "sell", "delisted")
    assert (qty, price, costs) == (int(trade["qty"]), market.bar(symbol, market.days[last])[3], 0)
    assert len(sales) == 1


# --- no look-ahead ---------------------------------------------------------------------------


def _changed(panel, first, change):
    """Panel with every field changed from row `first` on: change(values (T', N), name)."""
    names = [field.name for field in fields(Panel)[2:]]
    new = {name: getattr(panel, name).copy() for name in names}
    for name in names:
        new[name][first:] = change(new[name][first:], name)
    return Panel(panel.sessions, panel.symbols, **new)


def _blanked(values, column):
    values = values.copy()
    values[:, column] = np.nan
    return values


def _noise(panel, first):
    """Panel whose bars from row `first` on are another market's."""
    rng = np.random.default_rng(first)
    shape = (len(panel.sessions) - first, len(panel.symbols))
    close = panel.close[first - 1] * np.exp(np.cumsum(rng.normal(0, 0.05, shape), axis=0))
    new = {
        "open": close * np.exp(rng.normal(0, 0.01, shape)),
        "close": close,
        "volume": rng.integers(10**5, 10**8, shape).astype(float),
    }
    new["high"] = np.maximum(new["open"], close) * np.exp(rng.uniform(0, 0.02, shape))
    new["low"] = np.minimum(new["open"], close) * np.exp(-rng.uniform(0, 0.02, shape))
    return _changed(panel, first, lambda _, name: new[name])


@pytest.mark.parametrize("number", [11, 40])  # within and at the end of a week
def test_noise_after_a_day_changes_nothing_until_then(
    backtest, finished, market, bars_file, traded_days, number
):
    day = traded_days[number]
    after = market.days.index(day) + 1
    noisy = backtest("--bars", bars_file(_noise(market.panel, after)), "--end", after_a_week(day))
    assert noisy.outcome.code == 0
    for name in ("fills.csv", "equity.csv"):
        until = noisy.lines_until(name, day)
        assert until == finished.lines_until(name, day)
        assert len(until) > 5
        assert len(noisy.rows(name)) > len(until)
    old, new = (
        [row for row in decisions_of(run).to_pylist() if row["session"] <= day]
        for run in (finished, noisy)
    )
    assert new == old


def after_a_week(day):
    return day + timedelta(days=8)


def test_a_session_is_decided_before_its_own_bar_is_known(backtest, finished, market, bars_file):
    buys = {fill[0]: fill for fill in fills_of(finished) if fill[2] == "buy"}
    day = list(buys)[10]
    row = market.days.index(day)

    def rewritten(values, name):
        factor = {"high": 1.4, "low": 0.7, "close": 0.8}.get(name, 1.0)  # all but the open
        return np.vstack([values[:1] * factor, values[1:]])

    bars = bars_file(_changed(market.panel, row, rewritten))
    run = backtest("--bars", bars, "--start", day, "--end", day)
    plain = backtest("--start", day, "--end", day, out="plain")
    known = ["symbol", *SIGNALS, "vote"]
    assert decisions_of(run).select(known).equals(decisions_of(plain).select(known))
    bought, honest = ([f for f in fills_of(r) if f[2] == "buy"] for r in (run, plain))
    assert bought == honest
    assert bought
    assert run.metrics["total_return"] != plain.metrics["total_return"]


def test_a_file_that_ends_on_a_day_gives_the_same_until_then(
    backtest, finished, market, bars_file, traded_days
):
    day = traded_days[40]
    cut = bars_file(market.panel.rows(0, market.days.index(day) + 1))
    run = backtest("--bars", cut)
    for name in ("fills.csv", "equity.csv"):
        assert run.lines_until(name, date.max) == finished.lines_until(name, day)


def test_a_stock_listed_later_changes_nothing_before(
    backtest, finished, market, bars_file, traded_days
):
    day = traded_days[40]
    after = market.days.index(day) + 1
    listed = np.arange(len(market.days))[:, None] >= after
    names = [field.name for field in fields(Panel)[2:]]
    wider = Panel(
        market.panel.sessions,
        ("AAA", *market.panel.symbols),
        *(
            np.hstack([np.where(listed, values[:, :1], np.nan), values])
            for values in (getattr(market.panel, name) for name in names)
        ),
    )
    run = backtest("--bars", bars_file(wider), "--end", after_a_week(day))
    assert "AAA" in decisions_of(run)["symbol"].to_pylist()
    for name in ("fills.csv", "equity.csv"):
        assert run.lines_until(name, day) == finished.lines_until(name, day)


# --- headlines and intraday bars -------------------------------------------------------------


@pytest.fixture
def news(market, tmp_path):
    """Two good headlines about AAPL and one about MSFT, on one evening; return file and day."""
    day = market.days[-5]
    evening = datetime.combine(market.days[-6], time(22), tzinfo=UTC).isoformat()
    lines = [
        "ts,symbols,headline",
        f"{evening},AAPL,Apple beats estimates",
        f"{evening},AAPL MSFT,Everybody beats everybody",
    ]
    (tmp_path / "news.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "news.csv", day


def test_without_a_model_sentiment_is_absent_and_that_is_said(backtest, news):
    path, _ = news
    run = backtest("--start", "2016-08-11", "--news", path)
    (warning,) = run.outcome.warnings
    assert "no sentiment model is installed" in warning
    assert str(run.models_dir / "finbert") in warning
    assert set(decisions_of(run)["sentiment"].to_pylist()) == {None}
    assert run.metrics["absent_signals"] == ["rl", "sentiment"]


def test_with_a_model_sentiment_enters_the_decisions(
    backtest, news, install_finbert, models_dir, tmp_path
):
    path, day = news
    shutil.copytree(models_dir, tmp_path / "models")
    install_finbert(tmp_path / "models")
    run = backtest("--start", "2016-08-11", "--news", path, models=tmp_path / "models")
    assert run.outcome.warnings == []
    rows = decisions_of(run).to_pylist()
    seen = {(r["session"], r["symbol"]): r["sentiment"] for r in rows if r["sentiment"]}
    assert {symbol for _, symbol in seen} == {"AAPL"}  # one headline is no view on MSFT
    assert min(session for session, _ in seen) == day  # and none before it was out
    beats = (math.exp(2) - 1) / (math.exp(2) + 2)
    assert seen[day, "AAPL"] == pytest.approx(beats, abs=1e-6)
    assert run.metrics["absent_signals"] == ["rl"]
    assert len(bytes.fromhex(run.metrics["news_sha256"])) == 32
    # Every headline has its score by now: a second run needs no classifier to say the same.
    (tmp_path / "models" / "finbert" / "two-words" / "model.onnx").unlink()
    again = backtest("--start", "2016-08-11", "--news", path, models=tmp_path / "models")
    assert again.outcome.code == 0
    assert again.digests() == run.digests()


def test_intraday_bars_are_replayed_at_their_prices(
    backtest, finished, market, traded_days, tmp_path
):
    trade = next(
        row
        for row in finished.rows("trades.csv")
        if traded_days.index(session_of(row, "exit_session"))
        > traded_days.index(session_of(row, "entry_session")) + 1
    )
    held = trade["symbol"]
    day = traded_days[traded_days.index(session_of(trade, "entry_session")) + 1]
    opened = session_opens(np.array([day], dtype="datetime64[D]"))[0].item()
    lines = ["symbol,ts,open,high,low,close,volume"]
    for minute in range(0, 390, 5):
        stamp = (opened + timedelta(minutes=minute)).isoformat() + "Z"
        for symbol in market.panel.symbols:
            # Nothing moves all day, but what is held falls through its stop at 10:05.
            price = round(market.bar(symbol, day)[0], 2)
            if symbol == held:
                price = float(trade["entry_price"]) * (0.8 if minute >= 35 else 1.0)
            lines.append(f"{symbol},{stamp},{price},{price},{price},{price},1000")
    (tmp_path / "intraday.csv").write_text("\n".join(lines) + "\n")
    run = backtest("--intraday", tmp_path / "intraday.csv", "--end", day)
    assert run.outcome.code == 0
    before = traded_days[traded_days.index(day) - 1]
    assert run.lines_until("fills.csv", before) == finished.lines_until("fills.csv", before)
    (sale,) = [f for f in fills_of(run) if f[:3] == (day, held, "sell")]
    _, _, _, qty, price, _, reason = sale
    assert qty == int(trade["qty"])
    assert reason in {"stop_loss", "trailing_stop"}
    assert price == pytest.approx(0.8 * float(trade["entry_price"]) * 0.9995, abs=2e-4)
    assert len(bytes.fromhex(run.metrics["intraday_sha256"])) == 32


def test_intraday_bars_on_another_split_basis_are_refused(backtest, market, traded_days, tmp_path):
    day, symbol = traded_days[3], market.panel.symbols[0]
    opened = session_opens(np.array([day], dtype="datetime64[D]"))[0].item()
    price = market.bar(symbol, day)[0] / 7
    (tmp_path / "intraday.csv").write_text(
        "symbol,ts,open,high,low,close,volume\n"
        f"{symbol},{opened.isoformat()}Z,{price},{price},{price},{price},1000\n"
    )
    run = backtest("--intraday", tmp_path / "intraday.csv")
    refusal = run.outcome.refusal(65)
    assert f"{symbol} {day}" in refusal
    assert "adjust both files for the same splits" in refusal


def test_costs_assumed_are_in_the_metrics_and_the_report(finished, backtest):
    assert finished.metrics["assumed"] == {
        "half_spread_bps": 2.0, "slippage_bps": 3.0, "participation": 0.025,
    }  # fmt: skip
    free = backtest("--half-spread-bps", 0, "--slippage-bps", 0)
    page = (free.out / "report.html").read_text(encoding="utf-8")
    assert "No spread and no slippage were assumed" in page


# --- what each signal was worth --------------------------------------------------------------


def test_the_rank_ic_of_each_signal_can_be_recomputed_from_decisions_and_bars(finished, market):
    rows = decisions_of(finished).to_pylist()
    days = market.days
    measured = {name: [] for name in SIGNALS}
    last = max(row["session"] for row in rows)
    for day in sorted({row["session"] for row in rows}):
        begin = days.index(day) - 1  # known at the close before, where the return begins
        if days[min(begin + 21, len(days) - 1)] > last or begin + 21 >= len(days):
            continue
        for name in SIGNALS:
            pairs = [
                (row[name], market.bar(row["symbol"], days[begin + 21])[3]
                 / market.bar(row["symbol"], days[begin])[3])
                for row in rows
                if row["session"] == day and row[name] is not None
            ]  # fmt: skip
            if len(pairs) >= 5 and len({value for value, _ in pairs}) > 1:
                measured[name].append(spearmanr(*zip(*pairs, strict=True)).statistic)
    for name, ics in measured.items():
        figures = finished.metrics["signal_worth"][name]
        assert figures["ic_sessions"] == len(ics)
        assert figures["ic_mean"] == pytest.approx(np.mean(ics) if ics else 0.0, abs=1e-12)
    assert len(measured["quant"]) == 56
    quant = finished.metrics["signal_worth"]["quant"]
    assert quant["ic_mean"] == pytest.approx(finished.metrics["rank_ic_mean"], abs=1e-12)
    assert quant["ic_t"] == pytest.approx(finished.metrics["rank_ic_t"], abs=1e-9)


def test_sentiment_is_judged_from_the_opening_price_that_knows_the_night(
    backtest, finished, market, install_finbert, tmp_path
):
    shutil.copytree(finished.models_dir, tmp_path / "models")
    install_finbert(tmp_path / "models")
    days = market.days
    evening = datetime.combine(days[-26], time(22), tzinfo=UTC).isoformat()
    words = {"AAPL": "beats", "MSFT": "misses", "CRM": "beats misses", "JPM": "beats beats"}
    words |= {"BAC": "misses misses", "LLY": "quiet"}
    lines = [f"{evening},{s},{text} {n}" for s, text in words.items() for n in ("one", "two")]
    (tmp_path / "news.csv").write_text("\n".join(["ts,symbols,headline", *lines]) + "\n")
    run = backtest(
        "--start", days[-26], "--news", tmp_path / "news.csv", models=tmp_path / "models"
    )
    ics = []
    for begin in range(len(days) - 25, len(days) - 20):
        rows = [row for row in decisions_of(run).to_pylist() if row["session"] == days[begin]]
        pairs = [
            (row["sentiment"], market.bar(row["symbol"], days[begin + 20])[3]
             / market.bar(row["symbol"], days[begin])[0])
            for row in rows
            if row["sentiment"] is not None
        ]  # fmt: skip
        if pairs:
            ics.append(spearmanr(*zip(*pairs, strict=True)).statistic)
    figures = run.metrics["signal_worth"]["sentiment"]
    assert figures["ic_sessions"] == len(ics) > 0
    assert figures["ic_mean"] == pytest.approx(np.mean(ics), abs=1e-12)


def test_the_signals_that_chance_would_explain_are_named_wherever_the_result_is(
    backtest, finished
):
    metrics = finished.metrics
    absent, named = metrics["absent_signals"], metrics["indistinguishable_signals"]
    for name, figures in metrics["signal_worth"].items():
        low, high = figures["sharpe_change_ci95"]
        assert low <= high
        assert (name in named) == (low <= 0.0 <= high and name not in absent)
    assert named
    said = f"{', '.join(named)}: no worth that can be told from chance"
    assert said in (finished.out / "report.html").read_text(encoding="utf-8")
    short = backtest("--start", "2016-08-11")
    names = ", ".join(short.metrics["indistinguishable_signals"])
    assert f"{names}: no worth" in " ".join(short.outcome.out.split())


def test_the_worth_of_every_signal_is_on_record_for_the_status(finished):
    with Store.open(finished.state_dir, now=datetime(2030, 1, 1, tzinfo=UTC)) as store:
        rows = store.worth.latest()
    metrics = finished.metrics
    assert [row.worth.signal for row in rows] == list(SIGNALS)
    for row in rows:
        worth, figures = row.worth, metrics["signal_worth"][row.worth.signal]
        change = metrics["leave_one_out"][worth.signal]["sharpe_change"]
        assert (worth.sharpe_change, [worth.low, worth.high]) == (
            change, figures["sharpe_change_ci95"],
        )  # fmt: skip
        if figures["ic_sessions"]:
            assert (worth.ic_mean, worth.ic_t) == (figures["ic_mean"], figures["ic_t"])
        else:
            assert math.isnan(worth.ic_mean)
        assert (str(row.first_session), str(row.last_session)) == (
            metrics["first_session"], metrics["last_session"],
        )  # fmt: skip


# --- agents ----------------------------------------------------------------------------------


def test_without_agents_none_are_counted(finished):
    assert finished.metrics["rl_mode"] == "off"
    assert finished.metrics["rl"] == {
        "trainings": 0, "sessions_heard": 0.0, "held_back_sharpe": {},
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["walk-forward", "frozen"])
def test_too_little_history_for_agents_is_said_once_and_trades_as_without_them(
    backtest, finished, mode
):
    run = backtest("--rl", mode)
    (warning,) = run.outcome.warnings
    assert "agents.absent" in warning
    assert "training agents needs 378" in warning
    assert run.digests()["fills.csv"] == finished.digests()["fills.csv"]
    assert run.metrics["rl_mode"] == mode
    assert run.metrics["absent_signals"] == ["rl", "sentiment"]
    text = (run.out / "report.html").read_text(encoding="utf-8")
    assert f"Without a view of the agents from {finished.metrics['first_session']}" in text
    assert ("The agents were trained once" in text) == (mode == "frozen")


def test_a_short_trial_does_not_widen_the_spread_of_the_others(backtest, finished):
    alone = finished.metrics["dsr"]
    backtest("--end", finished.rows("equity.csv")[1]["session"])
    after = backtest()
    assert after.metrics["trials"] == 2
    # Two trials instead of one deflate it; a Sharpe ratio of two sessions must not do more.
    assert after.metrics["dsr"] > alone / 10
