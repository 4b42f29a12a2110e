"""Products with the matrices of experts: each row of activations with those of the experts that were chosen for it.

What is multiplied by one expert stands together (`experts.py` puts it in order), so an expert's weights are read once
for all of its rows, and those of experts that nobody chose not at all. Tiles, sums and their order are those of
`matmul.py`: a row has the same bits whichever rows are beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, cast
from hearth.compiler.cpu.kernels.matmul import FloatProduct, Int8Product, Product, in_stretches, tile
from hearth.compiler.cpu.kernels.product_output import MatmulSpec, Output


@dataclass(frozen=True)
class ExpertProductSpec:
    """Which product.

    Attributes:
        product: with one expert; the epilogue `store`, `activate` or `gated`, a bias with the first two.
        gathers: rows of activations are tokens, of which each is multiplied for every expert that was chosen for it;
            else they stand in the order of the result.
    """

    product: MatmulSpec
    gathers: bool

    @property
    def name(self) -> str:
        return f"{self.product.name}_experts{'_gather' if self.gathers else ''}"


def expert_product(spec: ExpertProductSpec) -> Kernel:
    """Buffers: W u8, the matrices of all experts, one after another; activations as `matmul` has them; experts i32 and
    starts i32 [1 more]: rows [starts[i], starts[i + 1]) of the result are of the expert experts[i]; [rows i32 [row]:
    which row of the activations each is made of]; [bias f32 [expert][N, padded]]; Y f32 [row][ld].
    Scalars: blocks (column blocks in a row of W), kp, ld, units (of one expert: blocks of 16 rows, pairs of them when
    gated). Units: those of experts[0], then those of experts[1] and so on; who has no rows has nothing to do."""
    k, how = Kernel(spec.name), spec.product
    w = k.buffer("W", "uint8")
    if how.activations == "int8":
        aq = k.view(k.buffer("AQ", "int8"), "int32")
        product: Product = Int8Product(k, how, w, aq, k.buffer("AS", "float32"))
    else:
        product = FloatProduct(k, how, w, k.buffer("X", "float32"))
    experts, starts = k.buffer("experts", "int32"), k.buffer("starts", "int32")
    rows = k.buffer("rows", "int32") if spec.gathers else None
    bias = k.buffer("bias", "float32") if how.bias else None
    y = k.buffer("Y", "float32")
    blocks, kp, ld, units = (k.scalar(name) for name in ("blocks", "kp", "ld", "units"))
    product.blocks, product.kp = blocks, kp
    out = Output(k, how, bias, None, y, None, None, ld, None, None)
    with k.loop(tirx.floordiv(k.begin, units), tirx.floordiv(k.end + units - 1, units)) as number:
        expert = k.opaque(cast("int64", experts.load(number)), "expert")
        first_row = k.opaque(cast("int64", starts.load(number)), "first")
        count = k.opaque(cast("int64", starts.load(number + 1)) - first_row, "count")
        if bias is not None:
            out.bias_at = k.opaque(expert * units * 16, "bias_at")
        begin = k.opaque(tirx.max(k.begin - number * units, 0), "begin")
        end = k.opaque(tirx.min(k.end - number * units, units), "end")

        def multiply(unit: Expr, row: Expr, tall: int, expert: Expr = expert, first_row: Expr = first_row) -> None:
            first = k.let(first_row + row, "first")
            places = [first + i for i in range(tall)]
            if rows is not None:
                places = [k.opaque(cast("int64", rows.load(place)), "place") for place in places]
            tile(how, product, out, unit, first, (k.let(expert * units + unit, "of"), places))

        in_stretches(k, how, blocks, begin, end, count, multiply)
    return k
