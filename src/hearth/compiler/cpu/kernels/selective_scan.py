"""The selective scan of Mamba 2: a state that each token lets fade and adds to, by itself.

For each head a matrix S [state][column]; a token with input x, step d, and B and C of its head's group does

    S = exp(d A) S;  S = S + B (d x)^T;  y = S^T C + D x

A unit is one sequence and head; as in `gated_delta.py` it takes the columns in blocks whose part of S stays in the
nearest cache over all tokens of the batch, and the tokens one by one, so that a token's bits do not depend on how its
sequence was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Kernel, broadcast, cast, f32, fma, i64, in_name
from hearth.compiler.cpu.kernels.causal_conv import RUN, read_run

LANES = 16
VECTORS = 2
BLOCK = VECTORS * LANES
"""Columns of a pass."""
FADE, STEP, SCALARS = range(3)
"""What is computed of each token before the passes: exp(d A), and d."""


@dataclass(frozen=True)
class SelectiveScanSpec:
    """Sizes of one layer.

    Attributes:
        heads, groups: heads of a group share B and C.
        columns: of a head, in whole vectors.
        state: rows of S.
        least, most: between which a step lies; None: no bound.
    """

    heads: int
    groups: int
    columns: int
    state: int
    least: float = 0.0
    most: float | None = None

    @property
    def name(self) -> str:
        sizes = f"selective_scan_{self.heads}x{self.columns}_{self.groups}x{self.state}"
        return sizes + "".join(f"_{in_name(bound)}" for bound in (self.least, self.most) if bound)

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.heads * self.columns * self.state

    def scratch_bytes(self, tokens: int) -> int:
        """Memory for the scalars of so many tokens and a block of the state."""
        return 4 * (self.state * BLOCK + SCALARS * tokens)


def selective_scan(spec: SelectiveScanSpec) -> Kernel:
    """Buffers: XBC f32 [token][ld], the heads' inputs, then the groups' B, then their C; DT f32 [token][lddt]; A, bias,
    D f32 [head], A negative; runs i32 [run][4]; state_to i32 [token]; Y f32 [token][ldy]; state f32
    [slot][head][block][state][columns of a block]. Scalars: ld, lddt, at_dt, ldy. Unit: run and head."""
    k = Kernel(spec.name)
    xbc, dt = k.buffer("XBC", "float32"), k.buffer("DT", "float32")
    a, bias, d = (k.buffer(name, "float32") for name in ("A", "bias", "D"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    ld, lddt, at_dt, ldy = (k.scalar(name) for name in ("ld", "lddt", "at_dt", "ldy"))
    scratch = k.scratch("float32")
    scalars = spec.state * BLOCK
    inner = spec.heads * spec.columns
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floormod(unit, i64(spec.heads)), "head")
        first, count, source = read_run(k, runs, k.let(tirx.floordiv(unit, i64(spec.heads)) * RUN, "run"))
        into = k.opaque(tirx.floordiv(head, i64(spec.heads // spec.groups)) * spec.state + inner, "into")
        out_of = k.opaque(into + spec.groups * spec.state, "out_of")
        with k.loop(0, count) as t:
            given = k.let(dt.load((first + t) * lddt + at_dt + head) + bias.load(head), "given")
            step = tirx.max(vmath.softplus(k, given, 1), f32(spec.least))
            step = k.opaque(step if spec.most is None else tirx.min(step, f32(spec.most)), "step")
            k.store(scratch, t * SCALARS + (scalars + STEP), step)
            fade = k.let(vmath.exp(k, k.let(a.load(head) * step, "log"), 1), "fade")
            k.store(scratch, t * SCALARS + (scalars + FADE), fade)
        through = k.let(broadcast(d.load(head), LANES), "through")
        for column in range(0, spec.columns, BLOCK):
            vectors = min(VECTORS, (spec.columns - column) // LANES)
            width = vectors * LANES
            start = k.opaque(head * (spec.columns * spec.state) + column * spec.state, "start")
            with k.when(source < i64(0)), k.loop(0, spec.state * width, LANES) as j:
                k.store(scratch, j, f32(0.0, LANES))
            with k.when(source >= i64(0)):
                at = k.opaque(source * spec.state_size + start, "at")
                with k.loop(0, spec.state * width, LANES) as j:
                    k.store(scratch, j, k.let(state.load(at + j, LANES), "s"))
            with k.loop(0, count) as t:
                token = k.opaque(first + t, "token")
                row = k.opaque(token * ld, "row")
                fade, step = (
                    k.let(broadcast(k.opaque(scratch.load(t * SCALARS + (scalars + which)), "scalar"), LANES), "scalar")
                    for which in (FADE, STEP)
                )
                at = k.opaque(row + head * spec.columns + column, "at")
                inputs = [k.let(xbc.load(at + LANES * v, LANES), "x") for v in range(vectors)]
                added = [k.let(step * x, "added") for x in inputs]
                sums = [k.register("float32", LANES, f32(0.0, LANES)) for _ in inputs]
                with k.loop(0, spec.state) as n:
                    b = k.let(broadcast(xbc.load(row + into + n), LANES), "b")
                    c = k.let(broadcast(xbc.load(row + out_of + n), LANES), "c")
                    for v, (new, total) in enumerate(zip(added, sums, strict=True)):
                        place = n * width + LANES * v
                        s = k.let(fma(b, new, k.let(scratch.load(place, LANES) * fade, "kept"), LANES), "s")
                        k.store(scratch, place, s)
                        total.set(fma(c, s, total.get(), LANES))
                for v, (x, total) in enumerate(zip(inputs, sums, strict=True)):
                    out = k.let(fma(through, x, total.get(), LANES), "y")
                    k.store(y, token * ldy + head * spec.columns + column + LANES * v, out)
                to = k.opaque(cast("int64", state_to.load(token)), "to")
                with k.when(to >= i64(0)):
                    at = k.opaque(to * spec.state_size + start, "at")
                    with k.loop(0, spec.state * width, LANES) as j:
                        k.store(state, at + j, k.let(scratch.load(j, LANES), "s"))
    return k
