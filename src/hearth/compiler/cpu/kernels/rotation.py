"""The rotation before numbers are rounded with one scale for a long row: a Hadamard matrix over each 32 columns.

A few channels of a language model are many times larger than all others, and would leave these few integers where a row
has one scale. Rotated, each number is shared by 32, so they are more nearly equal. Activations and weights are rotated
alike, and the products of rotated vectors are those of the vectors, times 32: the matrix is not scaled. The idea is
that of Ashkboos et al., "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs", 2024; here weights are rotated when
they are read, not where they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, const
from hearth.compiler.cpu.kernels.dot import pick

COLUMNS = 32
"""That are rotated together: those of a group of weights. 64 would be a little more accurate and take more time."""
LANES = 16


def rotate_vectors(k: Kernel, vectors: Sequence[Expr]) -> list[Expr]:
    """float32x16 vectors, as many as a power of two, each of which is a column: the rotation across them."""
    values = list(vectors)
    distance = 1
    while distance < len(values):
        for i in range(len(values)):
            if not i & distance:
                a, b = values[i], values[i + distance]
                values[i], values[i + distance] = k.let(a + b, "sum"), k.let(a - b, "difference")
        distance *= 2
    return values


def rotate_lanes(k: Kernel, vectors: Sequence[Expr]) -> list[Expr]:
    """`COLUMNS` consecutive numbers of one row as float32x16 vectors: the rotation of all of them."""
    values = rotate_vectors(k, vectors)
    lanes = tirx.Ramp(tirx.IntImm("int32", 0), tirx.IntImm("int32", 1), LANES)
    for bit in range(LANES.bit_length() - 1):
        distance = 1 << bit
        chosen = tirx.bitwise_and(lanes, const("int32", distance, LANES))
        sign = tirx.shift_left(chosen, const("int32", 31 - bit, LANES))
        for i, value in enumerate(values):
            other = pick([value], [lane ^ distance for lane in range(LANES)])
            own = bitcast("float32", tirx.bitwise_xor(bitcast("int32", value, LANES), sign), LANES)
            values[i] = k.let(other + own, "rotated")
    return values
