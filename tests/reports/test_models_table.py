from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from swingtrader.reports.models_table import print_models, validation_words

MINUS = "\N{MINUS SIGN}"


def row(family, version, state, **changes):
    return {
        "family": family,
        "version": version,
        "state": state,
        "created_at": "2026-11-08T11:00:00+00:00",
        "age_days": 15.2,
        "training_sessions": ["2025-05-01", "2026-10-08"],
        "validation": {"rank_ic": 0.0491, "rank_ic_t": 2.13, "sessions": 126.0},
        "source": None,
        "size_mb": 0.84,
        "damage": None,
        **changes,
    }


REPORT = {
    "command": "models list",
    "path": "models",
    "models": [
        row(
            "finbert", "f-4556d130", "serving", training_sessions=None, age_days=200.0,
            source="ProsusAI/finbert", validation={"agreement": 0.99}, size_mb=110.4,
        ),
        row("ranker", "20261108-3f2a", "promoted", damage="ranker.npz: is not the file"),
        row("ranker", "20261101-77c1", "serving", validation={}),
        row(
            "ranker", "20260101-aaaa", "installed", age_days=None, training_sessions=None,
            validation={}, damage="manifest.json: cannot be read",
        ),
    ],
    "warnings": ["models/ranker/20261108-3f2a/ranker.npz: is not the file that was installed"],
}  # fmt: skip


def shown(report, width=100):
    file = io.StringIO()
    print_models(report, Console(file=file, width=width))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_table_keeps_to_the_terminal_and_to_100_columns(width):
    assert max(cell_len(line) for line in shown(REPORT, width).splitlines()) <= min(width, 100)


def test_each_version_is_a_line_and_what_is_wrong_comes_last():
    lines = shown(REPORT).splitlines()
    assert lines[0].split() == [
        "Model", "Version", "State", "Age", "Trained", "on", "Validation", "MB", "Files",
    ]  # fmt: skip
    text = "\n".join(lines)
    for words in ("200.0 days", "ProsusAI/finbert", "110.4", "damaged", "intact", "n/a"):
        assert words in text
    assert lines[-2].endswith("that was installed")
    assert lines[-1] == "- ranker 20260101-aaaa: manifest.json: cannot be read"
    assert text.count("ranker.npz: is not the file") == 1


@pytest.mark.parametrize("width", [80, 100])
def test_a_version_can_be_copied_from_one_line(width):
    text = shown(REPORT, width)
    assert all(each["version"] in text for each in REPORT["models"])


def test_an_empty_store_says_so():
    text = shown({**REPORT, "models": [], "warnings": []})
    assert text.strip() == "No model is installed in models."


def test_what_comes_from_files_is_no_markup():
    hostile = {**REPORT, "models": [row("ranker", "[red]x[/]", "serving", source="[b]y")]}
    assert "[red]x[/]" in shown(hostile, 200)


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ({"rank_ic": 0.0491, "rank_ic_t": 2.13, "agreement": 0.9}, "rank IC +0.049, t +2.1"),
        ({"rank_ic": -0.01}, f"rank IC {MINUS}0.010"),
        ({"log_likelihood": 6.814, "sessions": 126.0}, "log likelihood +6.81"),
        ({"net_sharpe": -0.204}, f"net Sharpe {MINUS}0.20"),
        ({"net_sharpe": 1.0, "excess_t": 2.0}, "net Sharpe +1.00"),
        ({"ppo_sharpe_median": 1.0, "excess_t": 0.21}, "no weight: t over holding +0.2"),
        ({"agreement": 0.9912, "largest_difference": 0.04}, "agreement 0.991"),
        ({"training_rows": 4000.0}, "n/a"),
        ({}, "n/a"),
    ],
)
def test_of_a_validation_what_judges_is_put_into_words(validation, words):
    assert validation_words(validation) == words
