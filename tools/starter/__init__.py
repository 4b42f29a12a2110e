"""Writes the text, trains the starter model on it and measures it. See README.md."""
