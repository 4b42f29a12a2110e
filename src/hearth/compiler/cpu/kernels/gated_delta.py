"""The gated delta rule (Gated DeltaNet): linear attention whose state forgets, and replaces what it holds for a key.

For each head a matrix S [key][value]; a token with query q, key k, value v, decay g and strength b does

    S = g S;  S = S + k (b (v - S^T k))^T;  o = S^T q

with q and k of length 1, and q divided by the root of the key's size. g is one number, or one for each key (Kimi delta
attention), by which q and k are then multiplied where they ask S before it has forgotten.

A unit is one sequence and head; it takes the value columns in blocks of two vectors whose part of S stays in the
nearest cache over all tokens of the batch. Tokens are taken one by one, so that a token's bits do not depend on how its
sequence was cut into batches; each pass over the block writes what one token leaves and reads what the next one asks,
so a token costs one read and one write of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, cast, f32, fma, i64
from hearth.compiler.cpu.kernels.causal_conv import RUN, read_run

LANES = 16
VECTORS = 2
BLOCK = VECTORS * LANES
"""Value columns of a pass."""
DECAY, STRENGTH, QUERY_LENGTH, KEY_LENGTH, MATCH, SCALARS = range(6)
"""What is computed of each token before the passes: its g and b, one over the lengths of q (times the scale) and k, and
q k."""
NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class GatedDeltaSpec:
    """Sizes of one layer.

    Attributes:
        key_heads, value_heads: several value heads may share a key head.
        key_size, value_size: of a head; values in whole vectors.
        tiled: value head i has key head i mod key_heads; else i // (value_heads / key_heads).
        strength: what the sigmoid of b is multiplied by.
        by_key: each key has a decay of its own, which is given itself.
    """

    key_heads: int
    value_heads: int
    key_size: int
    value_size: int
    tiled: bool = False
    strength: float = 1.0
    by_key: bool = False

    @property
    def name(self) -> str:
        sizes = f"gated_delta_{self.key_heads}x{self.key_size}_{self.value_heads}x{self.value_size}"
        strength = f"_by{self.strength:g}" if self.strength != 1.0 else ""
        return sizes + ("_tiled" if self.tiled else "") + strength + ("_by_key" if self.by_key else "")

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.value_heads * self.key_size * self.value_size

    def scratch_bytes(self, tokens: int) -> int:
        """Memory for the scalars of so many tokens and a block of the state."""
        return 4 * (self.key_size * BLOCK + SCALARS * tokens)


def gated_delta(spec: GatedDeltaSpec) -> Kernel:
    """Buffers: QKV f32 [token][ld], the heads' queries, then keys, then values; A f32 [token][lda] and B f32
    [token][ldb]; decay f32 [value head], negative; bias f32 [value head]; runs i32 [run][4]; state_to i32 [token];
    Y f32 [token][ldy]; state f32 [slot][value head][block][key][columns of a block].
    With a decay for each key A f32 [token][lda] has those of all value heads' keys; there are no decay and bias.
    Scalars: ld, lda, at_a, ldb, at_b, ldy. Unit: run and value head."""
    k = Kernel(spec.name)
    qkv, a, b = (k.buffer(name, "float32") for name in ("QKV", "A", "B"))
    of_heads = None if spec.by_key else (k.buffer("decay", "float32"), k.buffer("bias", "float32"))
    runs, state_to = k.buffer("runs", "int32"), k.buffer("state_to", "int32")
    y, state = k.buffer("Y", "float32"), k.buffer("state", "float32")
    ld, lda, at_a, ldb, at_b, ldy = (k.scalar(name) for name in ("ld", "lda", "at_a", "ldb", "at_b", "ldy"))
    scratch = k.scratch("float32")
    shared = spec.value_heads // spec.key_heads
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floormod(unit, i64(spec.value_heads)), "head")
        run = k.let(tirx.floordiv(unit, i64(spec.value_heads)) * RUN, "run")
        first, count, source = read_run(k, runs, run)
        key_head = tirx.floormod(head, i64(spec.key_heads)) if spec.tiled else tirx.floordiv(head, i64(shared))
        query = k.opaque(key_head * spec.key_size, "query")
        key = k.opaque(query + spec.key_heads * spec.key_size, "key")
        value = k.opaque(head * spec.value_size + 2 * spec.key_heads * spec.key_size, "value")
        decays = _Decays(a, lda, k.opaque(at_a + head * spec.key_size, "decays")) if spec.by_key else None
        unit_state = _Unit(k, spec, qkv, ld, scratch, first, query, key, decays)
        with k.loop(0, count) as t:
            row = k.opaque((first + t) * ld, "row")
            decay = None
            if of_heads is not None:
                step = a.load((first + t) * lda + at_a + head) + of_heads[1].load(head)
                log = of_heads[0].load(head) * vmath.softplus(k, k.let(step, "step"), 1)
                decay = k.let(vmath.exp(k, k.let(log, "log"), 1), "decay")
            strength = vmath.sigmoid(k, k.let(b.load((first + t) * ldb + at_b + head), "b"), 1)
            unit_state.prepare(t, row, decay, k.let(strength, "strength"))
        for column in range(0, spec.value_size, BLOCK):
            vectors = min(VECTORS, (spec.value_size - column) // LANES)
            block = _Block(unit_state, vectors, head * (spec.key_size * spec.value_size) + column * spec.key_size)
            block.read(state, source)
            block.first_match()
            with k.loop(0, count) as t:
                token = k.opaque(first + t, "token")
                change = block.answer(t, token, value + column, y, token * ldy + head * spec.value_size + column)
                block.go_on(t, token, count, change)
                to = k.opaque(cast("int64", state_to.load(token)), "to")
                with k.when(to >= i64(0)):
                    block.write(state, to)
    return k


@dataclass(frozen=True)
class _Decays:
    """Where the decays of a head's keys are: those of a token behind its row."""

    numbers: Memory
    ld: Expr
    start: Expr


@dataclass(frozen=True)
class _Unit:
    """A sequence and head: where its tokens' queries and keys are, and their scalars behind the block in scratch."""

    k: Kernel
    spec: GatedDeltaSpec
    qkv: Memory
    ld: Expr
    scratch: Memory
    first: Expr
    query: Expr
    key: Expr
    decays: _Decays | None

    def decays_at(self, token: Expr) -> Expr | None:
        """Where the decays of a token's keys begin, if these have each its own."""
        return None if self.decays is None else self.k.opaque(token * self.decays.ld + self.decays.start, "decays_at")

    def decay(self, at: Expr, i: Expr) -> Expr:
        """The decay of key i, of those that begin there."""
        assert self.decays is not None
        return self.k.let(broadcast(self.decays.numbers.load(at + i), LANES), "decay")

    def prepare(self, t: Expr, row: Expr, decay: Expr | None, strength: Expr) -> None:
        """The scalars of token `t`. `decay`: that of all keys, if there is one."""
        k, spec = self.k, self.spec
        sums = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(3)]
        whole = spec.key_size // LANES * LANES
        with k.loop(0, whole, LANES) as j:
            q = k.let(self.qkv.load(row + self.query + j, LANES), "q")
            key = k.let(self.qkv.load(row + self.key + j, LANES), "key")
            for total, pair in zip(sums, ((q, q), (key, key), (q, key)), strict=True):
                total.set(fma(*pair, total.get(), LANES))
        totals = [k.register("float32", init=vmath.reduce_sum(k, total.get(), LANES)) for total in sums]
        with k.loop(whole, spec.key_size) as j:
            q, key = k.let(self.qkv.load(row + self.query + j), "q"), k.let(self.qkv.load(row + self.key + j), "key")
            for one, pair in zip(totals, ((q, q), (key, key), (q, key)), strict=True):
                one.set(one.get() + pair[0] * pair[1])
        scale = f32(spec.key_size**-0.5)
        lengths = [f32(1.0) / tirx.sqrt(one.get() + f32(NORM_EPSILON)) for one in totals[:2]]
        known = {
            **({} if decay is None else {DECAY: decay}),
            STRENGTH: strength * f32(spec.strength) if spec.strength != 1.0 else strength,
            QUERY_LENGTH: lengths[0] * scale,
            KEY_LENGTH: lengths[1],
            MATCH: totals[2].get(),
        }
        for which, number in known.items():
            k.store(self.scratch, self._place(t, which), k.let(number, "scalar"))

    def _place(self, t: Expr, which: int) -> Expr:
        return t * SCALARS + (self.spec.key_size * BLOCK + which)

    def scalar(self, t: Expr, which: int) -> Expr:
        return self.k.opaque(self.scratch.load(self._place(t, which)), "scalar")


class _Block:
    """Some value columns of a head: their part of S in scratch, and what it says to the next token's key and query."""

    def __init__(self, unit: _Unit, vectors: int, start: Expr) -> None:
        self.unit, self.k, self.vectors = unit, unit.k, vectors
        self.start = unit.k.opaque(start, "start")
        self.width = vectors * LANES
        self.of_key = [self._register() for _ in range(vectors)]
        self.of_query = [self._register() for _ in range(vectors)]

    def _register(self) -> Register:
        return self.k.register("float32", LANES, f32(0.0, LANES))

    def _all(self, move: str, state: Memory, slot: Expr) -> None:
        k, size, scratch = self.k, self.unit.spec.key_size * self.width, self.unit.scratch
        at = k.opaque(slot * self.unit.spec.state_size + self.start, "at")
        with k.loop(0, size, LANES) as j:
            if move == "read":
                k.store(scratch, j, k.let(state.load(at + j, LANES), "s"))
            else:
                k.store(state, at + j, k.let(scratch.load(j, LANES), "s"))

    def read(self, state: Memory, slot: Expr) -> None:
        """S as a slot has it, or zeros."""
        k = self.k
        with k.when(slot < i64(0)), k.loop(0, self.unit.spec.key_size * self.width, LANES) as j:
            k.store(self.unit.scratch, j, f32(0.0, LANES))
        with k.when(slot >= i64(0)):
            self._all("read", state, slot)

    def write(self, state: Memory, slot: Expr) -> None:
        self._all("write", state, slot)

    def _rows(self) -> list[Register]:
        for register in (*self.of_key, *self.of_query):
            register.set(f32(0.0, LANES))
        return self.of_key

    def _meet(self, i: Expr, row: Expr, decays: Expr | None, rows: list[Expr]) -> None:
        """What row i of S says to a token's key and query; what it has left by then, where its decay is its own."""
        unit, k = self.unit, self.k
        decay = None if decays is None else unit.decay(decays, i)
        for at, sums in ((unit.key, self.of_key), (unit.query, self.of_query)):
            number = k.let(broadcast(unit.qkv.load(row + at + i), LANES), "number")
            number = number if decay is None else k.let(number * decay, "number")
            for total, s in zip(sums, rows, strict=True):
                total.set(fma(number, s, total.get(), LANES))

    def first_match(self) -> None:
        """What S, as it was read, says to the first token."""
        unit, k = self.unit, self.k
        self._rows()
        row, decays = k.opaque(unit.first * unit.ld, "row"), unit.decays_at(unit.first)
        with k.loop(0, unit.spec.key_size) as i:
            rows = [k.let(unit.scratch.load(i * self.width + LANES * v, LANES), "s") for v in range(self.vectors)]
            self._meet(i, row, decays, rows)

    def answer(self, t: Expr, token: Expr, value: Expr, y: Memory, to: Expr) -> list[Expr]:
        """Stores the token's output, and returns what its key adds to each row of S, for a key element of 1."""
        unit, k = self.unit, self.k
        strength, of_query, of_key, match = (
            broadcast(unit.scalar(t, which), LANES) for which in (STRENGTH, QUERY_LENGTH, KEY_LENGTH, MATCH)
        )
        # Where each key has a decay of its own, it is in the sums already.
        decay = f32(1.0, LANES) if unit.spec.by_key else broadcast(unit.scalar(t, DECAY), LANES)
        at = k.opaque(token * unit.ld + value, "at")
        changes = []
        for v in range(self.vectors):
            known = decay * of_key * self.of_key[v].get()
            new = k.let(of_key * strength * (unit.qkv.load(at + LANES * v, LANES) - known), "new")
            found = k.let(fma(decay, self.of_query[v].get(), match * new, LANES), "found")
            k.store(y, to + LANES * v, k.let(of_query * found, "y"))
            changes.append(new)
        return changes

    def go_on(self, t: Expr, token: Expr, count: Expr, changes: list[Expr]) -> None:
        """S after the token; and what it says to the next one, if there is one."""
        unit, k = self.unit, self.k
        own = unit.decays_at(token)
        decay = k.let(broadcast(unit.scalar(t, DECAY), LANES), "decay") if own is None else None
        row = k.opaque(token * unit.ld, "row")
        for last, condition in ((False, t + 1 < count), (True, tirx.EQ(t + 1, count))):
            with k.when(condition):
                self._rows()
                following = k.opaque(row + unit.ld, "following")
                decays = None if last else unit.decays_at(token + 1)
                with k.loop(0, unit.spec.key_size) as i:
                    key = k.let(broadcast(unit.qkv.load(row + unit.key + i), LANES), "key")
                    rows, left = [], decay if own is None else unit.decay(own, i)
                    for v, change in enumerate(changes):
                        place = i * self.width + LANES * v
                        kept = k.let(unit.scratch.load(place, LANES) * left, "kept")
                        rows.append(k.let(fma(key, change, kept, LANES), "s"))
                        k.store(unit.scratch, place, rows[-1])
                    if not last:
                        self._meet(i, following, decays, rows)
