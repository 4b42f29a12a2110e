"""The most that an instruction set multiplies: what the products of a model are compared with.

Chains of the instruction at the heart of `dot.py` (bytes) or of multiply-adds (floats), as many as it takes to hide
their latency, over operands in registers and the first-level cache. No kernel of a plan: `hearth_compute_peak` runs it.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels import dot
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Register, broadcast, cast, const, f32, fma, i64, llvm, vec
from hearth.compiler.cpu.targets import Isa

PEAK_INT8, PEAK_FLOAT32 = "peak_int8", "peak_float32"

_WINDOW = 64
"""Vectors that the second operand is read from, in turn: 4 KiB at most, so they stay in the first-level cache, and no
compiler can take a product out of the loop."""
SCRATCH_BYTES = (_WINDOW + 16) * 64


def peak_int8(isa: Isa) -> Kernel:
    """Products of bytes, summed in as few bits as the instruction set allows. Signature: `_peak`."""
    if isa.dot == "maddubs":
        # Pairs of products summed in 16 bits: what a product does most of the time, its widening being rare.
        words = vec("int16", isa.width // 2)

        def step(total: Expr, a: Expr, b: Expr) -> Expr:
            return total + llvm("llvm.x86.avx2.pmadd.ub.sw", words, a, b)

        return _peak(PEAK_INT8, isa, "int8", isa.width, "int16", isa.width // 2, step, chains=(2, 4))
    if isa.dot == "smmla":
        return _peak(PEAK_INT8, isa, "int8", 16, "int32", 4, dot.smmla, products=32)
    if isa.dot == "smull":

        def halves(total: Expr, a: Expr, b: Expr) -> Expr:
            low, high = range(8), range(8, 16)
            for half in (low, high):
                total = total + dot.smull(dot.pick([a], half), dot.pick([b], half))
            return total

        return _peak(PEAK_INT8, isa, "int8", 16, "int16", 8, halves)
    if isa.dot in ("dot16", "relaxed"):
        return _peak(PEAK_INT8, isa, "int16", 8, "int32", 4, lambda total, a, b: total + dot.wasm_dot(a, b))
    return _peak(
        PEAK_INT8, isa, "int8", isa.width, "int32", isa.rows, lambda total, a, b: dot.accumulate(isa, total, a, b, 8)
    )


def peak_float32(isa: Isa) -> Kernel:
    """Multiply-adds of floats. Signature: `_peak`."""
    lanes = isa.rows
    return _peak(PEAK_FLOAT32, isa, "float32", lanes, "float32", lanes, lambda total, a, b: fma(a, b, total, lanes))


def _peak(
    name: str, isa: Isa, dtype: str, lanes: int, sum_dtype: str, sum_lanes: int,
    step: Callable[[Expr, Expr, Expr], Expr], chains: tuple[int, int] = (2, 6), products: int = 0,
) -> Kernel:  # fmt: skip
    """No buffers. Scalars: operations of a unit, a multiply and an add being two; a multiple of 12288.

    Args:
        step: (sum, first operand, second operand) -> sum.
        products: of a step; 0: one for each lane of the operands.
        chains: first operands, all in registers, times second operands read each time round: independent sums.
    """
    k = Kernel(name)
    operations = k.scalar("operations")
    memory, sums = k.scratch(dtype), k.scratch(sum_dtype)
    firsts, seconds = chains
    with k.loop(k.begin, k.end) as unit:
        seed = cast(dtype, unit + 3)
        with k.loop(0, _WINDOW) as i:
            k.store(memory, i * lanes, broadcast(k.let(seed + cast(dtype, i), "value"), lanes))
        held = [k.let(memory.load(i64(i * lanes), lanes), "held") for i in range(firsts)]
        totals: list[Register] = [
            k.register(
                sum_dtype, sum_lanes, f32(0.0, sum_lanes) if sum_dtype == "float32" else const(sum_dtype, 0, sum_lanes)
            )
            for _ in range(firsts * seconds)
        ]
        rounds = tirx.floordiv(operations, i64(2 * (products or lanes) * firsts * seconds))
        with k.loop(0, rounds) as r:
            at = k.let(tirx.floormod(r, i64(_WINDOW // 8)) * (8 * lanes), "at")
            for j in range(seconds):
                b = k.let(memory.load(at + j * lanes, lanes), "b")
                for i in range(firsts):
                    total = totals[j * firsts + i]
                    total.set(step(total.get(), held[i], b))
        # The sums must go somewhere, or the compiler leaves the loop out.
        for number, total in enumerate(totals):
            k.store(sums, _WINDOW * lanes * _bytes(dtype) // _bytes(sum_dtype) + number * sum_lanes, total.get())
    return k


def _bytes(dtype: str) -> int:
    return {"int8": 1, "int16": 2}.get(dtype, 4)
