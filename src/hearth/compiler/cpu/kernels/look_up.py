"""Bytes by their place in a table of 16: an instruction of nearly every processor; a tree of choices elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, const, llvm, vec
from hearth.compiler.cpu.kernels.dot import pick
from hearth.compiler.cpu.targets import Isa


def look_up(isa: Isa, k: Kernel, places: Expr, width: int, table: Sequence[int]) -> Expr:
    """table[places], uint8 of `width` lanes.

    Args:
        places: uint8 below 16.
        table: of at most 16 bytes.
    """
    entries = [*table, *[0] * (16 - len(table))]
    if isa.architecture is None:
        return _chosen(k, places, width, entries)
    if width > isa.width:
        parts = [pick([places], range(first, first + isa.width)) for first in range(0, width, isa.width)]
        found = [k.let(_looked_up(isa, k.let(part, "places"), entries), "found") for part in parts]
        return pick(found, range(width))
    return _looked_up(isa, places, entries)


def _looked_up(isa: Isa, places: Expr, entries: Sequence[int]) -> Expr:
    width = isa.width
    dtype = vec("int8", width)
    table, signed = _vector(entries, width), bitcast("int8", places, width)
    if isa.architecture == "x86_64":
        name = "llvm.x86.avx512.pshuf.b.512" if width == 64 else "llvm.x86.avx2.pshuf.b"
        found = llvm(name, dtype, table, signed)
    elif isa.architecture == "aarch64":
        found = llvm("llvm.aarch64.neon.tbl1", dtype, table, signed)
    else:
        found = llvm("llvm.wasm.swizzle", dtype, table, signed)
    return bitcast("uint8", found, width)


def _vector(entries: Sequence[int], width: int) -> Expr:
    """16 bytes over and over, as int8."""
    halves = [int.from_bytes(bytes(entries[i : i + 8]), "little", signed=True) for i in (0, 8)]
    lanes = width // 8
    both = pick([const("int64", half, lanes) for half in halves], (0, lanes) * (lanes // 2))
    return bitcast("int8", both, width)


def _chosen(k: Kernel, places: Expr, width: int, entries: Sequence[int]) -> Expr:
    """By each bit of a place one half of what is left; bytes of all ones say which."""
    left: list[Expr] = [const("uint8", entry, width) for entry in entries]
    for bit in range(4):
        one = tirx.bitwise_and(tirx.shift_right(places, const("uint8", bit, width)), const("uint8", 1, width))
        which = k.let(const("uint8", 0, width) - one, "which")
        left = [
            k.let(tirx.bitwise_xor(low, tirx.bitwise_and(which, tirx.bitwise_xor(low, high))), "left")
            for low, high in zip(left[::2], left[1::2], strict=True)
        ]
    return left[0]
