"""Scoring headlines with an installed sentiment classifier.

The artefact holds ``model.onnx`` (token ids to logits), ``tokenizer.json`` and ``config.json``.
Which logit is which label is read from the configuration's ``id2label`` by name: published
sentiment models disagree about the order. Truncation, padding and batching are decided here,
whatever the tokenizer file says.

A dynamically quantised model rounds by the range of a whole batch, so its scores may move a
little with the company a headline is scored in; a float model's do not.

Measured on a model of BERT-base size, int8, 150 headlines: batches of 16 take the time of batches
of 32 and 30 MiB less, 8 would save another 20. onnxruntime's arena of memory kept for reuse gains
nothing on batches that all differ in length. Opening the model by its path rather than as bytes
saves its size in memory once more (onnxruntime keeps the bytes it is given).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swingtrader.core.arrays import FloatArray, IntArray
    from swingtrader.estimators.artifact import Artifact

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"

LABELS = ("positive", "negative", "neutral")
MAXIMUM_TOKENS = 128
"""A headline has some 20 to 40; the rest of a longer one is not a headline."""

_MINIMUM_TOKENS = 3  # one word between the two marks a BERT puts around a text
_MAXIMUM_CHARACTERS = 16 * MAXIMUM_TOKENS  # strangers write these: bounds the tokenizer's work
_BATCH = 16
_CHUNK = 4096  # tokenized at a time; bounds memory over years of headlines
_ELSEWHERE = b"\x0a\x08location"  # the key that opens an entry of TensorProto.external_data
_INTEGERS: dict[str, type[np.integer[Any]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


@dataclass(frozen=True, eq=False)
class HeadlineScorer:
    """A classifier ready to score; made by `load`.

    Attributes
    ----------
    tokenizer : tokenizers.Tokenizer
    network : _Network
        Token ids to logits.
    columns : tuple of int
        Which logit is which of `LABELS`.
    """

    tokenizer: Any
    network: _Network
    columns: tuple[int, ...]

    @classmethod
    def load(cls, artifact: Artifact, *, intra_op_threads: int = 1) -> HeadlineScorer:
        """Return the scorer installed as `artifact`, run on the CPU.

        Parameters
        ----------
        artifact : Artifact
            Its three files are checked against the manifest.
        intra_op_threads : int
            Threads onnxruntime may use within one operation.

        Raises
        ------
        DataError
            A file is missing, altered or malformed, the labels are not exactly positive,
            negative and neutral, or the model asks for other inputs than a BERT does.
        """
        from tokenizers import Tokenizer  # noqa: PLC0415 (only runs that score pay for it)

        config = _json_object(artifact, CONFIG)
        columns = _label_columns(artifact, config)
        content = json.dumps(_json_object(artifact, TOKENIZER))
        try:
            tokenizer = Tokenizer.from_str(content)
        except Exception as error:
            raise _unusable(artifact, TOKENIZER, f"no tokenizer: {error}") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(_maximum_tokens(artifact, config))
        return cls(
            tokenizer,
            _Network.load(artifact, intra_op_threads),
            tuple(columns[label] for label in LABELS),
        )

    def scores(self, headlines: Sequence[str]) -> FloatArray:
        """P(positive) - P(negative) of each headline; otherwise as `probabilities`.

        Returns
        -------
        ndarray of shape (H,)
            In [-1, 1]; NaN for a headline without a word.
        """
        positive, negative, _ = self.probabilities(headlines).T
        return np.asarray(positive - negative)

    def probabilities(self, headlines: Sequence[str]) -> FloatArray:
        """Probability of each label for each headline.

        Headlines are batched with others of their length, so that little is padded, and the
        results returned in the order given.

        Parameters
        ----------
        headlines : sequence of str, length H
            Cut to the model's length, at most 128 tokens.

        Returns
        -------
        ndarray of shape (H, 3)
            Columns as `LABELS`; rows sum to 1, or are NaN for a headline without a word.

        Raises
        ------
        DataError
            The model fails on a batch or returns something other than three finite logits.
        """
        probabilities = np.full((len(headlines), len(LABELS)), np.nan)
        for start in range(0, len(headlines), _CHUNK):
            chunk = headlines[start : start + _CHUNK]
            probabilities[start : start + _CHUNK] = self._of_chunk(chunk)
        return probabilities

    def _of_chunk(self, headlines: Sequence[str]) -> FloatArray:
        texts = [_bounded(text) for text in headlines]
        try:
            tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        except Exception as error:  # noqa: BLE001 - tokenizers raises nothing more telling
            # Its words may quote a headline.
            why = f"the tokenizer fails on a headline ({type(error).__name__})"
            raise _unusable(self.network.artifact, TOKENIZER, why) from None
        lengths = np.array([len(ids) for ids in tokens])
        by_length = np.argsort(lengths, kind="stable")
        marks_only = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        readable = by_length[lengths[by_length] > marks_only]
        probabilities = np.full((len(headlines), len(LABELS)), np.nan)
        for start in range(0, len(readable), _BATCH):
            batch = readable[start : start + _BATCH]
            logits = self.network.logits(*_padded([tokens[i] for i in batch]))
            probabilities[batch] = _softmax(logits)[:, self.columns]
        return probabilities


@dataclass(frozen=True, eq=False)
class _Network:
    """An ONNX classifier and the integer type of each of its inputs."""

    session: Any
    input_types: Mapping[str, type[np.integer[Any]]]
    failures: tuple[type[Exception], ...]
    artifact: Artifact

    @classmethod
    def load(cls, artifact: Artifact, threads: int) -> _Network:
        # onnxruntime's wheels report to their maker from the moment they are imported, and keep
        # an identifier in the home directory; its API can only stop what comes after that.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # noqa: PLC0415 (must follow the line above)
        from onnxruntime.capi import onnxruntime_pybind11_state as native  # noqa: PLC0415 (ditto)

        onnxruntime.disable_telemetry_events()
        failures = (
            native.Fail,
            native.InvalidArgument,
            native.InvalidGraph,
            native.InvalidProtobuf,
            native.NotImplemented,
            native.RuntimeException,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; warnings about the graph help nobody here
        options.enable_cpu_mem_arena = False
        # A second thread that waits in a loop takes a processor from whoever else needs it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = artifact.path(MODEL)
        # Given a path, onnxruntime would also open weight files that no manifest vouches for.
        if _ELSEWHERE in path.read_bytes():
            raise _unusable(artifact, MODEL, "its weights must be inside it, not in other files")
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except failures as error:
            raise _unusable(artifact, MODEL, f"onnxruntime refuses it: {error}") from error
        types = {node.name: node.type for node in session.get_inputs()}
        required = {"input_ids", "attention_mask"}
        if not required <= types.keys() <= required | {"token_type_ids"}:
            raise _unusable(artifact, MODEL, f"unexpected inputs {', '.join(sorted(types))}")
        if not set(types.values()) <= _INTEGERS.keys():
            raise _unusable(artifact, MODEL, "its inputs must be integers")
        input_types = {name: _INTEGERS[kind] for name, kind in types.items()}
        return cls(session, input_types, failures, artifact)

    def logits(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Logits of shape (batch, 3) of padded ids and their mask, both (batch, tokens)."""
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        inputs = {name: arrays[name].astype(kind) for name, kind in self.input_types.items()}
        try:
            logits = np.asarray(self.session.run(None, inputs)[0], dtype=np.float64)
        except self.failures as error:
            raise _unusable(self.artifact, MODEL, f"onnxruntime fails on it: {error}") from error
        if logits.shape != (len(ids), len(LABELS)) or not np.isfinite(logits).all():
            raise _unusable(self.artifact, MODEL, "it does not return three finite logits")
        return logits


def _bounded(text: str) -> str:
    """Text cut to what can matter, without the lone surrogates that JSON lets through."""
    return text[:_MAXIMUM_CHARACTERS].encode("utf-8", errors="replace").decode("utf-8")


def _padded(tokens: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Ids and attention mask of shape (batch, longest), padded on the right.

    Id 0 pads, as it is in every vocabulary and the mask hides it.
    """
    lengths = np.array([len(ids) for ids in tokens])
    mask = np.arange(lengths.max()) < lengths[:, np.newaxis]
    padded = np.zeros(mask.shape, dtype=np.int64)
    padded[mask] = np.concatenate(tokens)
    return padded, mask.astype(np.int64)


def _softmax(logits: FloatArray) -> FloatArray:
    """Probabilities over the last axis; shifted by the maximum, so nothing overflows."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True))


def _json_object(artifact: Artifact, name: str) -> dict[str, Any]:
    try:
        content = json.loads(artifact.path(name).read_bytes())
    except ValueError as error:
        raise _unusable(artifact, name, f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _unusable(artifact, name, "not a JSON object")
    return content


def _label_columns(artifact: Artifact, config: Mapping[str, Any]) -> dict[str, int]:
    id2label = config.get("id2label")
    if not isinstance(id2label, dict):
        raise _unusable(artifact, CONFIG, "no id2label")
    columns = {str(label).casefold(): index for index, label in id2label.items()}
    if set(id2label) != {"0", "1", "2"} or set(columns) != set(LABELS):
        raise _unusable(
            artifact, CONFIG, f"id2label must number {', '.join(LABELS)} from 0, not {id2label}"
        )
    return {label: int(index) for label, index in columns.items()}


def _maximum_tokens(artifact: Artifact, config: Mapping[str, Any]) -> int:
    length = config.get("max_position_embeddings", MAXIMUM_TOKENS)
    if not isinstance(length, int) or length < _MINIMUM_TOKENS:
        raise _unusable(artifact, CONFIG, "max_position_embeddings is not a usable length")
    return min(length, MAXIMUM_TOKENS)


def _unusable(artifact: Artifact, name: str, why: str) -> FileDataError:
    return FileDataError(
        artifact.directory / name, f"{why}; install another version of the sentiment model"
    )
