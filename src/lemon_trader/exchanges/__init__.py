"""Exchanges' words: what an exchange says and wants to hear, as bytes in and facts out."""
