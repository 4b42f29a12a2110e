"""Convolution over the last tokens of a sequence, each channel for itself; what was before the batch is kept as state.

A unit walks the tokens of one sequence in order and holds the last inputs of its channels in registers, so a token's
bits do not depend on how its sequence was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, cast, f32, fma, i64

LANES = 16
BLOCK = 4 * LANES
"""Channels of a unit: rows are read in whole cache lines, and a decoded token still has work for all workers."""
RUN = 4
"""Numbers of a run: its first token, how many it has, and the slot with the state before them, or -1."""


@dataclass(frozen=True)
class CausalConvSpec:
    """How many tokens it reads, and what is done to a sum."""

    taps: int
    bias: bool
    activation: str

    @property
    def name(self) -> str:
        return "_".join(["causal_conv", str(self.taps), *(["bias"] if self.bias else []), self.activation]).rstrip("_")


def causal_conv(spec: CausalConvSpec) -> Kernel:
    """Buffers: X f32 [token][ldx]; weight f32 [tap][channels], the last tap the token's own; [bias f32 [channels]];
    runs i32 [run][4]; state_to i32 [token]; Y f32 [token][ld]; state f32 [slot][tap but the last][channels].
    Scalars: ldx, offset (of the first column in X), channels (whole vectors), ld, blocks. Unit: run and block."""
    k = Kernel(spec.name)
    x, weight = k.buffer("X", "float32"), k.buffer("weight", "float32")
    bias = k.buffer("bias", "float32") if spec.bias else None
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    ldx, offset, channels, ld, blocks = (k.scalar(name) for name in ("ldx", "offset", "channels", "ld", "blocks"))
    before = spec.taps - 1
    with k.loop(k.begin, k.end) as unit:
        run = k.let(tirx.floordiv(unit, blocks) * RUN, "run")
        begin = k.let(tirx.floormod(unit, blocks) * BLOCK, "begin")
        first, count, source = read_run(k, runs, run)
        with k.loop(begin, tirx.min(begin + BLOCK, channels), LANES) as c:
            weights = [k.let(weight.load(channels * tap + c, LANES), "w") for tap in range(spec.taps)]
            history = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(before)]
            with k.when(source >= i64(0)):
                for place, past in enumerate(history):
                    past.set(state.load((source * before + place) * channels + c, LANES))
            with k.loop(first, first + count) as token:
                now = k.let(x.load(token * ldx + offset + c, LANES), "now")
                total = f32(0.0, LANES) if bias is None else bias.load(c, LANES)
                for past, w in zip(history, weights, strict=False):
                    total = k.let(fma(past.get(), w, total, LANES), "total")
                total = k.let(fma(now, weights[-1], total, LANES), "total")
                k.store(y, token * ld + c, k.let(vmath.silu(k, total, LANES), "y") if spec.activation else total)
                for past, following in pairwise(history):
                    past.set(following.get())
                history[-1].set(now)
                to = k.let(cast("int64", state_to.load(token)), "to")
                with k.when(to >= i64(0)):
                    for place, past in enumerate(history):
                        k.store(state, (to * before + place) * channels + c, past.get())
    return k


def read_run(k: Kernel, runs: Memory, at: Expr) -> tuple[Expr, Expr, Expr]:
    """A run's first token, number of tokens and the slot with the state before them."""
    names = ("first", "count", "from")
    first, count, source = (k.opaque(cast("int64", runs.load(at + i)), name) for i, name in enumerate(names))
    return first, count, source
