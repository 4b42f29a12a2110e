"""The gated delta rule (Gated DeltaNet): linear attention whose state forgets, and replaces what it holds for a key.

For each head a matrix S [key][value]; a token with query q, key k, value v, decay g and strength b does

    S = g S;  S = S + k (b (v - S^T k))^T;  o = S^T q

with q and k of length 1, and q divided by the root of the key's size. Tokens follow each other one by one, so that a
token's bits do not depend on how its sequence was cut into batches; all else is done at the same time. A workgroup has
16 columns of a head's S, whose invocations hold at most 8 keys of 4 columns each, in registers over all tokens of the
run: 8 workgroups a head of 128 x 128. Of a token each asks its part of S by key and query; these answers meet, and
with them it makes what the token adds. The next token's numbers are on their way meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    builtin,
    div,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.runs import Run
from hearth.compiler.physical import in_name

COLUMNS = 16
"""Of the values of a head, of a workgroup."""
_QUADS = COLUMNS // 4
_MOST_KEYS = 8
"""Of an invocation, where there can be as many invocations as that takes."""
_FEWEST_PARTS, _MOST_PARTS = 8, 64
NORM_EPSILON = 1e-6
_OF_KEY, _OF_QUERY, _LENGTHS, _ANSWERS = 0, _QUADS, 2 * _QUADS, 2 * _QUADS + 1
"""What meets of a token: vectors of what S says to its key and to its query; and q q, k k and q k."""


@dataclass(frozen=True)
class GatedDeltaSpec:
    """Sizes of one layer.

    Attributes:
        key_heads, value_heads: several value heads may share a key head.
        key_size, value_size: of a head; values in whole blocks of `COLUMNS`.
        tiled: value head i has key head i mod key_heads; else i // (value_heads / key_heads).
        strength: what the sigmoid of b is multiplied by.
    """

    key_heads: int
    value_heads: int
    key_size: int
    value_size: int
    tiled: bool = False
    strength: float = 1.0

    @property
    def name(self) -> str:
        sizes = f"gated_delta_{self.key_heads}x{self.key_size}_{self.value_heads}x{self.value_size}"
        return (
            sizes + ("_tiled" if self.tiled else "") + (f"_by{in_name(self.strength)}" if self.strength != 1.0 else "")
        )

    @property
    def blocks(self) -> int:
        """Workgroups of a head."""
        return self.value_size // COLUMNS

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.value_heads * self.key_size * self.value_size

    @property
    def parts(self) -> int:
        """How many invocations share a column."""
        parts = _FEWEST_PARTS
        while parts < _MOST_PARTS and parts * _MOST_KEYS < self.key_size:
            parts *= 2
        return parts

    @property
    def keys(self) -> int:
        """Of an invocation; the last ones may be none."""
        return -(-self.key_size // self.parts)


def gated_delta(spec: GatedDeltaSpec) -> GpuKernel:
    """Buffers: QKV f32 [token][ld], the heads' queries, then keys, then values; A f32 [token][lda] and B f32
    [token][ldb]; gates f32 [2][value head]: decay, negative, and bias; runs i32 [run][4]; state_to i32 [token];
    Y f32 [token][ldy]; state f32 [slot][value head][block][key][columns of a block].
    Scalars: ld, lda, at_a, ldb, at_b, ldy. Unit: run, value head, block of columns."""
    return _GatedDelta(spec).kernel()


class _GatedDelta:
    def __init__(self, spec: GatedDeltaSpec) -> None:
        self.spec = spec
        k = self.k = GpuKernel(spec.name, threads=spec.parts * _QUADS)
        self.qkv, self.a, self.b, self.gates = (k.buffer(name, "float32") for name in ("QKV", "A", "B", "gates"))
        runs, self.state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
        self.y, self.state = k.buffer("Y", "float32x4"), k.buffer("state", "float32x4")
        names = ("ld", "lda", "at_a", "ldb", "at_b", "ldy")
        self.ld, self.lda, self.at_a, self.ldb, self.at_b, self.ldy = (k.scalar(name) for name in names)
        self.meeting = k.workgroup(spec.parts * _ANSWERS, "float32x4", "meeting")
        self.answers = k.workgroup(_ANSWERS, "float32x4", "answers")
        self.decays, self.strengths = (k.workgroup(k.threads, "float32", name) for name in ("decays", "strengths"))

        rest = k.let(div(k.group, spec.blocks), "rest")
        self.head = k.let(mod(rest, spec.value_heads), "head")
        self.run = Run.load(k, runs, div(rest, spec.value_heads))
        self.quad, self.part = k.let(mod(k.thread, _QUADS), "quad"), k.let(div(k.thread, _QUADS), "part")
        block = k.let(mod(k.group, spec.blocks), "block")
        self.block = k.let(self.head * spec.blocks + block, "head_block")
        self.column = k.let(self.head * spec.value_size + block * COLUMNS + self.quad * 4, "column")
        shared = spec.value_heads // spec.key_heads
        key_head = mod(self.head, spec.key_heads) if spec.tiled else div(self.head, shared)
        self.query = k.let(key_head * spec.key_size, "query")
        # Neighbouring invocations have neighbouring keys: what they read of the state lies in a row.
        self.keys = [k.let(i * spec.parts + self.part, "key") for i in range(spec.keys)]
        self.s = [k.register("float32x4", f32(0.0, 4)) for _ in self.keys]
        self.next_q, self.next_k = ([k.register() for _ in self.keys] for _ in range(2))
        self.next_v = k.register("float32x4")

    def kernel(self) -> GpuKernel:
        k, run = self.k, self.run
        with k.when(run.source >= 0):
            for i, s in enumerate(self.s):
                with k.when(self.inside(i)):
                    s.set(self.state.load(self.place(run.source, i)))
        self.fetch(run.first)
        with k.loop(0, run.count, k.threads) as chunk:
            end = k.let(tirx.min(chunk + k.threads, run.count), "end")
            self.prepare(chunk)
            k.barrier()
            with k.loop(chunk, end) as t:
                self.token(k.let(run.first + t, "token"), t - chunk)
        return k

    def inside(self, i: int) -> Expr:
        """Whether the invocation's key so numbered is one."""
        return self.keys[i] < self.spec.key_size

    def place(self, slot: Expr, i: int) -> Expr:
        """Where the row of a key lies in the state."""
        spec = self.spec
        return (slot * (spec.value_heads * spec.blocks) + self.block) * (spec.key_size * _QUADS) + (
            self.keys[i] * _QUADS + self.quad
        )

    def fetch(self, token: Expr) -> None:
        """A token's numbers of this invocation, for when it is that token's turn."""
        k, spec = self.k, self.spec
        row = k.let(token * self.ld, "row")
        for of, registers in ((0, self.next_q), (spec.key_heads * spec.key_size, self.next_k)):
            for i, register in enumerate(registers):
                number = self.qkv.load(row + self.query + of + tirx.min(self.keys[i], spec.key_size - 1))
                register.set(tirx.Select(self.inside(i), number, f32(0.0)))
        at = k.let(row + 2 * spec.key_heads * spec.key_size + self.column, "at")
        self.next_v.set(vector(*(self.qkv.load(at + i) for i in range(4))))

    def prepare(self, chunk: Expr) -> None:
        """Decays and strengths of as many tokens as there are invocations: one each."""
        k, spec = self.k, self.spec
        with k.when(chunk + k.thread < self.run.count):
            token = k.let(self.run.first + chunk + k.thread, "token")
            step = self.a.load(token * self.lda + self.at_a + self.head) + self.gates.load(spec.value_heads + self.head)
            log = k.let(self.gates.load(self.head) * vmath.softplus(k, step, 1), "log")
            k.store(self.decays, k.thread, vmath.exp(log, 1))
            strength = vmath.sigmoid(k.let(self.b.load(token * self.ldb + self.at_b + self.head), "b"), 1)
            k.store(self.strengths, k.thread, strength * f32(spec.strength) if spec.strength != 1.0 else strength)

    def token(self, token: Expr, number: Expr) -> None:
        """One token's turn. `number`: among those that are prepared."""
        k, spec = self.k, self.spec
        queries, keys = ([k.let(r.get(), "number") for r in rs] for rs in (self.next_q, self.next_k))
        v = k.let(self.next_v.get(), "v")
        decay, strength = k.let(self.decays.load(number), "decay"), k.let(self.strengths.load(number), "strength")
        self.fetch(k.let(tirx.min(token + 1, self.run.first + self.run.count - 1), "following"))
        of_key, of_query, lengths = self.meet(queries, keys)
        scale = f32(spec.key_size**-0.5)
        of_length = [f32(1.0) / builtin("sqrt", "float32", lane(lengths, i) + f32(NORM_EPSILON)) for i in range(2)]
        query_length, key_length = k.let(of_length[0] * scale, "query_length"), k.let(of_length[1], "key_length")
        known = splat(k.let(decay * key_length, "forgotten")) * of_key
        new = k.let(splat(k.let(key_length * strength, "share")) * (v - known), "new")
        with k.when(tirx.EQ(self.part, 0)):
            match = splat(k.let(lane(lengths, 2), "match")) * new
            found = fma(splat(decay), of_query, match, 4)
            k.store(self.y, div(token * self.ldy + self.column, 4), splat(query_length) * found)
        for s, key in zip(self.s, keys, strict=True):
            s.set(fma(splat(key), new, s.get() * splat(decay), 4))
        to = k.let(self.state_to.load(token), "to")
        with k.when(to >= 0):
            for i, s in enumerate(self.s):
                with k.when(self.inside(i)):
                    k.store(self.state, self.place(to, i), s.get())

    def meet(self, queries: list[Expr], keys: list[Expr]) -> tuple[Expr, Expr, Expr]:
        """What all of S says to a token's key and query, of the invocation's columns; q q, k k and q k. Two barriers
        keep apart what is written for one token and read for another."""
        k = self.k
        of_key, of_query = (k.register("float32x4", f32(0.0, 4)) for _ in range(2))
        lengths = [k.register("float32", f32(0.0)) for _ in range(3)]
        for s, q, key in zip(self.s, queries, keys, strict=True):
            of_key.set(fma(splat(key), s.get(), of_key.get(), 4))
            of_query.set(fma(splat(q), s.get(), of_query.get(), 4))
            for total, pair in zip(lengths, ((q, q), (key, key), (q, key)), strict=True):
                total.set(fma(*pair, total.get()))
        own = k.let(self.part * _ANSWERS, "own")
        k.store(self.meeting, own + _OF_KEY + self.quad, of_key.get())
        k.store(self.meeting, own + _OF_QUERY + self.quad, of_query.get())
        with k.when(tirx.EQ(self.quad, 0)):
            k.store(self.meeting, own + _LENGTHS, vector(*(total.get() for total in lengths), f32(0.0)))
        k.barrier()
        with k.when(k.thread < _ANSWERS):
            k.store(self.answers, k.thread, _sum(k, self.meeting, self.spec.parts))
        k.barrier()
        places = (_OF_KEY + self.quad, _OF_QUERY + self.quad, i32(_LENGTHS))
        answers = [k.let(self.answers.load(place), "answer") for place in places]
        return answers[0], answers[1], answers[2]


def _sum(k: GpuKernel, memory: Memory, parts: int) -> Expr:
    """Of the answers of the invocation's number, of all parts in order."""
    total = k.register("float32x4", memory.load(k.thread))
    for part in range(1, parts):
        total.set(total.get() + memory.load(k.thread + part * _ANSWERS))
    return total.get()
