"""The gated delta rule (Gated DeltaNet): linear attention whose state forgets, and replaces what it holds for a key.

For each head a matrix S [key][value]; a token with query q, key k, value v, decay g and strength b does

    S = g S;  S = S + k (b (v - S^T k))^T;  o = S^T q

with q and k of length 1, and q divided by the root of the key's size. g is one number, or one for each key (Kimi delta
attention), by which q and k are then multiplied where they ask S before it has forgotten.

Tokens follow each other one by one, so that a token's bits do not depend on how its sequence was cut into batches; all
else is done at the same time. A workgroup has 16 columns of a head's S, whose invocations hold at most 8 keys of 4
columns each, in registers over all tokens of the run: 8 workgroups a head of 128 x 128. Of a token each asks its part
of S by key and query; these answers meet, and with them it makes what the token adds. The next token's numbers are on
their way meanwhile.

Where there are few tokens, time goes into steps rather than into sums: then a workgroup has all columns of a head, so
that the gated norm behind the rule (`gated_norm.py`) is a part of the step. Its sums have the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import MAX_INVOCATIONS
from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
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
from hearth.compiler.gpu.kernels.gated_norm import GatedNormSpec, Squares, gated
from hearth.compiler.gpu.kernels.runs import Run
from hearth.compiler.gpu.kernels.state_columns import COLUMNS, QUADS, parts_of
from hearth.compiler.physical import in_name

NORM_EPSILON = 1e-6
_OF_KEY, _OF_QUERY, _LENGTHS, _ANSWERS = 0, QUADS, 2 * QUADS, 2 * QUADS + 1
"""What meets of a token: vectors of what S says to its key and to its query; and q q, k k and q k."""


@dataclass(frozen=True)
class GatedDeltaSpec:
    """Sizes of one layer.

    Attributes:
        key_heads, value_heads: several value heads may share a key head.
        key_size, value_size: of a head; values in whole blocks of `COLUMNS`.
        tiled: value head i has key head i mod key_heads; else i // (value_heads / key_heads).
        strength: what the sigmoid of b is multiplied by.
        norm: of each head's output, with weights that all heads share; None: outputs are left as they are.
        by_key: each key has a decay of its own, which is given itself; then there is no norm.
    """

    key_heads: int
    value_heads: int
    key_size: int
    value_size: int
    tiled: bool = False
    strength: float = 1.0
    norm: GatedNormSpec | None = None
    by_key: bool = False

    @property
    def name(self) -> str:
        sizes = f"gated_delta_{self.key_heads}x{self.key_size}_{self.value_heads}x{self.value_size}"
        strength = f"_by{in_name(self.strength)}" if self.strength != 1.0 else ""
        norm = f"_{self.norm.name}" if self.norm else ""
        return sizes + ("_tiled" if self.tiled else "") + strength + ("_by_key" if self.by_key else "") + norm

    @property
    def blocks(self) -> int:
        """Blocks of columns of a head."""
        return self.value_size // COLUMNS

    @property
    def groups(self) -> int:
        """Workgroups of a head."""
        return self.blocks if self.norm is None else 1

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.value_heads * self.key_size * self.value_size

    @property
    def parts(self) -> int:
        """How many invocations share a column."""
        return parts_of(self.key_size)

    @property
    def keys(self) -> int:
        """Of an invocation; the last ones may be none."""
        return -(-self.key_size // self.parts)

    @property
    def at_once(self) -> int:
        """Blocks that a workgroup has invocations for."""
        most = MAX_INVOCATIONS // (self.parts * QUADS)
        return max(n for n in range(1, most + 1) if self.blocks % n == 0) if self.norm else 1

    @property
    def holds(self) -> int:
        """Vectors of S that an invocation holds."""
        return self.keys * (self.blocks // self.groups // self.at_once)


def gated_delta(spec: GatedDeltaSpec) -> GpuKernel:
    """Buffers: QKV f32 [token][ld], the heads' queries, then keys, then values; A f32 [token][lda] and B f32
    [token][ldb], or with a norm both in one; gates f32: decay, negative, and bias of each value head, and with a norm
    its weights; runs i32 [run][4]; state_to i32 [token]; [with a norm Z f32 [token][ldz]]; Y f32 [token][ldy]; state
    f32 [slot][value head][block][key][columns of a block].
    With a decay for each key A f32 [token][lda] has those of all value heads' keys; there are no gates.
    Scalars: ld, lda, at_a, ldb, at_b, ldy, [ldz, at_z]. Unit: run, value head, block of columns; with a norm run, head.
    """
    return _GatedDelta(spec).kernel()


class _Strand:
    """The block of columns that an invocation takes part in: where it is, and its part of S and of a token's values."""

    def __init__(self, k: GpuKernel, spec: GatedDeltaSpec, head: Expr, block: Expr, quad: Expr) -> None:
        self.quad = k.let(block * QUADS + quad, "quad_of_head")
        self.state = k.let((head * spec.blocks + block) * (spec.key_size * QUADS) + quad, "at_state")
        self.column = k.let(head * spec.value_size + self.quad * 4, "column")
        self.s = [k.register("float32x4", f32(0.0, 4)) for _ in range(spec.keys)]
        self.next_v = k.register("float32x4")


class _GatedDelta:
    def __init__(self, spec: GatedDeltaSpec) -> None:
        self.spec = spec
        sharing = spec.parts * QUADS  # invocations of a block
        k = self.k = GpuKernel(spec.name, threads=sharing * spec.at_once)
        self.qkv, self.a = k.buffer("QKV", "float32"), k.buffer("A", "float32")
        self.b = self.a if spec.norm else k.buffer("B", "float32")
        self.gates = None if spec.by_key else k.buffer("gates", "float32")
        runs, self.state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
        self.z = k.buffer("Z", "float32x4") if spec.norm else None
        self.y, self.state = k.buffer("Y", "float32x4"), k.buffer("state", "float32x4")
        names = ("ld", "lda", "at_a", "ldb", "at_b", "ldy")
        self.ld, self.lda, self.at_a, self.ldb, self.at_b, self.ldy = (k.scalar(name) for name in names)
        self.meeting = k.workgroup(spec.parts * _ANSWERS * spec.at_once, "float32x4", "meeting")
        self.answers = k.workgroup(_ANSWERS * spec.at_once, "float32x4", "answers")
        self.strengths = k.workgroup(k.threads, "float32", "strengths")
        self.decays = None if spec.by_key else k.workgroup(k.threads, "float32", "decays")
        if spec.norm:
            self.ldz, self.at_z = k.scalar("ldz"), k.scalar("at_z")
            self.output, self.squares = k.workgroup(spec.value_size // 4, "float32x4", "output"), Squares(k)

        rest = k.let(div(k.group, spec.groups), "rest")
        head = self.head = k.let(mod(rest, spec.value_heads), "head")
        self.run = Run.load(k, runs, div(rest, spec.value_heads))
        self.quad, self.part = (
            k.let(mod(k.thread, QUADS), "quad"),
            k.let(mod(div(k.thread, QUADS), spec.parts), "part"),
        )
        self.within, self.number = k.let(mod(k.thread, sharing), "within"), k.let(div(k.thread, sharing), "number")
        first = k.let(mod(k.group, spec.groups) + self.number, "first")
        count = spec.blocks // spec.groups // spec.at_once
        self.strands = [_Strand(k, spec, head, first + i * spec.at_once, self.quad) for i in range(count)]
        shared = spec.value_heads // spec.key_heads
        key_head = mod(head, spec.key_heads) if spec.tiled else div(head, shared)
        self.query = k.let(key_head * spec.key_size, "query")
        # Neighbouring invocations have neighbouring keys: what they read of the state lies in a row.
        self.keys = [k.let(i * spec.parts + self.part, "key") for i in range(spec.keys)]
        self.next_q, self.next_k = ([k.register() for _ in self.keys] for _ in range(2))
        self.next_decays = [k.register() for _ in self.keys] if spec.by_key else []

    def kernel(self) -> GpuKernel:
        k, run = self.k, self.run
        with k.when(run.source >= 0):
            for strand, i in self.held():
                with k.when(self.inside(i)):
                    strand.s[i].set(self.state.load(self.place(run.source, strand, i)))
        self.fetch(run.first)
        with k.loop(0, run.count, k.threads) as chunk:
            end = k.let(tirx.min(chunk + k.threads, run.count), "end")
            self.prepare(chunk)
            k.barrier()
            with k.loop(chunk, end) as t:
                self.token(k.let(run.first + t, "token"), t - chunk)
        return k

    def held(self) -> list[tuple[_Strand, int]]:
        """What the invocation holds of S, by strand and key."""
        return [(strand, i) for strand in self.strands for i in range(self.spec.keys)]

    def inside(self, i: int) -> Expr:
        """Whether the invocation's key so numbered is one."""
        return self.keys[i] < self.spec.key_size

    def place(self, slot: Expr, strand: _Strand, i: int) -> Expr:
        """Where the row of a key lies in the state."""
        return slot * (self.spec.state_size // 4) + strand.state + self.keys[i] * QUADS

    def fetch(self, token: Expr) -> None:
        """A token's numbers of this invocation, for when it is that token's turn."""
        k, spec = self.k, self.spec
        row = k.let(token * self.ld, "row")
        for of, registers in ((0, self.next_q), (spec.key_heads * spec.key_size, self.next_k)):
            for i, register in enumerate(registers):
                number = self.qkv.load(row + self.query + of + tirx.min(self.keys[i], spec.key_size - 1))
                register.set(tirx.Select(self.inside(i), number, f32(0.0)))
        for i, register in enumerate(self.next_decays):
            own = token * self.lda + self.at_a + self.head * spec.key_size
            register.set(self.a.load(own + tirx.min(self.keys[i], spec.key_size - 1)))
        for strand in self.strands:
            at = k.let(row + 2 * spec.key_heads * spec.key_size + strand.column, "at")
            strand.next_v.set(vector(*(self.qkv.load(at + i) for i in range(4))))

    def prepare(self, chunk: Expr) -> None:
        """Strengths, and decays of heads, of as many tokens as there are invocations: one each."""
        k, spec = self.k, self.spec
        with k.when(chunk + k.thread < self.run.count):
            token = k.let(self.run.first + chunk + k.thread, "token")
            if self.decays is not None and self.gates is not None:
                bias = self.gates.load(spec.value_heads + self.head)
                step = self.a.load(token * self.lda + self.at_a + self.head) + bias
                log = k.let(self.gates.load(self.head) * vmath.softplus(k, step, 1), "log")
                k.store(self.decays, k.thread, vmath.exp(log, 1))
            strength = vmath.sigmoid(k.let(self.b.load(token * self.ldb + self.at_b + self.head), "b"), 1)
            k.store(self.strengths, k.thread, strength * f32(spec.strength) if spec.strength != 1.0 else strength)

    def token(self, token: Expr, number: Expr) -> None:
        """One token's turn. `number`: among those that are prepared."""
        k, spec = self.k, self.spec
        queries, keys = ([k.let(r.get(), "number") for r in rs] for rs in (self.next_q, self.next_k))
        values = [k.let(strand.next_v.get(), "v") for strand in self.strands]
        own = [k.let(register.get(), "decay") for register in self.next_decays]
        decay = None if self.decays is None else k.let(self.decays.load(number), "decay")
        strength = k.let(self.strengths.load(number), "strength")
        self.fetch(k.let(tirx.min(token + 1, self.run.first + self.run.count - 1), "following"))
        for strand, v in zip(self.strands, values, strict=True):
            of_key, of_query, lengths = self.meet(strand, queries, keys, own)
            root = [f32(1.0) / builtin("sqrt", "float32", lane(lengths, i) + f32(NORM_EPSILON)) for i in range(2)]
            query_length = k.let(root[0] * f32(spec.key_size**-0.5), "query_length")
            key_length = k.let(root[1], "key_length")
            # Where each key has a decay of its own, it is in the sums already.
            known = splat(key_length if decay is None else k.let(decay * key_length, "forgotten")) * of_key
            new = k.let(splat(k.let(key_length * strength, "share")) * (v - known), "new")
            with k.when(tirx.EQ(self.part, 0)):
                match = splat(k.let(lane(lengths, 2), "match")) * new
                found = match + of_query if decay is None else fma(splat(decay), of_query, match, 4)
                output = splat(query_length) * found
                if spec.norm is None:
                    k.store(self.y, div(token * self.ldy + strand.column, 4), output)
                else:
                    k.store(self.output, strand.quad, output)
            for s, key, left in zip(strand.s, keys, own or [decay] * len(keys), strict=True):
                s.set(fma(splat(key), new, s.get() * splat(left), 4))
        if spec.norm is not None:
            self.norm(spec.norm, token)
        to = k.let(self.state_to.load(token), "to")
        with k.when(to >= 0):
            for strand, i in self.held():
                with k.when(self.inside(i)):
                    k.store(self.state, self.place(to, strand, i), strand.s[i].get())

    def meet(
        self, strand: _Strand, queries: list[Expr], keys: list[Expr], decays: list[Expr]
    ) -> tuple[Expr, Expr, Expr]:
        """What all of S says to a token's key and query, of the invocation's columns (what is left of it, where keys
        have `decays` of their own); q q, k k and q k. Two barriers keep apart what is written for one strand or token
        and read for another."""
        k, parts = self.k, self.spec.parts
        of_key, of_query = (k.register("float32x4", f32(0.0, 4)) for _ in range(2))
        lengths = [k.register("float32", f32(0.0)) for _ in range(3)]
        for i, (s, q, key) in enumerate(zip(strand.s, queries, keys, strict=True)):
            asked = [k.let(x * decays[i], "asked") for x in (key, q)] if decays else [key, q]
            of_key.set(fma(splat(asked[0]), s.get(), of_key.get(), 4))
            of_query.set(fma(splat(asked[1]), s.get(), of_query.get(), 4))
            for total, pair in zip(lengths, ((q, q), (key, key), (q, key)), strict=True):
                total.set(fma(*pair, total.get()))
        own = k.let((self.number * parts + self.part) * _ANSWERS, "own")
        k.store(self.meeting, own + _OF_KEY + self.quad, of_key.get())
        k.store(self.meeting, own + _OF_QUERY + self.quad, of_query.get())
        with k.when(tirx.EQ(self.quad, 0)):
            k.store(self.meeting, own + _LENGTHS, vector(*(total.get() for total in lengths), f32(0.0)))
        k.barrier()
        block = k.let(self.number * _ANSWERS, "block")
        with k.when(self.within < _ANSWERS):
            first = k.let(block * parts + self.within, "first")
            total = k.register("float32x4", self.meeting.load(first))
            for part in range(1, parts):
                total.set(total.get() + self.meeting.load(first + part * _ANSWERS))
            k.store(self.answers, block + self.within, total.get())
        k.barrier()
        places = (_OF_KEY + self.quad, _OF_QUERY + self.quad, _LENGTHS)
        answers = [k.let(self.answers.load(block + place), "answer") for place in places]
        return answers[0], answers[1], answers[2]

    def norm(self, spec: GatedNormSpec, token: Expr) -> None:
        """Stores the head's output, normed and gated as a step of its own would do it."""
        assert self.z is not None
        assert self.gates is not None
        k, size, head = self.k, self.spec.value_size, self.head * (self.spec.value_size // 4)
        k.barrier()
        factor = self.squares.factor(self.output.load, i32(size // 4), i32(size), spec.epsilon)
        with k.loop(k.thread, size // 4, k.threads) as i:
            at = k.let(2 * self.spec.value_heads + i * 4, "at_weight")
            weight = vector(*(self.gates.load(at + j) for j in range(4)))
            gate = gated(k, spec, self.z.load(div(token * self.ldz + self.at_z, 4) + head + i))
            value = self.output.load(i) * splat(factor) * k.let(weight, "weight")
            k.store(self.y, div(token * self.ldy, 4) + head + i, value * gate)
