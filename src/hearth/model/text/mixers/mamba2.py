"""Mamba 2: a state space whose steps depend on the token (Granite 4, Nemotron-H, Falcon-H1, Bamba).

Parameters of a layer:

    layers.N.ssm_in  .ssm_in_bias           [2*inner + 2*groups*state + heads, hidden]  gate, x, B, C, steps
    layers.N.ssm_conv  .ssm_conv_bias       [taps, inner + 2*groups*state], [...]  over x, B, C; its own tap last
    layers.N.ssm_decay  .ssm_step  .ssm_through  [heads] x 3     negative; added to the steps; D
    layers.N.ssm_scale                      [inner]              of the norm of the output (normalises)
    layers.N.ssm_out  .ssm_out_bias         [hidden, inner], [hidden]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class Mamba2:
    """Sizes of a layer.

    Attributes:
        heads, columns: heads, and numbers of each; inner = heads * columns.
        groups, state: heads of a group share B and C, of `state` numbers each.
        taps: tokens that the convolution reads.
        bias: of the products; `conv_bias`: of the convolution.
        least, most: between which a step lies; None: no bound.
        normalises: the output is normalised by group, times its gate (else only gated: some of Falcon-H1).
        gate_first: the gate comes before the norm; else behind it.
    """

    heads: int
    columns: int
    groups: int
    state: int
    taps: int
    bias: bool = False
    conv_bias: bool = True
    least: float = 0.0
    most: float | None = None
    normalises: bool = True
    gate_first: bool = True

    @property
    def inner(self) -> int:
        return self.heads * self.columns

    @property
    def channels(self) -> int:
        """Channels of the convolution: x, B and C."""
        return self.inner + 2 * self.groups * self.state

    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        rows = self.inner + self.channels + self.heads
        shapes: dict[str, Shape] = {"ssm_in": (rows, hidden_size), "ssm_conv": (self.taps, self.channels)}
        shapes |= dict.fromkeys(("ssm_decay", "ssm_step", "ssm_through"), (self.heads,))
        if self.normalises:
            shapes["ssm_scale"] = (self.inner,)
        shapes["ssm_out"] = (hidden_size, self.inner)
        if self.bias:
            shapes |= {"ssm_in_bias": (rows,), "ssm_out_bias": (hidden_size,)}
        return shapes | ({"ssm_conv_bias": (self.channels,)} if self.conv_bias else {})

    def states(self) -> dict[str, int]:
        return {"conv_state": (self.taps - 1) * self.channels, "ssm_state": self.inner * self.state}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.text.mixers.ops import causal_conv, gated_norm, selective_scan

        batch = (parts.runs, parts.state_to)
        made = parts.linear(x, "ssm_in", "ssm_in_bias" if self.bias else None)
        split = parts.emit(op.split(made, [self.inner, self.inner + self.channels], axis=1))
        gate, xbc, steps = (parts.emit(relax.TupleGetItem(split, i)) for i in range(3))
        bias = parts.parameter("ssm_conv_bias") if self.conv_bias else None
        conv = (parts.parameter("ssm_conv"), bias, *batch, parts.state("conv_state"))
        xbc = parts.emit(causal_conv(xbc, *conv, activation="silu"))
        decay, step, through = (parts.parameter(f"ssm_{name}") for name in ("decay", "step", "through"))
        y = parts.emit(
            selective_scan(
                xbc, steps, decay, step, through, *batch, parts.state("ssm_state"), heads=self.heads,
                groups=self.groups, columns=self.columns, size=self.state, least=self.least, most=self.most,
            )
        )  # fmt: skip
        if self.normalises:
            y = parts.emit(
                gated_norm(
                    y, gate, parts.parameter("ssm_scale"), size=self.inner // self.groups, epsilon=parts.epsilon,
                    activation="silu", before=self.gate_first,
                )
            )  # fmt: skip
        else:
            y = parts.emit(op.multiply(y, parts.emit(op.nn.silu(gate))))
        return parts.linear(y, "ssm_out", "ssm_out_bias" if self.bias else None)
