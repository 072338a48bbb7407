"""A BERT small enough to be made in a test, and real all the same.

Its words are learned from the headlines below, its weights by training on them, and it is saved
as published models are. Its labels stand in an order that no published model has, so that who
takes them by position is found out.
"""

from __future__ import annotations

import random
import re
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ID2LABEL = {0: "neutral", 1: "positive", 2: "negative"}
STEPS = 70
BATCH = 108

COMPANIES = (
    "Apple", "Boeing", "Chevron", "Deere", "Emerson", "Ford", "Gilead", "Honeywell", "Intel",
    "JPMorgan", "Kroger", "Lilly", "Merck", "Nike", "Oracle", "Pfizer",
)  # fmt: skip
SAID = {
    "positive": (
        "beats estimates", "raises its outlook", "shares surge", "wins a large contract",
        "posts record profit", "is upgraded to buy", "lifts its dividend", "sales jump",
        "profit rises", "shares rally", "tops forecasts", "gains approval", "stock soars",
        "sales climb", "doubles its profit", "sees strong growth", "boosts guidance",
        "beats expectations", "returns to profit", "record orders", "upgrade on strong demand",
        "expands buyback", "secures a favorable ruling", "gains market share",
    ),
    "negative": (
        "misses estimates", "cuts its outlook", "shares plunge", "loses a large contract",
        "posts a surprise loss", "is downgraded to sell", "suspends its dividend", "sales fall",
        "profit drops", "shares slump", "warns of weak sales", "faces a lawsuit", "stock sinks",
        "sales decline", "profit halves", "sees weak growth", "recalls vehicles",
        "falls short of expectations", "cuts jobs", "files for bankruptcy",
        "downgrade on slowing demand", "halts production", "is rejected by the regulator",
        "under investigation for fraud",
    ),
    "neutral": (
        "to report on Thursday", "names a new director", "shares little changed",
        "to hold its annual meeting", "moves its head office", "reiterated at hold",
        "to speak at a conference", "files its quarterly report", "sets a record date",
        "appoints an auditor", "to present in Boston", "publishes its calendar",
        "maintains its dividend", "to host a call", "changes its name", "board to meet",
        "completes a transfer", "volume in line with average", "what to watch",
        "renews an agreement", "names a chief financial officer", "to present next week",
        "reports results on Monday", "opens an office",
    ),
}  # fmt: skip
TAILS = (
    "", "in the third quarter", "as demand changes", "after the close", "ahead of the holiday",
    "analysts say", "on Monday", "in Europe and Asia",
)  # fmt: skip
TAILS_EACH = 4


def headlines() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Headlines with their labels: to learn from, and a quarter held out.

    What is held out speaks of what was learned in other company.
    """
    everything = [
        (f"{company} {said} {tail}".strip(), label)
        for label, sayings in SAID.items()
        for row, said in enumerate(sayings)
        for column in range(TAILS_EACH)
        for company in (COMPANIES[(5 * row + 3 * column) % len(COMPANIES)],)
        for tail in (TAILS[(row + 3 * column) % len(TAILS)],)
    ]
    held_out = everything[1::TAILS_EACH]
    return [pair for pair in everything if pair not in held_out], held_out


def _among_strange_words(text: str, rng: random.Random) -> str:
    """Headline with words in between that mean nothing, so that unknown words come to."""
    words = text.split()
    for _ in range(rng.randint(0, 4)):
        strange = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 7)))
        words.insert(rng.randint(0, len(words)), strange)
    return " ".join(words)


def make_small_bert(directory: Path, *, seed: int = 0) -> None:
    """Make it, train it, and save it into `directory` by ``save_pretrained``.

    Parameters
    ----------
    directory : Path
        Made where missing.
    seed : int
        The same seed gives the same model on the same machine.
    """
    import torch  # noqa: PLC0415 - slow, and few tests need it
    from transformers import (  # noqa: PLC0415 - with it
        BertConfig,
        BertForSequenceClassification,
        BertTokenizer,
    )
    from transformers.utils import logging  # noqa: PLC0415 - with it

    logging.disable_progress_bar()
    learned, _ = headlines()
    # Not learned by tokenizers, whose ties are broken in another order in every process.
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    parts = [f"##{letter}" for letter in letters if letter.isalnum()]
    words = sorted({word for text, _ in learned for word in re.findall(r"[a-z]+", text.lower())})
    entries = dict.fromkeys([*special, *letters, *parts, *words])
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=64)

    numbers = {label: number for number, label in ID2LABEL.items()}
    rng = random.Random(seed)
    texts = [_among_strange_words(text, rng) for text, _ in learned]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    labels = torch.tensor([numbers[label] for _, label in learned])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are then added in one order
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(vocabulary),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=64,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                initializer_range=0.05,  # for 32 columns; the usual 0.02 is for 768
                id2label=ID2LABEL,
                label2id=numbers,
            )
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.05)
        network.train()
        for _ in range(STEPS):
            rows = torch.randperm(len(labels))[:BATCH]
            batch = {name: values[rows] for name, values in tokens.items()}
            optimizer.zero_grad()
            network(**batch, labels=labels[rows]).loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    network.eval()
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def small_bert(tmp_path_factory) -> Path:
    """Directory of one made for this process, to read and not to touch."""
    place: Path = tmp_path_factory.getbasetemp() / "small-bert"
    if not place.exists():
        make_small_bert(place)
    return place
