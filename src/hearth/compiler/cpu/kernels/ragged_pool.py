"""One row of the rows of each of several sequences: X is [n][ld], sequence i has the rows [starts[i], starts[i + 1]).

Rows are taken in order, one after the other in each lane, so that a sequence's result is the same bits wherever it
stands in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, cast, f32, i64

LANES = 16
_LOWEST = -3.4028234e38
# By mode: what a row is multiplied by, as a function of its number in the sequence, from 1; None: nothing.
_WEIGHTS: Mapping[str, Callable[[Expr], Expr] | None] = {
    "mean": None,
    "mean_sqrt_len_tokens": None,
    "weightedmean": lambda number: cast("float32", number),
}


def ragged_pool(mode: str, *, skips: bool) -> Kernel:
    """Buffers: X f32 [n][ld]; starts i32 [s + 1]; [skips i32 [s]: rows at the beginning of each sequence that do not
    count, when `skips`; the last always does]; Y f32 [s][ld]. Scalars: ld. Unit: a sequence."""
    k = Kernel(f"ragged_pool_{mode}" + ("_skips" if skips else ""))
    x, starts = k.buffer("X", "float32"), k.buffer("starts", "int32")
    skipped = k.buffer("skips", "int32") if skips else None
    y = k.buffer("Y", "float32")
    ld = k.scalar("ld")
    with k.loop(k.begin, k.end) as s:
        start = k.let(cast("int64", starts.load(s)), "start")
        end = k.let(cast("int64", starts.load(s + 1)), "end")
        first = start
        if skipped is not None:
            last = tirx.max(end - 1, start)
            first = k.let(tirx.min(start + tirx.max(cast("int64", skipped.load(s)), i64(0)), last), "first")
        with k.loop(0, tirx.floordiv(ld, i64(LANES))) as v:
            at = k.let(v * LANES, "at")
            k.store(
                y,
                s * ld + at,
                k.let(_pooled(k, mode, start, first, end, lambda row: x.load(row * ld + at, LANES)), "y"),
            )
    return k


def _pooled(k: Kernel, mode: str, start: Expr, first: Expr, end: Expr, row: Callable[[Expr], Expr]) -> Expr:
    """One vector of the rows [first, end). A sequence without rows gives zeros, whatever stands behind it."""
    total = k.register("float32", LANES, f32(_LOWEST if mode == "max" else 0.0, LANES))
    if mode in ("cls", "lasttoken"):
        with k.when(first < end):
            total.set(row(first if mode == "cls" else end - 1))
        return total.get()
    if mode == "max":
        with k.loop(first, end) as r:
            total.set(tirx.max(total.get(), row(r)))
        return total.get()
    weight = _WEIGHTS[mode]
    weights = k.register("float32", init=f32(0.0))
    with k.loop(first, end) as r:
        factor = f32(1.0) if weight is None else k.let(weight(r - start + 1), "weight")
        value = row(r)
        total.set(total.get() + (value if weight is None else value * broadcast(factor, LANES)))
        weights.set(weights.get() + factor)
    by = tirx.max(weights.get(), f32(1.0))
    return total.get() / broadcast(k.let(tirx.sqrt(by) if mode == "mean_sqrt_len_tokens" else by, "by"), LANES)
