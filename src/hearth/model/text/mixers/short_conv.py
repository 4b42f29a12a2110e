"""Gated short convolution (LFM2): each channel mixes its last few tokens, between two gates.

Parameters of a layer:

    layers.N.conv_in  .conv_in_bias         [3*hidden, hidden], [3*hidden]   gate before, gate behind, what is mixed
    layers.N.conv_taps  .conv_bias          [taps, hidden], [hidden]         its own tap last
    layers.N.conv_out  .conv_out_bias       [hidden, hidden], [hidden]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class ShortConv:
    """Sizes of a layer.

    Attributes:
        channels: as many as the hidden state has.
        taps: tokens that it reads, its own included.
        bias: of the products and of the convolution.
    """

    channels: int
    taps: int
    bias: bool = False

    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"conv_in": (3 * hidden_size, hidden_size), "conv_taps": (self.taps, hidden_size)}
        shapes["conv_out"] = (hidden_size, hidden_size)
        if self.bias:
            shapes |= {"conv_in_bias": (3 * hidden_size,), "conv_bias": (hidden_size,), "conv_out_bias": (hidden_size,)}
        return shapes

    def states(self) -> dict[str, int]:
        return {"conv_state": (self.taps - 1) * self.channels}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.text.mixers.ops import causal_conv

        made = parts.linear(x, "conv_in", "conv_in_bias" if self.bias else None)
        three = parts.emit(op.split(made, [self.channels, 2 * self.channels], axis=1))
        before, behind, value = (parts.emit(relax.TupleGetItem(three, i)) for i in range(3))
        bias = parts.parameter("conv_bias") if self.bias else None
        gated = parts.emit(op.multiply(before, value))
        mixed = causal_conv(
            gated, parts.parameter("conv_taps"), bias, parts.runs, parts.state_to, parts.state("conv_state")
        )
        y = parts.emit(op.multiply(behind, parts.emit(mixed)))
        return parts.linear(y, "conv_out", "conv_out_bias" if self.bias else None)
