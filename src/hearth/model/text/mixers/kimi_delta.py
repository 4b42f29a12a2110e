"""Kimi delta attention (Kimi Linear, arXiv:2510.26692): a Gated DeltaNet each of whose keys forgets by itself.

Parameters of a layer, of n = heads * size columns:

    layers.N.delta_q  .delta_k  .delta_v    [n, hidden] x 3
    layers.N.delta_conv                     [taps, 3*n]               over the last tokens, its own tap last
    layers.N.delta_f_down  .delta_f_up      [size, hidden], [n, size] how much of each key is forgotten
    layers.N.delta_decay  .delta_step       [heads, 1], [n]           negative; added to that
    layers.N.delta_b                        [heads, hidden]           how much is replaced
    layers.N.delta_g_down  .delta_g_up      [size, hidden], [n, size] gate of the output
    layers.N.delta_scale                    [size]                    of the norm of each head's output
    layers.N.delta_out                      [hidden, n]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class KimiDelta:
    """Sizes of a layer.

    Attributes:
        heads, size: of queries, keys and values alike; what is between the products of low rank is as wide as a head.
        taps: tokens that the convolution over queries, keys and values reads.
    """

    heads: int
    size: int
    taps: int
    reads_others: ClassVar[bool] = False

    @property
    def columns(self) -> int:
        """Columns of all heads."""
        return self.heads * self.size

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = dict.fromkeys(("delta_q", "delta_k", "delta_v"), (self.columns, hidden_size))
        shapes["delta_conv"] = (self.taps, 3 * self.columns)
        for part in "fg":
            shapes |= {f"delta_{part}_down": (self.size, hidden_size), f"delta_{part}_up": (self.columns, self.size)}
        return shapes | {
            "delta_decay": (self.heads, 1),
            "delta_step": (self.columns,),
            "delta_b": (self.heads, hidden_size),
            "delta_scale": (self.size,),
            "delta_out": (hidden_size, self.columns),
        }

    def states(self) -> dict[str, int]:
        return {"conv_state": (self.taps - 1) * 3 * self.columns, "delta_state": self.columns * self.size}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm.relax import op  # needs TVM

        from hearth.model.text.mixers.ops import causal_conv, gated_delta_by_key, gated_norm

        emit, batch, n = parts.emit, (parts.runs, parts.state_to), x.ty.shape[0]
        qkv = emit(op.concat([parts.linear(x, f"delta_{part}") for part in "qkv"], axis=1))
        conv = (parts.parameter("delta_conv"), None, *batch, parts.state("conv_state"))
        qkv = emit(causal_conv(qkv, *conv, activation="silu"))
        steps = parts.linear(parts.linear(x, "delta_f_down"), "delta_f_up", "delta_step")
        steps = emit(op.nn.softplus(emit(op.reshape(steps, (n, self.heads, self.size)))))
        decay = emit(op.exp(emit(op.multiply(steps, parts.parameter("delta_decay")))))
        decay = emit(op.reshape(decay, (n, self.columns)))
        state = parts.state("delta_state")
        sizes = {"heads": self.heads, "key_size": self.size, "value_size": self.size}
        y = emit(gated_delta_by_key(qkv, decay, parts.linear(x, "delta_b"), *batch, state, **sizes))
        gate = parts.linear(parts.linear(x, "delta_g_down"), "delta_g_up")
        scale = parts.parameter("delta_scale")
        y = emit(gated_norm(y, gate, scale, size=self.size, epsilon=parts.epsilon, activation="sigmoid", before=False))
        return parts.linear(y, "delta_out")
