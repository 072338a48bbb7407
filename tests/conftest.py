"""One small market and one finished backtest of it, which many tests read and none changes.

Fitting the rankers takes most of a backtest's time, so all runs share one model cache.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.calendar import sessions_between
from swingtrader.cli import run
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

if TYPE_CHECKING:
    from swingtrader.core.market import Panel

# Three sectors of the default universe, and stocks that it does not know.
SECTORS = {
    "Technology": ("XLK", ("AAPL", "MSFT", "CRM", "ORCL")),
    "Financials": ("XLF", ("JPM", "BAC", "GS")),
    "Healthcare": ("XLV", ("LLY", "UNH", "ABBV")),
    "Elsewhere": ("ZZF", ("ZZA", "ZZB", "ZZC", "ZZD")),
}
SETTINGS = (
    "SWINGTRADER_", "ALPACA_", "LIVE_", "ENABLE_CRON", "INVOCATION_ID", "CREDENTIALS_DIRECTORY",
)  # fmt: skip
"""Beginnings of the variables that the program reads: no test may use a developer's keys."""

SESSIONS = 412  # leaves 76 to trade
NOBODY = 65534  # the user who may do nothing


@dataclass(frozen=True)
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def warnings(self):
        """Lines on stderr that warn."""
        return [line for line in self.err.splitlines() if line.startswith("[warning")]

    def refusal(self, code):
        """Return the one line with which the command was refused, and nothing beside it."""
        assert self.code == code, self.err
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("swingtrader: ")
        return line


@dataclass(frozen=True)
class Backtest:
    """One run of the command: where everything was, what it said, and what it wrote."""

    outcome: Outcome
    out: Path
    state_dir: Path
    models_dir: Path

    def rows(self, name):
        """Rows of a CSV as mappings of text."""
        with (self.out / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def lines_until(self, name, session):
        """Lines of a CSV that begins with the session, up to and including `session`."""
        return [
            line
            for line in (self.out / name).read_text().splitlines()[1:]
            if line[:10] <= session.isoformat()
        ]

    @property
    def metrics(self):
        """Content of metrics.json."""
        return json.loads((self.out / "metrics.json").read_text())

    def digests(self):
        """SHA-256 of every file by name."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.out.iterdir()
        }


@dataclass(frozen=True, eq=False)
class Market:
    """The bars as a panel and as the file the command reads."""

    panel: Panel
    path: Path

    @property
    def days(self):
        """Sessions as dates."""
        return self.panel.sessions.tolist()

    def bar(self, symbol, session):
        """Open, high, low and close of one bar."""
        row, column = self.days.index(session), self.panel.column(symbol)
        fields = (self.panel.open, self.panel.high, self.panel.low, self.panel.close)
        return tuple(float(field[row, column]) for field in fields)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer():
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def swingtrader():
    """Return a caller of the command line, in this process."""

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([str(argument) for argument in arguments])
        return Outcome(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    sessions = sessions_between(date(2015, 1, 2), date(2016, 12, 30))[:SESSIONS]
    everything = simulate_market(
        SyntheticMarket(sessions, SECTORS, seed=1, persistence=0.3, late_listings=1)
    )
    # The default universe does not know ZZF, and would trade it.
    panel = everything.select([symbol for symbol in everything.symbols if symbol != "ZZF"])
    path = tmp_path_factory.mktemp("market") / "bars.parquet"
    write_bars(panel, path)
    return Market(panel, path)


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    """Model cache of all runs; what a test damages must be a copy."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def backtest_in(swingtrader, market, models_dir):
    """Return a caller of ``swingtrader backtest`` on the small market, all it writes in `home`."""

    def call(home, *options, before=(), out="report", state="state", models=models_dir):
        outcome = swingtrader(
            "--state-dir", home / state, "--models-dir", models, *before,
            "backtest", "--bars", market.path, "--out", home / out, *options,
        )  # fmt: skip
        return Backtest(outcome, home / out, home / state, models)

    return call


@pytest.fixture
def backtest(backtest_in, tmp_path):
    """Return the same caller, for the directory of this test."""
    return partial(backtest_in, tmp_path)


@pytest.fixture(scope="session")
def finished(backtest_in, tmp_path_factory):
    """One backtest with every default, to read and not to touch."""
    run = backtest_in(tmp_path_factory.mktemp("finished"), "--json")
    assert run.outcome.code == 0, run.outcome.err
    return run


@pytest.fixture(scope="session")
def bars_file(tmp_path_factory):
    """Return a writer of changed markets: panel to path."""

    def write(panel):
        path = tmp_path_factory.mktemp("bars") / "bars.parquet"
        write_bars(panel, path)
        return path

    return write


@pytest.fixture(scope="session")
def install_finbert():
    """Return an installer of a real but small sentiment model into a model store.

    It knows two words: each "beats" adds 2 to the logit of positive, each "misses" 2 to that of
    negative.
    """
    import onnx  # noqa: PLC0415 - slow, and few tests need it
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415

    words = {"[PAD]": 0, "[UNK]": 1, "beats": 2, "misses": 3}
    logits = np.zeros((4, 3), dtype=np.float32)
    logits[2, 1] = logits[3, 0] = 2.0
    make = onnx.helper
    graph = make.make_graph(
        [
            make.make_node("Gather", ["logits_by_word", "input_ids"], ["by_token"]),
            make.make_node("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
            make.make_node("Einsum", ["mask", "by_token"], ["logits"], equation="bt,btk->bk"),
        ],
        "two_words",
        [
            make.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [make.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(logits, "logits_by_word")],
    )
    # Versions that every supported onnxruntime reads; onnx writes newer ones by default.
    network = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - of text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    content = {
        "model.onnx": network.SerializeToString(),
        "tokenizer.json": tokenizer.to_str().encode(),
        "config.json": b'{"id2label": {"0": "negative", "1": "positive", "2": "neutral"}}',
    }

    def install(models_dir):
        directory = models_dir / "finbert" / "two-words"
        directory.mkdir(parents=True)
        for name, data in content.items():
            (directory / name).write_bytes(data)
        manifest = {
            "family": "finbert",
            "version": "two-words",
            "created_at": "2015-01-01T00:00:00Z",
            "library_versions": {},
            "validation": {},
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))
        (models_dir / "finbert" / "serving").write_text("two-words")
        return directory

    return install


@pytest.fixture
def unprivileged_dir():
    """Give a directory of our own, and no power to override permissions, also to root."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
