"""The selective scan of Mamba 1: each channel has a state of its own that fades at rates of its own.

For each channel a vector s [state]; a token with input x and step d of the channel, and B and C of all, does

    s = exp(d A) s;  s = s + B d x;  y = C . s + D x

A channel is one invocation's, which has s and A in registers over all tokens of the run: nothing meets. Tokens follow
each other one by one, so that a token's bits do not depend on how its sequence was cut into batches. The next token's
numbers are on their way meanwhile, and B and C come for several tokens at once, for all channels of the workgroup.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, f32, fma, lane, mod, vector
from hearth.compiler.gpu.kernels.runs import Run

CHANNELS = 64
"""Of a workgroup."""
_MOST_TOGETHER = 16
"""Tokens whose B and C come at once."""
_COMING = 8 << 10
"""Bytes of workgroup memory in which they do."""


@dataclass(frozen=True)
class ChannelScanSpec:
    """`state`: numbers of a channel."""

    state: int

    @property
    def name(self) -> str:
        return f"channel_scan_{self.state}"

    @property
    def together(self) -> int:
        """Tokens whose B and C come at once."""
        return max(1, min(_MOST_TOGETHER, _COMING // (2 * 4 * self.state)))


@dataclass(frozen=True)
class ChannelRates:
    """What a layer knows of its channels, as the kernel reads it: A, bias and D as one, which leaves a buffer to
    others."""

    state: int
    channels: int

    @property
    def size_bytes(self) -> int:
        return 4 * (self.state + 2) * self.channels

    def pack(self, parts: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
        return np.concatenate([part.reshape(-1) for part in parts], dtype=np.float32).view(np.uint8)


def channel_scan(spec: ChannelScanSpec) -> GpuKernel:
    """Buffers: X f32 [token][ldx]; B, C f32 [token][ldb], [token][ldc]; rates f32: A [state][channel], negative, bias
    and D [channel]; runs i32 [run][4]; state_to i32 [token]; state f32 [slot][state][channel]; Y f32 [token][ldy],
    which has the steps, each read by the invocation that leaves a result in its place.
    Scalars: ldx, ldb, at_b, ldc, at_c, channels, ldy. Unit: run, `CHANNELS` channels.
    """
    size = spec.state
    k = GpuKernel(spec.name, threads=CHANNELS)
    x, b, c, rates = (k.buffer(name, "float32") for name in ("X", "B", "C", "rates"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    state, y = k.buffer("state", "float32"), k.buffer("Y", "float32")
    names = ("ldx", "ldb", "at_b", "ldc", "at_c", "channels", "ldy")
    ldx, ldb, at_b, ldc, at_c, channels, ldy = (k.scalar(name) for name in names)
    coming = k.workgroup(spec.together * size, "float32x2", "coming")

    blocks = k.let(div(channels + (CHANNELS - 1), CHANNELS), "blocks")
    run = Run.load(k, runs, div(k.group, blocks))
    channel = k.let(mod(k.group, blocks) * CHANNELS + k.thread, "channel")
    there = k.let(channel < channels, "there")
    s, decays = ([k.register("float32", f32(0.0)) for _ in range(size)] for _ in range(2))
    offset, through, next_x, next_step = (k.register("float32", f32(0.0)) for _ in range(4))

    def fetch(token: Expr) -> None:
        """A token's numbers of this channel, for when it is that token's turn."""
        next_x.set(x.load(token * ldx + channel))
        next_step.set(y.load(token * ldy + channel))

    with k.when(there):
        for n, register in enumerate((*decays, offset, through)):
            register.set(rates.load(channels * n + channel))
        with k.when(run.source >= 0):
            for n, register in enumerate(s):
                register.set(state.load((run.source * size + n) * channels + channel))
        fetch(run.first)
    with k.loop(0, run.count, spec.together) as begin:
        first = k.let(run.first + begin, "first")
        count = k.let(tirx.min(run.count - begin, spec.together), "count")
        with k.loop(k.thread, count * size, CHANNELS) as i:
            token, n = k.let(first + div(i, size), "token"), k.let(mod(i, size), "n")
            k.store(coming, i, vector(b.load(token * ldb + at_b + n), c.load(token * ldc + at_c + n)))
        k.barrier()
        with k.when(there), k.loop(0, count) as t:
            token = k.let(first + t, "token")
            now = k.let(next_x.get(), "now")
            step = k.let(vmath.softplus(k, next_step.get() + offset.get(), 1), "step")
            fetch(k.let(tirx.min(token + 1, run.first + run.count - 1), "following"))
            added = k.let(step * now, "added")
            total = k.register("float32", through.get() * now)
            for n, (register, decay) in enumerate(zip(s, decays, strict=True)):
                both = k.let(coming.load(t * size + n), "both")
                fade = k.let(vmath.exp(k.let(decay.get() * step, "log"), 1), "fade")
                register.set(fma(fade, register.get(), lane(both, 0) * added))
                total.set(fma(lane(both, 1), register.get(), total.get()))
            k.store(y, token * ldy + channel, total.get())
            to = k.let(state_to.load(token), "to")
            with k.when(to >= 0):
                for n, register in enumerate(s):
                    k.store(state, (to * size + n) * channels + channel, register.get())
        k.barrier()
    return k
