"""What happens to the finished sums of a product with a scale a row (row_product.py): scales, bias, activation or gate,
layer scale, residual, and what the sum with it goes through. All in f32."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, f32, i64
from hearth.compiler.cpu.kernels.prepare_rows import RowBytes
from hearth.compiler.cpu.kernels.row_weight import RowWeight, quotient
from hearth.compiler.cpu.kernels.tiles import UNIT_BLOCKS, UNIT_COLUMNS
from hearth.quant.formats import LANES

if TYPE_CHECKING:
    from hearth.compiler.cpu.kernels.row_product import RowProductSpec

ACTIVATIONS = {**vmath.ACTIVATIONS, "gelu": vmath.gelu_of_bytes}

_CACHE_LINE = 64

Store = Callable[[Expr, Expr, Any], None]
"""(row, block, value): where 16 finished outputs go."""


class Epilogue:
    """Declares the buffers that come between the weight and the results: AS, [bias], [gamma], [residual]."""

    def __init__(self, k: Kernel, spec: RowProductSpec) -> None:
        self.k, self.spec = k, spec
        self.sums = k.scratch("int32")
        self.scales = k.buffer("AS", "float32")

        def optional(name: str, wanted: bool) -> Memory | None:
            return k.buffer(name, "float32") if wanted else None

        self.bias, self.gamma = optional("bias", spec.bias), optional("gamma", spec.gamma)
        self.residual = optional("residual", spec.add == "float")
        self.residual_form: RowBytes | None = None
        if spec.add in ("signed", "positive"):
            self.residual_form = RowBytes.of(spec.isa, spec.add)
            self.residual = k.buffer("RQ", "int8")
            self.residual_scales = k.buffer("RS", "float32")

    def finish(
        self, w: RowWeight, row: Expr, count: Expr, first: Expr, last: Expr, residual_ld: Expr, store: Store
    ) -> None:
        """The outputs of a unit in `count` rows from `row` on, of which the tile has the sums.

        Args:
            residual_ld: elements from one row of the residual to the next.
        """
        k = self.k
        if self.spec.gated:
            # A loop that is gone through once keeps what it reads out of the registers until then.
            with k.loop(first, last, UNIT_BLOCKS) as block:
                columns = [self._columns(w, each) for each in (block, block + 1)]
                with k.loop(0, count) as r:
                    gate, up = (self._value(each, r, row, i64(number)) for number, each in enumerate(columns))
                    self._store(self._activated(gate) * up, quotient(block, UNIT_BLOCKS), row + r, residual_ld, store)
            return
        for blocks in range(1, UNIT_BLOCKS + 1):
            with k.loop(first, tirx.Select(tirx.EQ(last - first, i64(blocks)), first + 1, first)) as block:
                columns = [self._columns(w, block + number) for number in range(blocks)]
                with k.loop(0, count) as r:
                    for number, each in enumerate(columns):
                        value = self._value(each, r, row, i64(number))
                        self._store(self._activated(value), block + number, row + r, residual_ld, store)

    def look_ahead(self, row: Expr, rows: int, residual_ld: Expr, unit: Expr, units: Expr) -> None:
        """Asks for the share of a unit in the residual of `rows` rows from `row` on: units go through the columns of
        rows a few at a time, which no processor foresees. Past the last row too; nothing is read."""
        if self.residual is None:
            return
        k, line = self.k, _CACHE_LINE if self.residual_form is not None else _CACHE_LINE // 4
        lines = k.let(quotient(residual_ld * rows + (line - 1), line), "lines")
        begin, end = (k.let(quotient(share * lines, units), "line") for share in (unit, unit + 1))
        start = k.let(row * residual_ld, "start")
        with k.loop(begin, end) as number:
            k.prefetch(self.residual, start + number * line)

    def _columns(self, w: RowWeight, block: Expr) -> tuple[Expr, Expr | None]:
        """Scales and biases of a block of weight rows."""
        bias = None if self.bias is None else self.k.let(self.bias.load(block * LANES, LANES), "bias")
        return self.k.let(w.scale(block), "scale"), bias

    def _value(self, columns: tuple[Expr, Expr | None], r: Expr, row: Expr, block: Expr) -> Expr:
        """The biased product of the tile's r-th row and its block."""
        k, (scale, bias) = self.k, columns
        sums = self.sums.load(r * UNIT_COLUMNS + block * LANES, LANES)
        product = cast("float32", sums, LANES) * (scale * broadcast(self.scales.load(row + r), LANES))
        return k.let(product if bias is None else product + bias, "value")

    def _activated(self, value: Expr) -> Expr:
        name = self.spec.activation
        return self.k.let(ACTIVATIONS[name](self.k, value, LANES), "activated") if name else value

    def _store(self, value: Any, block: Expr, row: Expr, residual_ld: Expr, store: Store) -> None:
        k, spec = self.k, self.spec
        if self.gamma is not None:
            value = value * self.gamma.load(block * LANES, LANES)
        if spec.scale != 1.0:
            value = value * f32(spec.scale, LANES)
        if self.residual is not None:
            at = k.let(row * residual_ld + block * LANES, "from")
            if self.residual_form is None:
                value = self.residual.load(at, LANES) + value
            else:
                scale = k.let(self.residual_scales.load(row), "scale")
                value = self.residual_form.value(self.residual, at, scale) + value
        if spec.after:
            value = ACTIVATIONS[spec.after](k, k.let(value, "sum"), LANES)
        store(row, block, k.let(value, "y"))
