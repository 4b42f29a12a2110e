"""Convolution over the last tokens of a sequence, each channel for itself; what was before the batch is kept as state.

A workgroup has some channels of one sequence, its invocations quads of these at several tokens each. What the state
holds is read before anything is written, so the slot may be the one that the run leaves its state in.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, f32, fma, mod
from hearth.compiler.gpu.kernels.runs import Run

QUADS, TOKENS = 16, 16
"""Of a workgroup: whole cache lines of a row, and tokens at a time."""
CHANNELS = 4 * QUADS


@dataclass(frozen=True)
class CausalConvSpec:
    """How many tokens it reads, its own included; and what is done to a sum: "" or `silu`."""

    taps: int
    bias: bool
    activation: str

    @property
    def name(self) -> str:
        return "_".join(["causal_conv", str(self.taps), *(["bias"] if self.bias else []), self.activation]).rstrip("_")


def causal_conv(spec: CausalConvSpec) -> GpuKernel:
    """Buffers: X f32 [token][ldx]; weight f32 [tap][channels], the last tap the token's own; [bias f32 [channels]];
    runs i32 [run][4]; state_to i32 [token]; Y f32 [token][ld]; state f32 [slot][tap but the last][channels].
    Scalars: ldx, offset (of the first column in X), channels, ld, all multiples of 4. Unit: run, `CHANNELS` channels.
    """
    k = GpuKernel(spec.name, threads=QUADS * TOKENS)
    x, weight = k.buffer("X", "float32x4"), k.buffer("weight", "float32x4")
    bias = k.buffer("bias", "float32x4") if spec.bias else None
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32x4"), k.buffer("state", "float32x4")
    ldx, offset, channels, ld = (k.let(div(k.scalar(n), 4), n) for n in ("ldx", "offset", "channels", "ld"))
    before = spec.taps - 1
    history = k.workgroup(before * QUADS, "float32x4", "history")

    blocks = k.let(div(channels + (QUADS - 1), QUADS), "blocks")
    run = Run.load(k, runs, div(k.group, blocks))
    column, own = k.let(mod(k.thread, QUADS), "column"), k.let(div(k.thread, QUADS), "own")
    quad = k.let(mod(k.group, blocks) * QUADS + column, "quad")
    there = k.let(quad < channels, "there")

    with k.when(there), k.loop(own, before, TOKENS) as place:
        past = k.register("float32x4", f32(0.0, 4))
        with k.when(run.source >= 0):
            past.set(state.load((run.source * before + place) * channels + quad))
        k.store(history, place * QUADS + column, past.get())
    k.barrier()

    def at(token: Expr) -> Expr:
        """What the run has at a token of its own, or before it, where that is below 0."""
        value = k.register("float32x4")
        row = run.first + tirx.max(token, 0)
        value.set(x.load(row * ldx + offset + quad))
        with k.when(token < 0):
            value.set(history.load((token + before) * QUADS + column))
        return value.get()

    with k.when(there):
        weights = [k.let(weight.load(channels * tap + quad), "w") for tap in range(spec.taps)]
        with k.loop(own, run.count, TOKENS) as token:
            total = k.register("float32x4", f32(0.0, 4) if bias is None else bias.load(quad))
            for tap, w in enumerate(weights):
                total.set(fma(k.let(at(token + (tap - before)), "x"), w, total.get(), 4))
            value = vmath.ACTIVATIONS[spec.activation](k, total.get(), 4) if spec.activation else total.get()
            k.store(y, (run.first + token) * ld + quad, value)
        # A slot is always the same invocation's: of several states that a run leaves in one, the last stays.
        with k.loop(0, run.count) as token:
            to = k.let(state_to.load(run.first + token), "to")
            with k.when(tirx.And(to >= 0, tirx.EQ(mod(to, TOKENS), own))):
                for place in range(before):
                    kept = k.let(at(token + (place + 1 - before)), "kept")
                    k.store(state, (to * before + place) * channels + quad, kept)
    return k
