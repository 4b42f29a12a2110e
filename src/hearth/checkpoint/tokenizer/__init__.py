"""Turns every published form of a tokenizer into the one that Hearth runs: a `tokenizer.json`."""
