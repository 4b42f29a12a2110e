"""Conversations on disk, in one SQLite file."""
