"""Hearth: on-device AI. Compile any language model for the machine at hand and run it there."""
