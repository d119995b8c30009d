"""What an engine trades against: live, paper or replay."""
