from __future__ import annotations

import dataclasses
import io
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rich.cells import cell_len
from rich.console import Console

from swingtrader.core.result import BacktestResult
from swingtrader.reports.terminal import print_summary, sparkline
from swingtrader.reports.wording import (
    dollars,
    dsr_sentence,
    number,
    percent,
    probability,
    signal_worth,
)

MINUS = "\N{MINUS SIGN}"


def backtest(sessions: int = 300, **metrics) -> BacktestResult:
    growth = 1.0 + np.random.default_rng(1).normal(0.0004, 0.01, sessions)
    equity = 100_000.0 * np.cumprod(growth)
    half = np.full(sessions, 0.5)
    return BacktestResult(
        sessions=np.busday_offset("2015-01-02", np.arange(sessions), roll="forward"),
        equity_usd=equity,
        cash_usd=equity / 2,
        gross_exposure=half,
        benchmark_usd=equity,
        equal_weight_usd=equity,
        p_high_volatility=half,
        rank_ic=half / 10,
        fills=(),
        trades=(),
        metrics={
            "sessions": sessions,
            "n_trades": 600,
            "total_return": float(equity[-1] / 100_000 - 1),
            "cagr": 0.0432,
            "volatility_annual": 0.1119,
            "sharpe": 0.61,
            "sharpe_ci95": [-0.11, 1.31],
            "psr": 0.77,
            "dsr": 0.41,
            "trials": 12,
            "max_drawdown": -0.1823,
            "turnover_annual": 9.83,
            "hit_rate": 0.547,
            "payoff": 1.08,
            "exposure_mean": 0.593,
            "rank_ic_mean": 0.0213,
            "rank_ic_t": 1.37,
            "costs_usd": 1843.27,
            "benchmark": {
                "name": "SPY",
                "total_return": 0.98,
                "sharpe": 0.92,
                "max_drawdown": -0.19,
            },
            "equal_weight": {"total_return": 1.1, "sharpe": 0.95, "max_drawdown": -0.21},
            "leave_one_out": {
                "market": {"sharpe_change": 0.02, "return_change": 0.0},
                "quant": {"sharpe_change": -0.31, "return_change": -0.18},
                "rl": {"sharpe_change": 0.0, "return_change": 0.0},
            },
            "signal_worth": {
                signal: {
                    "sharpe_change_ci95": [0.0, 0.0],
                    "ic_mean": mean,
                    "ic_t": 60 * mean,
                    "ic_sessions": sessions,
                }
                for signal, mean, sessions in (
                    ("market", -0.004, 280),
                    ("quant", 0.021, 280),
                    ("rl", 0.0, 0),
                )
            },
            "absent_signals": ["rl"],
            "indistinguishable_signals": ["market"],
            "alpha_annual": -0.0043,
            "alpha_t": -0.19,
            "beta": 0.553,
            "beta_t": 61.2,
            **metrics,
        },
        caveats=(
            "Survivorship: every symbol is still listed, so the figures are flattered. " * 2,
        ),
        title="Default universe",
    )


def summary(result: BacktestResult, width: int = 100, encoding: str = "utf-8", **options) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        print_summary(result, Console(file=file, width=width, **options))
        file.flush()
        return raw.getvalue().decode(encoding)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [40, 60, 80, 95, 96, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_summary_keeps_to_the_terminal_and_to_100_columns(width, encoding):
    lines = summary(backtest(), width, encoding).splitlines()
    assert max(cell_len(line) for line in lines) <= min(width, 100)


@pytest.mark.parametrize(("width", "lines"), [(100, 40), (80, 48)])
def test_summary_fits_a_screen(width, lines):
    assert len(summary(backtest(), width).splitlines()) < lines


@pytest.mark.parametrize("width", [80, 100])
def test_every_figure_is_shown(width):
    text = words(summary(backtest(), width))
    for figure in (
        "+98.0%", "+110.0%", "0.61", "0.92", "0.95", f"{MINUS}18.2%", f"{MINUS}19.0%",
        f"Sharpe, 95% interval {MINUS}0.11 to 1.31", "PSR 0.77", "DSR of 12 trials 0.41",
        "CAGR +4.3%", "Volatility a year 11.2%", "Mean exposure 59.3%", "Fees $1,843",
        "Hit rate 54.7%", "Payoff 1.08", "Rank IC (t) +0.021 (1.4)",
        f"Alpha a year (t) {MINUS}0.4% ({MINUS}0.2)", "Beta (t) 0.55 (61.2)",
        "300 sessions", "600 round trips", "net of costs",
        f"quant +0.31, market {MINUS}0.02; never present: rl",
        "market: no worth that can be told from chance (95% interval) Rank IC",
        f"Rank IC of each signal (t): market {MINUS}0.004 ({MINUS}0.2), quant +0.021 (1.3)",
        "A DSR of 0.41 is no evidence of skill", "the figures are flattered",
    ):  # fmt: skip
        assert figure in text


def test_benchmarks_stand_beside_the_strategy_in_right_aligned_columns():
    lines = summary(backtest(), 80).splitlines()
    head = next(n for n, line in enumerate(lines) if "Equal weight" in line)
    ends = [
        [cell.end() for cell in re.finditer(r"\S+(?: \S+)*", line)][-3:]
        for line in lines[head : head + 4]
    ]
    assert ends == [ends[0]] * 4


def test_figures_move_beside_the_benchmarks_where_there_is_room():
    def shared(width):
        return [
            line
            for line in summary(backtest(), width).splitlines()
            if line.startswith("Total return") and "Sharpe, 95% interval" in line
        ]

    assert shared(96)
    assert not shared(95)


@pytest.mark.parametrize("result", [backtest(), backtest(1), backtest(n_trades=0)])
def test_a_terminal_without_unicode_gets_plain_characters(result):
    text = summary(result, encoding="ascii")
    assert text.isascii()
    assert "?" not in text
    assert "|" in text
    assert "#" in text


def test_what_an_encoding_cannot_say_becomes_a_question_mark():
    result = dataclasses.replace(backtest(), title="Börse 日経")
    assert summary(result, encoding="latin-1").startswith("Börse ??")


def test_a_pipe_gets_no_control_sequences():
    assert "\x1b" not in summary(backtest())


def test_without_colour_a_terminal_shows_the_same_text():
    styled = summary(backtest(), force_terminal=True, color_system="truecolor")
    plain = styled
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):  # bold, dim, reset: no colour at all
        plain = plain.replace(code, "")
    assert plain == summary(backtest())
    assert plain != styled


def test_text_from_data_is_neither_markup_nor_a_control_sequence():
    hostile = "[bold]x[/bold] [link=a]:warning: \x1b[31mred\x07\r\n[/]"
    result = dataclasses.replace(
        backtest(absent_signals=[hostile]), title=hostile, caveats=(hostile,)
    )
    text = summary(result, force_terminal=True, color_system=None)
    shown = "[bold]x[/bold] [link=a]:warning: [31mred [/]"
    assert words(text).count(words(shown)) == 3
    assert "\x1b[31m" not in text
    assert "\x07" not in text


def test_name_of_the_benchmark_is_neither_markup_nor_too_wide():
    benchmark = {"name": "[red]" * 9, "total_return": 0.0, "sharpe": 0.0, "max_drawdown": 0.0}
    text = summary(backtest(benchmark=benchmark), 80)
    assert "[red][red][red" in text


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (backtest(n_trades=0, hit_rate=0.0), "Hit rate no trades"),
        (backtest(n_trades=0), "No trade was made, so there is no skill to judge."),
        (backtest(1), "1 session ·"),
        (backtest(signal_worth={}), "Rank IC of each signal (t): not measured"),
        (backtest(trials=1), "DSR of 1 trial 0.41"),
        (backtest(payoff=1000.0), "Payoff no losses"),
        (
            dataclasses.replace(backtest(), rank_ic=np.full(300, np.nan)),
            "Rank IC (t) not measured",
        ),
        (backtest(absent_signals=["market", "quant", "rl"]), "none; never present: market, quant"),
        (
            dataclasses.replace(backtest(total_return=0.0), equity_usd=np.full(300, 1e5)),
            "Drawdown",
        ),
    ],
)
def test_what_is_missing_is_said(result, said):
    assert said in words(summary(result, 80))


def test_without_caveats_there_is_no_heading_for_them():
    assert "Caveats" in summary(backtest())
    assert "Caveats" not in summary(dataclasses.replace(backtest(), caveats=()))


@pytest.mark.parametrize(
    ("dsr", "trials", "sentence"),
    [
        (0.41, 12, "A DSR of 0.41 is no evidence of skill: the luckiest of 12 tries"),
        (0.9499, 12, "A DSR of 0.94 is no evidence of skill"),
        (0.95, 1_200, "A DSR of 0.95 is evidence of skill: the luckiest of 1,200 tries"),
        (0.5, 1, "A DSR of 0.50 is no evidence of skill: a single try"),
        (float("nan"), 1, "The DSR could not be measured"),
    ],
)
def test_dsr_is_put_into_a_plain_sentence(dsr, trials, sentence):
    said = dsr_sentence(backtest(dsr=dsr, trials=trials, alpha_t=2.1).metrics)
    assert said.startswith(sentence)
    assert said.endswith(".")


@pytest.mark.parametrize(("sessions", "alpha_t"), [(300, 1.9), (300, -1.1), (251, 5.0)])
def test_a_high_dsr_without_alpha_or_a_year_is_no_evidence(sessions, alpha_t):
    said = dsr_sentence(backtest(sessions, dsr=0.99, alpha_t=alpha_t).metrics)
    assert said.startswith("A DSR of 0.99 is no evidence of skill here")
    assert "holding cash" in said


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00"), (0.29, "0.29"), (0.949, "0.94"), (0.95, "0.95"), (1.0, "1.00")],
)
def test_probability_is_never_rounded_up(value, shown):
    assert probability(value) == shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.3412, signed=True), "+34.1%"),
        (percent(-0.3412), f"{MINUS}34.1%"),
        (percent(-0.0001, signed=True), "0.0%"),
        (percent(float("nan")), "n/a"),
        (number(1234.567), "1,234.57"),
        (number(-0.001, signed=True), "0.00"),
        (number(float("inf")), "n/a"),
        (dollars(1234.5), "$1,234"),
        (dollars(-1234.56, 2, signed=True), f"{MINUS}$1,234.56"),
        (dollars(12.0, signed=True), "+$12"),
        (dollars(float("nan")), "n/a"),
    ],
)
def test_figures_are_written_for_people(shown, expected):
    assert shown == expected


def test_worth_is_with_minus_without_and_absent_signals_come_last():
    worth = signal_worth(backtest().metrics)
    assert list(worth) == ["quant", "market", "rl"]
    assert worth["quant"] == (0.31, 0.18)


def test_sparkline_of_rising_values_climbs_one_step_a_column():
    assert sparkline(np.arange(8.0), 8, 1) == ["▁▂▃▄▅▆▇█"]
    assert sparkline(np.arange(16.0), 16, 2) == [
        "        ▁▂▃▄▅▆▇█",
        "▁▂▃▄▅▆▇█████████",
    ]
    assert sparkline(np.arange(6.0), 6, 2, " .:#") == ["   .:#", ".:####"]


def test_sparkline_shows_the_deepest_fall_of_a_crowded_column():
    values = np.ones(1_000)
    values[500] = 0.0
    (line,) = sparkline(values, 10, 1)
    assert line == "█████▁████"


def test_sparkline_of_equal_values_is_flat():
    assert sparkline(np.full(5, 3.0), 4, 2) == ["    ", "▁▁▁▁"]


@settings(deadline=None, derandomize=True)
@given(
    npst.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e9, 1e9, width=32)),
    st.integers(1, 90),
    st.integers(1, 6),
)
def test_sparkline_fills_its_box_and_no_column_is_empty(values, width, height):
    lines = sparkline(values, width, height)
    assert [len(line) for line in lines] == [width] * height
    assert " " not in lines[-1]
    for above, below in itertools.pairwise(lines):
        assert all(b == "█" for a, b in zip(above, below, strict=True) if a != " ")


def test_summary_needs_neither_matplotlib_nor_jinja2():
    code = (
        "import sys, swingtrader.reports.terminal\n"
        "print(sorted({'matplotlib', 'jinja2', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"
