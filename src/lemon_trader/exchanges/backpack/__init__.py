"""Backpack Exchange: its words for both roles, and the client's half. The server's half is what the sandbox speaks."""
