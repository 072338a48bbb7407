from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json

import pytest

from swingtrader.errors import DataError
from swingtrader.estimators.artifact import serving_artifact

WEIGHTS = bytes(range(256)) * 8


def install(models, version="v1", family="ranker", changes=None):
    """Write an intact version with one file and point to it."""
    directory = models / family / version
    directory.mkdir(parents=True)
    (directory / "weights.npz").write_bytes(WEIGHTS)
    manifest = {
        "family": family,
        "version": version,
        "created_at": "2024-03-06T12:00:00Z",
        "training_sessions": ["2022-09-01", "2024-02-01"],
        "seed": 7,
        "library_versions": {"numpy": "2.1.0"},
        "validation": {"rank_ic": 0.03, "folds": 4},
        "sha256": {"weights.npz": hashlib.sha256(WEIGHTS).hexdigest()},
        "a_key_of_a_later_release": True,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest | (changes or {})))
    (models / family / "serving").write_text(f"{version}\n")
    return directory


def test_serving_artifact_is_the_version_the_pointer_names(tmp_path):
    install(tmp_path, "v1")
    directory = install(tmp_path, "v2")
    install(tmp_path, "v3")
    (tmp_path / "ranker" / "serving").write_text("v2\n")
    artifact = serving_artifact(tmp_path, "ranker")
    assert artifact.directory == directory
    assert artifact.manifest.version == "v2"
    assert artifact.path("weights.npz").read_bytes() == WEIGHTS


def test_manifest_is_read_into_plain_values(tmp_path):
    install(tmp_path)
    manifest = serving_artifact(tmp_path, "ranker").manifest
    assert manifest.created_at == dt.datetime(2024, 3, 6, 12, tzinfo=dt.UTC)
    assert manifest.training_sessions == (dt.date(2022, 9, 1), dt.date(2024, 2, 1))
    assert (manifest.seed, manifest.source) == (7, None)
    assert manifest.validation == {"rank_ic": 0.03, "folds": 4.0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        manifest.seed = 8


@pytest.mark.parametrize("present", [(), ("ranker",), ("ranker/v1",)])
def test_without_a_pointer_no_model_is_installed(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir(parents=True)
    assert serving_artifact(tmp_path / "models", "ranker") is None
    assert serving_artifact(tmp_path, "ranker") is None


@pytest.mark.parametrize(
    "damaged",
    [WEIGHTS[:-1], WEIGHTS + b"\0", b"\1" + WEIGHTS[1:], b"", None],
    ids=["truncated", "longer", "one byte altered", "empty", "missing"],
)
def test_a_damaged_file_is_refused_by_name_with_the_remedy(tmp_path, damaged):
    path = install(tmp_path) / "weights.npz"
    if damaged is None:
        path.unlink()
    else:
        path.write_bytes(damaged)
    artifact = serving_artifact(tmp_path, "ranker")
    with pytest.raises(DataError) as refusal:
        artifact.path("weights.npz")
    assert str(path) in str(refusal.value)
    assert "install ranker version v1 again" in str(refusal.value)
    assert "swingtrader models promote ranker VERSION" in str(refusal.value)


@pytest.mark.parametrize("name", ["extra.json", "manifest.json", "../v2/weights.npz", "", "."])
def test_a_file_the_manifest_does_not_list_is_never_handed_out(tmp_path, name):
    (install(tmp_path) / "extra.json").write_text("{}")
    install(tmp_path, "v2")
    (tmp_path / "ranker" / "serving").write_text("v1")
    with pytest.raises(DataError, match="does not list"):
        serving_artifact(tmp_path, "ranker").path(name)


@pytest.mark.parametrize(
    "version",
    ["", "..", ".", "../../elsewhere/v1", "a/b", "/etc", ".hidden", "v1\n\nv2", "v1\n../v2",
     "v1\r\0", "v1 v2", "v\0", "é"],
)  # fmt: skip
def test_a_pointer_that_names_no_version_is_refused(tmp_path, version):
    install(tmp_path / "models")
    install(tmp_path, "v1", "elsewhere")
    pointer = tmp_path / "models" / "ranker" / "serving"
    pointer.write_text(version)
    with pytest.raises(DataError, match="does not name a version") as refusal:
        serving_artifact(tmp_path / "models", "ranker")
    assert str(pointer) in str(refusal.value)


def test_a_pointer_to_a_version_that_is_gone_is_refused(tmp_path):
    install(tmp_path)
    (tmp_path / "ranker" / "serving").write_text("v9")
    with pytest.raises(DataError, match=r"v9/manifest\.json: cannot be read .* version v9 again"):
        serving_artifact(tmp_path, "ranker")


def test_a_pointer_that_is_a_directory_is_refused(tmp_path):
    (tmp_path / "ranker" / "serving").mkdir(parents=True)
    with pytest.raises(DataError, match="must be a file"):
        serving_artifact(tmp_path, "ranker")


@pytest.mark.parametrize("family", ["", "..", "a/b", "../ranker"])
def test_a_family_that_is_no_plain_name_is_our_bug(tmp_path, family):
    with pytest.raises(ValueError, match="plain name"):
        serving_artifact(tmp_path, family)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "v2"}, "belongs to version v2 of ranker"),
        ({"family": "sentiment"}, "belongs to version v1 of sentiment"),
        ({"created_at": "2024-03-06T12:00:00"}, "created_at"),
        ({"sha256": {"weights.npz": "0" * 63}}, r"sha256\.weights\.npz"),
        ({"sha256": {"../weights.npz": "0" * 64}}, "sha256"),
        ({"sha256": None}, "sha256"),
        ({"seed": "7"}, "seed"),
        ({"training_sessions": ["2022-09-01"]}, "training_sessions"),
    ],
)
def test_a_malformed_manifest_is_refused(tmp_path, changes, message):
    install(tmp_path, changes=changes)
    with pytest.raises(DataError, match=message):
        serving_artifact(tmp_path, "ranker")


@pytest.mark.parametrize("text", ["", "[]", '{"family": "ranker"', "\0"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path, text):
    (install(tmp_path) / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: is not a manifest"):
        serving_artifact(tmp_path, "ranker")
