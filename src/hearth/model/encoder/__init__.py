"""Text encoders: their families, their configuration, and the graph that all of them are."""
