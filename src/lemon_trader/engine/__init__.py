"""The turn: facts of one read in, journalled commands out."""
