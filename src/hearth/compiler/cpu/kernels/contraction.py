"""Products of two activations, and whatever else sums over an axis of two: neither is packed, each has strides.

A tile of some rows times some vectors of 16 columns stays in registers through the whole sum, which is taken in the
order of its places: results are the same bits however units are shared.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, f32, fma, i64
from hearth.compiler.cpu.targets import Isa

LANES = 16
ROWS = 6
MOST_VECTORS = 4
"""Of a tile: as many as there are registers for."""


@dataclass(frozen=True)
class ContractionSpec:
    """How many axes of the result there are before its last two, after those that are walked alike were joined."""

    axes: int

    @property
    def name(self) -> str:
        return f"contraction_{self.axes}"


def contraction(isa: Isa, spec: ContractionSpec) -> Kernel:
    """Y[..., m, n] = sum over k of A[..., m, k] B[..., k, n].

    Buffers: A f32; B f32, with n side by side in rows that are padded to whole vectors; Y f32 [...][m][ld]. Scalars: m,
    ld, count of k; strides of A along m and k, of B along k; sizes of the axes before m but the first; strides of A,
    then of B along these. All in elements. Unit: `ROWS` rows of m.
    """
    k = Kernel(spec.name)
    wide = max(1, min(MOST_VECTORS, isa.float_tile[1] // ROWS))
    a, b, y = (k.buffer(name, "float32") for name in "ABY")
    m, ld, count, a_m, a_k, b_k = (k.scalar(name) for name in ("m", "ld", "count", "a_m", "a_k", "b_k"))
    sizes = [k.scalar(f"size{axis}") for axis in range(1, spec.axes)]
    strides = [[k.scalar(f"stride{side}_{axis}") for axis in range(spec.axes)] for side in "ab"]
    blocks = k.let(tirx.floordiv(m + (ROWS - 1), i64(ROWS)), "blocks")
    vectors = k.let(tirx.floordiv(ld, i64(LANES)), "vectors")
    with k.loop(k.begin, k.end) as unit:
        outer = k.opaque(tirx.floordiv(unit, blocks), "outer")
        first = k.opaque(tirx.floormod(unit, blocks) * ROWS, "first")
        coordinates: list[Expr] = []
        rest: Expr = outer
        for length in reversed(sizes):
            coordinates.insert(0, k.opaque(tirx.floormod(rest, length), "at"))
            rest = k.opaque(tirx.floordiv(rest, length), "rest")
        coordinates.insert(0, rest)
        starts = []
        for along in strides:
            start: Expr = i64(0)
            for coordinate, step in zip(coordinates, along, strict=False):
                start = start + coordinate * step
            starts.append(k.opaque(start, "start"))
        # Rows beyond the last are the last once more.
        rows = [k.opaque(tirx.min(first + i, m - 1), "row") for i in range(ROWS)]
        lefts = [k.opaque(starts[0] + row * a_m, "left") for row in rows]

        def tile(v: Expr, count_of_vectors: int) -> None:
            """Vectors [v, v + count) of the rows."""
            totals = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in range(count_of_vectors)] for _ in rows]
            with k.loop(0, count) as i:
                at = k.let(starts[1] + i * b_k + v * LANES, "at")
                rights = [k.let(b.load(at + n * LANES, LANES), "right") for n in range(count_of_vectors)]
                for left, own in zip(lefts, totals, strict=True):
                    element = k.let(broadcast(a.load(left + i * a_k), LANES), "element")
                    for right, total in zip(rights, own, strict=True):
                        total.set(fma(element, right, total.get(), LANES))
            for row, own in zip(rows, totals, strict=True):
                for n, total in enumerate(own):
                    k.store(y, (outer * m + row) * ld + (v + n) * LANES, total.get())

        together = k.let(tirx.floordiv(vectors, i64(wide)), "together")
        with k.loop(0, together) as group:
            tile(group * wide, wide)
        if wide > 1:
            with k.loop(together * wide, vectors) as v:
                tile(v, 1)
    return k
