"""Small shells: time and back-off."""
