"""Nothing that can execute is ever loaded: neither by the code, nor from the model store."""

from __future__ import annotations

import ast
import datetime as dt
import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.estimators.test_sentiment import USUAL, embedding_bag, word_tokenizer

import swingtrader
from swingtrader.commands.finbert_pull import FAMILY as FINBERT
from swingtrader.commands.live_agents import ENSEMBLE_FILE
from swingtrader.commands.live_agents import FAMILY as RL
from swingtrader.commands.live_signals import FAMILY as RANKER
from swingtrader.commands.live_signals import RECORD_FILE, TREES_FILE
from swingtrader.commands.regime_training import FAMILY as REGIME
from swingtrader.commands.regime_training import MODEL_FILE, WINDOW_FILE
from swingtrader.core.agents import Ensemble
from swingtrader.core.perceptron import OBSERVATIONS, Agent
from swingtrader.core.regime import RegimeModel
from swingtrader.core.trees import TreeEnsemble
from swingtrader.estimators.artifact import families, serving
from swingtrader.estimators.installation import install, promote
from swingtrader.estimators.sentiment import CONFIG, MODEL, TOKENIZER

SOURCE = Path(swingtrader.__file__).parent
MODULES = {
    "_pickle", "cloudpickle", "copyreg", "dill", "joblib", "marshal", "pickle",
    "runpy", "shelve",
}  # fmt: skip
CALLS = {"__import__", "compile", "eval", "exec"}
"""As names of their own: a method may be called so, as torch's are."""
METHODS = {"load_model", "read_pickle", "torch.load", "yaml.load", "yaml.unsafe_load"}
SAFELY = {"allow_pickle": "False", "weights_only": "True", "trust_remote_code": "False"}
"""Arguments that must be given like this where they are given."""

# --- the code ----------------------------------------------------------------------------------


def dotted(node):
    """Name of what is called, such as ``torch.load``; its last part where it hangs on a value."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


def can_execute(text):
    """What in a module's text could load code, one a line."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            unsafe = (
                called in CALLS,
                {called, called.rpartition(".")[2]} & METHODS,
                called in {"np.load", "numpy.load"} and "allow_pickle" not in given,
                any(given.get(name, value) != value for name, value in SAFELY.items()),
            )
            found += [called] if any(unsafe) else []
    return found


def test_no_module_of_the_program_loads_what_can_execute():
    modules = sorted(SOURCE.rglob("*.py"))
    assert len(modules) > 100
    found = {str(path): can_execute(path.read_text("utf-8")) for path in modules}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import marshal",
        "import shelve as s",
        "torch.load(path)",
        "model = torch.load(path, weights_only=True)",
        "booster.load_model(path)",
        "xgboost.Booster().load_model(path)",
        "pandas.read_pickle(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=allowed)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
    ],
)
def test_the_search_finds_what_can_execute(text):
    assert can_execute(text)


@pytest.mark.parametrize(
    "text", ["network.eval()", "np.load(file, allow_pickle=False)", "json.loads(text)"]
)
def test_the_search_lets_pass_what_cannot(text):
    assert not can_execute(text)


# --- the files ---------------------------------------------------------------------------------


def is_pickle(content):
    """Whether the content, or its beginning, is a complete pickle of more than one opcode."""
    try:
        return len(list(pickletools.genops(content))) > 1
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return False


def not_plain(name, content):
    """Why a file is not plain; None where it is."""
    suffix = Path(name).suffix
    if is_pickle(content):
        return "a pickle"
    if suffix == ".npz":
        return not_plain_archive(content)
    if zipfile.is_zipfile(io.BytesIO(content)):
        return "an archive of another kind"
    if suffix in {".json", ".csv"}:
        text = content.decode("utf-8")
        return None if suffix == ".csv" or json.loads(text) is not None else "empty"
    return None if suffix in {".onnx", ".ubj"} else f"of the unknown kind {suffix!r}"


def not_plain_archive(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                return f"an archive with {member}"
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {(1, 0): np.lib.format.read_array_header_1_0,
                        (2, 0): np.lib.format.read_array_header_2_0}[version]  # fmt: skip
                _, _, dtype = read(file)
            if dtype.hasobject:
                return f"an archive with objects in {member}"
    return None


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def real_files():
    """Files of each family, as its exporter writes them."""
    half, eye = np.full(2, 0.5), np.stack([np.eye(2)] * 2)
    regime = RegimeModel(half, np.full((2, 2), 0.5), np.zeros((2, 2)), eye)
    layer = (np.zeros((OBSERVATIONS, 1), np.float32), np.zeros(1, np.float32))
    agent = Agent("ppo", (layer,), "tanh", squashed=False)
    trees = TreeEnsemble(*(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 2.0, 13)
    labels = {str(column): label for column, label in enumerate(USUAL)}
    return {
        RANKER: {TREES_FILE: trees.to_bytes(), RECORD_FILE: b"exit_session,simple_return\n"},
        REGIME: {MODEL_FILE: regime.to_bytes(), WINDOW_FILE: b'{"first_session": "2020-01-02"}'},
        RL: {ENSEMBLE_FILE: Ensemble((agent,), (1.0,)).to_bytes()},
        FINBERT: {
            MODEL: embedding_bag(USUAL).SerializeToString(),
            TOKENIZER: word_tokenizer().to_str().encode(),
            CONFIG: json.dumps({"id2label": labels}).encode(),
        },
    }


def test_every_file_that_any_family_installs_is_plain(tmp_path):
    for family, files in real_files().items():
        install(
            tmp_path, family, "v1", files, created_at=dt.datetime(2024, 3, 6, tzinfo=dt.UTC),
            library_versions={"numpy": "2"}, validation={"rank_ic": 0.05},
        )  # fmt: skip
        promote(tmp_path, family, "v1")
    assert families(tmp_path) == tuple(sorted(("finbert", "ranker", "regime", "rl")))
    for family in families(tmp_path):
        directory = serving(tmp_path, family).artifact.directory
        found = {
            path.name: not_plain(path.name, path.read_bytes()) for path in directory.iterdir()
        }
        assert set(found.values()) == {None}
        assert "manifest.json" in found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("suffix", [".npz", ".json", ".onnx", ".ubj"])
def test_a_pickle_is_found_under_any_name(protocol, suffix):
    assert not_plain(f"a{suffix}", pickle.dumps({"a": [1.0]}, protocol)) == "a pickle"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", npz(a=np.array([None, {}], dtype=object))),
        ("a.npz", zipped("data.pkl", pickle.dumps(1))),
        ("a.onnx", zipped("archive/data.pkl", pickle.dumps(1))),
        ("a.pt", b"weights"),
        ("a.py", b"print()"),
    ],
    ids=["an array of objects", "a pickle in an archive", "weights of torch", "weights", "code"],
)
def test_other_ways_to_carry_code_are_found(name, content):
    assert not_plain(name, content) is not None
