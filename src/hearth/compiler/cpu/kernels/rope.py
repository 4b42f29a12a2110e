"""Rotary position embedding and the append to the KV pages, in one pass over a token's q, k and v.

Layouts (docs/architecture.md): `hp` is the head size rounded up to 16, padded with zeros;

    q out   f32 [kv_head][token][query head of the group][hp]     rows that share a KV head lie together
    K page  f16 [page][kv_head][hp][page_tokens]                  tokens innermost: scores are vectors over tokens
    V page  f16 [page][kv_head][page_tokens][hp]

or f32, or int8 with scales behind each block (`model/text/kv_cache.py`). Values that are a part of the keys, latent
vectors, have no pages. Some dimensions of keys are far larger than
others, which a shared scale would serve badly: with int8, queries and keys are turned by a Hadamard matrix over the
dimensions of each scale, which spreads what is large over all of them and changes no product of the two (Ashkboos et
al., QuaRot, 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from hearth.quant.formats import round_up

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
    appends: False where there are queries alone.
    """

    how: Readying
    kv_dtype: str = "float16"
    key_group: int = 0
    appends: bool = True

    @property
    def name(self) -> str:
        parts = ["rope_append" if self.appends else "rope", *self.how.names(values=self.appends)]
        parts.append(f"kv_{self.kv_dtype}")
        if self.key_group:
            parts.append(f"g{self.key_group}")
        return "_".join(parts)


def rope_append(spec: RopeSpec) -> Kernel:
    """Buffers: q, k, v f32 (each with its own row stride and first column; they may be one buffer); [cos, sin f32
    [t][half]]; [q_norm, k_norm f32, with `head_layer` [head][hp]]; positions i32 [t]; token_seq i32 [t];
    block_table i32 [seq][stride]; Q out f32; K pages, V pages of `kv_dtype`. Scratch: f32 [hp]. Where nothing is
    appended only q, [cos, sin], [q_norm], positions, Q out. With latent vectors q is [head][latent, padded], t behind
    it what of queries turns, k the latent vectors and behind each what turns; there are no v, q_norm and V pages.
    Scalars: ldq, ldk, ldv, off_q, off_k, off_v, heads_per_kv, kv_heads, head_dim, hp, half, tokens, stride,
    page_tokens; without those of what is not there, with latent vectors ldt and off_t behind those of q.
    Unit: one (token, KV head)."""
    k, how = Kernel(spec.name), spec.how
    given = how.operands if spec.appends else "q"
    inputs = [k.buffer(x, "float32") for x in given]
    cos, sin = (k.buffer(x, "float32") for x in ("cos", "sin")) if how.rotate else (None, None)
    turned = inputs[1] if how.latent else None
    norms = {x: k.buffer(f"{x}_norm", "float32") for x in given if x in how.normed}
    positions = k.buffer("positions", "int32")
    tables = [k.buffer(x, "int32") for x in ("token_seq", "block_table")] if spec.appends else []
    qout = k.buffer("q_out", "float32")
    pages = [k.buffer(f"{x}_pages", spec.kv_dtype) for x in given if x in "kv"]
    names = [f"{kind}{x}" for kind in ("ld", "off_") for x in given]
    names += ["group", "kv_heads", "head_dim", "hp", "half", "tokens", "stride", "page_tokens"]
    s = {name: k.scalar(name) for name in names}
    row = k.scratch("float32")
    ready = _Ready(k, spec, cos, sin, s)

    with k.loop(k.begin, k.end) as unit:
        token = k.let(tirx.floordiv(unit, s["kv_heads"]), "token")
        kv = k.let(tirx.floormod(unit, s["kv_heads"]), "kv")
        position = k.let(cast("int64", positions.load(token)), "position")

        # The product of two turned vectors is `key_group` times that of the vectors.
        q_scale: Expr = f32(how.q_scale / max(1, spec.key_group if how.turned else 1))
        if how.temperature:
            rate, length, offset = how.temperature
            far = cast("float32", tirx.floordiv(position + offset, i64(length)) + 1)
            q_scale = k.let(q_scale * (f32(1.0) + f32(rate) * vmath.log(k, k.let(far, "far"), 1)), "q_scale")
        with k.loop(0, s["group"]) as g:
            to = k.let(((kv * s["tokens"] + token) * s["group"] + g) * s["hp"], "to")
            ready.head("q", inputs[0], token, kv * s["group"] + g, norms.get("q"), q_scale, qout, to, turned)
        if not spec.appends:
            return k

        token_seq, block_table = tables
        line = cast("int64", token_seq.load(token)) * s["stride"] + tirx.floordiv(position, s["page_tokens"])
        page = k.let(cast("int64", block_table.load(line)), "page")
        slot = k.let(tirx.floormod(position, s["page_tokens"]), "slot")
        if how.latent:  # of one head of keys, which all groups of queries share
            with k.when(tirx.EQ(kv, i64(0))):
                ready.head("k", inputs[2], token, kv, norms.get("k"), None, row, i64(0))
                _append_key(k, spec, row, pages[0], page, slot, s)
            return k
        block = k.let(page * s["kv_heads"] + kv, "block")
        ready.head("k", inputs[1], token, kv, norms.get("k"), None, row, i64(0))
        _append_key(k, spec, row, pages[0], block, slot, s)
        v_from = k.let(token * s["ldv"] + s["off_v"] + kv * s["head_dim"], "v_from")
        _append_value(k, spec, inputs[2], v_from, row, pages[1], block, slot, s)
    return k


class _Ready:
    """Heads of q and k, normed and rotated."""

    def __init__(
        self, k: Kernel, spec: RopeSpec, cos: Memory | None, sin: Memory | None, scalars: Mapping[str, Expr]
    ) -> None:
        self.k, self.spec, self.cos, self.sin, self.s = k, spec, cos, sin, scalars

    def head(
        self, kind: str, x: Memory, token: Expr, index: Expr, norm: Memory | None, scale: Expr | None, out: Memory,
        out_at: Expr, turned: Memory | None = None,
    ) -> None:  # fmt: skip
        """One head of x ("q", "k") into out[out_at + d] for d < hp. `turned`: what turns is there, not in x."""
        k, s, spec, how = self.k, self.s, self.spec, self.spec.how
        head_dim, hp, half = s["head_dim"], s["hp"], s["half"]
        first = token * s[f"ld{kind}"] + s[f"off_{kind}"]
        start = k.let(first + index * (head_dim if turned is None else round_up(how.latent, LANES)), "head")
        mean: Expr | None = None
        factor: Expr | None = None
        weights: Expr = i64(0)  # where those of the head begin
        if how.norm == "head":
            factor = inverse_rms(k, x, start, head_dim, how.eps)
        elif how.norm == "full":
            heads = s["kv_heads"] * (s["group"] if kind == "q" else 1)
            factor = inverse_rms(k, x, k.let(first, "all"), heads * head_dim, how.eps)
            weights = k.let(index * head_dim, "weights")
        elif how.norm == "head_layer":
            mean, factor = layer_statistics(k, x, start, head_dim, how.eps)
            weights = k.let(index * hp, "weights")
        elif how.norm == "latent" and norm is not None:
            factor = inverse_rms(k, x, start, i64(how.latent), how.eps)

        source, begin = x, start

        def value(d: Expr, lanes: int) -> Expr:
            v = source.load(begin + d, lanes)
            if mean is not None:
                v = v - broadcast(mean, lanes)
            if norm is not None and factor is not None:
                v = v * broadcast(factor, lanes) * norm.load(weights + d, lanes)
            return v

        later = how.norm == "rotated_head"

        def put(d: Expr, v: Expr, lanes: int) -> None:
            k.store(out, out_at + d, k.let(v if scale is None or later else v * broadcast(scale, lanes), "x"))

        def plain(begin: Expr, end: Expr) -> None:
            _over(k, begin, end, lambda d, lanes: put(d, value(d, lanes), lanes))

        first_turned, rest = i64(how.latent), i64(0)
        if how.latent:
            plain(i64(0), first_turned)
            factor, rest = None, first_turned  # what turns has no norm
        if turned is not None:
            own = token * s["ldt"] + s["off_t"] + index * (head_dim - how.latent)
            source, begin = turned, k.let(own - how.latent, "turned")
        if self.cos is not None and self.sin is not None:
            at, cos, sin = token * half, self.cos, self.sin

            def rotate(i: Expr, lanes: int) -> None:
                c, n = k.let(cos.load(at + i, lanes), "c"), k.let(sin.load(at + i, lanes), "s")
                i = first_turned + i
                a, b = k.let(value(i, lanes), "a"), k.let(value(i + half, lanes), "b")
                put(i, a * c - b * n, lanes)
                put(i + half, b * c + a * n, lanes)

            _over(k, i64(0), half, rotate)
            rest = first_turned + half * 2
        plain(rest, head_dim)
        if later and norm is not None:
            after = inverse_rms(k, out, out_at, head_dim, how.eps)
            after = after if scale is None else k.let(after * scale, "factor")

            def normed(d: Expr, lanes: int) -> None:
                v = out.load(out_at + d, lanes) * broadcast(after, lanes) * norm.load(d, lanes)
                k.store(out, out_at + d, k.let(v, "x"))

            _over(k, i64(0), head_dim, normed)
        with k.loop(head_dim, hp) as d:
            k.store(out, out_at + d, f32(0.0))
        if spec.key_group and how.turned:
            with k.loop(0, tirx.floordiv(hp, i64(spec.key_group))) as g:
                _hadamard(k, out, k.let(out_at + g * spec.key_group, "at"), spec.key_group)


def _append_key(
    k: Kernel, spec: RopeSpec, row: Memory, pages: Memory, block: Expr, slot: Expr, s: Mapping[str, Expr]
) -> None:
    """The head in `row` into its slot of a block of keys."""
    hp, page_tokens = s["hp"], s["page_tokens"]
    numbers = hp * page_tokens  # of a block, before its scales
    if spec.kv_dtype != "int8":
        at = k.let(block * numbers + slot, "k_at")
        with k.loop(0, hp) as d:
            k.store(pages, at + d * page_tokens, _finite(spec.kv_dtype, row.load(d), 1))
        return
    groups = tirx.floordiv(hp, i64(spec.key_group))
    at = k.let(block * (numbers + SCALE_BYTES * page_tokens * groups), "k_at")
    scales = k.view(pages, "float16")
    with k.loop(0, groups) as g:
        where = tirx.floordiv(at + numbers, i64(2)) + g * page_tokens + slot
        inverse = _scale(k, row, g * spec.key_group, (g + 1) * spec.key_group, scales, where)
        with k.loop(g * spec.key_group, (g + 1) * spec.key_group) as d:
            k.store(pages, at + slot + d * page_tokens, _int8(k, row.load(d), inverse, 1))


def _append_value(
    k: Kernel, spec: RopeSpec, x: Memory, start: Expr, row: Memory, pages: Memory, block: Expr, slot: Expr,
    s: Mapping[str, Expr],
) -> None:  # fmt: skip
    """The head from `start` on into its slot of a block of values, by way of `row`."""
    head_dim, hp, page_tokens = s["head_dim"], s["hp"], s["page_tokens"]
    factor = inverse_rms(k, x, start, head_dim, spec.how.eps) if spec.how.value_norm else None

    def copy(d: Expr, lanes: int) -> None:
        v = x.load(start + d, lanes)
        k.store(row, d, v if factor is None else k.let(v * broadcast(factor, lanes), "v"))

    _over(k, i64(0), head_dim, copy)
    with k.loop(head_dim, hp) as d:
        k.store(row, d, f32(0.0))
    numbers = hp * page_tokens
    if spec.kv_dtype == "int8":
        at = k.let(block * (numbers + SCALE_BYTES * page_tokens), "v_at")
        where = tirx.floordiv(at + numbers, i64(2)) + slot
        inverse = _scale(k, row, i64(0), hp, k.view(pages, "float16"), where)
    else:
        at = k.let(block * numbers, "v_at")
    with k.loop(0, tirx.floordiv(hp, i64(LANES))) as i:
        v = row.load(i * LANES, LANES)
        v = _int8(k, v, inverse, LANES) if spec.kv_dtype == "int8" else _finite(spec.kv_dtype, v, LANES)
        k.store(pages, at + slot * hp + i * LANES, k.let(v, "v"))


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
