"""Migration 2: everything that trading must remember.

Runs come and go, and what hangs on them goes with them; intents, fills and trials stay. A
`number` is the order of writing. Values that code distinguishes are listed in CHECKs, and a
session is told from an instant by its length, which Python does not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_STATEMENTS = (
    """
    CREATE TABLE account (
        row INTEGER PRIMARY KEY CHECK (row = 1),
        number TEXT NOT NULL,
        bound_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        command TEXT NOT NULL,
        mode TEXT NOT NULL CHECK (mode IN ('dry_run', 'paper', 'live')),
        started_at TEXT NOT NULL,
        asof TEXT,
        session TEXT CHECK (length(session) = 10),
        market_open INTEGER CHECK (market_open IN (0, 1)),
        next_open TEXT,
        next_close TEXT,
        finished_at TEXT,
        exit_code INTEGER,
        skipped TEXT,
        report TEXT,
        warnings TEXT NOT NULL DEFAULT '[]'
    ) STRICT
    """,
    "CREATE INDEX runs_by_start ON runs (started_at, number)",
    "CREATE INDEX runs_by_command ON runs (command, started_at, number)",
    """
    CREATE TABLE intents (
        number INTEGER PRIMARY KEY,
        client_order_id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL CHECK (length(session) = 10),
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        purpose TEXT NOT NULL CHECK (purpose IN ('entry', 'exit', 'protection')),
        qty TEXT NOT NULL,
        type TEXT NOT NULL CHECK (type IN ('market', 'limit', 'stop')),
        reason TEXT NOT NULL,
        run_id TEXT NOT NULL, -- may outlive its run
        written_at TEXT NOT NULL,
        limit_price TEXT,
        stop_price TEXT,
        state TEXT NOT NULL
            CHECK (state IN ('unknown', 'working', 'done', 'refused', 'abandoned')),
        settled_at TEXT,
        broker_order_id TEXT,
        status TEXT,
        filled_qty TEXT NOT NULL,
        filled_avg_price TEXT
    ) STRICT
    """,
    "CREATE INDEX intents_by_session ON intents (session)",
    # The condition is that of the query word for word, or it would not be used.
    "CREATE INDEX intents_unsettled ON intents (number) WHERE state IN ('unknown', 'working')",
    """
    CREATE TABLE positions (
        symbol TEXT PRIMARY KEY,
        qty TEXT NOT NULL,
        entry_price TEXT,
        entry_session TEXT NOT NULL CHECK (length(entry_session) = 10),
        high_water REAL NOT NULL,
        trailing_stop REAL NOT NULL,
        misses INTEGER NOT NULL,
        counted_session TEXT CHECK (length(counted_session) = 10),
        age_sessions INTEGER NOT NULL,
        managed INTEGER NOT NULL CHECK (managed IN (0, 1)),
        price TEXT,
        price_at TEXT,
        print_price TEXT,
        print_at TEXT,
        stop_ratio REAL,
        target_ratio REAL,
        resting_qty TEXT NOT NULL,
        resting_stop TEXT
    ) STRICT
    """,
    """
    CREATE TABLE open_orders (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        client_order_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        type TEXT NOT NULL,
        status TEXT NOT NULL,
        qty TEXT,
        filled_qty TEXT NOT NULL,
        filled_avg_price TEXT,
        limit_price TEXT,
        stop_price TEXT,
        submitted_at TEXT
    ) STRICT
    """,
    """
    CREATE TABLE sightings (
        subject TEXT PRIMARY KEY CHECK (subject IN ('positions', 'open_orders')),
        seen_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE fills (
        id TEXT PRIMARY KEY,
        symbol TEXT NOT NULL,
        day TEXT NOT NULL CHECK (length(day) = 10),
        qty TEXT NOT NULL,
        at TEXT, -- a split has none of these four
        side TEXT,
        price TEXT,
        order_id TEXT,
        CHECK ((at IS NULL) + (side IS NULL) + (price IS NULL) + (order_id IS NULL) IN (0, 4))
    ) STRICT
    """,
    "CREATE INDEX fills_by_symbol ON fills (symbol, day, at, id)",
    "CREATE INDEX fills_by_instant ON fills (at)",
    """
    CREATE TABLE halts (
        number INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        since TEXT NOT NULL,
        session TEXT CHECK (length(session) = 10),
        flatten INTEGER NOT NULL CHECK (flatten IN (0, 1)),
        lifted_at TEXT
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX halts_active ON halts (reason, coalesce(session, ''))
        WHERE lifted_at IS NULL
    """,
    """
    CREATE TABLE regime_models (
        week TEXT PRIMARY KEY CHECK (length(week) = 10),
        first_session TEXT NOT NULL CHECK (length(first_session) = 10),
        content BLOB NOT NULL,
        fitted_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE regimes (
        session TEXT PRIMARY KEY CHECK (length(session) = 10),
        p_high_volatility REAL NOT NULL CHECK (p_high_volatility BETWEEN 0 AND 1),
        label TEXT NOT NULL CHECK (label IN ('low_volatility', 'high_volatility')),
        recorded_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE ranges (
        session TEXT NOT NULL CHECK (length(session) = 10),
        symbol TEXT NOT NULL,
        atr_fraction REAL NOT NULL,
        recorded_at TEXT NOT NULL,
        PRIMARY KEY (session, symbol)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE scans (
        session TEXT NOT NULL CHECK (length(session) = 10),
        symbol TEXT NOT NULL,
        rank INTEGER NOT NULL,
        score REAL NOT NULL,
        PRIMARY KEY (session, symbol)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE decision_runs (
        number INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE REFERENCES runs (run_id) ON DELETE CASCADE,
        session TEXT NOT NULL CHECK (length(session) = 10),
        asof TEXT NOT NULL,
        weights TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE decisions (
        symbol TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES decision_runs (number) ON DELETE CASCADE,
        action TEXT NOT NULL CHECK (action IN ('buy', 'sell', 'hold')),
        score REAL,
        market REAL,
        quant REAL,
        rl REAL,
        sentiment REAL,
        momentum REAL,
        regime REAL,
        reason TEXT NOT NULL,
        PRIMARY KEY (symbol, run)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX decisions_by_run ON decisions (run)",
    """
    CREATE TABLE snapshots (
        run INTEGER PRIMARY KEY REFERENCES decision_runs (number) ON DELETE CASCADE,
        session TEXT NOT NULL CHECK (length(session) = 10),
        content BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX snapshots_by_session ON snapshots (session)",
    """
    CREATE TABLE models (
        family TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        trained_at TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT
    """,
)


def m002_trading(connection: sqlite3.Connection) -> None:
    """Account, runs, orders, positions, fills, halts, regimes, scans, decisions and models."""
    for statement in _STATEMENTS:
        connection.execute(statement)
