"""Products with one scale for each weight row and one for each row of activations: "row x token".

`Y[m, n] = w_scale[n] * a_scale[m] * sum_k A[m, k] * W[n, k]`, the sum being of integers over all of K and exact. So the
work is nothing but integer products (tiles.py), which many-row models want: vision, encoders, prompts. Weights are int8
(`i8`) or 4 bits (`i4`), whose steps times the integer scale of their group fit signed bytes: those of a unit are
unpacked once, into scratch, for all the rows that it meets (where products are summed in 16 bits without the scales,
which multiply the sums of groups: the same integers in the end).

A *column unit* is two blocks of 16 weight rows, an *item* such a unit times a stretch of activation rows. Items are
computed stretch by stretch, so that activations come from the second-level cache and the weights of a unit from the
first or second. A plan gives threads *shares* of the items: products of few weight rows with thousands of rows of
activations divide as evenly as others. Whatever the shares, tiles, threads or the batch, an output has the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels import amx
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, i64, in_name
from hearth.compiler.cpu.kernels.prepare_rows import RowSign
from hearth.compiler.cpu.kernels.row_epilogue import Epilogue
from hearth.compiler.cpu.kernels.row_tiles import RowTiles
from hearth.compiler.cpu.kernels.row_weight import RowWeight, quotient, scratch_bytes
from hearth.compiler.cpu.kernels.tiles import UNIT_BLOCKS
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import LANES, Format

SHARES = 64
"""Units of a product's step in a plan: pieces that threads take, each an equal part of the items."""

_STRETCH_BYTES, _STRETCH_ROWS = 256 * 1024, 256
_MIN_STRETCH_ROWS = 48
_ITEMS = 48
"""Items that there should be at least, so that they share evenly, as long as each has some rows."""


@dataclass(frozen=True)
class RowProductSpec:
    """Which product.

    Attributes:
        fmt: of the weight, one that `is_row`.
        bias: adds a vector f32 [padded N].
        activation: what the biased product goes through, a name of `vmath.ACTIVATIONS`; None: nothing.
        gated: rows of the weight are blocks of gate and up in turn, Y = activation(gate) * up.
        gamma: multiplies by a vector f32 [padded N] (layer scale); where nothing but the bias stands before it, it
            is better folded into weight and bias.
        add: Y = residual + scale * all that. The residual is f32, or rows of bytes of that sign.
        scale: see `add`; 1 without it.
        after: the activation that the sum with the residual goes through.
        sign: of the activations.
    """

    fmt: Format
    isa: Isa
    bias: bool = False
    activation: str | None = None
    gated: bool = False
    gamma: bool = False
    add: Literal["", "float", "signed", "positive"] = ""
    scale: float = 1.0
    after: str | None = None
    sign: RowSign = "signed"

    @property
    def name(self) -> str:
        parts = ["row_product", self.fmt.kernel_layout, *(["positive"] if self.sign == "positive" else [])]
        parts += [name for name in ("bias", "gated", "gamma") if getattr(self, name)]
        if self.add:
            parts.append("add" if self.add == "float" else f"add_{self.add}")
        if self.activation:
            parts.append(self.activation)
        if self.scale != 1.0:
            parts.append(f"s{in_name(self.scale)}")
        if self.after:
            parts.append(f"then_{self.after}")
        return "_".join(parts)

    def scratch_bytes(self, kp: int) -> int:
        """Scratch that the kernel uses with activations of `kp` columns, the same for every instruction set."""
        return scratch_bytes(self.fmt, kp)


def row_product(spec: RowProductSpec) -> Kernel:
    """Buffers: W u8; AQ int8 [m][kp], AS f32 [m] (`prepare_rows`); [bias f32]; [gamma f32]; [residual f32 [m][ld], or
    RQ int8 [m][ld rounded up to 32], RS f32 [m]]; Y f32 [m][ld].
    Scalars: m, kp, blocks (of 16 weight rows), ld, shares. Unit: one of `shares` equal shares of the work."""
    k = Kernel(spec.name, reload_constants=True)
    w = RowWeight(k, spec.fmt, spec.isa, spec.sign)
    activations = k.view(k.buffer("AQ", "int8"), "int32")
    epilogue = Epilogue(k, spec)
    y = k.buffer("Y", "float32")
    m, kp, blocks, ld, shares = (k.scalar(name) for name in ("m", "kp", "blocks", "ld", "shares"))
    w.measure(kp)
    tiles = RowTiles(k, spec.isa, activations, m, kp)

    most, count = tiles.most, tiles.count
    units = k.let(quotient(blocks + (UNIT_BLOCKS - 1), UNIT_BLOCKS), "units")
    fitting = tirx.min(quotient(i64(_STRETCH_BYTES), kp * most), i64(_STRETCH_ROWS // most))
    wanted = tirx.max(quotient(count * units, _ITEMS), i64(_MIN_STRETCH_ROWS // most))
    length = k.let(tirx.max(tirx.min(fitting, wanted), i64(1)), "length")
    stretches = k.let(quotient(count + length - 1, length), "stretches")
    items = k.let(stretches * units, "items")
    residual_ld = ld if spec.add in ("", "float") else k.let(quotient(ld + 31, 32) * 32, "residual_ld")

    def store(row: Expr, block: Expr, value: Expr) -> None:
        k.store(y, k.let(row * ld + block * LANES, "at"), value)

    with k.loop(*(k.let(quotient(bound * items, shares), "item") for bound in (k.begin, k.end))) as item:
        stretch = k.let(quotient(item, units), "stretch")
        first = k.let((item - stretch * units) * UNIT_BLOCKS, "first")
        last = k.let(tirx.min(first + UNIT_BLOCKS, blocks), "last")
        # A unit that lacks its second block computes the first twice, and writes it once.
        bases = w.open(first, last)
        bounds = [k.let(quotient((stretch + i) * count, stretches), "tile") for i in (0, 1)]

        def finish(row: Expr, rows: Expr, first: Expr = first, last: Expr = last) -> None:
            epilogue.finish(w, row, rows, first, last, residual_ld, store)

        tiles.run(w, bases, epilogue.sums, bounds, finish)
    if spec.isa.matrix == "amx":
        amx.release(k)
    return k
