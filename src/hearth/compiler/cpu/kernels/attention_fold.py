"""What splits of a context leave (`attention.py`), and how they are folded into one row, also by a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, f32, fma, i64, in_name
from hearth.quant.formats import round_up

LANES = 16
MERGE_FIELDS = 4
"""first token, count, first slot, splits"""
MINUS_INFINITY = -3.0e38
UNSEEN = -1.0e38
"""Maxima below this belong to rows that saw nothing."""


MOST_ROWS = 16
"""Of rows that are taken at once."""


@dataclass(frozen=True)
class AttentionSpec:
    window: int | None
    softcap: float | None
    tile_tokens: int
    split_tokens: int
    group: int
    hp: int
    kv_dtype: str = "float16"
    ahead: bool = False  # tokens may see later ones
    sinks: bool = False  # a logit for each head joins the softmax's denominator alone
    slopes: bool = False  # scores fall with the distance, by a slope of each head (ALiBi)
    chunked: bool = False  # windows do not slide: a row sees its own multiple of the window
    latent: int = 0  # values are the first so many numbers of the keys, of which there is one head

    @property
    def name(self) -> str:
        parts = ["attention", f"g{self.group}", f"h{self.hp}", f"t{self.tile_tokens}", f"s{self.split_tokens}"]
        parts.append(f"kv_{self.kv_dtype}")
        if self.window:
            parts.append(f"{'c' if self.chunked else 'w'}{self.window}")
        if self.softcap:
            parts.append(f"cap{in_name(self.softcap)}")
        if self.ahead:
            parts.append("ahead")
        if self.sinks:
            parts.append("sinks")
        if self.slopes:
            parts.append("slopes")
        if self.latent:
            parts.append(f"latent{self.latent}")
        return "_".join(parts)

    @property
    def merge_name(self) -> str:
        parts = ["attention_merge", f"g{self.group}", f"h{self.columns}", f"t{self.tile_tokens}"]
        return "_".join([*parts, *(["sinks"] if self.sinks else [])])

    @property
    def rows(self) -> int:
        return self.tile_tokens * self.group

    @property
    def columns(self) -> int:
        """Of an output: a value, padded."""
        return round_up(self.latent, LANES) if self.latent else self.hp

    def scratch_bytes(self) -> int:
        """Weights of a split, outputs, maxima and sums of the split and of all splits so far; of latent vectors what is
        summed up in lanes."""
        numbers = self.rows * (self.split_tokens + 2 * (self.columns + 2))
        return 4 * (numbers + (MOST_ROWS * LANES * LANES + LANES if self.latent else 0)) + 256


def partial_width(columns: int) -> int:
    """Floats of one row's partial result: output [columns], maximum, sum, padding."""
    return columns + LANES


@dataclass(frozen=True)
class State:
    """Where outputs, maxima and sums of rows lie in scratch, in floats."""

    out: int
    peak: int
    total: int


def attention_merge(spec: AttentionSpec) -> Kernel:
    """Folds the partial results that `attention` left, in the order of their splits.

    Buffers: P as in `attention`; merges i32 [.][4]; with `sinks` sinks f32 [head]; O f32 [token][ld]. Scalars:
    kv_heads, head_dim, ld. Unit: merge * kv_heads + kv head."""
    k = Kernel(spec.merge_name)
    partials, merges = k.buffer("P", "float32"), k.buffer("merges", "int32")
    sinks = k.buffer("sinks", "float32") if spec.sinks else None
    out = k.buffer("O", "float32")
    kv_heads, head_dim, ld = (k.scalar(n) for n in ("kv_heads", "head_dim", "ld"))
    hp, group = spec.columns, spec.group
    memory = k.scratch("float32")
    state = State(0, spec.rows * hp, spec.rows * (hp + 1))
    with k.loop(k.begin, k.end) as unit:
        merge = k.let(tirx.floordiv(unit, kv_heads) * MERGE_FIELDS, "merge")
        kv = k.let(tirx.floormod(unit, kv_heads), "kv")
        first, count, slot, splits = (
            k.let(cast("int64", merges.load(merge + i)), name)
            for i, name in enumerate(("first", "count", "slot", "splits"))
        )
        rows = k.let(count * group, "rows")
        clear(k, memory, state, rows, hp)
        with k.loop(0, splits) as split, k.loop(0, rows) as r:
            at = partial(k, slot + split * count + tirx.floordiv(r, i64(group)), kv_heads, kv, r, spec)

            def output(v: int, at: Expr = at) -> Expr:
                return partials.load(at + v, LANES)

            fold(k, memory, state, r, hp, partials.load(at + hp), partials.load(at + hp + 1), output)
        write(k, memory, state, sinks, out, rows, first, kv, spec, head_dim, ld)
    return k


def partial(k: Kernel, token: Expr, kv_heads: Expr, kv: Expr, r: Expr, spec: AttentionSpec) -> Expr:
    """Where the partial result of row r, in slot `token`, begins."""
    row = (token * kv_heads + kv) * spec.group + tirx.floormod(r, i64(spec.group))
    return k.let(row * partial_width(spec.columns), "partial")


def clear(k: Kernel, memory: Memory, state: State, rows: Expr, hp: int) -> None:
    with k.loop(0, rows) as r:
        k.store(memory, state.peak + r, f32(MINUS_INFINITY))
        k.store(memory, state.total + r, f32(0.0))
        for v in range(0, hp, LANES):
            k.store(memory, state.out + r * hp + v, f32(0.0, LANES))


def fold(
    k: Kernel, memory: Memory, state: State, r: Expr, hp: int, peak: Expr, total: Expr, output: Callable[[int], Expr]
) -> None:
    """One more split of row r. The arithmetic is spelled out in `fma`: the same bits wherever it stands."""
    with k.when(peak > f32(UNSEEN)):  # else the row saw nothing of this split
        before = k.let(memory.load(state.peak + r), "before")
        now = k.let(tirx.max(before, peak), "now")
        old = k.let(vmath.exp(k, k.let(before - now, "x"), 1), "old")
        new = k.let(vmath.exp(k, k.let(peak - now, "x"), 1), "new")
        k.store(memory, state.peak + r, now)
        k.store(memory, state.total + r, fma(total, new, memory.load(state.total + r) * old, 1))
        for v in range(0, hp, LANES):
            at = k.let(state.out + r * hp + v, "at")
            value = k.let(memory.load(at, LANES) * broadcast(old, LANES), "value")
            k.store(memory, at, fma(output(v), broadcast(new, LANES), value, LANES))


def write(
    k: Kernel, memory: Memory, state: State, sinks: Memory | None, out: Memory, rows: Expr, first: Expr, kv: Expr,
    spec: AttentionSpec, head_dim: Expr, ld: Expr,
) -> None:  # fmt: skip
    """Outputs over sums, as the rows of O."""
    group, hp = i64(spec.group), spec.columns
    with k.loop(0, rows) as r:
        head = k.let(kv * group + tirx.floormod(r, group), "head")
        total = memory.load(state.total + r)
        if sinks is None:
            inverse = k.let(f32(1.0) / total, "inverse")
        else:
            inverse = _inverse_with(k, sinks.load(head), memory.load(state.peak + r), total)
        token = first + tirx.floordiv(r, group)
        to = k.let(token * ld + head * head_dim, "to")
        with k.loop(0, tirx.floordiv(head_dim, i64(LANES))) as v:
            value = memory.load(state.out + r * hp + v * LANES, LANES) * broadcast(inverse, LANES)
            k.store(out, to + v * LANES, k.let(value, "o"))
        with k.loop(tirx.floordiv(head_dim, i64(LANES)) * LANES, head_dim) as d:
            k.store(out, to + d, memory.load(state.out + r * hp + d) * inverse)


def _inverse_with(k: Kernel, sink: Expr, peak: Expr, total: Expr) -> Expr:
    """One over the sum of weights and the sink's, whichever is the larger of their logits."""
    sink, peak = k.let(sink, "sink"), k.let(peak, "peak")
    highest = k.let(tirx.max(sink, peak), "highest")
    share = k.let(vmath.exp(k, k.let(peak - highest, "x"), 1), "share")
    own = k.let(vmath.exp(k, k.let(sink - highest, "x"), 1), "own")
    return k.let(share / fma(total, share, own, 1), "inverse")
