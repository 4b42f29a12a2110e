"""Tiny models of many kinds as others export them, with what PyTorch computed for them."""

# Of graphs that round to bytes: one of their steps, where what lies between two of them goes to the other one.
STEPS = {"mobile_bytes": 0.004, "pooled_bytes": 0.01}
