"""Signed requests: the reads, and the order path's own connection."""
