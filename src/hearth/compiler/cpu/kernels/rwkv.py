"""RWKV's linear attention: a state that forgets by channel, as each token says (`rwkv` in `model/text/mixers`).

For each head a matrix S [key][value]; a token with receptance r, decay w, key k and value v does, by its kind,

    adds      o = S^T r + (r . u k) v;   S = w S + k v^T
    replaces  S = w S - (a e) (S^T e)^T + k v^T;   o = S^T r, and (r . u k) v behind the norm; e of length 1
    gated     S = w S + (1 - w) k v^T;   o = S^T r / root of size

and each head's output is normalised, where it is. A unit is one sequence and head; as in `gated_delta.py` it takes the
value columns in blocks whose part of S stays in the nearest cache over all tokens of the batch, and the tokens one by
one, so that a token's bits do not depend on how its sequence was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, cast, f32, fma, i64
from hearth.compiler.cpu.kernels.causal_conv import RUN, read_run
from hearth.compiler.cpu.kernels.layer_norm import layer_statistics
from hearth.compiler.rwkv import RwkvSizes

LANES = 16
VECTORS = 2
BLOCK = VECTORS * LANES
"""Value columns of a pass."""
BONUS, LENGTH, SCALARS = range(3)
"""What is computed of each token before the passes: r . u k, and one over the length of e."""
LEAST_LENGTH = 1e-12


@dataclass(frozen=True)
class RwkvSpec(RwkvSizes):
    """Sizes of one layer, and what it takes here."""

    def scratch_bytes(self, tokens: int) -> int:
        """Memory for the scalars of so many tokens and a block of the state."""
        return 4 * (self.size * BLOCK + SCALARS * tokens)


def rwkv(spec: RwkvSpec) -> Kernel:
    """Buffers: R, W f32 [token][columns]; K, V f32 [token][columns of kv_heads]; [E, A f32 [token][columns]
    (replaces)]; [bonus f32 [columns] (but gated)]; [weight, bias f32 [columns] (a norm)]; runs i32 [run][4]; state_to
    i32 [token]; Y f32 [token][columns]; state f32 [slot][head][block][key][columns of a block]. Unit: run and head."""
    return _Rwkv(spec).kernel()


class _Rwkv:
    def __init__(self, spec: RwkvSpec) -> None:
        self.spec = spec
        k = self.k = Kernel(spec.name)

        def buffers(*names: str, there: bool = True) -> list[Memory]:
            return [k.buffer(name, "float32") for name in names] if there else []

        self.r, self.w, self.key, self.value = buffers("R", "W", "K", "V")
        self.replaces = buffers("E", "A", there=spec.kind == "replaces")
        self.bonus = buffers("bonus", there=spec.kind != "gated")
        self.norm = buffers("weight", "bias", there=spec.epsilon is not None)
        self.runs, self.state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
        self.y, self.state = buffers("Y", "state")
        self.scratch = k.scratch("float32")

    def kernel(self) -> Kernel:
        k, spec = self.k, self.spec
        with k.loop(k.begin, k.end) as unit:
            head = k.opaque(tirx.floormod(unit, i64(spec.heads)), "head")
            first, count, source = read_run(k, self.runs, k.let(tirx.floordiv(unit, i64(spec.heads)) * RUN, "run"))
            own = k.opaque(head * spec.size, "own")
            shared = k.opaque(tirx.floordiv(head, i64(spec.heads // spec.kv_heads)) * spec.size, "shared")
            with k.loop(0, count) as t:
                self.prepare(t, first + t, own)
            for column in range(0, spec.size, BLOCK):
                vectors = min(VECTORS, (spec.size - column) // LANES)
                start = k.opaque(own * spec.size + column * spec.size, "start")
                self.read(source, start, vectors)
                with k.loop(0, count) as t:
                    token = k.opaque(first + t, "token")
                    self.token(t, token, own, shared, column, vectors)
                    to = k.opaque(cast("int64", self.state_to.load(token)), "to")
                    with k.when(to >= i64(0)):
                        at = k.opaque(to * spec.state_size + start, "at")
                        with k.loop(0, spec.size * vectors * LANES, LANES) as j:
                            k.store(self.state, at + j, k.let(self.scratch.load(j, LANES), "s"))
            if self.norm:
                with k.loop(0, count) as t:
                    self.finish(t, first + t, own)
        return k

    def at(self, token: Expr, own: Expr) -> Expr:
        return self.k.opaque(token * self.spec.columns + own, "at")

    def at_key(self, token: Expr, shared: Expr) -> Expr:
        return self.k.opaque(token * (self.spec.kv_heads * self.spec.size) + shared, "at_key")

    def scalar(self, t: Expr, which: int) -> Expr:
        return broadcast(self.k.opaque(self.scratch.load(self.place(t, which)), "scalar"), LANES)

    def place(self, t: Expr, which: int) -> Expr:
        return t * SCALARS + (self.spec.size * BLOCK + which)

    def prepare(self, t: Expr, token: Expr, own: Expr) -> None:
        """The scalars of token `t`. What has a bonus has a key for each head."""
        k = self.k
        at = self.at(token, own)
        for which, there in ((BONUS, self.bonus), (LENGTH, self.replaces)):
            if not there:
                continue
            total = k.register("float32", LANES, f32(0.0, LANES))
            with k.loop(0, self.spec.size, LANES) as j:
                if which == BONUS:
                    weighed = k.let(self.r.load(at + j, LANES) * self.bonus[0].load(own + j, LANES), "weighed")
                    total.set(fma(weighed, self.key.load(at + j, LANES), total.get(), LANES))
                else:
                    e = k.let(self.replaces[0].load(at + j, LANES), "e")
                    total.set(fma(e, e, total.get(), LANES))
            number = k.let(vmath.reduce_sum(k, total.get(), LANES), "number")
            if which == LENGTH:
                number = k.let(f32(1.0) / tirx.max(tirx.sqrt(number), f32(LEAST_LENGTH)), "length")
            k.store(self.scratch, self.place(t, which), number)

    def read(self, source: Expr, start: Expr, vectors: int) -> None:
        """A block of S as a slot has it, or zeros."""
        k, size = self.k, self.spec.size * vectors * LANES
        with k.when(source < i64(0)), k.loop(0, size, LANES) as j:
            k.store(self.scratch, j, f32(0.0, LANES))
        with k.when(source >= i64(0)):
            at = k.opaque(source * self.spec.state_size + start, "at")
            with k.loop(0, size, LANES) as j:
                k.store(self.scratch, j, k.let(self.state.load(at + j, LANES), "s"))

    def token(self, t: Expr, token: Expr, own: Expr, shared: Expr, column: int, vectors: int) -> None:
        """A token's output in some columns, as it is before the norm, and S behind it."""
        k, spec = self.k, self.spec
        at, at_key = self.at(token, own), self.at_key(token, shared)
        values = [k.let(self.value.load(at_key + column + LANES * v, LANES), "v") for v in range(vectors)]
        taken = self.taken(t, at, vectors)
        sums = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(vectors)]
        with k.loop(0, spec.size) as i:
            r, w, key = (
                k.let(broadcast(memory.load(start + i), LANES), name)
                for memory, start, name in ((self.r, at, "r"), (self.w, at, "w"), (self.key, at_key, "k"))
            )
            if spec.kind == "gated":
                key = k.let((f32(1.0, LANES) - w) * key, "key")
            if spec.kind == "replaces":
                e, a = (broadcast(memory.load(at + i), LANES) for memory in self.replaces)
                strength = k.let(e * a, "strength")
            for v, (value, total) in enumerate(zip(values, sums, strict=True)):
                place = i * (vectors * LANES) + LANES * v
                s = k.let(self.scratch.load(place, LANES), "s")
                if spec.kind == "adds":
                    total.set(fma(r, s, total.get(), LANES))
                added = k.let(fma(key, value, k.let(s * w, "kept"), LANES), "added")
                if spec.kind == "replaces":
                    added = k.let(fma(strength, taken[v], added, LANES), "replaced")
                if spec.kind != "adds":
                    total.set(fma(r, added, total.get(), LANES))
                k.store(self.scratch, place, added)
        for v, (value, total) in enumerate(zip(values, sums, strict=True)):
            out = total.get()
            if spec.kind == "adds":
                out = fma(self.scalar(t, BONUS), value, out, LANES)
            if spec.kind == "gated":
                out = out * f32(spec.size**-0.5, LANES)
            if spec.kind == "replaces" and not self.norm:
                out = fma(self.scalar(t, BONUS), value, out, LANES)
            k.store(self.y, at + column + LANES * v, k.let(out, "y"))

    def taken(self, t: Expr, at: Expr, vectors: int) -> list[Expr]:
        """What S has for a token's e, with the signs and lengths that an element of e has to be multiplied with."""
        if not self.replaces:
            return []
        k = self.k
        sums: list[Register] = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(vectors)]
        with k.loop(0, self.spec.size) as i:
            e = k.let(broadcast(self.replaces[0].load(at + i), LANES), "e")
            for v, total in enumerate(sums):
                s = self.scratch.load(i * (vectors * LANES) + LANES * v, LANES)
                total.set(fma(e, s, total.get(), LANES))
        length = self.scalar(t, LENGTH)
        factor = k.let(f32(0.0, LANES) - length * length, "factor")
        return [k.let(total.get() * factor, "taken") for total in sums]

    def finish(self, t: Expr, token: Expr, own: Expr) -> None:
        """A head's output, normalised, and what is added behind that."""
        k, spec = self.k, self.spec
        assert spec.epsilon is not None
        at = self.at(token, own)
        mean, factor = (
            k.let(broadcast(number, LANES), "statistic")
            for number in layer_statistics(k, self.y, at, i64(spec.size), spec.epsilon)
        )
        weight, bias = self.norm
        with k.loop(0, spec.size, LANES) as j:
            normed = k.let((self.y.load(at + j, LANES) - mean) * factor, "normed")
            out = k.let(fma(normed, weight.load(own + j, LANES), bias.load(own + j, LANES), LANES), "out")
            if spec.kind == "replaces":
                out = k.let(fma(self.scalar(t, BONUS), self.value.load(at + j, LANES), out, LANES), "y")
            k.store(self.y, at + j, out)
