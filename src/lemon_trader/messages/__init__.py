"""The texts that people read, by language: stable ids, gettext catalogues, and how wide a text is on a terminal."""
