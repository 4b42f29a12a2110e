"""Where queries, keys and values of attention without a cache lie: in rows of f32, or in blocks of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, i64
from hearth.quant.formats import round_up

LANES = 16
SPLIT_KEYS = 256
"""Keys whose scores are held at once: those of 32 queries take 32 KiB."""
QUAD = 4
WEIGHT_LEVELS = 254
"""What the largest weight of a query is as an integer: one that a signed byte holds 127 below its value."""
KEY_GROUP = 32
"""Keys of a block are padded with zeros to a multiple: what products of bytes take at once, of dimensions too."""


@dataclass(frozen=True)
class Rows:
    """Rows of one head: `at(i)` is where row i begins in `memory`."""

    memory: Memory
    at: Callable[[Expr], Expr]

    @classmethod
    def strided(cls, memory: Memory, first: Expr, stride: Expr) -> Rows:
        return cls(memory, lambda i: first + i * stride)


@dataclass(frozen=True)
class PackedLayout:
    """Where things lie in a block, in bytes from its beginning.

    keys int8 [SPLIT_KEYS][dims] (128 above their value where `Isa.unsigned_activations`); values int8
    [columns / 16][SPLIT_KEYS / 4][16][4 keys]; f32 [SPLIT_KEYS] each: scales of keys, logarithms to the base 2 of the
    scales of values, WEIGHT_LEVELS over the scales of values; sums of values over keys int32 [columns].

    Attributes:
        dims: of a head, padded with zeros to what products of bytes take at once.
        columns: of a value, padded with zeros to whole vectors.
    """

    head_dim: int

    @property
    def dims(self) -> int:
        return round_up(self.head_dim, KEY_GROUP)

    @property
    def columns(self) -> int:
        return round_up(self.head_dim, LANES)

    @property
    def value_block(self) -> int:
        """Bytes of 16 columns of all values."""
        return SPLIT_KEYS * LANES

    @property
    def values(self) -> int:
        return SPLIT_KEYS * self.dims

    @property
    def key_scales(self) -> int:
        return self.values + SPLIT_KEYS * self.columns

    @property
    def value_logs(self) -> int:
        return self.key_scales + 4 * SPLIT_KEYS

    @property
    def value_inverses(self) -> int:
        return self.value_logs + 4 * SPLIT_KEYS

    @property
    def column_sums(self) -> int:
        return self.value_inverses + 4 * SPLIT_KEYS

    @property
    def block_bytes(self) -> int:
        return self.column_sums + 4 * self.columns


def splits_of(keys: Expr) -> Expr:
    """How many splits so many keys are (a number's, or an expression's)."""
    return -(-keys // SPLIT_KEYS) if isinstance(keys, int) else tirx.truncdiv(keys + (SPLIT_KEYS - 1), i64(SPLIT_KEYS))


class Packed:
    """Memory that holds blocks, `at(split)` being where one begins, in bytes.

    Args:
        stride: bytes from one split to the next; None: they follow each other.
    """

    def __init__(
        self, k: Kernel, memory: Memory, first: Expr, layout: PackedLayout, stride: Expr | None = None
    ) -> None:
        self.layout, self.first = layout, first
        self.stride = i64(layout.block_bytes) if stride is None else stride
        self.bytes, self.words, self.floats = (k.view(memory, dtype) for dtype in ("int8", "int32", "float32"))

    def at(self, split: Expr) -> Expr:
        return self.first + split * self.stride


def column_scalars(k: Kernel, *, int8: bool) -> list[Expr]:
    """The scalars ldq, ldk, ldv, ldo, off_q, off_k, off_v: row strides and first columns. With bytes there are none of
    K and V."""
    names = ("ldq", "ldk", "ldv", "ldo", "off_q", "off_k", "off_v")
    return [i64(0) if int8 and name[-1] in "kv" else k.scalar(name) for name in names]
