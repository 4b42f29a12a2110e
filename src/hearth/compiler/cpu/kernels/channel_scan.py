"""The selective scan of Mamba 1: each channel has a state of its own that fades at rates of its own.

For each channel a vector s [state]; a token with input x and step d of the channel, and B and C of all, does

    s = exp(d A) s;  s = s + B d x;  y = C . s + D x

A unit is one sequence and a vector of channels, and takes the tokens one by one, so that a token's bits do not depend
on how its sequence was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Kernel, broadcast, cast, f32, fma, i64
from hearth.compiler.cpu.kernels.causal_conv import RUN, read_run

LANES = 16


@dataclass(frozen=True)
class ChannelScanSpec:
    """`state`: numbers of a channel."""

    state: int

    @property
    def name(self) -> str:
        return f"channel_scan_{self.state}"

    @property
    def scratch_bytes(self) -> int:
        """Memory for the state of a vector of channels."""
        return 4 * self.state * LANES


def channel_scan(spec: ChannelScanSpec) -> Kernel:
    """Buffers: X, DT f32 [token][ldx], [token][lddt]; B, C f32 [token][ldb], [token][ldc]; A f32 [state][channel],
    negative; bias, D f32 [channel]; runs i32 [run][4]; state_to i32 [token]; Y f32 [token][ldy]; state f32
    [slot][state][channel]. Scalars: ldx, lddt, ldb, at_b, ldc, at_c, channels (whole vectors), ldy. Unit: run and
    vector of channels."""
    k = Kernel(spec.name)
    x, dt, b, c, a, bias, d = (k.buffer(name, "float32") for name in ("X", "DT", "B", "C", "A", "bias", "D"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    names = ("ldx", "lddt", "ldb", "at_b", "ldc", "at_c", "channels", "ldy")
    ldx, lddt, ldb, at_b, ldc, at_c, channels, ldy = (k.scalar(name) for name in names)
    scratch = k.scratch("float32")
    vectors = tirx.floordiv(channels, i64(LANES))
    with k.loop(k.begin, k.end) as unit:
        channel = k.opaque(tirx.floormod(unit, vectors) * LANES, "channel")
        first, count, source = read_run(k, runs, k.let(tirx.floordiv(unit, vectors) * RUN, "run"))
        with k.loop(0, spec.state) as n:
            with k.when(source < i64(0)):
                k.store(scratch, n * LANES, f32(0.0, LANES))
            with k.when(source >= i64(0)):
                at = (source * spec.state + n) * channels + channel
                k.store(scratch, n * LANES, k.let(state.load(at, LANES), "s"))
        through, offset = k.let(d.load(channel, LANES), "through"), k.let(bias.load(channel, LANES), "offset")
        with k.loop(first, first + count) as token:
            now = k.let(x.load(token * ldx + channel, LANES), "now")
            step = k.let(vmath.softplus(k, dt.load(token * lddt + channel, LANES) + offset, LANES), "step")
            added = k.let(step * now, "added")
            total = k.register("float32", LANES, k.let(through * now, "skipped"))
            with k.loop(0, spec.state) as n:
                fade = k.let(vmath.exp(k, k.let(a.load(n * channels + channel, LANES) * step, "log"), LANES), "fade")
                new = k.let(broadcast(b.load(token * ldb + at_b + n), LANES) * added, "new")
                s = k.let(fma(fade, scratch.load(n * LANES, LANES), new, LANES), "s")
                k.store(scratch, n * LANES, s)
                total.set(fma(broadcast(c.load(token * ldc + at_c + n), LANES), s, total.get(), LANES))
            k.store(y, token * ldy + channel, total.get())
            to = k.let(cast("int64", state_to.load(token)), "to")
            with k.when(to >= i64(0)), k.loop(0, spec.state) as n:
                at = (to * spec.state + n) * channels + channel
                k.store(state, at, k.let(scratch.load(n * LANES, LANES), "s"))
    return k
