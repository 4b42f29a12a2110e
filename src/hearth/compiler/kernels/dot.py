"""The one operation where instruction sets differ: dot products of 4 unsigned or signed bytes with 4 signed bytes.

Everything else in a kernel is written in LLVM vectors of 16 lanes, which LLVM splits to the registers there are. A
*group dot* is the sum over some quads (4 columns each) of weights times activations, exact, in int32.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.kernels.builder import Expr, Kernel, bitcast, broadcast, const, llvm, vec
from hearth.compiler.targets import Isa


def group_dot(isa: Isa, k: Kernel, weights: Sequence[Expr], activations: Sequence[Expr], bits: int) -> Expr:
    """Sum over quads of weight times activation.

    Args:
        weights: u8 vectors of `width` (values below 2**bits), or i8 vectors when bits is 8 and this instruction
            set takes signed ones.
        activations: for each quad an int32 that holds 4 signed bytes in [-127, 127].
        bits: of the weights; says how many products fit 16 bits.

    Returns:
        int32 vector of `rows` lanes.
    """
    lanes = isa.rows
    acts = [bitcast("int8", broadcast(a, lanes), isa.width) for a in activations]
    if isa.dot == "maddubs":
        return _maddubs(isa, k, weights, acts, bits)
    total = const("int32", 0, lanes)
    for w, a in zip(weights, acts, strict=True):
        total = k.let(_accumulate(isa, total, w, a, bits), "dot")
    return total


def _accumulate(isa: Isa, total: Expr, w: Expr, a: Expr, bits: int) -> Expr:
    lanes = isa.rows
    if isa.dot == "vpdpbusd":
        return llvm(
            f"llvm.x86.avx512.vpdpbusd.{isa.width * 8}", vec("int32", lanes), total, bitcast("int8", w, isa.width), a
        )
    if isa.dot == "sdot":
        return llvm("llvm.aarch64.neon.sdot", "int32x4", total, bitcast("int8", w, 16), a)
    # Four shifted products of whole vectors: any processor can, none likes it.
    words, quads = bitcast("int32", w, lanes), bitcast("int32", a, lanes)
    for byte in range(4):
        up, down = const("int32", 24 - 8 * byte, lanes), const("int32", 24, lanes)
        weight = tirx.shift_right(tirx.shift_left(words, up), down)
        if bits < 8:
            weight = tirx.bitwise_and(
                tirx.shift_right(words, const("int32", 8 * byte, lanes)), const("int32", 255, lanes)
            )
        total = total + weight * tirx.shift_right(tirx.shift_left(quads, up), down)
    return total


def _maddubs(isa: Isa, k: Kernel, weights: Sequence[Expr], acts: Sequence[Expr], bits: int) -> Expr:
    """AVX2: pairs of products are added in 16 bits with saturation, so only as many are summed there as fit."""
    lanes, width = isa.rows, isa.width
    per_sum = {4: 8, 5: 4, 6: 2, 8: 1}[bits]
    ones = const("int16", 1, width // 2)
    total: Expr | None = None
    for start in range(0, len(weights), per_sum):
        sums: Expr | None = None
        for w, a in zip(weights[start : start + per_sum], acts[start : start + per_sum], strict=True):
            if bits == 8:  # u8 x i8 only: move the weight's sign over to the activation
                signed = bitcast("int8", w, width)
                a = llvm("llvm.x86.avx2.psign.b", vec("int8", width), a, signed)
                w = bitcast("uint8", llvm("llvm.x86.avx2.psign.b", vec("int8", width), signed, signed), width)
            product = llvm("llvm.x86.avx2.pmadd.ub.sw", vec("int16", width // 2), bitcast("int8", w, width), a)
            sums = k.let(product if sums is None else sums + product, "sum")
        wide = llvm("llvm.x86.avx2.pmadd.wd", vec("int32", lanes), sums, ones)
        total = k.let(wide if total is None else total + wide, "dot")
    assert total is not None
    return total
