"""What must be right before money trades: the lines of a visit, and the live checks that lift the cap."""
