"""Strategies: each writes the orders it wants to rest now, and sends nothing."""
