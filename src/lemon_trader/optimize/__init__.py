"""The same decisions, compiled: one run in the time that a disk needs, thousands of parameter sets side by side."""
