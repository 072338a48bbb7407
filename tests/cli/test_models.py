"""The model store on the command line."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from swingtrader.estimators.artifact import served_versions
from swingtrader.estimators.installation import install, promote

START = dt.datetime(2024, 3, 6, 21, tzinfo=dt.UTC)


@pytest.fixture
def home(tmp_path):
    """A store with two rankers that served and one that never did."""
    for day, version in enumerate(("r1", "r2", "r3")):
        install(
            tmp_path / "models", "ranker", version, {"a": version.encode()},
            created_at=START + dt.timedelta(days=day), library_versions={},
            validation={"rank_ic": 0.049},
        )  # fmt: skip
        if version != "r3":
            promote(tmp_path / "models", "ranker", version)
    return tmp_path


@pytest.fixture
def say(swingtrader, home):
    """Type a command line about that store."""
    options = ("--models-dir", home / "models", "--state-dir", home / "state")
    return lambda *words: swingtrader(*options, *words)


def told(outcome):
    assert outcome.code == 0, outcome.err
    (line,) = outcome.out.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("words", [("--json", "models", "list"), ("models", "list", "--json")])
def test_json_is_one_object_before_and_after_the_command(say, words):
    rows = told(say(*words))["models"]
    assert [(row["version"], row["state"]) for row in rows] == [
        ("r2", "serving"), ("r1", "served before"), ("r3", "installed"),
    ]  # fmt: skip


def test_a_person_gets_a_table(say):
    outcome = say("models", "list")
    assert outcome.code == 0
    assert [line.split()[:3] for line in outcome.out.splitlines()[1:]] == [
        ["ranker", "r2", "serving"], ["ranker", "r1", "served"], ["ranker", "r3", "installed"],
    ]  # fmt: skip
    assert "rank IC +0.049" in outcome.out


def test_what_is_promoted_and_rolled_back_shows_in_status(say, home):
    assert told(say("models", "promote", "ranker", "r3", "--json"))["before"] == "r2"
    (model,) = told(say("status", "--json"))["models"]
    assert (model["version"], model["validation"]) == ("r3", {"rank_ic": 0.049})
    assert told(say("--json", "models", "rollback", "ranker"))["version"] == "r2"
    outcome = say("models", "rollback", "ranker")
    assert outcome.out == "ranker r1 serves from now on; before it served r2\n"
    assert "model.rolled_back" in outcome.err
    (model,) = told(say("status", "--json"))["models"]
    assert model["version"] == "r1"
    assert served_versions(home / "models", "ranker") == ("r1",)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "rankr", "r1"), 2, "the nearest is 'ranker'"),
        (("promote", "ranker", "r33"), 2, "the nearest is 'r3'"),
        (("promote", "ranker"), 2, "version"),
        (("rollback", "finbert"), 2, "the nearest is 'ranker'"),
        (("promote", "ranker", "r3"), 65, "install ranker version r3 again"),
        (("rollback", "ranker"), 65, "install ranker version r1 again"),
        (("pull-finbert", "--from", "nowhere"), 65, "nowhere"),
    ],
)
def test_a_refusal_is_one_line_and_a_code_and_changes_nothing(say, home, words, code, said):
    for version in ("r1", "r3"):
        (home / "models" / "ranker" / version / "a").write_bytes(b"")
    assert said in say("models", *words, "--json").refusal(code)
    assert served_versions(home / "models", "ranker") == ("r2", "r1")
    assert {path.name for path in (home / "models").iterdir()} == {"ranker"}


def test_a_damaged_version_is_shown_and_the_exit_is_still_good(say, home):
    (home / "models" / "ranker" / "r2" / "a").unlink()
    report = told(say("models", "list", "--json"))
    assert [(row["version"], row["state"]) for row in report["models"]][:2] == [
        ("r2", "promoted"), ("r1", "serving"),
    ]  # fmt: skip
    assert len(report["warnings"]) == 1
    outcome = say("models", "list")
    assert outcome.code == 0
    assert "damaged" in outcome.out
    assert "until then version r1 serves" in " ".join(outcome.out.split())
