"""Products of heads with a matrix of each: units are those of the first head, then those of the second and so on.

Tiles, sums and their order are those of `matmul.py`: a row has the same bits whichever rows are beside it.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel
from hearth.compiler.cpu.kernels.matmul import FloatProduct, Int8Product, Product, in_stretches, tile
from hearth.compiler.cpu.kernels.product_output import MatmulSpec, Output


def head_product_name(spec: MatmulSpec) -> str:
    return f"{spec.name}_heads"


def head_product(spec: MatmulSpec) -> Kernel:
    """Buffers: W u8, the matrices of all heads, one after another; activations as `matmul` has them, rows being
    [token][head]; Y f32 [token][ld], of each head N columns, padded.
    Scalars: m (tokens), blocks (column blocks in a row of W), kp, ld, units (of one head: blocks of 16 rows), heads.
    Units: blocks of 16 rows of all heads."""
    k = Kernel(head_product_name(spec))
    w = k.buffer("W", "uint8")
    if spec.activations == "int8":
        aq = k.view(k.buffer("AQ", "int8"), "int32")
        product: Product = Int8Product(k, spec, w, aq, k.buffer("AS", "float32"))
    else:
        product = FloatProduct(k, spec, w, k.buffer("X", "float32"))
    y = k.buffer("Y", "float32")
    m, blocks, kp, ld, units, heads = (k.scalar(name) for name in ("m", "blocks", "kp", "ld", "units", "heads"))
    product.blocks, product.kp = blocks, kp
    out = Output(k, spec, None, None, y, None, None, ld, None, m)

    def multiply(unit: Expr, first: Expr, rows: int) -> None:
        head = k.let(tirx.floordiv(unit, units), "head")
        tile(spec, product, out, unit, first, (unit, [(first + row) * heads + head for row in range(rows)]))

    in_stretches(k, spec, blocks, k.begin, k.end, m, multiply)
    return k
