"""RWKV-4's linear attention: each channel is a mean of the values so far, weighed by their keys and by how long ago
they were (`rwkv_mean` in `model/text/mixers`).

Both sums of a mean are kept divided by the largest weight in them, whose logarithm is kept, too. A channel is one
invocation's, which takes the tokens of the run one by one, so that a token's bits do not depend on how its sequence was
cut into batches.
"""

from __future__ import annotations

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, builtin, div, f32, fma, mod
from hearth.compiler.gpu.kernels.runs import Run

CHANNELS = 64
"""Of a workgroup."""
NAME = "rwkv_mean"
NONE = -1e30
"""Logarithm of the largest weight of no token."""


def rwkv_mean() -> GpuKernel:
    """Buffers: K, V f32 [token][channels]; rates f32: decay and bonus [channel]; runs i32 [run][4]; state_to i32
    [token]; Y f32 [token][channels]; state f32 [slot][3][channel]. Scalars: channels. Unit: run, `CHANNELS` channels.
    """
    k = GpuKernel(NAME, threads=CHANNELS)
    key, value, rates = (k.buffer(name, "float32") for name in ("K", "V", "rates"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    channels = k.scalar("channels")
    blocks = k.let(div(channels + (CHANNELS - 1), CHANNELS), "blocks")
    run = Run.load(k, runs, div(k.group, blocks))
    channel = k.let(mod(k.group, blocks) * CHANNELS + k.thread, "channel")
    sums = [k.register("float32", f32(start)) for start in (0.0, 0.0, NONE)]

    def weighed(past: Expr, new: Expr, v: Expr) -> tuple[Expr, Expr, Expr]:
        """Both sums with a token's value, and their logarithm: by that of what was and of what comes."""
        most = k.let(builtin("max", "float32", past, new), "most")
        kept = k.let(vmath.exp(k.let(past - most, "log"), 1), "kept")
        added = k.let(vmath.exp(k.let(new - most, "log"), 1), "added")
        top = k.let(fma(kept, sums[0].get(), added * v), "top")
        return top, k.let(fma(kept, sums[1].get(), added), "bottom"), most

    with k.when(channel < channels):
        fade, own = k.let(rates.load(channel), "fade"), k.let(rates.load(channels + channel), "own")
        with k.when(run.source >= 0):
            for i, register in enumerate(sums):
                register.set(state.load((run.source * 3 + i) * channels + channel))
        with k.loop(run.first, run.first + run.count) as token:
            at = k.let(token * channels + channel, "at")
            now, v = k.let(key.load(at), "now"), k.let(value.load(at), "v")
            top, bottom, _ = weighed(k.let(sums[2].get(), "past"), k.let(now + own, "new"), v)
            k.store(y, at, top / bottom)
            for register, following in zip(sums, weighed(k.let(sums[2].get() + fade, "past"), now, v), strict=True):
                register.set(following)
            to = k.let(state_to.load(token), "to")
            with k.when(to >= 0):
                for i, register in enumerate(sums):
                    k.store(state, (to * 3 + i) * channels + channel, register.get())
    return k
