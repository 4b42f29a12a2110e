"""Rotary position embedding of heads in rows, where no cache follows: encoders and vision transformers.

Decoders rotate while they append to their pages (`rope.py`). The tables of both come from `rope_table`, or are
constants (axial frequencies of a picture's patches, with cos 1 and sin 0 for tokens that have no place). One unit is
one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, const, i64

LANES = 16


@dataclass(frozen=True)
class RotarySpec:
    """Which dimensions are pairs: i and i + half, or 2 i and 2 i + 1."""

    interleaved: bool = False

    @property
    def name(self) -> str:
        return "rotary_interleaved" if self.interleaved else "rotary"

    def scratch_bytes(self) -> int:
        return 0


def rotary(spec: RotarySpec) -> Kernel:
    """Buffers: X f32 [m][ldx]; cos, sin f32 [positions][ldt]; Y f32 [m][ldy], which may be X where strides and first
    columns are the same. Row r of X has position r mod `positions`. Only columns of the heads are written: those that
    stand in one buffer one after another (queries, then keys) are heads of one call.
    Scalars: positions, heads, head_dim, half (at most head_dim / 2; further dimensions are copied), ldt, ldx, off_x,
    ldy, off_y. Unit: row."""
    k = Kernel(spec.name)
    x, cos, sin, y = (k.buffer(name, "float32") for name in ("X", "cos", "sin", "Y"))
    positions, heads, head_dim, half, ldt, ldx, off_x, ldy, off_y = (
        k.scalar(n) for n in ("positions", "heads", "head_dim", "half", "ldt", "ldx", "off_x", "ldy", "off_y")
    )
    whole = k.opaque(tirx.truncdiv(half, i64(LANES)), "whole")
    with k.loop(k.begin, k.end) as m:
        table = k.opaque(tirx.floormod(m, positions) * ldt, "table")
        with k.loop(0, heads) as head:
            source = k.opaque(m * ldx + off_x + head * head_dim, "source")
            to = k.opaque(m * ldy + off_y + head * head_dim, "to")

            def turn(i: Expr, lanes: int) -> None:
                c, s = k.let(cos.load(table + i, lanes), "c"), k.let(sin.load(table + i, lanes), "s")
                if spec.interleaved:
                    both = k.let(x.load(source + 2 * i, 2 * lanes), "both")
                    a, b = (k.let(_lanes([both], range(first, 2 * lanes, 2)), "part") for first in (0, 1))
                else:
                    a, b = (k.let(x.load(source + at, lanes), "part") for at in (i, i + half))
                first, second = k.let(a * c - b * s, "first"), k.let(b * c + a * s, "second")
                if spec.interleaved:
                    turns = [lane for i in range(lanes) for lane in (i, lanes + i)]
                    k.store(y, to + 2 * i, k.let(_lanes([first, second], turns), "both"))
                else:
                    k.store(y, to + i, first)
                    k.store(y, to + i + half, second)

            with k.loop(0, whole) as i:
                turn(i * LANES, LANES)
            with k.loop(whole * LANES, half) as i:
                turn(i, 1)
            with k.loop(half * 2, head_dim) as d:
                k.store(y, to + d, x.load(source + d))
    return k


def _lanes(vectors: Sequence[Expr], lanes: Iterable[int]) -> Expr:
    """Some lanes of vectors, which are counted through; of one lane, a scalar."""
    return tirx.Shuffle(vectors, [const("int32", lane) for lane in lanes])
