"""The rows of a product that are computed more coarsely: those of prompts, which stand first in a batch.

    Y[m, n] = w_scale[n] * a_scale[m] * sum over K of A[m, k] * Q[n, k]

Activations have one scale a row, and weights in groups are given one on the way (rounded_weight.py), both rotated
before (rotation.py). So nothing but integers is added up along all of K, and nothing is unpacked for a tile. It pays
with many rows, since bytes are made of weights once for all of them. The arithmetic of a row does not depend on how
many there are, on the tile, or on who computes what.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels import tiles
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, i64
from hearth.compiler.cpu.kernels.norms import GROUP, SUMS
from hearth.compiler.cpu.kernels.product_output import MatmulSpec, Output
from hearth.compiler.cpu.kernels.rounded_weight import RoundedWeight
from hearth.compiler.cpu.kernels.tiles import LANES, UNIT_BLOCKS, UNIT_COLUMNS, Operands

MOST_ROWS = 8
"""Of a tile: as many as vectors have registers for, also where a matrix unit takes more."""


def coarse_rows(
    k: Kernel, spec: MatmulSpec, w: Memory, activations: Memory, scales: Memory, out: Output, rows: Expr, blocks: Expr,
    kp: Expr,
) -> None:  # fmt: skip
    """Writes the products of the first `rows` rows with the weights of this call's units.

    Args:
        activations: prepared rows (`norms.prepare`, coarse), as int32.
        scales: AS, in which a row's numbers begin with its scale.
        blocks, kp: column blocks in a row of the weight, columns.
    """
    isa, gated = spec.isa, spec.epilogue == "gated"
    weight = RoundedWeight(k, w, spec.fmt, isa, blocks, kp)
    sums = k.scratch("int32")
    quads = k.let(_quotient(kp, 4), "quads")
    stride = k.let(_quotient(kp, GROUP) * SUMS, "stride")
    # Tiles of two sizes, one row apart, the larger ones first, rather than full ones and a small rest.
    most = min(isa.tile[0], MOST_ROWS)
    count = k.let(_quotient(rows + (most - 1), most), "count")
    size = k.let(_quotient(rows, tirx.max(count, i64(1))), "size")
    larger = k.let(rows - count * size, "larger")
    # A pair of blocks at a time: gate and up, or two units; a last one without a second is computed twice, stored once.
    step = 1 if gated else UNIT_BLOCKS
    some = tirx.Select(rows > i64(0), k.end - k.begin, i64(0))  # without rows there is nothing to round for
    with k.loop(0, k.let(_quotient(some + (step - 1), step), "pairs")) as pair:
        unit = k.let(k.begin + pair * step, "unit")
        last = k.let(tirx.min(unit + step, k.end), "last")
        weight.round(*((unit * 2, unit * 2 + 1) if gated else (unit, last - 1)))
        with k.loop(0, count) as number:
            tile_rows = k.let(size + tirx.Select(number < larger, i64(1), i64(0)), "rows")
            row = k.let(number * size + tirx.min(number, larger), "row")
            word = k.let(row * quads, "word")
            x = Operands(activations, word, quads, weight.quads, weight.bases, weight.starts(), sums, _nothing)
            tiles.compute(isa, k, tile_rows, x, most)
            # A loop that is gone through once keeps what it reads out of the registers until then.
            with k.loop(unit, last) as each:
                mine = (i64(0), i64(1)) if gated else (each - unit,)
                w_scales = [k.let(weight.scale(block), "scale") for block in mine]
                with k.loop(0, tile_rows) as r:
                    a_scale = broadcast(scales.load((row + r) * stride), LANES)
                    values = []
                    for block, w_scale in zip(mine, w_scales, strict=True):
                        total = cast("float32", sums.load(r * UNIT_COLUMNS + block * LANES, LANES), LANES)
                        values.append([[k.register("float32", LANES, total * (w_scale * a_scale))]])
                    (out.store_gated if gated else out.store)(each, row + r, *values)


def _quotient(a: Expr, b: Expr | int) -> Expr:
    """a / b rounded down, of numbers that are not negative."""
    return tirx.truncdiv(a, i64(b))


def _nothing(quad: Expr, count: int) -> None:
    """Nothing is read ahead: weights have just been written to scratch."""
