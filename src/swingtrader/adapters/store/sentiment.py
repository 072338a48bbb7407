"""Scores of headlines, so that no model reads the same one twice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import cell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from swingtrader.adapters.store.database import Database

SCORES_KEPT = 200_000
"""Some 30 MB; at 150 new headlines a session, five years of them."""

_AT_ONCE = 500
"""Digests in one query; SQLite used to take 999 parameters at most."""

_NAME = "INSERT INTO sentiment_models (model) VALUES (?) ON CONFLICT (model) DO NOTHING"
_RECORD = """
    INSERT OR REPLACE INTO sentiment (model, headline, score, recorded_at)
    SELECT number, ?, ?, ? FROM sentiment_models WHERE model = ?
"""
_PRUNE = """
    DELETE FROM sentiment
    WHERE number <= (SELECT number FROM sentiment ORDER BY number DESC LIMIT 1 OFFSET ?)
"""


class Sentiment:
    """Scores by model and headline; a headline is known by its digest alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def scores(self, model: str, headlines: Collection[str]) -> dict[str, float]:
        """Scores that are known of a model.

        Parameters
        ----------
        model : str
            What tells one model from another, such as a digest of its files.
        headlines : collection of str
            SHA-256 of each headline, hexadecimal.

        Returns
        -------
        dict of str to float
            By digest, in [-1, 1]; NaN for a headline that the model could not read. Headlines
            without a score are absent.

        Raises
        ------
        ValueError
            A headline is not given as hexadecimal digits.
        """
        wanted = [bytes.fromhex(headline) for headline in headlines]
        found: dict[str, float] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = (
                "SELECT headline, score FROM sentiment WHERE model = "  # noqa: S608 - only marks
                f"(SELECT number FROM sentiment_models WHERE model = ?) AND headline IN ({marks})"
            )
            for headline, score in self._database.rows(query, (model, *some)):
                found[headline.hex()] = math.nan if score is None else score
        return found

    def record(
        self,
        model: str,
        scores: Mapping[str, float],
        at: datetime,
        *,
        keep: int = SCORES_KEPT,
    ) -> None:
        """Keep scores in place of earlier ones of the same headlines, and forget the oldest.

        Parameters
        ----------
        model, scores
            As in `scores`.
        at : datetime
            Aware.
        keep : int
            Scores that remain, of all models together: the ones written last.

        Raises
        ------
        ValueError
            A score is outside [-1, 1], or a headline is not given as its digest.
        """
        written_at = cell(at)
        rows = [
            (bytes.fromhex(headline), None if math.isnan(score) else score, written_at, model)
            for headline, score in scores.items()
        ]
        with self._database.writing() as connection:
            connection.execute(_NAME, (model,))
            connection.executemany(_RECORD, rows)
            connection.execute(_PRUNE, (keep,))
