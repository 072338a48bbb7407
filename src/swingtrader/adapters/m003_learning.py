"""Migration 3: scores of headlines, what signals were worth, and what models were judged by.

Regime models move to the model store; the next run of `regime` fits one where none is there.

A score is looked up by model and headline, and there may be hundreds of thousands: digests are
kept as bytes and models once each, which halves what every opening of the store has to check. A
headline itself is never stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_STATEMENTS = (
    "DROP TABLE regime_models",
    "ALTER TABLE models ADD COLUMN validation TEXT NOT NULL DEFAULT '{}'",
    """
    CREATE TABLE sentiment_models (
        number INTEGER PRIMARY KEY,
        model TEXT NOT NULL UNIQUE
    ) STRICT
    """,
    """
    CREATE TABLE sentiment (
        number INTEGER PRIMARY KEY,
        model INTEGER NOT NULL REFERENCES sentiment_models (number),
        headline BLOB NOT NULL CHECK (length(headline) = 32), -- SHA-256
        score REAL CHECK (score BETWEEN -1 AND 1), -- NULL: could not be read
        recorded_at TEXT NOT NULL,
        UNIQUE (model, headline)
    ) STRICT
    """,
    """
    CREATE TABLE worth (
        number INTEGER PRIMARY KEY,
        signal TEXT NOT NULL UNIQUE,
        sharpe_change REAL NOT NULL,
        low REAL NOT NULL,
        high REAL NOT NULL CHECK (high >= low),
        ic_mean REAL, -- NULL: never present
        ic_t REAL,
        first_session TEXT NOT NULL CHECK (length(first_session) = 10),
        last_session TEXT NOT NULL CHECK (length(last_session) = 10),
        recorded_at TEXT NOT NULL
    ) STRICT
    """,
)


def m003_learning(connection: sqlite3.Connection) -> None:
    """Sentiment scores, the worth of signals, and the validation of models."""
    for statement in _STATEMENTS:
        connection.execute(statement)
