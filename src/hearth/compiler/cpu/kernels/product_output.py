"""What a product is, and what becomes of its sums: bias, scale, residual, activation, gate, soft cap, largest logit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    Register,
    broadcast,
    cast,
    const,
    f32,
    i64,
    in_name,
)
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tuning
from hearth.quant.formats import Format

Sums = list[list[Register]]  # [row][part]: `lanes` outputs each


@dataclass(frozen=True)
class MatmulSpec:
    """Which product.

    Attributes:
        activations: `int8` (scale per 32 columns) or `float32`.
        bias: adds a vector f32 [padded N].
        epilogue: `store`; `add`: Y = residual + scale * product; `activate`: Y = act(product); `gated`: rows of the
            weight are blocks of gate and up in turn, Y = act(gate) * up; `logits`: scale and soft-cap, and for each
            unit and row the largest of its logits and where it stands.
        activation: of `activate` and `gated`, by its name in `vmath.ACTIVATIONS`.
        scale: multiplies the product before the residual is added, or the logits.
        softcap: of logits: cap * tanh(x / cap); None: none.
        coarse: the first rows of the activations have one scale each (coarse_product.py); with int8 alone.
        tuning: how, not what: it never changes a result.
    """

    fmt: Format
    isa: Isa
    activations: Literal["int8", "float32"] = "int8"
    bias: bool = False
    epilogue: Literal["store", "add", "activate", "gated", "logits"] = "store"
    activation: str = "silu"
    scale: float = 1.0
    softcap: float | None = None
    coarse: bool = False
    tuning: Tuning = DEFAULT_TUNING

    @property
    def name(self) -> str:
        parts = ["matmul", self.fmt.kernel_layout, "i8" if self.activations == "int8" else "f32", self.epilogue]
        if self.epilogue in ("activate", "gated"):
            parts.append(self.activation)
        if self.bias:
            parts.append("bias")
        if self.scale != 1.0:
            parts.append(f"s{in_name(self.scale)}")
        if self.softcap is not None:
            parts.append(f"cap{in_name(self.softcap)}")
        if self.coarse:
            parts.append("coarse")
        return "_".join(parts)


class Output:
    """What happens to finished sums: bias, scale, residual, activation, soft cap, the largest logit."""

    def __init__(
        self, k: Kernel, spec: MatmulSpec, bias: Memory | None, residual: Memory | None, y: Memory,
        best: Memory | None, where: Memory | None, ld: Expr, n: Expr | None, m: Expr,
    ) -> None:  # fmt: skip
        self.k, self.spec, self.bias, self.residual, self.y = k, spec, bias, residual, y
        self.best, self.where, self.ld, self.n, self.m = best, where, ld, n, m
        self.bias_at: Expr = i64(0)  # where the bias of what is computed begins

    def _each(self, sums: Sums, body: Callable[[int, int, int, Expr], None]) -> None:
        """body(row, first lane, lanes, value) for every piece of the tile."""
        for row, parts in enumerate(sums):
            lane = 0
            for register in parts:
                body(row, lane, register.lanes, register.get())
                lane += register.lanes

    def _biased(self, value: Expr, at: Expr, lanes: int) -> Expr:
        return value if self.bias is None else value + self.bias.load(self.bias_at + at, lanes)

    def store(self, unit: Expr, first: Expr, sums: Sums) -> None:
        k, spec = self.k, self.spec

        def put(row: int, lane: int, lanes: int, value: Expr) -> None:
            column = unit * 16 + lane
            at = k.let((first + row) * self.ld + column, "out")
            value = self._biased(value, column, lanes)
            if spec.scale != 1.0:
                value = value * f32(spec.scale, lanes)
            if spec.softcap is not None:
                value = vmath.softcap(k, value, spec.softcap, lanes)
            if spec.epilogue == "activate":
                value = vmath.ACTIVATIONS[spec.activation](k, value, lanes)
            if self.residual is not None:
                value = self.residual.load(at, lanes) + value
            k.store(self.y, at, k.let(value, "y"))

        self._each(sums, put)
        if self.best is not None:
            self._largest(unit, first, len(sums))

    def _largest(self, unit: Expr, first: Expr, rows: int) -> None:
        """For each row the largest of this unit's 16 logits, the first of equals; padding rows do not count."""
        k = self.k
        assert self.best is not None
        assert self.where is not None
        assert self.n is not None
        units = tirx.floordiv(self.n + 15, i64(16))
        lanes = tirx.Ramp(tirx.IntImm("int32", 0), tirx.IntImm("int32", 1), 16)
        for row in range(rows):
            y = k.let(self.y.load((first + row) * self.ld + unit * 16, 16), "logit")
            valid = lanes < broadcast(cast("int32", self.n - unit * 16), 16)
            y = k.let(tirx.Select(valid, y, f32(-3.4e38, 16)), "logit")
            largest = k.let(vmath.reduce_max(y), "largest")
            hit = tirx.Select(tirx.EQ(y, broadcast(largest, 16)), lanes, const("int32", 15, 16))
            index = vmath.reduce_min_int(hit) + cast("int32", unit * 16)
            k.store(self.best, (first + row) * units + unit, largest)
            k.store(self.where, (first + row) * units + unit, index)

    def store_gated(self, unit: Expr, first: Expr, gate: Sums, up: Sums) -> None:
        k = self.k
        act = vmath.ACTIVATIONS[self.spec.activation]
        for row, (gates, ups) in enumerate(zip(gate, up, strict=True)):
            lane = 0
            for g, u in zip(gates, ups, strict=True):
                lanes = g.lanes
                gate_value = self._biased(g.get(), unit * 32 + lane, lanes)
                up_value = self._biased(u.get(), unit * 32 + 16 + lane, lanes)
                value = k.let(act(k, k.let(gate_value, "gate"), lanes) * up_value, "y")
                k.store(self.y, (first + row) * self.ld + unit * 16 + lane, value)
                lane += lanes
