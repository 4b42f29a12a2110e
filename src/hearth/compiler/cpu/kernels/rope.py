"""Rotary position embedding and the append to the KV pages, in one pass over a token's q, k and v.

Layouts (docs/architecture.md): `hp` is the head size rounded up to 16, padded with zeros;

    q out   f32 [kv_head][token][query head of the group][hp]     rows that share a KV head lie together
    K page  f16 [page][kv_head][hp][page_tokens]                  tokens innermost: scores are vectors over tokens
    V page  f16 [page][kv_head][page_tokens][hp]

or f32, or int8 with scales behind each block (`model/text/kv_cache.py`). Some dimensions of keys are far larger than
others, which a shared scale would serve badly: with int8, queries and keys are turned by a Hadamard matrix over the
dimensions of each scale, which spreads what is large over all of them and changes no product of the two (Ashkboos et
al., QuaRot, 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    broadcast,
    cast,
    const,
    f32,
    i64,
    llvm,
    vec,
)
from hearth.compiler.cpu.kernels.layer_norm import layer_statistics
from hearth.compiler.cpu.kernels.norms import inverse_rms
from hearth.compiler.paged_attention import Readying
from hearth.compiler.rope_table import RopeTableSpec
from hearth.model.text.kv_cache import SCALE_BYTES

LANES = 16
F16_MAX = 65504.0


def rope_table(spec: RopeTableSpec) -> Kernel:
    """cos and sin of every position and frequency of this forward, once for all layers.

    Buffers: positions i32 [t][columns]; inv_freq f32 [half]; cos f32 [t][half]; sin f32 [t][half]. Scalars: half. Unit:
    token.
    """
    k = Kernel(spec.name)
    positions, inv_freq = k.buffer("positions", "int32"), k.buffer("inv_freq", "float32")
    cos, sin = k.buffer("cos", "float32"), k.buffer("sin", "float32")
    half = k.scalar("half")
    with k.loop(k.begin, k.end) as t:
        first: Expr = i64(0)
        for stream, count in spec.runs or [(0, half)]:
            position = k.let(cast("float32", positions.load(t * spec.columns + stream)), "position")
            with k.loop(first, first + count) as i:
                angle = k.let(position * inv_freq.load(i), "angle")
                k.store(cos, t * half + i, tirx.cos(angle) * f32(spec.factor))
                k.store(sin, t * half + i, tirx.sin(angle) * f32(spec.factor))
            first = first + count
    return k


@dataclass(frozen=True)
class RopeSpec:
    """Attributes:
    how: q and k are made ready.
    key_group: dimensions of a key that share a scale, where the pages are int8.
    """

    how: Readying
    kv_dtype: str = "float16"
    key_group: int = 0

    @property
    def name(self) -> str:
        parts = ["rope_append", *self.how.names(), f"kv_{self.kv_dtype}"]
        if self.key_group:
            parts.append(f"g{self.key_group}")
        return "_".join(parts)


def rope_append(spec: RopeSpec) -> Kernel:
    """Buffers: q, k, v f32 (each with its own row stride and first column; they may be one buffer); [cos, sin f32
    [t][half]]; [q_norm, k_norm f32, with `head_layer` [head][hp]]; positions i32 [t]; token_seq i32 [t];
    block_table i32 [seq][stride]; Q out f32; K pages, V pages of `kv_dtype`. Scratch: f32 [hp].
    Scalars: ldq, ldk, ldv, off_q, off_k, off_v, heads_per_kv, kv_heads, head_dim, hp, half, tokens, stride,
    page_tokens.
    Unit: one (token, KV head)."""
    k, how = Kernel(spec.name), spec.how
    qin, kin, vin = (k.buffer(n, "float32") for n in ("q", "k", "v"))
    cos = k.buffer("cos", "float32") if how.rotate else None
    sin = k.buffer("sin", "float32") if how.rotate else None
    q_norm = k.buffer("q_norm", "float32") if how.norm else None
    k_norm = k.buffer("k_norm", "float32") if how.norm else None
    positions, token_seq = k.buffer("positions", "int32"), k.buffer("token_seq", "int32")
    block_table = k.buffer("block_table", "int32")
    qout = k.buffer("q_out", "float32")
    kpages, vpages = k.buffer("k_pages", spec.kv_dtype), k.buffer("v_pages", spec.kv_dtype)
    names = ("ldq", "ldk", "ldv", "off_q", "off_k", "off_v", "group", "kv_heads", "head_dim", "hp", "half", "tokens",
             "stride", "page_tokens")  # fmt: skip
    s = {name: k.scalar(name) for name in names}
    row = k.scratch("float32")
    head_dim, hp, half = s["head_dim"], s["hp"], s["half"]

    with k.loop(k.begin, k.end) as unit:
        token = k.let(tirx.floordiv(unit, s["kv_heads"]), "token")
        kv = k.let(tirx.floormod(unit, s["kv_heads"]), "kv")
        position = k.let(cast("int64", positions.load(token)), "position")
        page = k.let(
            cast(
                "int64",
                block_table.load(
                    cast("int64", token_seq.load(token)) * s["stride"] + tirx.floordiv(position, s["page_tokens"])
                ),
            ),
            "page",
        )
        slot = k.let(tirx.floormod(position, s["page_tokens"]), "slot")

        def head(x: Memory, ld: Expr, offset: Expr, index: Expr, heads: Expr, norm: Memory | None, scale: Expr | None,
                 out: Memory, out_at: Expr, token: Expr = token) -> None:  # fmt: skip
            """Rotates one head of x into out[out_at + d] for d < hp."""
            start = k.let(token * ld + offset + index * head_dim, "head")
            mean: Expr | None = None
            factor: Expr | None = None
            weights: Expr = i64(0)  # where those of the head begin
            if how.norm == "head":
                factor = inverse_rms(k, x, start, head_dim, how.eps)
            elif how.norm == "full":
                factor = inverse_rms(k, x, k.let(token * ld + offset, "all"), heads * head_dim, how.eps)
                weights = k.let(index * head_dim, "weights")
            elif how.norm == "head_layer":
                mean, factor = layer_statistics(k, x, start, head_dim, how.eps)
                weights = k.let(index * hp, "weights")

            def value(d: Expr, lanes: int) -> Expr:
                v = x.load(start + d, lanes)
                if mean is not None:
                    v = v - broadcast(mean, lanes)
                if norm is not None and factor is not None:
                    v = v * broadcast(factor, lanes) * norm.load(weights + d, lanes)
                return v

            later = how.norm == "rotated_head"

            def put(d: Expr, v: Expr, lanes: int) -> None:
                k.store(out, out_at + d, k.let(v if scale is None or later else v * broadcast(scale, lanes), "x"))

            first: Expr = i64(0)
            if cos is not None and sin is not None:
                at = token * half

                def rotate(i: Expr, lanes: int) -> None:
                    c, n = k.let(cos.load(at + i, lanes), "c"), k.let(sin.load(at + i, lanes), "s")
                    a, b = k.let(value(i, lanes), "a"), k.let(value(i + half, lanes), "b")
                    put(i, a * c - b * n, lanes)
                    put(i + half, b * c + a * n, lanes)

                _over(k, i64(0), half, rotate)
                first = half * 2
            _over(k, first, head_dim, lambda d, lanes: put(d, value(d, lanes), lanes))
            if later and norm is not None:
                after = inverse_rms(k, out, out_at, head_dim, how.eps)
                after = after if scale is None else k.let(after * scale, "factor")

                def normed(d: Expr, lanes: int) -> None:
                    v = out.load(out_at + d, lanes) * broadcast(after, lanes) * norm.load(d, lanes)
                    k.store(out, out_at + d, k.let(v, "x"))

                _over(k, i64(0), head_dim, normed)
            with k.loop(head_dim, hp) as d:
                k.store(out, out_at + d, f32(0.0))
            if spec.key_group:
                with k.loop(0, tirx.floordiv(hp, i64(spec.key_group))) as g:
                    _hadamard(k, out, k.let(out_at + g * spec.key_group, "at"), spec.key_group)

        # The product of two turned vectors is `key_group` times that of the vectors.
        q_scale: Expr = f32(how.q_scale / max(1, spec.key_group))
        if how.temperature:
            rate, length = how.temperature
            far = cast("float32", tirx.floordiv(position, i64(length)) + 1)
            q_scale = k.let(q_scale * (f32(1.0) + f32(rate) * vmath.log(k, k.let(far, "far"), 1)), "q_scale")
        with k.loop(0, s["group"]) as g:
            to = k.let(((kv * s["tokens"] + token) * s["group"] + g) * hp, "to")
            head(qin, s["ldq"], s["off_q"], kv * s["group"] + g, s["kv_heads"] * s["group"], q_norm, q_scale,
                 qout, to)  # fmt: skip

        head(kin, s["ldk"], s["off_k"], kv, s["kv_heads"], k_norm, None, row, i64(0))
        numbers = hp * s["page_tokens"]  # of a block, before its scales
        if spec.kv_dtype == "int8":
            groups = tirx.floordiv(hp, i64(spec.key_group))
            size = numbers + SCALE_BYTES * s["page_tokens"] * groups
            at = k.let((page * s["kv_heads"] + kv) * size, "k_at")
            scales = k.view(kpages, "float16")
            with k.loop(0, groups) as g:
                where = tirx.floordiv(at + numbers, i64(2)) + g * s["page_tokens"] + slot
                inverse = _scale(k, row, g * spec.key_group, (g + 1) * spec.key_group, scales, where)
                with k.loop(g * spec.key_group, (g + 1) * spec.key_group) as d:
                    k.store(kpages, at + slot + d * s["page_tokens"], _int8(k, row.load(d), inverse, 1))
        else:
            at = k.let((page * s["kv_heads"] + kv) * numbers + slot, "k_at")
            with k.loop(0, hp) as d:
                k.store(kpages, at + d * s["page_tokens"], _finite(spec.kv_dtype, row.load(d), 1))

        v_from = k.let(token * s["ldv"] + s["off_v"] + kv * head_dim, "v_from")
        _over(k, i64(0), head_dim, lambda d, lanes: k.store(row, d, vin.load(v_from + d, lanes)))
        with k.loop(head_dim, hp) as d:
            k.store(row, d, f32(0.0))
        if spec.kv_dtype == "int8":
            at = k.let((page * s["kv_heads"] + kv) * (numbers + SCALE_BYTES * s["page_tokens"]), "v_at")
            where = tirx.floordiv(at + numbers, i64(2)) + slot
            inverse = _scale(k, row, i64(0), hp, k.view(vpages, "float16"), where)
        else:
            at = k.let((page * s["kv_heads"] + kv) * numbers, "v_at")
        with k.loop(0, tirx.floordiv(hp, i64(LANES))) as i:
            x = row.load(i * LANES, LANES)
            v = _int8(k, x, inverse, LANES) if spec.kv_dtype == "int8" else _finite(spec.kv_dtype, x, LANES)
            k.store(vpages, at + slot * hp + i * LANES, k.let(v, "v"))
    return k


def _over(k: Kernel, begin: Expr, end: Expr, body: Callable[[Expr, int], None]) -> None:
    """body(index, lanes) over [begin, end): vectors, then single elements."""
    vectors = k.let(tirx.floordiv(end - begin, i64(LANES)), "vectors")
    with k.loop(0, vectors) as i:
        body(k.let(begin + i * LANES, "d"), LANES)
    with k.loop(begin + vectors * LANES, end) as d:
        body(d, 1)


def _hadamard(k: Kernel, x: Memory, at: Expr, size: int) -> None:
    """Turns x[at : at + size], 16 or 32 elements, by the matrix of signs (-1)**popcount(i & j), in place."""
    parts = [k.let(x.load(at + i, LANES), "part") for i in range(0, size, LANES)]
    if size == 2 * LANES:
        parts = [k.let(parts[0] + parts[1], "part"), k.let(parts[0] - parts[1], "part")]
    lanes = tirx.Ramp(const("int32", 0), const("int32", 1), LANES)
    for bit in (1, 2, 4, 8):
        first = tirx.EQ(tirx.bitwise_and(lanes, const("int32", bit, LANES)), const("int32", 0, LANES))
        for i, part in enumerate(parts):
            other = tirx.Shuffle([part], [const("int32", lane ^ bit) for lane in range(LANES)])
            parts[i] = k.let(other + tirx.Select(first, part, f32(0.0, LANES) - part), "part")
    for i, part in enumerate(parts):
        k.store(x, at + i * LANES, part)


def _finite(dtype: str, x: Expr, lanes: int) -> Expr:
    """As the pages keep it: what f16 cannot hold becomes its largest number, since infinity times no weight is NaN."""
    if dtype == "float16":
        x = tirx.max(tirx.min(x, f32(F16_MAX, lanes)), f32(-F16_MAX, lanes))
    return cast(dtype, x, lanes)


def _scale(k: Kernel, x: Memory, begin: Expr, end: Expr, scales: Memory, where: Expr) -> Expr:
    """Stores the scale, in f16, with which x[begin:end] fits int8, and answers its inverse."""
    largest = k.register("float32", LANES, f32(0.0, LANES))
    with k.loop(0, tirx.floordiv(end - begin, i64(LANES))) as i:
        largest.set(tirx.max(largest.get(), tirx.abs(x.load(begin + i * LANES, LANES))))
    scale = k.let(vmath.reduce_max(largest.get()) * f32(1.0 / 127.0), "scale")
    stored = k.let(cast("float16", tirx.min(scale, f32(F16_MAX))), "stored")
    k.store(scales, where, stored)
    kept = k.let(cast("float32", stored), "kept")
    return k.let(tirx.Select(kept > f32(0.0), f32(1.0) / tirx.max(kept, f32(1e-8)), f32(0.0)), "inverse")


def _int8(k: Kernel, x: Expr, inverse: Expr, lanes: int) -> Expr:
    """x over its scale, to nearest even."""
    y = tirx.max(tirx.min(x * broadcast(inverse, lanes), f32(127.0, lanes)), f32(-127.0, lanes))
    y = k.let(llvm("llvm.rint", vec("float32", lanes), y), "y")
    return cast("int8", cast("int32", y, lanes), lanes)
