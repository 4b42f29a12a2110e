"""The selective scan of Mamba 2: a state that each token lets fade and adds to, by itself.

For each head a matrix S [row][column]; a token with input x, step d, and B and C of its head's group does

    S = exp(d A) S;  S = S + B (d x)^T;  y = S^T C + D x

Tokens follow each other one by one, so that a token's bits do not depend on how its sequence was cut into batches. As
in `gated_delta.py` a workgroup has 16 columns of a head's S, whose invocations hold their rows of 4 columns each in
registers over all tokens of the run; the next token's numbers are on their way meanwhile. What the rows say to C no
later token needs: it meets for several tokens at once, which takes two barriers for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, builtin, div, f32, fma, mod, splat, vector
from hearth.compiler.gpu.kernels.runs import Run
from hearth.compiler.gpu.kernels.state_columns import COLUMNS, QUADS, parts_of
from hearth.compiler.physical import in_name

_MOST_TOGETHER = 8
"""Tokens whose answers meet at once."""
_MEETING = 8 << 10
"""Bytes of workgroup memory in which they do."""


@dataclass(frozen=True)
class SelectiveScanSpec:
    """Sizes of one layer.

    Attributes:
        heads, groups: heads of a group share B and C.
        columns: of a head, in whole blocks of `COLUMNS`.
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
        least = f"_from{in_name(self.least)}" if self.least else ""
        return sizes + least + (f"_to{in_name(self.most)}" if self.most is not None else "")

    @property
    def blocks(self) -> int:
        """Blocks of columns of a head: its workgroups."""
        return self.columns // COLUMNS

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.heads * self.columns * self.state

    @property
    def parts(self) -> int:
        """How many invocations share a column."""
        return parts_of(self.state)

    @property
    def rows(self) -> int:
        """Of an invocation; the last ones may be none."""
        return -(-self.state // self.parts)

    @property
    def together(self) -> int:
        """Tokens whose answers meet at once: of their sums, an invocation has one at most."""
        return min(_MOST_TOGETHER, self.parts, _MEETING // (self.parts * COLUMNS * 4))


def selective_scan(spec: SelectiveScanSpec) -> GpuKernel:
    """Buffers: XBC f32 [token][ld], the heads' inputs, then the groups' B, then their C; DT f32 [token][lddt]; gates
    f32: A, negative, bias, and D of each head; runs i32 [run][4]; state_to i32 [token]; Y f32 [token][ldy]; state f32
    [slot][head][block][row][columns of a block].
    Scalars: ld, lddt, at_dt, ldy. Unit: run, head, block of columns.
    """
    return _SelectiveScan(spec).kernel()


class _SelectiveScan:
    def __init__(self, spec: SelectiveScanSpec) -> None:
        self.spec = spec
        k = self.k = GpuKernel(spec.name, threads=spec.parts * QUADS)
        self.xbc, self.dt, self.gates = (k.buffer(name, "float32") for name in ("XBC", "DT", "gates"))
        runs, self.state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
        self.y, self.state = k.buffer("Y", "float32x4"), k.buffer("state", "float32x4")
        self.ld, self.lddt, self.at_dt, self.ldy = (k.scalar(name) for name in ("ld", "lddt", "at_dt", "ldy"))
        self.meeting = k.workgroup(spec.together * spec.parts * QUADS, "float32x4", "meeting")
        self.fades, self.steps = (k.workgroup(k.threads, "float32", name) for name in ("fades", "steps"))

        rest = k.let(div(k.group, spec.blocks), "rest")
        head = self.head = k.let(mod(rest, spec.heads), "head")
        self.run = Run.load(k, runs, div(rest, spec.heads))
        self.quad, self.part = k.let(mod(k.thread, QUADS), "quad"), k.let(div(k.thread, QUADS), "part")
        block = k.let(mod(k.group, spec.blocks), "block")
        self.at_state = k.let((head * spec.blocks + block) * (spec.state * QUADS) + self.quad, "at_state")
        self.column = k.let(head * spec.columns + block * COLUMNS + self.quad * 4, "column")
        group = div(head, spec.heads // spec.groups)
        self.into = k.let(group * spec.state + spec.heads * spec.columns, "into")
        # What goes past the state is one part's to add.
        own = tirx.Select(tirx.EQ(self.part, 0), self.gates.load(2 * spec.heads + head), f32(0.0))
        self.through = k.let(own, "through")
        # Neighbouring invocations have neighbouring rows: what they read of the state lies in a row.
        self.rows = [k.let(i * spec.parts + self.part, "row") for i in range(spec.rows)]
        self.s = [k.register("float32x4", f32(0.0, 4)) for _ in self.rows]
        self.next_b, self.next_c = ([k.register() for _ in self.rows] for _ in range(2))
        self.next_x = k.register("float32x4")

    def kernel(self) -> GpuKernel:
        k, run, together = self.k, self.run, self.spec.together
        with k.when(run.source >= 0):
            for row, s in zip(self.rows, self.s, strict=True):
                with k.when(row < self.spec.state):
                    s.set(self.state.load(self.place(run.source, row)))
        self.fetch(run.first)
        with k.loop(0, run.count, k.threads) as chunk:
            end = k.let(tirx.min(chunk + k.threads, run.count), "end")
            self.prepare(chunk)
            k.barrier()
            with k.loop(chunk, end, together) as first:
                behind = k.let(tirx.min(first + together, end), "behind")
                with k.loop(first, behind) as t:
                    self.token(k.let(run.first + t, "token"), t - chunk, t - first)
                k.barrier()
                self.answer(run.first + first, behind - first)
                k.barrier()
        return k

    def place(self, slot: Expr, row: Expr) -> Expr:
        """Where a row lies in the state."""
        return slot * (self.spec.state_size // 4) + self.at_state + row * QUADS

    def fetch(self, token: Expr) -> None:
        """A token's numbers of this invocation, for when it is that token's turn."""
        k, spec = self.k, self.spec
        start = k.let(token * self.ld, "start")
        for of, registers in ((0, self.next_b), (spec.groups * spec.state, self.next_c)):
            for row, register in zip(self.rows, registers, strict=True):
                number = self.xbc.load(start + self.into + of + tirx.min(row, spec.state - 1))
                register.set(tirx.Select(row < spec.state, number, f32(0.0)))
        at = k.let(start + self.column, "at")
        self.next_x.set(vector(*(self.xbc.load(at + i) for i in range(4))))

    def prepare(self, chunk: Expr) -> None:
        """Steps, and what fades by them, of as many tokens as there are invocations: one each."""
        k, spec = self.k, self.spec
        with k.when(chunk + k.thread < self.run.count):
            token = k.let(self.run.first + chunk + k.thread, "token")
            given = self.dt.load(token * self.lddt + self.at_dt + self.head) + self.gates.load(spec.heads + self.head)
            step = builtin("max", "float32", vmath.softplus(k, given, 1), f32(spec.least))
            if spec.most is not None:
                step = builtin("min", "float32", step, f32(spec.most))
            step = k.let(step, "step")
            k.store(self.steps, k.thread, step)
            k.store(self.fades, k.thread, vmath.exp(k.let(self.gates.load(self.head) * step, "log"), 1))

    def token(self, token: Expr, prepared: Expr, together: Expr) -> None:
        """One token's turn. `prepared`, `together`: its number among those that are prepared, that meet at once."""
        k = self.k
        bs, cs = ([k.let(r.get(), "number") for r in rs] for rs in (self.next_b, self.next_c))
        x = k.let(self.next_x.get(), "x")
        fade, step = k.let(self.fades.load(prepared), "fade"), k.let(self.steps.load(prepared), "step")
        self.fetch(k.let(tirx.min(token + 1, self.run.first + self.run.count - 1), "following"))
        added = k.let(splat(step) * x, "added")
        answer = k.register("float32x4", splat(self.through) * x)
        for s, b, c in zip(self.s, bs, cs, strict=True):
            s.set(fma(splat(b), added, s.get() * splat(fade), 4))
            answer.set(fma(splat(c), s.get(), answer.get(), 4))
        k.store(self.meeting, together * k.threads + k.thread, answer.get())
        to = k.let(self.state_to.load(token), "to")
        with k.when(to >= 0):
            for row, s in zip(self.rows, self.s, strict=True):
                with k.when(row < self.spec.state):
                    k.store(self.state, self.place(to, row), s.get())

    def answer(self, token: Expr, count: Expr) -> None:
        """Stores what so many tokens from `token` on are answered: a part of the invocations each."""
        k = self.k
        with k.when(self.part < count):
            first = k.let(self.part * k.threads + self.quad, "first")
            total = k.register("float32x4", self.meeting.load(first))
            for part in range(1, self.spec.parts):
                total.set(total.get() + self.meeting.load(first + part * QUADS))
            k.store(self.y, div((token + self.part) * self.ldy + self.column, 4), total.get())
