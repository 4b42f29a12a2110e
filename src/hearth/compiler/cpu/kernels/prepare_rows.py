"""Prepares activations for products with one scale a row (row_product.py): f32 rows to bytes, a norm fused in front,
rotated as the weights are (`quant/rotation.py`).

One unit is one row, which is read for its mean and variance, for its largest magnitude, and to be rounded; nothing but
its bytes is written. This is also the step that writes the zeros which products rely on in the padding of K.

Rows that are known to have nothing below zero, as behind a ReLU, are `positive`: their bytes are numbers from 0 on,
which gives them another bit where products take unsigned bytes.
"""

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
    bitcast,
    broadcast,
    cast,
    const,
    f32,
    fma,
    i64,
    in_name,
)
from hearth.compiler.cpu.kernels.layer_norm import LANES, layer_statistics, over, sum_over
from hearth.compiler.cpu.kernels.rotation import rotate_vectors
from hearth.compiler.cpu.targets import Isa

RowSign = Literal["signed", "positive"]
"""Whether the numbers of rows may be below zero."""


@dataclass(frozen=True)
class RowBytes:
    """How rows lie in bytes.

    Attributes:
        steps: from 0 to the largest magnitude.
        zero: the integer that stands for 0.
        unsigned: how bytes are read as integers.
    """

    steps: int
    zero: int
    unsigned: bool

    @classmethod
    def of(cls, isa: Isa, sign: RowSign) -> RowBytes:
        """As the products of an instruction set take them."""
        if sign == "positive":
            return cls(255 if isa.unsigned_activations else 127, 0, isa.unsigned_activations)
        return cls(127, 128 if isa.unsigned_activations else 0, isa.unsigned_activations)

    def value(self, memory: Memory, at: Expr, scale: Expr) -> Expr:
        """16 numbers of a row in f32, of the bytes (int8) from `at` on."""
        read = memory.load(at, LANES)
        if self.unsigned:
            read = bitcast("uint8", read, LANES)
        number = cast("int32", read, LANES)
        if self.zero:
            number = number - const("int32", self.zero, LANES)
        return cast("float32", number, LANES) * broadcast(scale, LANES)


@dataclass(frozen=True)
class RowPrepareSpec:
    """What is done to a row before it is rounded.

    Attributes:
        norm: `rms`: x / sqrt(mean(x^2) + eps); `layer`: (x - mean) / sqrt(variance + eps); None: nothing.
        weight, bias: of the norm: f32 [size] that multiplies, that is added.
        gather: rows are taken from X as an input of indices says.
        sign: of the values that are rounded.
        rotated: vectors of columns that are rotated together, which divide a row into whole groups; 1: none.
    """

    isa: Isa
    norm: Literal["rms", "layer"] | None = None
    eps: float = 0.0
    weight: bool = False
    bias: bool = False
    gather: bool = False
    sign: RowSign = "signed"
    rotated: int = 1

    @property
    def name(self) -> str:
        parts = ["prepare_rows", *(["positive"] if self.sign == "positive" else [])]
        if self.norm is not None:
            parts += [self.norm, in_name(self.eps)]
        parts += [name for name in ("weight", "bias", "gather") if getattr(self, name)]
        return "_".join([*parts, *([f"rotated{self.rotated}"] if self.rotated > 1 else [])])

    def scratch_bytes(self, size: int) -> int:
        """Scratch that the kernel uses with rows of `size` columns."""
        return 4 * size if self.rotated > 1 else 0


def prepare_rows(spec: RowPrepareSpec) -> Kernel:
    """Buffers: X f32 [.][ldx]; [weight f32 [size]]; [bias f32 [size]]; [rows i32 [m]: which row of X, when gather];
    AQ int8 [m][kp]; AS f32 [m].
    Scalars: size (true columns), kp (a multiple of 32), ldx. Unit: row of the output.

    AS is the (rotated) row's largest magnitude / `RowBytes.steps`, AQ its values divided by that and rounded to nearest
    even, as bytes of which `RowBytes.zero` stands for 0."""
    k = Kernel(spec.name)
    x = k.buffer("X", "float32")
    weight = k.buffer("weight", "float32") if spec.weight else None
    bias = k.buffer("bias", "float32") if spec.bias else None
    rows = k.buffer("rows", "int32") if spec.gather else None
    aq, scales = k.buffer("AQ", "int8"), k.buffer("AS", "float32")
    size, kp, ldx = (k.scalar(name) for name in ("size", "kp", "ldx"))
    kept = k.scratch("float32") if spec.rotated > 1 else None
    with k.loop(k.begin, k.end) as m:
        source = cast("int64", rows.load(m)) if rows is not None else m
        start = k.let(source * ldx, "start")
        mean, factor = _statistics(k, spec, x, start, size)

        def value(j: Expr, lanes: int, start: Expr = start, mean: Expr = mean, factor: Expr = factor) -> Expr:
            v = x.load(start + j, lanes)
            if mean is not None:
                v = v - broadcast(mean, lanes)
            if factor is not None:
                v = v * broadcast(factor, lanes)
            if weight is not None:
                v = v * weight.load(j, lanes)
            return k.let(v if bias is None else v + bias.load(j, lanes), "value")

        if kept is not None:
            rotate_row(k, spec.rotated, value, size, kept, i64(0))
            value = read(k, kept, i64(0))  # type: ignore[assignment]
        # Unless it is rotated, it is computed twice: that costs less than to keep it meanwhile.
        form = RowBytes.of(spec.isa, spec.sign)
        scale, inverse = row_scale(k, form, value, size)
        k.store(scales, m, scale)
        round_row(k, form, value, size, inverse, aq, k.let(m * kp, "to"), kp)
    return k


def rotate_row(
    k: Kernel, vectors: int, value: Callable[[Expr, int], Expr], size: Expr, to: Memory, at: Expr
) -> None:  # fmt: skip
    """Writes a row of numbers value(column, lanes) rotated to `to[at]` and on, where it may lie already."""
    columns = vectors * LANES
    with k.loop(0, tirx.truncdiv(size, i64(columns))) as group:
        first = k.let(group * columns, "first")
        for i, rotated in enumerate(rotate_vectors(k, [value(first + i * LANES, LANES) for i in range(vectors)])):
            k.store(to, at + first + i * LANES, rotated)


def read(k: Kernel, memory: Memory, at: Expr) -> Callable[[Expr, int], Expr]:
    """The numbers of a row that stand in memory."""
    return lambda j, lanes: k.let(memory.load(at + j, lanes), "value")


def row_scale(k: Kernel, form: RowBytes, value: Callable[[Expr, int], Expr], size: Expr) -> tuple[Expr, Expr]:
    """The scale of a row of numbers value(column, lanes), and what they are multiplied by before they are rounded."""
    largest = _largest(k, value, size)
    small, steps = f32(1e-30), f32(form.steps)
    inverse = k.let(tirx.Select(largest > small, steps / tirx.max(largest, small), f32(0.0)), "inverse")
    return largest * f32(1.0 / form.steps), inverse


def _statistics(k: Kernel, spec: RowPrepareSpec, x: Memory, start: Expr, size: Expr) -> tuple[Expr, Expr]:
    """What is subtracted from a row and what then multiplies it; None: nothing."""
    if spec.norm == "layer":
        return layer_statistics(k, x, start, size, spec.eps)
    if spec.norm is None:
        return None, None

    def squares(j: Expr, lanes: int, total: Expr) -> Expr:
        v = k.let(x.load(start + j, lanes), "v")
        return fma(v, v, total, lanes)

    mean = sum_over(k, size, squares) / cast("float32", size)
    return None, k.let(f32(1.0) / tirx.sqrt(mean + f32(spec.eps)), "factor")


def _magnitude(value: Expr, lanes: int) -> Expr:
    """Magnitudes compare as their bits do, and integers need no care for NaN (which wins, and spoils the row)."""
    return tirx.bitwise_and(bitcast("int32", value, lanes), const("int32", 0x7FFFFFFF, lanes))


def _largest(k: Kernel, value: Callable[[Expr, int], Expr], size: Expr) -> Expr:
    """The largest magnitude of a row."""
    most = k.register("int32", LANES, const("int32", 0, LANES))
    rest = k.register("int32", init=const("int32", 0))

    def compare(j: Expr, lanes: int) -> None:
        kept = most if lanes > 1 else rest
        kept.set(tirx.max(kept.get(), _magnitude(value(j, lanes), lanes)))

    over(k, size, compare)
    return k.let(bitcast("float32", tirx.max(vmath.reduce_max_int(most.get()), rest.get())), "largest")


def round_row(
    k: Kernel, form: RowBytes, value: Callable[[Expr, int], Expr], size: Expr, inverse: Expr, aq: Memory, to: Expr,
    kp: Expr,
) -> None:  # fmt: skip
    """Writes the bytes of a row from `aq[to]` on, those of its padding too."""

    def put(j: Expr, lanes: int) -> None:
        # A sum with 1.5 * 2**23 is rounded to the nearest whole number, ties to even, and ends in that number's bits.
        shifted = value(j, lanes) * broadcast(inverse, lanes) + f32(1.5 * 2**23 + form.zero, lanes)
        k.store(aq, to + j, k.let(cast("int8", bitcast("int32", shifted, lanes), lanes), "q"))

    over(k, size, put)
    with k.loop(size, kp) as j:
        k.store(aq, to + j, const("int8", -128 if form.zero else 0))
