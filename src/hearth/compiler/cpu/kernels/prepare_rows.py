"""Prepares activations for products with one scale a row (row_product.py): f32 rows to bytes, a norm fused in front.

One unit is one row, which is read for its mean and variance, for its largest magnitude, and to be rounded; nothing but
its bytes is written. This is also the step that writes the zeros which products rely on in the padding of K.
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
    in_name,
)
from hearth.compiler.cpu.kernels.layer_norm import LANES, layer_statistics, over, sum_over
from hearth.compiler.cpu.targets import Isa


@dataclass(frozen=True)
class RowPrepareSpec:
    """What is done to a row before it is rounded.

    Attributes:
        norm: `rms`: x / sqrt(mean(x^2) + eps); `layer`: (x - mean) / sqrt(variance + eps); None: nothing.
        weight, bias: of the norm: f32 [size] that multiplies, that is added.
        gather: rows are taken from X as an input of indices says.
    """

    isa: Isa
    norm: Literal["rms", "layer"] | None = None
    eps: float = 0.0
    weight: bool = False
    bias: bool = False
    gather: bool = False

    @property
    def name(self) -> str:
        parts = ["prepare_rows"]
        if self.norm is not None:
            parts += [self.norm, in_name(self.eps)]
        return "_".join([*parts, *(name for name in ("weight", "bias", "gather") if getattr(self, name))])


def prepare_rows(spec: RowPrepareSpec) -> Kernel:
    """Buffers: X f32 [.][ldx]; [weight f32 [size]]; [bias f32 [size]]; [rows i32 [m]: which row of X, when gather];
    AQ int8 [m][kp]; AS f32 [m].
    Scalars: size (true columns), kp (a multiple of 32), ldx. Unit: row of the output.

    AS is the row's largest magnitude / 127, AQ its values divided by that and rounded to nearest even; as unsigned
    bytes, 128 added, where `Isa.unsigned_activations`."""
    k = Kernel(spec.name)
    x = k.buffer("X", "float32")
    weight = k.buffer("weight", "float32") if spec.weight else None
    bias = k.buffer("bias", "float32") if spec.bias else None
    rows = k.buffer("rows", "int32") if spec.gather else None
    aq, scales = k.buffer("AQ", "int8"), k.buffer("AS", "float32")
    size, kp, ldx = (k.scalar(name) for name in ("size", "kp", "ldx"))
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

        # Computed twice: that costs less than to keep it meanwhile.
        largest = _largest(k, value, size)
        k.store(scales, m, largest * f32(1.0 / 127.0))
        _round(k, spec.isa, value, size, largest, aq, k.let(m * kp, "to"), kp)
    return k


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


def _round(
    k: Kernel, isa: Isa, value: Callable[[Expr, int], Expr], size: Expr, largest: Expr, aq: Memory, to: Expr, kp: Expr
) -> None:
    """Writes the bytes of a row, those of its padding too."""
    small = f32(1e-30)
    inverse = k.let(tirx.Select(largest > small, f32(127.0) / tirx.max(largest, small), f32(0.0)), "inverse")
    zero = 128 if isa.unsigned_activations else 0

    def put(j: Expr, lanes: int) -> None:
        # A sum with 1.5 * 2**23 is rounded to the nearest whole number, ties to even, and ends in that number's bits.
        shifted = value(j, lanes) * broadcast(inverse, lanes) + f32(1.5 * 2**23 + zero, lanes)
        k.store(aq, to + j, k.let(cast("int8", bitcast("int32", shifted, lanes), lanes), "q"))

    over(k, size, put)
    with k.loop(size, kp) as j:
        k.store(aq, to + j, const("int8", -128 if zero else 0))
