"""Swing-trades US equities through Alpaca, unattended, on one small machine."""

__version__ = "0.1.0"
