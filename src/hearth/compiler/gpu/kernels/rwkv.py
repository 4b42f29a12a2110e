"""RWKV's linear attention: a state that forgets by channel, as each token says (`rwkv` in `model/text/mixers`).

For each head a matrix S [key][value]; a token with receptance r, decay w, key k and value v does, by its kind,

    adds      o = S^T r + (r . u k) v;   S = w S + k v^T
    replaces  S = w S - (a e) (S^T e)^T + k v^T;   o = S^T r, and (r . u k) v behind the norm; e of length 1
    gated     S = w S + (1 - w) k v^T;   o = S^T r / root of size

and each head's output is normalised, where it is. A workgroup has a run and a head: quads of value columns, whose rows
are dealt out, so that an invocation has its part of S in registers over all tokens. Tokens follow each other one by
one, so that a token's bits do not depend on how its sequence was cut into batches; what the rows say meets at a
barrier a token, and at one more where it is replaced. The norm is for several tokens at once.

All that a token brings stands in one row (`rwkv_inputs`), since there are not as many buffers as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from tvm import tirx

from hearth.compiler.gpu.features import MAX_INVOCATIONS
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    builtin,
    div,
    f32,
    fma,
    lane,
    mod,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.runs import Run
from hearth.compiler.rwkv import RwkvSizes

COPIED = 64
"""Vectors of a workgroup of `rwkv_inputs`."""
_TOGETHER = 4
"""Tokens that are normalised at once."""
_MOST_PARTS = 16
_LEAST_LENGTH = 1e-12


@dataclass(frozen=True)
class RwkvSpec(RwkvSizes):
    """Sizes of one layer, and how invocations share it."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of what a token brings: r, w, k, v, and e and a, where it replaces."""
        keys = self.kv_heads * self.size
        return (self.columns, self.columns, keys, keys, *([self.columns] * 2 if self.kind == "replaces" else ()))

    @property
    def quads(self) -> int:
        """Vectors of a head's value columns."""
        return self.size // 4

    @property
    def parts(self) -> int:
        """How many invocations share a column."""
        parts = _MOST_PARTS
        while parts > 1 and parts * self.quads > MAX_INVOCATIONS:
            parts //= 2
        return parts

    @property
    def rows(self) -> int:
        """Of an invocation: the vectors of S that it holds."""
        return self.size // self.parts


def rwkv_inputs(widths: tuple[int, ...]) -> GpuKernel:
    """Rows of several matrices in one. Buffers: each f32 [token][its columns], multiples of 4; Y f32 [token][all].
    Scalars: rows. Unit: `COPIED` vectors."""
    k = GpuKernel("rwkv_inputs_" + "_".join(map(str, widths)), threads=COPIED)
    sources = [k.buffer(f"X{i}", "float32x4") for i in range(len(widths))]
    y, rows = k.buffer("Y", "float32x4"), k.scalar("rows")
    all_quads = sum(widths) // 4
    at = k.let(k.group * COPIED + k.thread, "at")
    with k.when(at < rows * all_quads):
        row, column = k.let(div(at, all_quads), "row"), k.let(mod(at, all_quads), "column")
        for source, size, end in zip(sources, widths, accumulate(widths), strict=True):
            first = (end - size) // 4
            with k.when(tirx.And(column >= first, column < end // 4)):
                k.store(y, at, source.load(row * (size // 4) + column - first))
    return k


def rwkv(spec: RwkvSpec) -> GpuKernel:
    """Buffers: X f32 [token][all `widths`]; [gates f32: bonus [columns] (but gated), weight and bias [columns] of a
    norm]; runs i32 [run][4]; state_to i32 [token]; Y f32 [token][columns]; state f32 [slot][head][key][value].
    Unit: run and head."""
    return _Rwkv(spec).kernel()


class _Rwkv:
    def __init__(self, spec: RwkvSpec) -> None:
        self.spec = spec
        k = self.k = GpuKernel(spec.name, threads=spec.parts * spec.quads)
        self.x = k.buffer("X", "float32")
        has_gates = spec.kind != "gated" or spec.epsilon is not None
        self.gates = k.buffer("gates", "float32") if has_gates else None
        runs, self.state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
        self.y, self.state = k.buffer("Y", "float32x4"), k.buffer("state", "float32x4")
        # What is said of two tokens that follow each other lies apart: one may still be read.
        self.meeting = k.workgroup(2 * k.threads, "float32x4", "meeting")
        self.bonuses = k.workgroup(2 * spec.parts, "float32", "bonuses")
        if spec.kind == "replaces":
            self.known = k.workgroup(k.threads, "float32x4", "known")
            self.lengths = k.workgroup(spec.parts, "float32", "lengths")
        self.made = k.workgroup(_TOGETHER * spec.quads, "float32x4", "made")
        self.own_bonus = k.workgroup(_TOGETHER, "float32", "own_bonus")

        head = k.let(mod(k.group, spec.heads), "head")
        self.run = Run.load(k, runs, div(k.group, spec.heads))
        self.quad, self.part = k.let(mod(k.thread, spec.quads), "quad"), k.let(div(k.thread, spec.quads), "part")
        self.own = k.let(head * spec.size, "own")
        self.shared = k.let(div(head, spec.heads // spec.kv_heads) * spec.size, "shared")
        starts = [0, *accumulate(spec.widths)]
        own = (self.own, self.own, self.shared, self.shared, self.own, self.own)
        self.starts = [k.let(start + head_at, "start") for start, head_at in zip(starts[:-1], own, strict=False)]
        self.rows = [k.let(i * spec.parts + self.part, "row") for i in range(spec.rows)]
        self.s = [k.register("float32x4", f32(0.0, 4)) for _ in self.rows]

    def kernel(self) -> GpuKernel:
        k, run = self.k, self.run
        with k.when(run.source >= 0):
            for row, s in zip(self.rows, self.s, strict=True):
                s.set(self.state.load(self.place(run.source, row)))
        with k.loop(0, run.count, _TOGETHER) as first:
            behind = k.let(tirx.min(first + _TOGETHER, run.count), "behind")
            with k.loop(first, behind) as t:
                self.token(k.let(run.first + t, "token"), t - first, k.let(mod(t, 2), "turn"))
            k.barrier()
            self.finish(k.let(run.first + first, "token"), k.let(behind - first, "count"))
            k.barrier()
        return k

    def place(self, slot: Expr, row: Expr) -> Expr:
        """Where a row lies in the state."""
        spec = self.spec
        return slot * (spec.state_size // 4) + self.own * spec.quads + row * spec.quads + self.quad

    def at(self, token: Expr) -> Expr:
        return self.k.let(token * sum(self.spec.widths), "at")

    def value(self, at: Expr, quad: Expr) -> Expr:
        first = self.k.let(at + self.starts[3] + quad * 4, "first")
        return self.k.let(vector(*(self.x.load(first + i) for i in range(4))), "value")

    def total(self, memory: Memory, first: Expr, step: int) -> Expr:
        """What all parts say together."""
        total = self.k.register(memory.dtype, memory.load(first))
        for part in range(1, self.spec.parts):
            total.set(total.get() + memory.load(first + part * step))
        return self.k.let(total.get(), "total")

    def token(self, token: Expr, number: Expr, turn: Expr) -> None:
        """One token's turn. `number`: among those that are normalised at once; `turn`: every other one's is 0."""
        k, spec = self.k, self.spec
        at = self.at(token)
        names = ("r", "w", "k", "v", "e", "a")
        numbers = {
            name: [k.let(self.x.load(at + start + row), name) for row in self.rows]
            for name, start in zip(names, self.starts, strict=False)
            if name != "v"
        }
        value = self.value(at, self.quad)
        taken = self.taken(numbers["e"]) if spec.kind == "replaces" else None
        answer = k.register("float32x4", f32(0.0, 4))
        for i, s in enumerate(self.s):
            r, w, key = (numbers[name][i] for name in "rwk")
            if spec.kind == "gated":
                key = k.let((f32(1.0) - w) * key, "key")
            if spec.kind == "adds":
                answer.set(fma(splat(r), s.get(), answer.get(), 4))
            s.set(fma(splat(key), value, splat(w) * s.get(), 4))
            if taken is not None:
                strength = k.let(numbers["e"][i] * numbers["a"][i], "strength")
                s.set(fma(splat(strength), taken, s.get(), 4))
            if spec.kind != "adds":
                answer.set(fma(splat(r), s.get(), answer.get(), 4))
        k.store(self.meeting, turn * k.threads + k.thread, answer.get())
        if spec.kind != "gated":
            self.weigh(numbers["r"], numbers["k"], turn)
        to = k.let(self.state_to.load(token), "to")
        with k.when(to >= 0):
            for row, s in zip(self.rows, self.s, strict=True):
                k.store(self.state, self.place(to, row), s.get())
        k.barrier()
        with k.when(tirx.EQ(self.part, 0)):
            out = self.total(self.meeting, turn * k.threads + self.quad, spec.quads)
            if spec.kind == "gated":
                out = out * f32(spec.size**-0.5, 4)
            else:
                bonus = self.total(self.bonuses, turn * spec.parts, 1)
                if spec.kind == "adds" or spec.epsilon is None:
                    out = fma(splat(bonus), value, out, 4)
                k.store(self.own_bonus, number, bonus)
            k.store(self.made, number * spec.quads + self.quad, out)

    def taken(self, es: list[Expr]) -> Expr:
        """What S has for a token's e, with the signs and lengths that an element of e has to be multiplied with."""
        k, spec = self.k, self.spec
        known, squares = k.register("float32x4", f32(0.0, 4)), k.register("float32", f32(0.0))
        for e, s in zip(es, self.s, strict=True):
            known.set(fma(splat(e), s.get(), known.get(), 4))
            squares.set(fma(e, e, squares.get()))
        k.store(self.known, k.thread, known.get())
        with k.when(tirx.EQ(self.quad, 0)):
            k.store(self.lengths, self.part, squares.get())
        k.barrier()
        length = builtin("sqrt", "float32", self.total(self.lengths, 0, 1))
        inverse = k.let(f32(1.0) / builtin("max", "float32", length, f32(_LEAST_LENGTH)), "inverse")
        factor = k.let(f32(0.0) - inverse * inverse, "factor")
        return k.let(self.total(self.known, self.quad, spec.quads) * splat(factor), "taken")

    def weigh(self, rs: list[Expr], keys: list[Expr], turn: Expr) -> None:
        """An invocation's part of r . u k, for each row once."""
        k = self.k
        assert self.gates is not None
        with k.when(tirx.EQ(self.quad, 0)):
            bonus = k.register("float32", f32(0.0))
            for row, r, key in zip(self.rows, rs, keys, strict=True):
                bonus.set(fma(r * self.gates.load(self.own + row), key, bonus.get()))
            k.store(self.bonuses, turn * self.spec.parts + self.part, bonus.get())

    def finish(self, token: Expr, count: Expr) -> None:
        """Stores what so many tokens from `token` on are answered, normalised."""
        k, spec = self.k, self.spec
        with k.loop(k.thread, count * spec.quads, k.threads) as i:
            number, quad = k.let(div(i, spec.quads), "number"), k.let(mod(i, spec.quads), "quad")
            out = k.let(self.made.load(i), "out")
            if spec.epsilon is not None:
                out = self.normed(out, number, quad, spec.epsilon)
            if spec.epsilon is not None and spec.kind == "replaces":
                bonus = k.let(self.own_bonus.load(number), "bonus")
                out = fma(splat(bonus), self.value(self.at(token + number), quad), out, 4)
            k.store(self.y, (token + number) * (spec.columns // 4) + div(self.own, 4) + quad, out)

    def normed(self, out: Expr, number: Expr, quad: Expr, epsilon: float) -> Expr:
        """Four columns of a token, by the LayerNorm of its head."""
        k, spec = self.k, self.spec
        assert self.gates is not None

        def mean(of: Callable[[Expr], Expr]) -> Expr:
            total = k.register("float32x4", f32(0.0, 4))
            with k.loop(0, spec.quads) as j:
                total.set(total.get() + of(k.let(self.made.load(number * spec.quads + j), "value")))
            four = k.let(total.get(), "four")
            return k.let((lane(four, 0) + lane(four, 1) + lane(four, 2) + lane(four, 3)) / f32(spec.size), "mean")

        middle = mean(lambda value: value)
        away = k.let(out - splat(middle), "away")
        spread = mean(lambda value: (value - splat(middle)) * (value - splat(middle)))
        factor = k.let(f32(1.0) / builtin("sqrt", "float32", spread + f32(epsilon)), "factor")
        first = k.let(self.own + quad * 4, "first")
        weight, bias = (
            k.let(vector(*(self.gates.load(first + start + i) for i in range(4))), "four")
            for start in (spec.columns, 2 * spec.columns)
        )
        return k.let(fma(away * splat(factor), weight, bias, 4), "normed")
