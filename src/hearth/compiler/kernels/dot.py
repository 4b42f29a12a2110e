"""The one operation where instruction sets differ: dot products of 4 unsigned or signed bytes with 4 signed bytes.

Everything else in a kernel is written in LLVM vectors of 16 lanes, which LLVM splits to the registers there are. A
*group dot* is the sum over some quads (4 columns each) of weights times activations, exact, in int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx

from hearth.compiler.kernels.builder import Expr, Kernel, bitcast, broadcast, const, llvm, vec
from hearth.compiler.targets import Isa


def group_dot(
    isa: Isa,
    k: Kernel,
    weights: Sequence[Callable[[], Expr]],
    activations: Sequence[Sequence[Expr]],
    bits: int,
    starts: Sequence[Expr] | None = None,
) -> list[Expr]:
    """Sums over quads of weight times activation, for several rows of activations.

    Quad by quad, all rows at each: so few vectors are alive at once, and the rows' sums do not wait for each other.

    Args:
        weights: for each quad what makes its vector of `isa.width` bytes: u8 below 2**bits, or i8 when bits is 8 and
            this instruction set takes signed ones.
        activations: for each row and quad an int32 that holds 4 signed bytes in [-127, 127].
        bits: of the weights; says how many products fit 16 bits.
        starts: for each row the int32 vector that its sum begins at; None: zeros.

    Returns:
        For each row an int32 vector of `isa.rows` lanes.
    """
    if isa.dot == "maddubs":
        sums = _maddubs(isa, k, weights, activations, bits)
        return sums if starts is None else [total + start for total, start in zip(sums, starts, strict=True)]
    totals = [const("int32", 0, isa.rows) for _ in activations] if starts is None else list(starts)
    for s, make in enumerate(weights):
        w = make()
        for row, quads in enumerate(activations):
            totals[row] = k.let(accumulate(isa, totals[row], w, _spread(isa, quads[s]), bits), "dot")
    return totals


def _spread(isa: Isa, quad: Expr) -> Expr:
    """4 bytes in every lane."""
    return bitcast("int8", broadcast(quad, isa.rows), isa.width)


def accumulate(isa: Isa, total: Expr, w: Expr, a: Expr, bits: int) -> Expr:
    """total + the sums of four products in each lane; not for `maddubs`, which sums in 16 bits first."""
    lanes = isa.rows
    if isa.dot == "vpdpbusd":
        name = f"llvm.x86.avx512.vpdpbusd.{isa.width * 8}"
        return llvm(name, vec("int32", lanes), total, bitcast("int8", w, isa.width), a)
    if isa.dot == "sdot":
        return llvm("llvm.aarch64.neon.sdot", "int32x4", total, bitcast("int8", w, 16), a)
    # Four shifted products of whole vectors: any processor can, none likes it.
    words, quads = bitcast("int32", w, lanes), bitcast("int32", a, lanes)
    for byte in range(4):
        up, down = const("int32", 24 - 8 * byte, lanes), const("int32", 24, lanes)
        weight = tirx.shift_right(tirx.shift_left(words, up), down)
        if bits < 8:
            low = const("int32", 255, lanes)
            weight = tirx.bitwise_and(tirx.shift_right(words, const("int32", 8 * byte, lanes)), low)
        total = total + weight * tirx.shift_right(tirx.shift_left(quads, up), down)
    return total


def _maddubs(
    isa: Isa, k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]], bits: int
) -> list[Expr]:
    """AVX2: pairs of products are added in 16 bits with saturation, so only as many are summed there as fit."""
    lanes, width = isa.rows, isa.width
    bytes_, words = vec("int8", width), vec("int16", width // 2)
    per_sum = {4: 8, 5: 4, 6: 2, 8: 1}[bits]
    ones = const("int16", 1, width // 2)
    totals: list[Expr] = [None] * len(activations)
    for start in range(0, len(weights), per_sum):
        sums: list[Expr] = [None] * len(activations)
        for s in range(start, start + per_sum):
            w = bitcast("int8", weights[s](), width)
            # u8 x i8 is all there is: signed weights give their sign to the activation.
            size = k.let(llvm("llvm.x86.avx2.psign.b", bytes_, w, w), "size") if bits == 8 else w
            for row, quads in enumerate(activations):
                a = _spread(isa, quads[s])
                if bits == 8:
                    a = llvm("llvm.x86.avx2.psign.b", bytes_, a, w)
                product = llvm("llvm.x86.avx2.pmadd.ub.sw", words, size, a)
                sums[row] = k.let(product if sums[row] is None else sums[row] + product, "sum")
        for row, total in enumerate(totals):
            wide = llvm("llvm.x86.avx2.pmadd.wd", vec("int32", lanes), sums[row], ones)
            totals[row] = k.let(wide if total is None else total + wide, "dot")
    return totals
