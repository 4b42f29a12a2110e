"""Gated short convolution (LFM2): each channel mixes its last few tokens, between two gates.

layers.N.conv_in                        [3*hidden, hidden]     gate before, gate behind, what is convolved
layers.N.conv_taps  .conv_bias          [taps, hidden], [hidden]   the last tap the token's own
layers.N.conv_out                       [hidden, hidden]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class ShortConv:
    """Sizes of a layer.

    Attributes:
        channels: as many as the hidden state has.
        taps: tokens that it reads, its own included.
        bias: of the convolution.
    """

    channels: int
    taps: int
    bias: bool = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"conv_in": (3 * hidden_size, hidden_size), "conv_taps": (self.taps, hidden_size)}
        if self.bias:
            shapes["conv_bias"] = (hidden_size,)
        return {**shapes, "conv_out": (hidden_size, hidden_size)}

    def states(self) -> dict[str, int]:
        return {"conv_state": (self.taps - 1) * self.channels}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.ops import causal_conv

        three = parts.emit(op.split(parts.linear(x, "conv_in"), 3, axis=1))
        before, behind, value = (parts.emit(relax.TupleGetItem(three, i)) for i in range(3))
        bias = parts.parameter("conv_bias") if self.bias else None
        gated = parts.emit(op.multiply(before, value))
        mixed = causal_conv(
            gated, parts.parameter("conv_taps"), bias, parts.runs, parts.state_to, parts.state("conv_state")
        )
        return parts.linear(parts.emit(op.multiply(behind, parts.emit(mixed))), "conv_out")
