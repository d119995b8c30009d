"""The texts that people read, by language."""
