"""``swingtrader models``: what it shows, and what promoting and rolling back change."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from swingtrader.adapters.store import Store
from swingtrader.commands.models import models_report, promote_model, roll_back_model
from swingtrader.errors import DataError, UsageError
from swingtrader.estimators.artifact import served_versions
from swingtrader.estimators.installation import install, promote

NOW = dt.datetime(2024, 3, 16, 9, tzinfo=dt.UTC)
TRAINED = (dt.date(2022, 9, 1), dt.date(2024, 2, 1))
KEYS = {
    "family", "version", "state", "created_at", "age_days", "training_sessions", "validation",
    "source", "size_mb", "damage",
}  # fmt: skip


def put(models, family, version, *, days_old, **facts):
    install(
        models, family, version, {"a": version.encode(), "b": bytes(250_000)},
        created_at=NOW - dt.timedelta(days=days_old), library_versions={},
        **{"validation": {"rank_ic": 0.049}, **facts},
    )  # fmt: skip


@pytest.fixture
def models(tmp_path):
    """A ranker that serves, two that did, two that never did, and a FinBERT."""
    models = tmp_path / "models"
    for days_old, version in ((40, "r1"), (30, "r2"), (20, "r3")):
        put(models, "ranker", version, days_old=days_old, training_sessions=TRAINED)
        promote(models, "ranker", version)
    put(models, "ranker", "r4", days_old=10)
    put(models, "ranker", "r5", days_old=2.5)
    put(models, "finbert", "f1", days_old=5, source="ProsusAI/finbert", validation={})
    promote(models, "finbert", "f1")
    return models


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state", now=NOW) as store:
        yield store


def listed(models, *columns):
    report = json.loads(json.dumps(models_report(models, asof=NOW), allow_nan=False))
    assert report.keys() == {"command", "path", "models", "warnings"}
    assert all(row.keys() == KEYS for row in report["models"])
    return [tuple(row[column] for column in columns) for row in report["models"]]


def test_versions_come_as_they_serve_and_then_by_age(models):
    assert listed(models, "family", "version", "state", "age_days") == [
        ("finbert", "f1", "serving", 5.0),
        ("ranker", "r3", "serving", 20.0),
        ("ranker", "r2", "served before", 30.0),
        ("ranker", "r1", "served before", 40.0),
        ("ranker", "r5", "installed", 2.5),
        ("ranker", "r4", "installed", 10.0),
    ]


def test_a_row_says_what_the_manifest_says(models):
    report = models_report(models, asof=NOW)
    finbert, ranker = report["models"][:2]
    assert finbert["source"] == "ProsusAI/finbert"
    assert finbert["training_sessions"] is None
    assert ranker["training_sessions"] == ["2022-09-01", "2024-02-01"]
    assert ranker["validation"] == {"rank_ic": 0.049}
    assert ranker["created_at"] == "2024-02-25T09:00:00+00:00"
    assert ranker["size_mb"] == pytest.approx(0.3, abs=0.05)
    assert report["warnings"] == []


def test_a_store_without_models_is_empty_and_no_error(tmp_path):
    assert listed(tmp_path / "nothing") == []


def test_what_is_damaged_is_named_and_what_serves_in_its_place_is_shown(models):
    (models / "ranker" / "r3" / "a").write_text("x3")
    (models / "ranker" / "r4" / "manifest.json").unlink()
    rows = listed(models, "version", "state", "damage", "age_days")[1:]
    assert [row[:2] for row in rows] == [
        ("r3", "promoted"), ("r2", "serving"), ("r1", "served before"), ("r5", "installed"),
        ("r4", "installed"),
    ]  # fmt: skip
    damage = {version: (what, age) for version, _, what, age in rows}
    assert "a: is not the file that was installed" in damage["r3"][0]
    assert "manifest.json: cannot be read" in damage["r4"][0]
    assert damage["r4"][1] is None
    assert {damage[version][0] for version in ("r1", "r2", "r5")} == {None}
    (warning,) = models_report(models, asof=NOW)["warnings"]
    assert "until then version r2 serves" in warning


def test_a_pointer_that_cannot_be_read_leaves_the_versions_to_be_seen(models):
    (models / "ranker" / "serving").write_text("../r1")
    assert [row[0] for row in listed(models, "version")][1:] == ["r5", "r4", "r3", "r2", "r1"]
    (warning,) = models_report(models, asof=NOW)["warnings"]
    assert "models promote ranker" in warning


def test_a_promotion_is_told_and_noted_in_the_store(models, store):
    told = promote_model(models, store, "ranker", "r4", now=NOW)
    assert (told["version"], told["before"]) == ("r4", "r3")
    assert served_versions(models, "ranker") == ("r4", "r3", "r2")
    (row,) = store.models.all()
    assert (row.family, row.version, row.recorded_at) == ("ranker", "r4", NOW)
    assert row.trained_at == NOW - dt.timedelta(days=10)
    assert row.validation == {"rank_ic": 0.049}


def test_a_rollback_is_told_and_noted_in_the_store(models, store):
    told = roll_back_model(models, store, "ranker", now=NOW)
    assert (told["version"], told["before"]) == ("r2", "r3")
    assert served_versions(models, "ranker") == ("r2", "r1")
    assert [row.version for row in store.models.all()] == ["r2"]


@pytest.mark.parametrize(
    ("family", "version", "message"),
    [
        ("rankr", "r4", "unknown family: 'rankr'; the nearest is 'ranker'"),
        ("ranker", "r44", "unknown version of ranker: 'r44'; the nearest is 'r4'"),
        ("ranker", "../r4", "unknown version of ranker"),
        ("..", "r4", "unknown family"),
        ("", "r4", "unknown family"),
    ],
)
def test_what_is_not_there_is_a_slip_of_the_pen_and_the_nearest_is_named(
    models, store, family, version, message
):
    with pytest.raises(UsageError, match=message):
        promote_model(models, store, family, version, now=NOW)
    if version == "r4":
        with pytest.raises(UsageError, match=message):
            roll_back_model(models, store, family, now=NOW)
    assert store.models.all() == ()
    assert served_versions(models, "ranker") == ("r3", "r2", "r1")


def test_where_nothing_is_installed_the_way_to_a_model_is_shown(tmp_path, store):
    with pytest.raises(UsageError, match=r"swingtrader retrain .*swingtrader models pull-finbert"):
        promote_model(tmp_path / "models", store, "ranker", "r1", now=NOW)


def test_without_one_that_served_before_a_rollback_is_refused(models, store):
    with pytest.raises(UsageError, match="no finbert served before version f1"):
        roll_back_model(models, store, "finbert", now=NOW)
    assert store.models.all() == ()


def test_a_damaged_version_neither_serves_nor_is_noted(models, store):
    for version in ("r2", "r4"):
        (models / "ranker" / version / "b").unlink()
    with pytest.raises(DataError, match="r4/b: cannot be read"):
        promote_model(models, store, "ranker", "r4", now=NOW)
    with pytest.raises(DataError, match="r2/b: cannot be read"):
        roll_back_model(models, store, "ranker", now=NOW)
    assert store.models.all() == ()
    assert served_versions(models, "ranker") == ("r3", "r2", "r1")
