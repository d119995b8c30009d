"""The exchange that speaks Backpack's protocol over loopback."""
