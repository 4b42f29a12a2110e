"""What the layers of published mixtures have in place of one MLP, as their GGUF files name it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from recurrent_shapes import Part


@dataclass(frozen=True)
class ExpertsShape:
    """A router, and experts of which it takes some for each token.

    Attributes:
        inner_size: of each.
        shared_size: inner width of what is beside them; 0: nothing is.
        bias: of the router and of each product.
    """

    count: int
    used: int
    inner_size: int
    shared_size: int = 0
    bias: bool = False

    def parts(self, hidden: int) -> Iterator[Part]:
        yield "ffn_gate_inp.weight", (self.count, hidden)
        sizes = {"gate": (self.inner_size, hidden), "up": (self.inner_size, hidden), "down": (hidden, self.inner_size)}
        for name, size in sizes.items():
            yield f"ffn_{name}_exps.weight", (self.count, *size)
        if self.bias:
            yield "ffn_gate_inp.bias", (self.count,)
            for name, (rows, _) in sizes.items():
                yield f"ffn_{name}_exps.bias", (self.count, rows)
        if self.shared_size:
            for name in ("gate", "up"):
                yield f"ffn_{name}_shexp.weight", (self.shared_size, hidden)
            yield "ffn_down_shexp.weight", (hidden, self.shared_size)

    def metadata(self) -> dict[str, object]:
        about: dict[str, object] = {
            "expert_count": np.uint32(self.count),
            "expert_used_count": np.uint32(self.used),
            "expert_feed_forward_length": np.uint32(self.inner_size),
        }
        if self.shared_size:
            about["expert_shared_feed_forward_length"] = np.uint32(self.shared_size)
        return about
