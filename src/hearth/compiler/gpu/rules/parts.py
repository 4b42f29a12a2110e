"""Weights that are larger than what a kernel may be given of a buffer, in parts of whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hearth.compiler.gpu.features import BINDING_ALIGNMENT, MAX_BINDING_BYTES
from hearth.compiler.gpu.kernels.tile import TILE_BLOCKS
from hearth.compiler.parameters import Packed
from hearth.quant.formats import LANES, round_up


@dataclass(frozen=True)
class Part:
    """Blocks of 16 rows of a weight.

    Attributes:
        first: block.
        height: how many.
        offset_bytes: where they lie in the weight; None: they are all that there is.
    """

    first: int
    height: int
    offset_bytes: int | None
    size_bytes: int


def operands_of(parts: Sequence[Part], number: int) -> dict[int, tuple[int, int]]:
    """`parts` of a call whose operands from this number on are these parts of the weight."""
    return {
        number + i: (part.offset_bytes, part.size_bytes)
        for i, part in enumerate(parts)
        if part.offset_bytes is not None
    }


def together(parts: list[Part], most: int) -> list[list[Part]]:
    """The parts as kernels take them that have room for `most` of them."""
    return [parts[first : first + most] for first in range(0, len(parts), most)]


def parts_of(packed: Packed) -> list[Part]:
    """The parts of a packed matrix, or of a stack of them: each but the last has whole tiles, so that all begin where
    buffers may be bound."""
    assert packed.k is not None, packed.name
    height, block_bytes = packed.stack * (round_up(packed.n, LANES) // LANES), packed.fmt.row_block_bytes(packed.k)
    if height * block_bytes <= MAX_BINDING_BYTES:
        return [Part(0, height, None, height * block_bytes)]
    step = MAX_BINDING_BYTES // block_bytes // TILE_BLOCKS * TILE_BLOCKS
    assert step, packed.name
    assert step * block_bytes % BINDING_ALIGNMENT == 0
    return [
        Part(first, min(step, height - first), first * block_bytes, min(step, height - first) * block_bytes)
        for first in range(0, height, step)
    ]
