from __future__ import annotations

import dataclasses
import re
from datetime import date, timedelta
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from swingtrader.core.result import BacktestResult, RoundTrip
from swingtrader.reports import charts
from swingtrader.reports.html import DEFINITIONS, rank_ic_by_month, render_report, shade

MINUS = "\N{MINUS SIGN}"
HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "br", "img", "link", "hr", "input"}
CONTRACT = [
    "sessions",
    "n_trades",
    "total_return",
    "cagr",
    "volatility_annual",
    "sharpe",
    "sharpe_ci95",
    "psr",
    "dsr",
    "trials",
    "max_drawdown",
    "turnover_annual",
    "hit_rate",
    "payoff",
    "exposure_mean",
    "rank_ic_mean",
    "rank_ic_t",
    "costs_usd",
    "benchmark",
    "equal_weight",
    "leave_one_out",
    "signal_worth",
    "absent_signals",
    "indistinguishable_signals",
    "rl_mode",
    "rl",
    "alpha_annual",
    "alpha_t",
    "beta",
    "beta_t",
    "data_sha256",
    "config_sha256",
    "seed",
    "versions",
]


def round_trip(n: int, **changes) -> RoundTrip:
    entry = date(2015, 1, 2) + timedelta(days=n % 1500)
    trade = RoundTrip(
        symbol=f"SYM{n}",
        entry_session=entry,
        exit_session=entry + timedelta(days=7),
        qty=10 + n,
        entry_price=100.0,
        exit_price=100.0 + n % 7 - 3,
        pnl_usd=10.0 * (n % 7 - 3),
        simple_return=0.01 * (n % 7 - 3),
        exit_reason="trailing_stop",
    )
    return dataclasses.replace(trade, **changes)


def ranked(low: float, high: float, mean: float, t: float, sessions: int) -> dict:
    return {
        "sharpe_change_ci95": [low, high],
        "ic_mean": mean,
        "ic_t": t,
        "ic_sessions": sessions,
    }


def backtest(sessions: int = 140, trades: int = 12, **metrics) -> BacktestResult:
    rng = np.random.default_rng(1)
    days = np.busday_offset("2015-01-02", np.arange(sessions), roll="forward")
    strategy, benchmark, equal = 100_000.0 * np.cumprod(
        1.0 + rng.normal(0.0004, 0.01, (3, sessions)), axis=1
    )
    rank_ic = rng.normal(0.02, 0.1, sessions)
    rank_ic[-21:] = np.nan
    half = np.full(sessions, 0.5)
    measures = {"total_return": 0.08, "sharpe": 0.66, "max_drawdown": -0.39}
    return BacktestResult(
        sessions=days,
        equity_usd=strategy,
        cash_usd=strategy / 2,
        gross_exposure=half,
        benchmark_usd=benchmark,
        equal_weight_usd=equal,
        p_high_volatility=half,
        rank_ic=rank_ic,
        fills=(),
        trades=tuple(round_trip(n) for n in range(trades)),
        metrics={
            **dict.fromkeys(CONTRACT, 0.125),
            "sessions": sessions,
            "n_trades": trades,
            "total_return": float(strategy[-1] / 100_000 - 1),
            "sharpe_ci95": [-0.71, 0.72],
            "psr": 0.31,
            "dsr": 0.41,
            "trials": 12,
            "benchmark": {"name": "SPY", **measures},
            "equal_weight": {**measures, "total_return": 0.228},
            "leave_one_out": {
                "quant": {"sharpe_change": -0.31, "return_change": -0.18},
                "rl": {"sharpe_change": 0.0, "return_change": 0.0},
                "sentiment": {"sharpe_change": 0.04, "return_change": 0.013},
            },
            "signal_worth": {
                "quant": ranked(-0.52, -0.11, 0.021, 2.4, 119),
                "rl": ranked(0.0, 0.0, 0.0, 0.0, 0),
                "sentiment": ranked(-0.2, 0.31, 0.012, 0.3, 42),
            },
            "absent_signals": ["rl"],
            "indistinguishable_signals": ["sentiment"],
            "rl_mode": "off",
            "rl": {"trainings": 0, "sessions_heard": 0.0, "held_back_sharpe": {}},
            "data_sha256": "9f" * 32,
            "config_sha256": "a3" * 32,
            "seed": 0,
            "versions": {"numpy": "2.4.6"},
            **metrics,
        },
        caveats=("Survivorship flatters this.", "No news was given."),
        title="Default universe",
    )


class Page(HTMLParser):
    """Collects what a browser would act on, and fails where tags do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Open an element."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note what a tag asks for."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note what is shown."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All text, words apart by one space."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def report() -> str:
    return render_report(backtest())


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report)


def test_report_loads_nothing_from_anywhere(report, page):
    assert "http://" not in report
    assert "https://" not in report
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name == "src" or name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert set(re.findall(r"url\((.)", report)) == {"#"}
    assert "@import" not in report


def test_every_id_is_unique_and_every_reference_resolves(report, page):
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', report)) <= set(ids)


def test_same_result_gives_the_same_bytes_whatever_the_settings_of_matplotlib(report):
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.linewidth": 9}):
        assert render_report(backtest()) == report


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    charts.trade_return_chart(np.array([0.1]))
    assert dict(mpl.rcParams) == before


def test_contract_metrics_each_have_a_definition():
    assert set(DEFINITIONS) == set(CONTRACT)


def test_every_metric_is_named_valued_and_defined(page):
    for name in CONTRACT:
        assert f" {name} " in page.text
        assert DEFINITIONS[name] in page.text
    for value in ("9f" * 32, "a3" * 32, "numpy: 2.4.6", "-0.71, 0.72", "sharpe_change -0.31"):
        assert value in page.text


def test_every_trade_is_listed(page):
    for trade in backtest().trades:
        row = f"{trade.symbol} {trade.entry_session} {trade.exit_session} {trade.qty} 100.00"
        assert row in page.text


def test_of_more_than_two_thousand_trades_the_last_are_listed_and_it_says_so():
    text = Page(render_report(backtest(30, 2_003))).text
    assert "The last 2,000 of 2,003 round trips; trades.csv has them all." in text
    assert " SYM2 2015" not in text
    assert " SYM3 2015" in text
    assert " SYM2002 20" in text


def test_the_honest_things_come_before_the_first_chart(report):
    before = Page(
        report[: report.index("<h2>Equity")].rsplit("<section", 1)[0] + "</main></body></html>"
    ).text
    for words in (
        "where SPY returned +8.0% and the equal-weighted universe +22.8%",
        f"95% interval {MINUS}0.71 to 0.72",
        "A DSR of 0.41 is no evidence of skill",
        "counting 12 trials",
        "Survivorship flatters this.",
        "No news was given.",
    ):
        assert words in before


def test_all_charts_are_there_and_name_what_they_show(page):
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert len(labels) == 1 + 7  # the cards, then the charts
    for words in (
        "Equity (USD)",
        "Below the peak (%)",
        "Sharpe ratio (annualised)",
        "Invested (%)",
        "P(high vol.) (%)",
        "Rank IC (Spearman)",
        "Trades",
    ):
        assert words in page.text


def test_text_from_data_is_shown_and_never_obeyed():
    result = backtest(30, 1)
    metrics = {
        **result.metrics,
        HOSTILE: HOSTILE,
        "absent_signals": [HOSTILE],
        "benchmark": {**result.metrics["benchmark"], "name": HOSTILE},
        "leave_one_out": {HOSTILE: {"sharpe_change": 0.1, "return_change": 0.1}},
        "signal_worth": {HOSTILE: ranked(0.0, 0.2, 0.1, 1.0, 9)},
        "indistinguishable_signals": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
    }
    trade = round_trip(0, symbol=HOSTILE, exit_reason=HOSTILE)
    page = Page(
        render_report(
            dataclasses.replace(
                result, metrics=metrics, trades=(trade,), caveats=(HOSTILE,), title=HOSTILE
            )
        )
    )
    assert "script" not in page.tags
    assert f"{HOSTILE} 2015-01-02" in page.text
    assert "trailing_stop" not in page.text
    assert page.text.count(HOSTILE) >= 10


@pytest.mark.parametrize("name", ["$x_{$", "日経平均", "a\nb", "\x1b[31m", "&amp;", ""])
def test_any_name_of_a_benchmark_can_be_drawn(name):
    sessions = np.array(["2015-01-02", "2015-01-05"], dtype="datetime64[D]")
    Page(charts.drawdown_chart(sessions, {name: np.array([0.0, -0.1])}))


NOTHING_HAPPENED = dataclasses.replace(
    backtest(trades=0, total_return=0.0, absent_signals=["quant", "rl", "sentiment"]),
    equity_usd=np.full(140, 1e5),
    gross_exposure=np.zeros(140),
    rank_ic=np.full(140, np.nan),
    p_high_volatility=np.full(140, np.nan),
    caveats=(),
)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        pytest.param(
            NOTHING_HAPPENED,
            (
                "$100,000 to $100,000",
                "No trade was made.",
                "there is no skill to judge",
                "hit rate no trades",
                "Not measured: no 21-session forward return was realised.",
                "no regime was known",
                "Never present: quant, rl, sentiment.",
                "None was recorded.",
            ),
            id="nothing happened",
        ),
        pytest.param(
            backtest(sessions=1, trades=0),
            ("1 session · 0 round trips", "Needs 126 sessions; this run has 1."),
            id="one session",
        ),
        pytest.param(
            backtest(sessions=125, trades=1, leave_one_out={}, payoff=1000.0),
            ("this run has 125.", "No signal was left out.", "payoff no losses"),
            id="half a year",
        ),
    ],
)
def test_what_is_missing_is_said(result, said):
    text = Page(render_report(result)).text
    for words in said:
        assert words in text


def test_every_signal_has_its_worth_its_interval_and_its_rank_ic_side_by_side():
    table = Page(render_report(backtest())).text.partition("Signal Sharpe ratio 95% interval")[2]
    for row in (
        "quant +0.31 +0.11 to +0.52 helped +0.021 2.4 119",
        f"sentiment {MINUS}0.04 {MINUS}0.31 to +0.20 not to be told from chance +0.012 0.3 42",
        "rl never present not measured 0",
    ):
        assert row in table


def test_signals_without_a_worth_that_can_be_told_from_chance_are_named():
    said = "sentiment: no worth that can be told from chance"
    assert said in Page(render_report(backtest())).text
    certain = Page(render_report(backtest(indistinguishable_signals=[]))).text
    assert "no worth that can be told" not in certain
    assert "did harm +0.012" in certain


@pytest.mark.parametrize(("dsr", "evidence"), [(0.949, False), (0.95, True)])
def test_verdict_is_marked_as_evidence_from_a_dsr_of_95_percent(dsr, evidence):
    assert (
        'class="panel verdict evidence"' in render_report(backtest(30, 1, dsr=dsr))
    ) == evidence


def test_signal_that_helped_has_positive_worth_and_an_absent_one_a_word(page):
    svg = charts.signal_worth_chart({"quant": (0.31, 0.18), "rl": (0.0, 0.0)}, ["rl"])
    assert ">+0.31<" in svg
    assert ">+18.0%<" in svg
    assert svg.count(">never present<") == 2
    assert f"+0.31 {MINUS}0.04 never present" in page.text


@pytest.fixture(scope="module")
def three_sessions() -> str:
    """Starting cash 100; the text of the page."""
    result = dataclasses.replace(
        backtest(3, 0, total_return=0.21),
        sessions=np.array(["2015-01-30", "2015-02-27", "2016-01-29"], dtype="datetime64[D]"),
        equity_usd=np.array([110.0, 132.0, 121.0]),
        benchmark_usd=np.array([95.0, 90.0, 90.0]),
        equal_weight_usd=np.array([100.0, 100.0, 101.0]),
    )
    return Page(render_report(result)).text


def test_years_compound_their_months(three_sessions):
    assert f"2015 +10.0 +20.0 +32.0 {MINUS}10.0 0.0" in three_sessions
    assert f"2016 {MINUS}8.3 {MINUS}8.3 0.0 +1.0" in three_sessions


def test_curves_end_where_the_accounts_do_and_drawdown_counts_from_the_starting_cash(
    three_sessions,
):
    for label in ("Strategy $121", "SPY $90", "Equal weight $101"):
        assert label in three_sessions
    for label in (f"Strategy {MINUS}8.3%", f"SPY {MINUS}10.0%", f"{MINUS}8.3% on 2016-01-29"):
        assert label in three_sessions


@pytest.mark.parametrize(
    ("fraction", "css"),
    [
        (0.0, ""),
        (float("nan"), ""),
        (0.004, "gain-1"),
        (0.02, "gain-2"),
        (-0.05, "loss-3"),
        (-0.5, "loss-4"),
    ],
)
def test_shade_grows_with_the_return(fraction, css):
    assert shade(fraction) == css


def test_rank_ic_of_a_month_is_the_mean_of_its_known_sessions():
    sessions = ["2015-01-29", "2015-01-30", "2015-02-02", "2015-02-03", "2015-04-01"]
    months, ic = rank_ic_by_month(
        np.array(sessions, dtype="datetime64[D]"), np.array([0.1, 0.3, np.nan, 0.5, np.nan])
    )
    assert months.astype(str).tolist() == ["2015-01", "2015-02", "2015-04"]
    np.testing.assert_allclose(ic, [0.2, 0.5, np.nan], rtol=1e-12)


def test_no_session_of_seven_years_is_left_out_of_a_line():
    sessions = np.busday_offset("2013-01-02", np.arange(1_760), roll="forward")
    svg = charts.equity_chart(sessions, {"Strategy": np.linspace(1e5, 2e5, 1_760)})
    longest = max(re.findall(r' d="([^"]*)"', svg), key=len)
    assert longest.count("M") + longest.count("L") == 1_760


@pytest.mark.parametrize(("highest", "logarithmic"), [(290_000.0, False), (310_000.0, True)])
def test_equity_axis_is_logarithmic_over_a_wide_range(highest, logarithmic):
    sessions = np.busday_offset("2013-01-02", np.arange(50), roll="forward")
    svg = charts.equity_chart(sessions, {"Strategy": np.linspace(1e5, highest, 50)})
    assert ("log scale" in svg) == logarithmic


@pytest.mark.parametrize("last", [1.5e5, 0.5e5])
def test_labels_of_curves_that_end_together_neither_overlap_nor_leave_the_chart(last):
    sessions = np.busday_offset("2013-01-02", np.arange(50), roll="forward")
    line = np.linspace(1e5, last, 50)
    svg = charts.equity_chart(sessions, {"One": line, "Two": line, "Three": line})
    at = re.findall(rf'translate\([\d.]+ ([\d.]+)\)">\${last:,.0f}<', svg)
    heights = sorted(float(y) for y in at)
    assert len(heights) == 3
    assert min(np.diff(heights)) > 20  # points; two lines of text are about 20 high
    assert heights[0] > 20
    assert heights[-1] < 3.6 * 72 - 15


@settings(deadline=None, derandomize=True, max_examples=10)
@given(
    npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1, 10, allow_subnormal=False))
)
def test_any_trade_returns_can_be_drawn(returns):
    svg = charts.trade_return_chart(returns)
    Page(svg)
    assert "median" in svg


def test_seven_years_and_800_trades_stay_below_two_megabytes():
    assert len(render_report(backtest(1_760, 800)).encode()) < 2_000_000
