"""The outside world: market data files, the exchange calendar, the broker and the store."""
