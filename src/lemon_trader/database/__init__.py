"""What is remembered: the journal, and the records derived from it."""
