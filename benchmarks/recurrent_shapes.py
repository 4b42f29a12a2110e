"""What the layers of published hybrid models have in place of attention, as their GGUF files name it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Part = tuple[str, tuple[int, ...]]
"""Name behind that of the layer, and shape."""


@dataclass(frozen=True)
class DeltaShape:
    """Gated DeltaNet, but for each `every`-th layer (Qwen 3.5)."""

    key_heads: int
    value_heads: int
    size: int  # of a head
    taps: int
    every: int

    def attends(self, layer: int) -> bool:
        return (layer + 1) % self.every == 0

    def parts(self, hidden: int) -> Iterator[Part]:
        values = self.value_heads * self.size
        channels = 2 * self.key_heads * self.size + values
        yield "attn_qkv.weight", (channels, hidden)
        yield "attn_gate.weight", (values, hidden)
        yield "ssm_conv1d.weight", (channels, self.taps)
        yield "ssm_alpha.weight", (self.value_heads, hidden)
        yield "ssm_beta.weight", (self.value_heads, hidden)
        yield "ssm_dt.bias", (self.value_heads,)
        yield "ssm_a", (self.value_heads,)
        yield "ssm_norm.weight", (self.size,)
        yield "ssm_out.weight", (hidden, values)

    def metadata(self, num_layers: int, kv_heads: int) -> dict[str, object]:
        return {
            "attention.head_count_kv": np.uint32(kv_heads),
            "full_attention_interval": np.uint32(self.every),
            "ssm.conv_kernel": np.uint32(self.taps),
            "ssm.state_size": np.uint32(self.size),
            "ssm.group_count": np.uint32(self.key_heads),
            "ssm.time_step_rank": np.uint32(self.value_heads),
            "ssm.inner_size": np.uint32(self.value_heads * self.size),
        }


@dataclass(frozen=True)
class ConvShape:
    """Short convolutions, but for some layers (LFM2)."""

    taps: int
    attending: tuple[int, ...]

    def attends(self, layer: int) -> bool:
        return layer in self.attending

    def parts(self, hidden: int) -> Iterator[Part]:
        yield "shortconv.in_proj.weight", (3 * hidden, hidden)
        yield "shortconv.conv.weight", (hidden, self.taps)
        yield "shortconv.out_proj.weight", (hidden, hidden)

    def metadata(self, num_layers: int, kv_heads: int) -> dict[str, object]:
        heads = [np.int32(kv_heads if self.attends(layer) else 0) for layer in range(num_layers)]
        return {"attention.head_count_kv": heads, "shortconv.l_cache": np.uint32(self.taps)}


@dataclass(frozen=True)
class Mamba2Shape:
    """Mamba 2, but for some layers (Granite 4)."""

    heads: int
    head_size: int
    state_size: int
    groups: int
    taps: int
    attending: tuple[int, ...]

    def attends(self, layer: int) -> bool:
        return layer in self.attending

    def parts(self, hidden: int) -> Iterator[Part]:
        inner = self.heads * self.head_size
        channels = inner + 2 * self.groups * self.state_size
        yield "ssm_in.weight", (inner + channels + self.heads, hidden)
        yield "ssm_conv1d.weight", (channels, self.taps)
        yield "ssm_conv1d.bias", (channels,)
        yield "ssm_dt.bias", (self.heads,)
        yield "ssm_a", (self.heads, 1)
        yield "ssm_d", (self.heads, 1)
        yield "ssm_norm.weight", (self.groups, inner // self.groups)
        yield "ssm_out.weight", (hidden, inner)

    def metadata(self, num_layers: int, kv_heads: int) -> dict[str, object]:
        heads = [np.int32(kv_heads if self.attends(layer) else 0) for layer in range(num_layers)]
        return {
            "attention.head_count_kv": heads,
            "ssm.conv_kernel": np.uint32(self.taps),
            "ssm.state_size": np.uint32(self.state_size),
            "ssm.group_count": np.uint32(self.groups),
            "ssm.time_step_rank": np.uint32(self.heads),
            "ssm.inner_size": np.uint32(self.heads * self.head_size),
        }
