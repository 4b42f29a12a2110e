"""Gated DeltaNet: linear attention that forgets and replaces (Qwen3-Next, Qwen 3.5 and later, OLMo Hybrid).

Parameters of a layer:

    layers.N.delta_qkv                      [2*key_heads*key_size + value_heads*value_size, hidden]
    layers.N.delta_conv                     [taps, rows of delta_qkv]      over the last tokens, its own tap last
    layers.N.delta_a  .delta_b              [value_heads, hidden] x 2      how much is forgotten, and replaced
    layers.N.delta_decay  .delta_step       [value_heads] x 2              negative; added to a
    layers.N.delta_z                        [value_heads*value_size, hidden]   gate of the output
    layers.N.delta_scale                    [value_size]                   of the norm of each head's output
    layers.N.delta_out                      [hidden, value_heads*value_size]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class DeltaNet:
    """Sizes of a layer.

    Attributes:
        key_heads, value_heads: several value heads may share a key head.
        key_size, value_size: of a head.
        taps: tokens that the convolution over queries, keys and values reads.
        tiled: value head i has key head i mod key_heads (as in GGUF files); else i // (value_heads / key_heads).
        epsilon: of the norm of each head's output; None: as the model's norms.
        strength: most that a token's value takes the place of what was there (OLMo Hybrid: 2, so that it may turn it).
    """

    key_heads: int
    value_heads: int
    key_size: int
    value_size: int
    taps: int
    tiled: bool = False
    strength: float = 1.0
    epsilon: float | None = None

    @property
    def columns(self) -> int:
        """Columns of queries, keys and values together."""
        return 2 * self.key_heads * self.key_size + self.value_heads * self.value_size

    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        heads, values = self.value_heads, self.value_heads * self.value_size
        return {
            "delta_qkv": (self.columns, hidden_size),
            "delta_z": (values, hidden_size),
            "delta_a": (heads, hidden_size),
            "delta_b": (heads, hidden_size),
            "delta_conv": (self.taps, self.columns),
            "delta_decay": (heads,),
            "delta_step": (heads,),
            "delta_scale": (self.value_size,),
            "delta_out": (hidden_size, values),
        }

    def states(self) -> dict[str, int]:
        return {
            "conv_state": (self.taps - 1) * self.columns,
            "delta_state": self.value_heads * self.key_size * self.value_size,
        }

    def build(self, parts: Parts, x: Any) -> Any:
        from hearth.model.text.mixers.ops import causal_conv, gated_delta, gated_norm  # needs TVM

        batch = (parts.runs, parts.state_to)
        qkv, a, b, z = (parts.linear(x, f"delta_{name}") for name in ("qkv", "a", "b", "z"))
        conv = (parts.parameter("delta_conv"), None, *batch, parts.state("conv_state"))
        qkv = parts.emit(causal_conv(qkv, *conv, activation="silu"))
        rule = (parts.parameter("delta_decay"), parts.parameter("delta_step"), *batch, parts.state("delta_state"))
        y = parts.emit(
            gated_delta(
                qkv, a, b, *rule, key_heads=self.key_heads, value_heads=self.value_heads, key_size=self.key_size,
                value_size=self.value_size, tiled=self.tiled, strength=self.strength,
            )
        )  # fmt: skip
        scale = parts.parameter("delta_scale")
        epsilon = parts.epsilon if self.epsilon is None else self.epsilon
        y = parts.emit(gated_norm(y, z, scale, size=self.value_size, epsilon=epsilon, activation="silu", before=False))
        return parts.linear(y, "delta_out")
