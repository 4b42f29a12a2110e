"""KV pages as GPUs have them: the same bytes a page as on CPUs (`model/text/kv_cache.py`), in an order of their own.

A *quad* is four dimensions of one token: 16, 8 or 4 bytes, so whole words, and each word is written for one token only.

    K block  [hp / 4 quads][16 tokens]      invocations that stand for tokens read next to each other
    V block  [16 tokens][hp / 4 quads]      invocations that stand for dimensions do

A block is what a page has of one KV head. With int8, f16 scales stand behind it as on CPUs, K [group of dimensions]
[16], V [16]: two tokens share a word of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    bitcast,
    builtin,
    cast,
    f32,
    lane,
    mod,
    pack_halves,
    splat,
    u32,
    unpack_halves,
    vector,
)
from hearth.model.text.kv_cache import ITEM_BYTES, PAGE_TOKENS, KvDtype, block_bytes, key_group

F16_MAX = 65504.0
INT8_MAX = 127
_QUADS: dict[str, str] = {"float32": "float32x4", "float16": "uint32x2", "int8": "uint32"}

Kind = Literal["k", "v"]
KINDS: tuple[Kind, Kind] = ("k", "v")


@dataclass(frozen=True)
class Pages:
    """Keys or values of one layer.

    Attributes:
        kind: keys or values.
        kv_dtype: of the numbers.
        hp: padded head size.
        f16: the shader has 16-bit floats.
    """

    kind: Kind
    kv_dtype: KvDtype
    hp: int
    f16: bool = False

    @property
    def quad(self) -> str:
        """The type of a quad in memory."""
        return "float16x4" if self.f16 and self.kv_dtype == "float16" else _QUADS[self.kv_dtype]

    @property
    def quads(self) -> int:
        """Of one token."""
        return self.hp // 4

    @property
    def block(self) -> int:
        """Quads of a block, its scales included."""
        return block_bytes(self.kind, self.kv_dtype, self.hp) // (4 * ITEM_BYTES[self.kv_dtype])

    @property
    def group(self) -> int:
        """Dimensions that share a scale."""
        return key_group(self.hp) if self.kind == "k" else self.hp

    @property
    def scaled(self) -> bool:
        return self.kv_dtype == "int8"

    def at(self, block: Expr, slot: Expr, quad: Expr) -> Expr:
        """The index of a token's quad; `block`: where its block begins."""
        if self.kind == "k":
            return block + quad * PAGE_TOKENS + slot
        return block + slot * self.quads + quad

    def load(self, k: GpuKernel, memory: Memory, index: Expr) -> Expr:
        """A quad as `float32x4`; of int8 the numbers over 127, which belongs to the scale (`scale`)."""
        if self.kv_dtype == "float32":
            return memory.load(index)
        if self.quad == "float16x4":
            return cast("float32", memory.load(index), 4)
        word = k.let(memory.load(index), "word")
        if self.kv_dtype == "int8":
            return builtin("unpack4x8snorm", "float32x4", word)
        low, high = (k.let(unpack_halves(lane(word, i)), "pair") for i in (0, 1))
        return vector(*(lane(pair, i) for pair in (low, high) for i in (0, 1)))

    def store(self, k: GpuKernel, memory: Memory, index: Expr, quad: Expr, inverse: Expr | None = None) -> None:
        """Writes a quad (`float32x4`, a name). What f16 cannot hold becomes its largest number, since infinity times no
        weight is NaN.

        Args:
            inverse: of int8, one over the scale.
        """
        assert not self.f16
        if self.kv_dtype == "float32":
            k.store(memory, index, quad)
        elif self.kv_dtype == "float16":
            bounded = k.let(builtin("clamp", "float32x4", quad, f32(-F16_MAX, 4), f32(F16_MAX, 4)), "bounded")
            halves = [pack_halves(vector(lane(bounded, i), lane(bounded, i + 1))) for i in (0, 2)]
            k.store(memory, index, vector(*halves))
        else:
            assert inverse is not None
            scaled = k.let(quad * splat(inverse), "scaled")
            bounded = builtin("clamp", "float32x4", scaled, f32(-INT8_MAX, 4), f32(INT8_MAX, 4))
            whole = k.let(builtin("round", "float32x4", bounded), "whole")
            word = u32(0)
            for i in range(4):
                word = word | (bitcast("uint32", cast("int32", lane(whole, i))) & u32(0xFF)) << u32(8 * i)
            k.store(memory, index, word)

    def scale_word(self, block: Expr, slot: Expr, group: Expr) -> Expr:
        """The index of the word with the scale of a token and a group of dimensions."""
        return block + self.quads * PAGE_TOKENS + group * (PAGE_TOKENS // 2) + (slot >> 1)

    def scale(self, k: GpuKernel, memory: Memory, block: Expr, slot: Expr, group: Expr) -> Expr:
        """What numbers are multiplied by that `load` has given."""
        pair = k.let(unpack_halves(memory.load(self.scale_word(block, slot, group))), "scales")
        return half_of(k, pair, slot) * f32(float(INT8_MAX))


def half_of(k: GpuKernel, pair: Expr, slot: Expr) -> Expr:
    """The element of a pair that is a token's: the first of even slots, the second of odd ones."""
    return k.let(tirx.Select(tirx.EQ(mod(slot, 2), 0), lane(pair, 0), lane(pair, 1)), "half")
