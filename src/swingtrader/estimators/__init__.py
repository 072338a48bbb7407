"""Fit and evaluate learned models; what they learned leaves as plain arrays of the core."""
