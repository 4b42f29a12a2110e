"""Decoder-only language models: their families, their configuration, and the decoder that all of them are."""
