"""RWKV-4's linear attention: each channel is a mean of the values so far, weighed by their keys and by how long ago
they were (`rwkv_mean` in `model/text/mixers`).

Both sums of a mean are kept divided by the largest weight in them, whose logarithm is kept, too. A unit is one sequence
and a vector of channels, and takes the tokens one by one, so that a token's bits do not depend on how its sequence was
cut into batches.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, cast, f32, fma, i64
from hearth.compiler.cpu.kernels.causal_conv import RUN, read_run

LANES = 16
NAME = "rwkv_mean"
NONE = -1e30
"""Logarithm of the largest weight of no token."""


def rwkv_mean() -> Kernel:
    """Buffers: K, V f32 [token][channels]; decay, bonus f32 [channel]; runs i32 [run][4]; state_to i32 [token]; Y f32
    [token][channels]; state f32 [slot][3][channel]. Scalars: channels (whole vectors). Unit: run and vector of
    channels."""
    k = Kernel(NAME)
    key, value, decay, bonus = (k.buffer(name, "float32") for name in ("K", "V", "decay", "bonus"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    channels = k.scalar("channels")
    vectors = tirx.floordiv(channels, i64(LANES))
    with k.loop(k.begin, k.end) as unit:
        channel = k.opaque(tirx.floormod(unit, vectors) * LANES, "channel")
        first, count, source = read_run(k, runs, k.let(tirx.floordiv(unit, vectors) * RUN, "run"))
        sums = [k.register("float32", LANES, f32(start, LANES)) for start in (0.0, 0.0, NONE)]
        with k.when(source >= i64(0)):
            for i, register in enumerate(sums):
                register.set(state.load((source * 3 + i) * channels + channel, LANES))
        fade, own = k.let(decay.load(channel, LANES), "fade"), k.let(bonus.load(channel, LANES), "own")

        def weighed(past: Expr, new: Expr, v: Expr) -> tuple[Expr, Expr, Expr]:
            """Both sums with a token's value, and their logarithm: by that of what was and of what comes."""
            most = k.let(tirx.max(past, new), "most")
            kept = k.let(vmath.exp(k, k.let(past - most, "log"), LANES), "kept")
            added = k.let(vmath.exp(k, k.let(new - most, "log"), LANES), "added")
            top = k.let(fma(kept, sums[0].get(), added * v, LANES), "top")
            return top, k.let(fma(kept, sums[1].get(), added, LANES), "bottom"), most

        with k.loop(first, first + count) as token:
            at = k.opaque(token * channels + channel, "at")
            now, v = k.let(key.load(at, LANES), "now"), k.let(value.load(at, LANES), "v")
            top, bottom, _ = weighed(sums[2].get(), k.let(now + own, "new"), v)
            k.store(y, at, k.let(top / bottom, "y"))
            for register, following in zip(sums, weighed(k.let(sums[2].get() + fade, "past"), now, v), strict=True):
                register.set(following)
            to = k.let(cast("int64", state_to.load(token)), "to")
            with k.when(to >= i64(0)):
                for i, register in enumerate(sums):
                    k.store(state, (to * 3 + i) * channels + channel, register.get())
    return k
