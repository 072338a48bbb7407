"""Versions appear in the store as a whole, and one of them serves from one rename on."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import textwrap

import pytest

from swingtrader.errors import ConfigurationError, DataError
from swingtrader.estimators.artifact import serving_artifact
from swingtrader.estimators.installation import install, promote

FILES = {"trees.npz": bytes(range(256)) * 8, "record.csv": b"a,b\n1,2\n"}
FACTS = {
    "created_at": dt.datetime(2024, 3, 6, 21, tzinfo=dt.UTC),
    "library_versions": {"numpy": "2.1.0"},
    "validation": {"trades": 12.0},
    "training_sessions": (dt.date(2022, 9, 1), dt.date(2024, 2, 1)),
    "data_sha256": "0" * 64,
    "seed": 7,
}


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_an_installed_version_holds_its_files_and_a_manifest_that_reads_back(tmp_path):
    artifact = install(tmp_path / "models", "ranker", "v1", FILES, **FACTS)
    assert names(artifact.directory) == ["manifest.json", *sorted(FILES)]
    for name, content in FILES.items():
        assert artifact.path(name).read_bytes() == content
    for name, value in FACTS.items():
        assert getattr(artifact.manifest, name) == value
    assert artifact.manifest.source is None
    assert names(artifact.directory.parent) == ["v1"]


def test_a_version_serves_once_it_is_promoted_and_not_before(tmp_path):
    install(tmp_path, "ranker", "v1", FILES, **FACTS)
    assert serving_artifact(tmp_path, "ranker") is None
    assert promote(tmp_path, "ranker", "v1") == serving_artifact(tmp_path, "ranker")
    install(tmp_path, "ranker", "v2", FILES, **FACTS)
    assert serving_artifact(tmp_path, "ranker").manifest.version == "v1"
    promote(tmp_path, "ranker", "v2")
    assert serving_artifact(tmp_path, "ranker").manifest.version == "v2"
    assert names(tmp_path / "ranker") == ["serving", "v1", "v2"]


@pytest.mark.parametrize("there", ["intact", "empty", "a file"])
def test_a_version_that_exists_is_never_replaced(tmp_path, there):
    directory = tmp_path / "ranker" / "v1"
    if there == "intact":
        install(tmp_path, "ranker", "v1", FILES, **FACTS)
    elif there == "empty":
        directory.mkdir(parents=True)
    else:
        directory.parent.mkdir()
        directory.write_text("mine")
    before = names(directory) if directory.is_dir() else directory.read_text()
    with pytest.raises(ConfigurationError, match="installed already"):
        install(tmp_path, "ranker", "v1", {"other": b""}, **FACTS)
    assert before == (names(directory) if directory.is_dir() else directory.read_text())
    assert names(directory.parent) == ["v1"]


@pytest.mark.parametrize(
    ("family", "version", "files"),
    [
        ("..", "v1", {}),
        ("ranker", "../v1", {}),
        ("ranker", ".v1", {}),
        ("ranker", "v1", {"../v2": b""}),
        ("ranker", "v1", {"manifest.json": b"{}"}),
    ],
)
def test_names_that_could_leave_the_directory_are_our_bug(tmp_path, family, version, files):
    with pytest.raises(ValueError, match=r"plain name|manifest"):
        install(tmp_path, family, version, files, **FACTS)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"created_at": dt.datetime(2024, 3, 6, 21)},  # noqa: DTZ001 - naive on purpose
        {"validation": {"trades": float("nan")}},
        {"data_sha256": "abc"},
    ],
    ids=["naive instant", "figure that is none", "digest that is none"],
)
def test_a_manifest_that_could_not_be_read_is_never_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="validation error"):
        install(tmp_path, "ranker", "v1", FILES, **{**FACTS, **wrong})
    assert names(tmp_path) == []


def test_a_store_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"models/ranker/v1: cannot be written"):
        install(tmp_path / "models", "ranker", "v1", FILES, **FACTS)


@pytest.mark.parametrize("damage", ["altered", "missing", "no version", "pointer in the way"])
def test_what_cannot_serve_is_not_promoted_and_what_served_goes_on(tmp_path, damage):
    install(tmp_path, "ranker", "v1", FILES, **FACTS)
    promote(tmp_path, "ranker", "v1")
    last = install(tmp_path, "ranker", "v2", FILES, **FACTS).directory / "record.csv"
    error, version = DataError, "v2"
    if damage == "altered":
        last.write_bytes(b"a,b\n1,3\n")
    elif damage == "missing":
        last.unlink()
    elif damage == "no version":
        version = "v3"
    else:
        error = ConfigurationError
        (tmp_path / "ranker" / "serving").unlink()
        (tmp_path / "ranker" / "serving").mkdir()
    with pytest.raises(error):
        promote(tmp_path, "ranker", version)
    assert names(tmp_path / "ranker") == ["serving", "v1", "v2"]
    if error is DataError:
        assert serving_artifact(tmp_path, "ranker").manifest.version == "v1"


def test_what_a_killed_run_left_is_swept_and_what_a_running_one_writes_is_not(tmp_path):
    family = tmp_path / "ranker"
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, check=True)  # fmt: skip
    dead = int(gone.stdout)
    for leftover in (f".v0.partial-{dead}-0a", f".v0.partial-{os.getpid()}-0a"):
        (family / leftover).mkdir(parents=True)
        (family / leftover / "trees.npz").write_bytes(b"half")
    (family / f".serving.partial-{dead}-0b").write_text("v")
    others = [f".v0.partial-{os.getppid()}-0c", ".hidden", "v0"]
    for name in others:
        (family / name).mkdir()
    install(tmp_path, "ranker", "v1", FILES, **FACTS)
    assert names(family) == sorted([*others, "v1"])


KILLED_AT_EVERY_STEP = """
    import os, pathlib, sys
    from datetime import UTC, datetime
    from swingtrader.estimators.installation import install, promote

    STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
    FACTS = dict(created_at=datetime(2024, 1, 1, tzinfo=UTC), library_versions={}, validation={})

    def put(models, version):
        install(models, "ranker", version, {"a": b"1" * 9999, "b": version.encode()}, **FACTS)
        promote(models, "ranker", version)

    def killed_at(step, models):
        left = step
        def count(event, _):
            nonlocal left
            left -= event in STEPS
            if left == 0:
                os._exit(9)
        sys.addaudithook(count)
        put(models, "v2")
        os._exit(0)

    step, code = 0, 9
    while code:
        step += 1
        models = pathlib.Path(sys.argv[1]) / str(step)
        put(models, "v1")
        child = os.fork()
        if not child:
            killed_at(step, models)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def test_a_run_killed_at_any_step_leaves_the_old_state_or_the_new_one(tmp_path):
    script = textwrap.dedent(KILLED_AT_EVERY_STEP)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    stores = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(stores) > 8
    serving, installed = [], []
    for models in stores:
        artifact = serving_artifact(models, "ranker")
        serving.append(artifact.manifest.version)
        assert artifact.path("b").read_text() == serving[-1]
        installed.append((models / "ranker" / "v2").exists())
        if installed[-1]:  # then it is whole, and can be promoted
            promote(models, "ranker", "v2")
        else:
            install(models, "ranker", "v2", FILES, **FACTS)
            assert names(models / "ranker") == ["serving", "v1", "v2"]
    assert serving == sorted(serving)
    assert installed == sorted(installed)
    assert {False, True} == set(installed)
    assert {"v1", "v2"} == set(serving)


def test_the_manifest_is_plain_json_a_person_can_read(tmp_path):
    artifact = install(tmp_path, "ranker", "v1", FILES, **FACTS)
    text = (artifact.directory / "manifest.json").read_text()
    assert json.loads(text)["training_sessions"] == ["2022-09-01", "2024-02-01"]
    assert len(text.splitlines()) > 10
