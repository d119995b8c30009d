"""Backtests: the engine over the past, what it made of it, and how wrong that may be."""
