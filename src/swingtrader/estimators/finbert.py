"""Taking over a sentiment classifier trained elsewhere: load it, export it, quantise it.

What is chosen here, and why:

- Weights are read from safetensors only. The other published format, ``pytorch_model.bin``, is a
  pickle. torch can read one with a restricted unpickler (``weights_only=True``), but that has
  been broken before (CVE-2025-32434), and one conversion by somebody who trusts the file is all
  it saves. Code that comes with a model is refused (``trust_remote_code=False``).
- transformers fills in what a model lacks: labels, a vocabulary of five marks, a classifier of
  random weights. Each of these is a refusal here.
- The exporter is torch's newer one (``torch.export``), since the other is deprecated. Attention is
  written out (``eager``): the fused kind exports to half as many nodes again.
- Weights become int8 per output channel with one bit to spare (``reduce_range``): on processors
  without VNNI, a sum of two products of all eight bits saturates.
- The embeddings are a quarter of a BERT and have one scale for the whole table, which one
  outlying word spoils. Where int8 throughout does not agree with the original, they stay float.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.errors import FileDataError
from swingtrader.estimators.sentiment import CONFIG, LABELS, MAXIMUM_TOKENS, TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swingtrader.core.arrays import FloatArray

OPSET = 18
"""Read by every onnxruntime since 1.14, and the oldest that torch's exporter writes."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SHORTEST = 16  # tokens a model must take for a headline to make sense
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Classifier:
    """The original: a network of torch and a tokenizer, as transformers loads them.

    Attributes
    ----------
    network : transformers.PreTrainedModel
        In evaluation mode, float32.
    tokenizer : transformers.PreTrainedTokenizerBase
        One that the ``tokenizers`` library runs.
    id2label : mapping of int to str
    maximum_tokens : int
        What its positions allow.
    """

    network: Any
    tokenizer: Any
    id2label: Mapping[int, str]
    maximum_tokens: int

    @classmethod
    def load(cls, directory: Path) -> Classifier:
        """Return the classifier in `directory`, laid out as ``save_pretrained`` and the hub do.

        No network is used, and nothing is unpickled.

        Raises
        ------
        FileDataError
            There is no such directory, something is missing or malformed, the weights are
            pickled, or the labels are not positive, negative and neutral.
        """
        _check_layout(directory)
        # Looked at once, by the imports below. The library's bars would break into ours.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        from safetensors import SafetensorError  # noqa: PLC0415 - slow, with transformers
        from transformers import (  # noqa: PLC0415 - several seconds, for a pull only
            AutoConfig,
            AutoModelForSequenceClassification,
            AutoTokenizer,
        )

        local = {"local_files_only": True, "trust_remote_code": False}
        with _quiet():
            try:
                config = AutoConfig.from_pretrained(directory, **local)
                _check_labels(directory, config.id2label)
                network, loading = AutoModelForSequenceClassification.from_pretrained(
                    directory,
                    config=config,
                    use_safetensors=True,
                    dtype="float32",
                    attn_implementation="eager",
                    output_loading_info=True,
                    **local,
                )
                tokenizer = AutoTokenizer.from_pretrained(directory, **local)
            # What transformers and what lies under it raise for files that are not as they
            # should be: missing, not JSON, of an unknown kind, cut short, of other shapes.
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as e:
                why = " ".join(str(e).split())[:300]
                raise FileDataError(directory, f"is no usable classifier: {why}") from e
        missing = sorted(loading["missing_keys"])
        if missing:
            raise FileDataError(
                directory,
                f"is no trained classifier: its weights lack {missing[0]}"
                + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            )
        maximum_tokens = _maximum_tokens(directory, config)
        _check_vocabulary(directory, tokenizer, config.vocab_size)
        return cls(network.eval(), tokenizer, dict(config.id2label), maximum_tokens)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs; not every kind tells two texts apart."""
        return tuple(name for name in _INPUTS if name in self.tokenizer.model_input_names)

    def probabilities(self, headlines: Sequence[str]) -> FloatArray:
        """Probability of each label for each headline, by torch.

        Returns
        -------
        ndarray of shape (H, 3)
            Columns as `swingtrader.estimators.sentiment.LABELS`.
        """
        import torch  # noqa: PLC0415 - with transformers

        batches = []
        for start in range(0, len(headlines), _BATCH):
            tokens = self.tokenizer(
                list(headlines[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=min(self.maximum_tokens, MAXIMUM_TOKENS),
                return_tensors="pt",
            )
            with torch.no_grad():
                logits = self.network(**{name: tokens[name] for name in self.inputs}).logits
            batches.append(torch.softmax(logits.double(), dim=-1).numpy())
        columns = {label.casefold(): column for column, label in self.id2label.items()}
        return np.asarray(np.concatenate(batches)[:, [columns[label] for label in LABELS]])

    def files(self) -> dict[str, bytes]:
        """Content of the tokenizer's and the configuration's file, as the scorer reads them."""
        config = {
            "model_type": self.network.config.model_type,
            "id2label": {str(number): label for number, label in self.id2label.items()},
            "max_position_embeddings": self.maximum_tokens,
        }
        words = json.loads(self.tokenizer.backend_tokenizer.to_str())
        # How texts were cut and padded last time is kept there, and is no part of the model.
        words |= {"truncation": None, "padding": None}
        return {
            TOKENIZER: json.dumps(words, ensure_ascii=False).encode(),
            CONFIG: json.dumps(config, indent=2).encode(),
        }

    def sha256(self) -> str:
        """Digest of weights, words and labels; the same wherever the files came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
        for name, content in sorted(self.files().items()):
            digest.update(f"{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()


def exported(classifier: Classifier) -> bytes:
    """ONNX model of the network: token ids of any batch and length to logits, in float32."""
    import torch  # noqa: PLC0415 - with transformers

    rng = torch.Generator().manual_seed(0)
    shape = (2, _SHORTEST // 2)
    # Distinct tensors: the exporter would take one tensor given twice for one input.
    example = {name: torch.randint(2, shape, generator=rng) for name in classifier.inputs}
    sizes = {
        0: torch.export.Dim("batch"),
        1: torch.export.Dim("tokens", max=classifier.maximum_tokens),
    }
    with _quiet():
        program = torch.onnx.export(
            classifier.network,
            kwargs=example,
            input_names=list(classifier.inputs),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(classifier.inputs, sizes),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch's exporter returned no program")
    return bytes(program.model_proto.SerializeToString())


def quantised(model: bytes, *, embeddings: bool) -> bytes:
    """ONNX model with weights of int8, and activations quantised as they come.

    Parameters
    ----------
    model : bytes
        As from `exported`.
    embeddings : bool
        Whether the tables of embeddings become int8 as well.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in sentiment
    from onnxruntime.quantization import quantize_dynamic  # noqa: PLC0415 - imports onnx

    with tempfile.TemporaryDirectory(prefix="swingtrader-") as place, _quiet():
        source, target = Path(place, "float.onnx"), Path(place, "int8.onnx")
        source.write_bytes(model)
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gather"] if embeddings else ["MatMul"],
            per_channel=True,
            reduce_range=True,
        )
        return target.read_bytes()


def _check_layout(directory: Path) -> None:
    if not directory.is_dir():
        raise FileDataError(directory, "is not a directory; name one with a classifier in it")
    if not (directory / CONFIG).is_file():
        raise FileDataError(directory, f"has no {CONFIG}: it holds no model of transformers")
    if not any((directory / name).is_file() for name in WEIGHTS):
        pickles = [name for name in PICKLES if (directory / name).is_file()]
        why = f"only {pickles[0]}, a pickle, which is never opened" if pickles else "no weights"
        raise FileDataError(directory, f"has {why}; {WEIGHTS[0]} is needed")
    if not any((directory / name).is_file() for name in VOCABULARIES):
        raise FileDataError(directory, f"has no tokenizer ({', '.join(VOCABULARIES)})")


def _check_labels(directory: Path, id2label: Mapping[int, str]) -> None:
    found = [id2label[number] for number in sorted(id2label)]
    if sorted(label.casefold() for label in found) != sorted(LABELS):
        raise FileDataError(
            directory / CONFIG,
            f"its id2label must name {', '.join(LABELS)}, "
            f"not {', '.join(found)[:200] or 'nothing'}",
        )


def _maximum_tokens(directory: Path, config: Any) -> int:
    length = getattr(config, "max_position_embeddings", None)
    if not isinstance(length, int) or length < _SHORTEST:
        raise FileDataError(directory / CONFIG, f"takes fewer than {_SHORTEST} tokens: {length}")
    return length


def _check_vocabulary(directory: Path, tokenizer: Any, size: int) -> None:
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise FileDataError(directory, "has a tokenizer that the tokenizers library cannot run")
    marks = len(tokenizer.all_special_ids)
    if not marks < len(tokenizer) <= size:
        raise FileDataError(
            directory,
            f"has a tokenizer of {len(tokenizer)} words for a model of {size}; "
            "they do not belong together",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence libraries that warn of what they do themselves, and of what is refused here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
