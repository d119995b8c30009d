"""Composition: the one place that names concrete parts, and what a start, a sandbox and a demonstration do with them.

Nothing is imported here: a live run loads neither the demonstration nor what plays recordings.
"""
