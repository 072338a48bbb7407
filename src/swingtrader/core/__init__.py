"""What the program decides: pure functions on values, numpy and the standard library only."""
