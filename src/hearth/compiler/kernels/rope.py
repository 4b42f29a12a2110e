"""Rotary position embedding and the append to the KV pages, in one pass over a token's q, k and v.

Layouts (docs/architecture.md): `hp` is the head size rounded up to 16, padded with zeros;

    q out   f32 [kv_head][token][query head of the group][hp]     rows that share a KV head lie together
    K page  f16 [page][kv_head][hp][page_tokens]                  tokens innermost: scores are vectors over tokens
    V page  f16 [page][kv_head][page_tokens][hp]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.kernels.builder import Expr, Kernel, Memory, cast, f32, i64, in_name
from hearth.compiler.kernels.norms import inverse_rms


def rope_table(attention_factor: float) -> Kernel:
    """cos and sin of every position and frequency of this forward, once for all layers.

    Buffers: positions i32 [t]; inv_freq f32 [half]; cos f32 [t][half]; sin f32 [t][half]. Scalars: half. Unit: token.
    """
    k = Kernel(f"rope_table_{in_name(attention_factor)}")
    positions, inv_freq = k.buffer("positions", "int32"), k.buffer("inv_freq", "float32")
    cos, sin = k.buffer("cos", "float32"), k.buffer("sin", "float32")
    half = k.scalar("half")
    with k.loop(k.begin, k.end) as t:
        position = k.let(cast("float32", positions.load(t)), "position")
        with k.loop(0, half) as i:
            angle = k.let(position * inv_freq.load(i), "angle")
            k.store(cos, t * half + i, tirx.cos(angle) * f32(attention_factor))
            k.store(sin, t * half + i, tirx.sin(angle) * f32(attention_factor))
    return k


@dataclass(frozen=True)
class RopeSpec:
    """Attributes:
    rotate: False for a layer without position embedding.
    norm: RMSNorm of q and k before the rotation, over each `head` or over the `full` projection.
    """

    rotate: bool
    norm: Literal["head", "full"] | None
    eps: float
    q_scale: float
    kv_dtype: str = "float16"

    @property
    def name(self) -> str:
        parts = ["rope_append", "rot" if self.rotate else "nope"]
        if self.norm:
            parts += [self.norm, in_name(self.eps)]
        return "_".join([*parts, in_name(self.q_scale), f"kv{self.kv_dtype[5:]}"])


def rope_append(spec: RopeSpec) -> Kernel:
    """Buffers: q, k, v f32 (each with its own row stride and first column; they may be one buffer); [cos, sin f32
    [t][half]]; [q_norm, k_norm f32]; positions i32 [t]; token_seq i32 [t]; block_table i32 [seq][stride];
    Q out f32; K pages f16; V pages f16.
    Scalars: ldq, ldk, ldv, off_q, off_k, off_v, heads_per_kv, kv_heads, head_dim, hp, half, tokens, stride,
    page_tokens.
    Unit: one (token, KV head)."""
    k = Kernel(spec.name)
    qin, kin, vin = (k.buffer(n, "float32") for n in ("q", "k", "v"))
    cos = k.buffer("cos", "float32") if spec.rotate else None
    sin = k.buffer("sin", "float32") if spec.rotate else None
    q_norm = k.buffer("q_norm", "float32") if spec.norm else None
    k_norm = k.buffer("k_norm", "float32") if spec.norm else None
    positions, token_seq = k.buffer("positions", "int32"), k.buffer("token_seq", "int32")
    block_table = k.buffer("block_table", "int32")
    qout = k.buffer("q_out", "float32")
    kpages, vpages = k.buffer("k_pages", spec.kv_dtype), k.buffer("v_pages", spec.kv_dtype)
    names = ("ldq", "ldk", "ldv", "off_q", "off_k", "off_v", "group", "kv_heads", "head_dim", "hp", "half", "tokens",
             "stride", "page_tokens")  # fmt: skip
    s = {name: k.scalar(name) for name in names}
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

        def head(x: Memory, row: Expr, ld: Expr, offset: Expr, index: Expr, heads: Expr, norm: Memory | None, scale:
        float,
                 out: Memory, out_at: Expr, out_step: Expr, token: Expr = token) -> None:  # fmt: skip
            """Rotates one head of x into out[out_at + d * out_step] for d < hp."""
            start = k.let(row * ld + offset + index * head_dim, "head")
            factor: Expr | None = None
            if norm is not None:
                if spec.norm == "head":
                    factor = inverse_rms(k, x, start, head_dim, spec.eps)
                else:
                    factor = inverse_rms(k, x, k.let(row * ld + offset, "all"), heads * head_dim, spec.eps)

            def value(d: Expr) -> Expr:
                v = x.load(start + d)
                if norm is not None:
                    v = v * factor * norm.load(d if spec.norm == "head" else index * head_dim + d)
                return v

            def put(d: Expr, v: Expr) -> None:
                if scale != 1.0:
                    v = v * f32(scale)
                k.store(out, out_at + d * out_step, cast("float16", v) if out.dtype == "float16" else v)

            first: Expr = i64(0)
            if cos is not None and sin is not None:
                with k.loop(0, half) as i:
                    c, n = k.let(cos.load(token * half + i), "c"), k.let(sin.load(token * half + i), "s")
                    a, b = k.let(value(i), "a"), k.let(value(i + half), "b")
                    put(i, k.let(a * c - b * n, "x"))
                    put(i + half, k.let(b * c + a * n, "y"))
                first = half * 2
            with k.loop(first, head_dim) as d:
                put(d, k.let(value(d), "x"))
            with k.loop(head_dim, hp) as d:
                put(d, f32(0.0))

        with k.loop(0, s["group"]) as g:
            to = k.let(((kv * s["tokens"] + token) * s["group"] + g) * hp, "to")
            head(qin, token, s["ldq"], s["off_q"], kv * s["group"] + g, s["kv_heads"] * s["group"], q_norm,
            spec.q_scale,
                 qout, to, i64(1))  # fmt: skip
        page_at = k.let((page * s["kv_heads"] + kv) * hp * s["page_tokens"], "page_at")
        head(kin, token, s["ldk"], s["off_k"], kv, s["kv_heads"], k_norm, 1.0, kpages, page_at + slot, s["page_tokens"])
        v_at = k.let(page_at + slot * hp, "v_at")
        v_from = k.let(token * s["ldv"] + s["off_v"] + kv * head_dim, "v_from")
        with k.loop(0, head_dim) as d:
            k.store(vpages, v_at + d, cast(spec.kv_dtype, vin.load(v_from + d)))
        with k.loop(head_dim, hp) as d:
            k.store(vpages, v_at + d, tirx.const(0.0, spec.kv_dtype))
    return k
