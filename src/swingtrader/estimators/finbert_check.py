"""Whether an exported classifier says what the original says.

It is run as it will be run live, by `HeadlineScorer`, on headlines written for this check: their
words are those of the trade, their lengths vary, and each has a label that nobody disputes. Of
the original we ask only that it tells the good news from the bad, since a model with its labels
mixed up, or never trained, agrees with its own export perfectly.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.errors import DataError
from swingtrader.estimators.finbert import quantised
from swingtrader.estimators.installation import install
from swingtrader.estimators.sentiment import MODEL, HeadlineScorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swingtrader.core.arrays import FloatArray

AGREEMENT_FLOOR = 0.95
"""Share of headlines with the same label: three of sixty may change sides."""

MEAN_DIFFERENCE_LIMIT = 0.05
"""Of scores in [-1, 1]. A symbol's sentiment is a mean of scores and has a tenth of the vote."""

FLOAT_DIFFERENCE_LIMIT = 1e-4
"""Largest difference of an unquantised export, which does the same sums in another order."""

SEPARATION_FLOOR = 0.1
"""Mean score of the good news less that of the bad; random weights give some hundredths."""


@dataclass(frozen=True)
class Agreement:
    """How two classifiers differ over the same headlines.

    Attributes
    ----------
    headlines : int
    agreement : float
        Share of headlines for which both find the same label likeliest.
    mean_difference, largest_difference : float
        Of P(positive) - P(negative), absolute.
    """

    headlines: int
    agreement: float
    mean_difference: float
    largest_difference: float

    @property
    def suffices(self) -> bool:
        """Whether one may stand in for the other; nothing that is not a number suffices."""
        return self.agreement >= AGREEMENT_FLOOR and self.mean_difference <= MEAN_DIFFERENCE_LIMIT


def agreement(ours: FloatArray, theirs: FloatArray) -> Agreement:
    """Compare probabilities of shape (H, 3), columns positive, negative and neutral.

    A headline that one of them cannot read counts as a disagreement.
    """
    difference = np.abs((ours[:, 0] - ours[:, 1]) - (theirs[:, 0] - theirs[:, 1]))
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)) & np.isfinite(difference)
    return Agreement(
        len(ours), float(same.mean()), float(difference.mean()), float(difference.max())
    )


def separation(probabilities: FloatArray, labels: Sequence[str]) -> float:
    """Mean score of the headlines labelled positive less that of those labelled negative."""
    score, of = probabilities[:, 0] - probabilities[:, 1], np.array(labels)
    return float(score[of == "positive"].mean() - score[of == "negative"].mean())


def served_probabilities(files: Mapping[str, bytes], headlines: Sequence[str]) -> FloatArray:
    """Probabilities, of shape (H, 3), by the scorer that will serve these files.

    They are installed into a store of their own, which is gone afterwards.

    Raises
    ------
    DataError
        The scorer refuses them.
    """
    with tempfile.TemporaryDirectory(prefix="swingtrader-") as place:
        artifact = install(
            Path(place),
            "finbert",
            "candidate",
            files,
            created_at=datetime.min.replace(tzinfo=UTC),  # nobody will read it
            library_versions={},
            validation={},
        )
        return HeadlineScorer.load(artifact).probabilities(headlines)


@dataclass(frozen=True, eq=False)
class Quantised:
    """An int8 model that may stand in for its original.

    Attributes
    ----------
    model : bytes
        ONNX.
    agreement : Agreement
        With the original.
    embeddings : bool
        Whether the tables of embeddings are int8 as well.
    """

    model: bytes
    agreement: Agreement
    embeddings: bool


def smallest_agreeing(
    files: Mapping[str, bytes], model: bytes, headlines: Sequence[str], theirs: FloatArray
) -> Quantised:
    """The most quantised form of `model` that agrees with the original.

    Parameters
    ----------
    files : mapping of file name to content
        What the scorer needs beside the model.
    model : bytes
        The unquantised export.
    headlines : sequence of str, length H
    theirs : ndarray of shape (H, 3)
        The original's probabilities.

    Raises
    ------
    DataError
        No form agrees.
    """
    for embeddings in (True, False):
        small = quantised(model, embeddings=embeddings)
        found = agreement(served_probabilities({MODEL: small, **files}, headlines), theirs)
        if found.suffices:
            return Quantised(small, found, embeddings)
    raise DataError(
        f"quantised to int8, the label agrees on {found.agreement:.0%} of {found.headlines} "
        f"headlines and the score differs by {found.mean_difference:.3f} in the mean; "
        f"{AGREEMENT_FLOOR:.0%} and {MEAN_DIFFERENCE_LIMIT:g} are the limits"
    )
