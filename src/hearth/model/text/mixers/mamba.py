"""Mamba 1: a state space of which each channel fades at rates of its own.

Parameters of a layer:

    layers.N.ssm_in  .ssm_in_bias           [2*channels, hidden], [...]       x, gate
    layers.N.ssm_conv  .ssm_conv_bias       [taps, channels], [channels]      over x; its own tap last
    layers.N.ssm_x                          [rank + 2*state, channels]        what steps are made of, B, C
    layers.N.ssm_dt_norm  .ssm_b_norm  .ssm_c_norm  [rank], [state] x 2       norms of these (norms = "weighted")
    layers.N.ssm_dt  .ssm_step              [channels, rank], [channels]      steps, and what is added to them
    layers.N.ssm_rates                      [state, channels]                 negative
    layers.N.ssm_through                    [channels]                        D
    layers.N.ssm_out  .ssm_out_bias         [hidden, channels], [hidden]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class Mamba:
    """Sizes of a layer.

    Attributes:
        channels: each with a state of its own, of `state` numbers.
        taps: tokens that the convolution reads.
        rank: numbers that the steps of all channels are made of.
        bias: of the products in and out; `conv_bias`: of the convolution.
        norms: of what steps are made of, B and C: with weights of their own (Jamba), bare (Falcon Mamba), or none.
        norm_epsilon: theirs; None: that of the layer's norms.
    """

    channels: int
    state: int
    taps: int
    rank: int
    bias: bool = False
    conv_bias: bool = True
    norms: Literal["weighted", "bare", "none"] = "none"
    norm_epsilon: float | None = None

    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        channels, state = self.channels, self.state
        shapes: dict[str, Shape] = {
            "ssm_in": (2 * channels, hidden_size),
            "ssm_conv": (self.taps, channels),
            "ssm_x": (self.rank + 2 * state, channels),
            "ssm_dt": (channels, self.rank),
            "ssm_step": (channels,),
            "ssm_rates": (state, channels),
            "ssm_through": (channels,),
            "ssm_out": (hidden_size, channels),
        }
        if self.norms == "weighted":
            shapes |= {"ssm_dt_norm": (self.rank,), "ssm_b_norm": (state,), "ssm_c_norm": (state,)}
        if self.bias:
            shapes |= {"ssm_in_bias": (2 * channels,), "ssm_out_bias": (hidden_size,)}
        return shapes | ({"ssm_conv_bias": (channels,)} if self.conv_bias else {})

    def states(self) -> dict[str, int]:
        return {"conv_state": (self.taps - 1) * self.channels, "ssm_state": self.channels * self.state}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.text.mixers.ops import causal_conv, channel_scan

        def several(value: Any, *ends: int) -> list[Any]:
            split = parts.emit(op.split(value, list(ends), axis=1))
            return [parts.emit(relax.TupleGetItem(split, i)) for i in range(len(ends) + 1)]

        batch = (parts.runs, parts.state_to)
        made = parts.linear(x, "ssm_in", "ssm_in_bias" if self.bias else None)
        value, gate = several(made, self.channels)
        bias = parts.parameter("ssm_conv_bias") if self.conv_bias else None
        conv = (parts.parameter("ssm_conv"), bias, *batch, parts.state("conv_state"))
        value = parts.emit(causal_conv(value, *conv, activation="silu"))

        def normed(value: Any, name: str, size: int) -> Any:
            if self.norms == "none":
                return value
            weight = parts.parameter(name) if self.norms == "weighted" else relax.const(np.ones(size, np.float32))
            epsilon = parts.epsilon if self.norm_epsilon is None else self.norm_epsilon
            return parts.emit(op.nn.rms_norm(value, weight, axes=-1, epsilon=epsilon))

        selected = several(parts.linear(value, "ssm_x"), self.rank, self.rank + self.state)
        steps = normed(selected[0], "ssm_dt_norm", self.rank)
        b, c = (normed(selected[i], f"ssm_{name}_norm", self.state) for i, name in ((1, "b"), (2, "c")))
        rates, step, through = (parts.parameter(f"ssm_{name}") for name in ("rates", "step", "through"))
        steps = parts.linear(steps, "ssm_dt")
        y = channel_scan(value, steps, b, c, rates, step, through, *batch, parts.state("ssm_state"))
        y = parts.emit(op.multiply(parts.emit(y), parts.emit(op.nn.silu(gate))))
        return parts.linear(y, "ssm_out", "ssm_out_bias" if self.bias else None)
