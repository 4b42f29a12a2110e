"""Row-wise kernels: RMSNorm, what prepares an activation for a product, residual adds. One unit is one token's row.

`prepare` fuses the norm with the quantisation of its result: the normalised row lives only in this thread's scratch.
It is also the step that writes the zeros which products rely on in the padding of K.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels import rotation, vmath
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
    llvm,
)
from hearth.compiler.cpu.targets import Isa

LANES = 16
GROUP = 32
SCALE, SCALED_SUM, START, HALF_STARTS, SUMS = 0, 1, 2, 3, 5
"""Rows of AS [m][SUMS][kp/32]: scale f32; scale * sum of the group's integers f32; -128 * that sum int32; -128 * the
sums of its first and last 16 int32. Products read the rows that their format needs."""


def _vectors(size: Expr) -> Expr:
    return tirx.floordiv(size, i64(LANES))


def sum_of_squares(k: Kernel, x: Memory, start: Expr, size: Expr) -> Expr:
    """Sum over x[start : start + size], whole vectors first, then what is left one by one."""
    partial = k.register("float32", LANES, f32(0.0, LANES))
    with k.loop(0, _vectors(size)) as i:
        v = k.let(x.load(start + i * LANES, LANES), "x")
        partial.set(fma(v, v, partial.get(), LANES))
    total = k.register("float32", init=vmath.reduce_sum(k, partial.get(), LANES))
    with k.loop(_vectors(size) * LANES, size) as i:
        v = k.let(x.load(start + i), "x")
        total.set(total.get() + v * v)
    return k.let(total.get(), "sum")


def inverse_rms(k: Kernel, x: Memory, start: Expr, size: Expr, eps: float) -> Expr:
    mean = sum_of_squares(k, x, start, size) / cast("float32", size)
    return k.let(f32(1.0) / tirx.sqrt(mean + f32(eps)), "inverse")


def _copy_scaled(
    k: Kernel, x: Memory, x_at: Expr, out: Memory, out_at: Expr, size: Expr, factor: Expr | None, weight: Memory | None
) -> None:
    """out[j] = x[j] * factor * weight[j] for j < size."""

    def value(j: Expr, lanes: int) -> Expr:
        v = x.load(x_at + j, lanes)
        if factor is not None:
            v = v * broadcast(factor, lanes)
        return v if weight is None else v * weight.load(j, lanes)

    with k.loop(0, _vectors(size)) as i:
        k.store(out, out_at + i * LANES, k.let(value(i * LANES, LANES), "y"))
    with k.loop(_vectors(size) * LANES, size) as j:
        k.store(out, out_at + j, k.let(value(j, 1), "y"))


def _fill_zero(k: Kernel, out: Memory, begin: Expr, end: Expr) -> None:
    with k.loop(begin, end) as j:
        k.store(out, j, f32(0.0))


def prepare(*, norm: bool, quantise: bool, gather: bool, eps: float, coarse: Isa | None = None) -> Kernel:
    """Makes an activation ready for a product.

    Args:
        coarse: the first rows have one scale each, and are rotated, as this instruction set wants them for such
            products (coarse_product.py). A row's scale stands where its numbers in AS begin.

    Buffers: X f32 [.][ldx]; [norm weight f32 [size]]; [rows i32 [m]: which row of X, when gather];
    AQ int8 [m][kp] and AS f32 [m][5][kp/32] (see `SUMS`), or Y f32 [m][kp].
    Scalars: size (true columns), kp, ldx, [coarse: so many of the first rows]. Unit: row of the output.
    """
    name = "_".join(
        ["prepare", "i8" if quantise else "f32", *(["norm", in_name(eps)] if norm else
        []),
         *(["gather"] if gather else []), *(["coarse"] if coarse else [])]
    )  # fmt: skip
    k = Kernel(name)
    x = k.buffer("X", "float32")
    weight = k.buffer("weight", "float32") if norm else None
    rows = k.buffer("rows", "int32") if gather else None
    if quantise:
        aq, scales = k.buffer("AQ", "int8"), k.buffer("AS", "float32")
        row_values = k.scratch("float32")
    else:
        row_values = k.buffer("Y", "float32")
    size, kp, ldx = (k.scalar(n) for n in ("size", "kp", "ldx"))
    first_rows = k.scalar("coarse") if coarse is not None else None
    if coarse is not None and not coarse.gains_by_rows:
        coarse = None  # all rows alike
    with k.loop(k.begin, k.end) as m:
        source = cast("int64", rows.load(m)) if rows is not None else m
        start = k.let(source * ldx, "start")
        to = i64(0) if quantise else k.let(m * kp, "to")
        factor = inverse_rms(k, x, start, size, eps) if norm else None
        _copy_scaled(k, x, start, row_values, to, size, factor, weight)
        _fill_zero(k, row_values, to + size, to + kp)
        if quantise:
            groups = k.let(tirx.floordiv(kp, i64(GROUP)), "groups")
            numbers = m * groups * SUMS
            fine = groups
            if coarse is not None:
                is_coarse = m < first_rows
                with k.when(is_coarse):
                    _quantise_row(k, coarse, row_values, kp, aq, m * kp, scales, numbers)
                fine = tirx.Select(is_coarse, i64(0), groups)
            with k.loop(0, fine) as g:
                _quantise_group(k, row_values, g * GROUP, aq, m * kp + g * GROUP, scales, numbers + g, groups)
    return k


def _quantise_row(
    k: Kernel, isa: Isa, x: Memory, kp: Expr, aq: Memory, aq_at: Expr, scales: Memory, scale_at: Expr
) -> None:
    """A row to bytes with one scale, rotated before; unsigned ones, 128 above, where `Isa.unsigned_activations`."""
    most = k.register("int32", LANES, const("int32", 0, LANES))
    with k.loop(0, tirx.floordiv(kp, i64(rotation.COLUMNS))) as part:
        places = [part * rotation.COLUMNS + h * LANES for h in range(rotation.COLUMNS // LANES)]
        vectors = [k.let(x.load(place, LANES), "x") for place in places]
        for place, vector in zip(places, rotation.rotate_lanes(k, vectors), strict=True):
            k.store(x, place, vector)
            most.set(tirx.max(most.get(), _magnitude(vector)))
    scale, inverse = _scale(k, most.get())
    k.store(scales, scale_at, scale)
    zero = const("int32", 128 if isa.unsigned_activations else 0, LANES)
    with k.loop(0, tirx.floordiv(kp, i64(LANES))) as i:
        q = _rounded(k, x.load(i * LANES, LANES), inverse) + zero
        k.store(aq, aq_at + i * LANES, cast("int8", q, LANES))


def _magnitude(value: Expr) -> Expr:
    """Magnitudes compare as their bits do, and integers need no care for NaN (which wins, and spoils the group)."""
    return tirx.bitwise_and(bitcast("int32", value, LANES), const("int32", 0x7FFFFFFF, LANES))


def _scale(k: Kernel, magnitudes: Expr) -> tuple[Expr, Expr]:
    """What values are divided by, largest magnitude / 127, and its inverse."""
    largest = k.let(bitcast("float32", vmath.reduce_max_int(magnitudes)), "largest")
    scale = k.let(largest * f32(1.0 / 127.0), "scale")
    return scale, k.let(
        tirx.Select(largest > f32(1e-30), f32(127.0) / tirx.max(largest, f32(1e-30)), f32(0.0)), "inverse"
    )


def _rounded(k: Kernel, part: Expr, inverse: Expr) -> Expr:
    return k.let(cast("int32", llvm("llvm.rint", "float32x16", part * broadcast(inverse, LANES)), LANES), "q")


def _quantise_group(
    k: Kernel, x: Memory, at: Expr, aq: Memory, aq_at: Expr, scales: Memory, scales_at: Expr, stride: Expr
) -> None:
    """32 values to int8 with one scale: scale = max |x| / 127, integers rounded to nearest even. The group's numbers go
    to scales[scales_at + row * stride]."""
    parts = [k.let(x.load(at + h * LANES, LANES), "x") for h in (0, 1)]
    scale, inverse = _scale(k, tirx.max(*map(_magnitude, parts)))
    quantised = []
    for h, part in enumerate(parts):
        q = _rounded(k, part, inverse)
        k.store(aq, aq_at + h * LANES, cast("int8", q, LANES))
        quantised.append(q)
    # Both halves' sums in one reduction: each is below 2**15, so they stand side by side in 32 bits.
    high = tirx.shift_left(quantised[1], const("int32", 16, LANES))
    both = k.let(vmath.reduce_sum_int(quantised[0] + high), "sums")
    low_sum = k.let(cast("int32", cast("int16", both)), "sum")
    sums = [low_sum, k.let(tirx.shift_right(both - low_sum, const("int32", 16)), "sum")]
    total = k.let(sums[0] + sums[1], "sum")
    k.store(scales, scales_at + stride * SCALE, scale)
    k.store(scales, scales_at + stride * SCALED_SUM, scale * cast("float32", total))
    for row, value in ((START, total), (HALF_STARTS, sums[0]), (HALF_STARTS + 1, sums[1])):
        k.store(scales, scales_at + stride * row, bitcast("float32", value * const("int32", -128)))


def rms_norm(*, eps: float, add: bool, scale: float = 1.0) -> Kernel:
    """Y = norm(X) * weight, or with `add` Y = residual + scale * norm(X) * weight.

    Buffers: X f32 [m][ldx]; weight f32 [size]; [residual f32 [m][ldy]]; Y f32 [m][ldy]. Scalars: size, ldx, ldy.
    """
    parts = ["rms_norm", in_name(eps)]
    if add:
        parts += ["add", in_name(scale)]
    k = Kernel("_".join(parts))
    x, weight = k.buffer("X", "float32"), k.buffer("weight", "float32")
    residual = k.buffer("residual", "float32") if add else None
    y = k.buffer("Y", "float32")
    size, ldx, ldy = (k.scalar(n) for n in ("size", "ldx", "ldy"))
    with k.loop(k.begin, k.end) as m:
        factor = inverse_rms(k, x, k.let(m * ldx, "start"), size, eps)

        def put(j: Expr, lanes: int, m: Expr = m, factor: Expr = factor) -> None:
            v = x.load(m * ldx + j, lanes) * broadcast(factor, lanes) * weight.load(j, lanes)
            if residual is not None:
                v = residual.load(m * ldy + j, lanes) + (v if scale == 1.0 else v * f32(scale, lanes))
            k.store(y, m * ldy + j, k.let(v, "y"))

        with k.loop(0, _vectors(size)) as i:
            put(i * LANES, LANES)
        with k.loop(_vectors(size) * LANES, size) as j:
            put(j, 1)
    return k


def argmax() -> Kernel:
    """The largest of each row's unit maxima (see `matmul`, epilogue `logits`), the first of equals.

    Buffers: best f32 [m][units], where i32 [m][units], out i32 [m]. Scalars: units. Unit: row.
    """
    k = Kernel("argmax")
    best, where, out = k.buffer("best", "float32"), k.buffer("where", "int32"), k.buffer("out", "int32")
    units = k.scalar("units")
    with k.loop(k.begin, k.end) as m:
        top = k.register("float32", init=best.load(m * units))
        at = k.register("int32", init=where.load(m * units))
        with k.loop(1, units) as i:
            v = k.let(best.load(m * units + i), "v")
            with k.when(v > top.get()):
                top.set(v)
                at.set(where.load(m * units + i))
        k.store(out, m, at.get())
    return k
