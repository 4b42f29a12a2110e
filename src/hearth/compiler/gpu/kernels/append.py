"""Queries and keys normed and rotated, keys and values appended to the pages, in one pass over what a product has left.

    q out   f32 [kv_head][token][query head of the group][hp]     scaled, padded with zeros (or [hp + 4]: `query_width`)
    pages   `pages.py`

Heads are taken four to a workgroup, 16 invocations each. With int8 two tokens share a word of scales, so the first of
a pair (an even slot and the odd one behind it), or the one that is alone, appends both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.gpu.kernels.attention import query_width
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    builtin,
    cast,
    div,
    f32,
    i32,
    lane,
    mod,
    pack_halves,
    splat,
    unpack_halves,
    vector,
)
from hearth.compiler.gpu.kernels.pages import F16_MAX, INT8_MAX, Pages
from hearth.compiler.gpu.kernels.tokens import PLACE, PLACE_FIELDS, POSITION
from hearth.compiler.paged_attention import Readying
from hearth.model.text.kv_cache import PAGE_TOKENS, KvDtype
from hearth.quant.formats import round_up

LANES = 16
HEADS = 4
"""Of a workgroup."""
Heads = Literal["qkv", "q", "kv"]


@dataclass(frozen=True)
class AppendSpec:
    """Attributes:
    heads: which it takes: all of one merged product, or those of separate ones.
    hp: padded head size.
    how: q and k are made ready.
    sinks, slopes: behind each query stand its head's sink and slope.
    """

    heads: Heads
    hp: int
    how: Readying
    kv_dtype: KvDtype
    sinks: bool = False
    slopes: bool = False

    @property
    def temperature(self) -> tuple[float, int, int] | None:
        return self.how.temperature if self.heads != "kv" else None

    @property
    def keys(self) -> Pages:
        return Pages("k", self.kv_dtype, self.hp)

    @property
    def values(self) -> Pages:
        return Pages("v", self.kv_dtype, self.hp)

    @property
    def name(self) -> str:
        parts = [
            f"append_{self.heads}",
            f"h{self.hp}",
            *self.how.names(queries=self.heads != "kv", values=self.heads != "q"),
        ]
        parts += [name for name in ("sinks", "slopes") if getattr(self, name)]
        return "_".join([*parts, f"kv_{self.kv_dtype}"])


def append(spec: AppendSpec) -> GpuKernel:
    """Buffers: X f32 [t][ldx] with all heads, or with the queries', or K and V f32, [t][ldx] and [t][ldv]; [table f32
    [t][ld_table]]; [norm weights f32 of the queries, of the keys]; [sinks f32 [heads]]; [slopes f32 [heads]];
    [places i32 [t][4]]; Q out f32; K and V pages. Without keys and values no pages, and no places but with a
    temperature; without queries no sinks, slopes and Q out. With latent vectors queries are X [t][head][latent, padded]
    and V what of them turns, keys X the latent vectors and behind each what turns, and there are no V pages.
    Scalars: tokens; heads; kv_heads; head_dim; half (of rotated dimensions); ld_table; at_table: where cos, and
    behind it sin, begin in its rows; ldx, ldv; columns where the first query,
    key and value begin (those that are not there are 0). Unit: `HEADS` heads, all tokens' one after the other.
    """
    return _Append(spec).kernel()


@dataclass(frozen=True)
class _Kind:
    """Heads of a kind: whether an invocation's is one; where the product left them; whether they are normalised, and by
    which weight; where what turns is (memory, stride of its rows, first column), if that is elsewhere."""

    here: Expr
    x: Memory
    ld: Expr
    offset: Expr
    heads: Expr
    normed: bool
    norm: Memory | None
    turned: tuple[Memory, Expr, Expr] | None = None


class _Append:
    def __init__(self, spec: AppendSpec) -> None:
        self.spec = spec
        k = self.k = GpuKernel(spec.name, threads=HEADS * LANES)
        x = k.buffer("X", "float32")
        latent = spec.how.latent
        v_in = k.buffer("V", "float32") if (spec.heads == "q" if latent else spec.heads == "kv") else x
        self.table = k.buffer("table", "float32") if spec.how.rotate else None
        q_norm = k.buffer("q_norm", "float32") if "q" in spec.how.normed and spec.heads != "kv" else None
        k_norm = k.buffer("k_norm", "float32") if "k" in spec.how.normed and spec.heads != "q" else None
        self.sinks = k.buffer("sinks", "float32") if spec.sinks else None
        self.slopes = k.buffer("slopes", "float32") if spec.slopes else None
        self.places = k.buffer("places", "int32") if spec.heads != "q" or spec.temperature else None
        self.q_out = k.buffer("Q", "float32x4") if spec.heads != "kv" else None
        if spec.heads != "q":
            self.k_pages = k.buffer("k_pages", spec.keys.quad)
            if not latent:
                self.v_pages = k.buffer("v_pages", spec.values.quad)
        names = ("tokens", "heads", "kv_heads", "head_dim", "half", "ld_table", "at_table", "ldx", "ldv")
        self.tokens, heads, kv_heads, self.head_dim, self.half, self.ld_table, self.at_table, ldx, ldv = (
            k.scalar(name) for name in names
        )
        offsets = [k.scalar(name) for name in ("off_q", "off_k", "off_v")]
        self.kv_heads, self.query_group = kv_heads, k.let(div(heads, kv_heads), "query_group")
        self.rows = k.workgroup(HEADS * spec.hp, "float32", "rows")
        self.partials = k.workgroup(HEADS * LANES, "float32", "partials")
        self.chunks = spec.hp // LANES
        if spec.kv_dtype == "int8":
            self.largest = k.workgroup(HEADS * self.chunks, "float32", "largest")

        h = k.let(div(k.thread, LANES), "h")
        self.lane, self.lanes_at = k.let(mod(k.thread, LANES), "l"), k.let(h * LANES, "lanes_at")
        self.row, self.chunks_at = k.let(h * spec.hp, "row"), k.let(h * self.chunks, "chunks_at")
        queries = heads if spec.heads != "kv" else tirx.IntImm("int32", 0)
        appended = kv_heads * (1 if latent else 2)
        total = k.let(queries + appended if spec.heads != "q" else queries, "total")
        job = k.let(k.group * HEADS + h, "job")
        token, head = k.let(div(job, total), "token"), k.let(mod(job, total), "head")
        self.there = k.let(token < self.tokens, "there")
        # Behind the last head the last token's are computed again, for nothing.
        self.token = k.let(tirx.min(token, self.tokens - 1), "token")
        self.is_query = k.let(head < queries, "is_query")
        self.is_value = k.let(head >= queries + kv_heads, "is_value")
        self.is_key = k.let(tirx.Not(tirx.Or(self.is_query, self.is_value)), "is_key")
        key_index = k.let(head - queries, "key_index")
        index = tirx.Select(self.is_value, key_index - kv_heads, tirx.Select(self.is_query, head, key_index))
        self.index = k.let(index, "index")
        self.kinds = []
        if spec.heads != "kv":
            normed = "q" in spec.how.normed
            turned = (v_in, ldv, offsets[2]) if latent else None
            self.kinds.append(_Kind(self.is_query, x, ldx, offsets[0], heads, normed, q_norm, turned))
        if spec.heads != "q":
            self.kinds.append(_Kind(self.is_key, x, ldx, offsets[1], kv_heads, bool(spec.how.norm), k_norm))
        if spec.heads != "q" and not latent:
            self.kinds.append(_Kind(self.is_value, v_in, ldv, offsets[2], kv_heads, spec.how.value_norm, None))

    def kernel(self) -> GpuKernel:
        if self.spec.kv_dtype == "int8" and self.spec.heads != "q":
            self.append_pairs()
        else:
            self.take(self.token)
            self.write(self.token, self.there)
        return self.k

    @contextmanager
    def over(self, size: Expr) -> Iterator[Expr]:
        """[0, size), shared by the invocations of a head."""
        with self.k.loop(self.lane, size, LANES) as i:
            yield i

    # -- a head's numbers, in workgroup memory
    def take(self, token: Expr) -> None:
        """The head of a token, normed, rotated and turned, into its row."""
        k, spec = self.k, self.spec
        for kind in self.kinds:
            with k.when(kind.here), self.over(spec.hp) as d:
                value = k.let(self.number(kind, token, k.let(tirx.min(d, self.head_dim - 1), "d")), "x")
                k.store(self.rows, self.row + d, tirx.Select(d < self.head_dim, value, f32(0.0)))
        normed, behind = any(kind.normed for kind in self.kinds), spec.how.norm == "rotated_head"
        if normed and not behind:
            self.norm(token)
        k.barrier()
        if self.table is not None:
            self.rotate(self.table, token)
            k.barrier()
        if normed and behind:
            self.norm(token)
            k.barrier()
        if spec.kv_dtype == "int8" and spec.how.turned:
            self.turn()

    def number(self, kind: _Kind, token: Expr, d: Expr) -> Expr:
        """Dimension d of the head, as the product left it."""
        row = token * kind.ld + kind.offset
        if kind.turned is None:
            return kind.x.load(row + self.index * self.head_dim + d)
        memory, ld, offset = kind.turned
        latent = self.spec.how.latent
        own = kind.x.load(row + self.index * round_up(latent, LANES) + tirx.min(d, latent - 1))
        at = token * ld + offset + self.index * (self.head_dim - latent) + tirx.max(d - latent, 0)
        return tirx.Select(d < latent, self.k.let(own, "own"), self.k.let(memory.load(at), "turned"))

    def norm(self, token: Expr) -> None:
        k, how = self.k, self.spec.how
        normed = [kind for kind in self.kinds if kind.normed]
        if how.norm == "head_layer":
            self.centre()
        for kind in normed:
            whole = how.norm == "full" and kind.norm is not None
            size = kind.heads * self.head_dim if whole else self.normed_dims
            memory, first = (kind.x, token * kind.ld + kind.offset) if whole else (self.rows, self.row)
            with k.when(kind.here):
                self.share(memory, k.let(first, "first"), k.let(size, "size"), lambda x: x * x)
        k.barrier()
        total = self.shared()
        for kind in normed:
            whole = how.norm == "full" and kind.norm is not None
            size = kind.heads * self.head_dim if whole else self.normed_dims
            mean = total / cast("float32", size)
            factor = k.let(f32(1.0) / builtin("sqrt", "float32", mean + f32(how.eps)), "factor")
            columns = {"full": self.index * self.head_dim, "head_layer": self.index * self.spec.hp}
            column = k.let(columns.get(how.norm or "", i32(0)), "column")
            with k.when(kind.here), self.over(self.normed_dims) as d:
                value = self.rows.load(self.row + d) * factor
                k.store(self.rows, self.row + d, value if kind.norm is None else value * kind.norm.load(column + d))

    @property
    def normed_dims(self) -> Expr:
        """Dimensions of a head that a norm is over."""
        return i32(self.spec.how.latent) if self.spec.how.norm == "latent" else self.head_dim

    def centre(self) -> None:
        """Takes their mean off the head's numbers."""
        k = self.k
        self.share(self.rows, self.row, self.head_dim, lambda x: x)
        k.barrier()
        mean = k.let(self.shared() / cast("float32", self.head_dim), "mean")
        k.barrier()
        with k.when(tirx.Not(self.is_value)), self.over(self.head_dim) as d:
            k.store(self.rows, self.row + d, self.rows.load(self.row + d) - mean)

    def share(self, memory: Memory, first: Expr, size: Expr, term: Callable[[Expr], Expr]) -> None:
        """Leaves this invocation's part of a sum over memory[first : first + size] for `shared`."""
        k, part = self.k, self.k.register("float32", f32(0.0))
        with self.over(size) as i:
            part.set(part.get() + term(k.let(memory.load(first + i), "x")))
        k.store(self.partials, self.lanes_at + self.lane, part.get())

    def shared(self) -> Expr:
        """What the head's invocations have left, together."""
        total = self.k.register("float32", f32(0.0))
        for i in range(LANES):
            total.set(total.get() + self.partials.load(self.lanes_at + i))
        return self.k.let(total.get(), "total")

    def rotate(self, table: Memory, token: Expr) -> None:
        k = self.k
        at = k.let(token * self.ld_table + self.at_table, "at")
        with k.when(tirx.Not(self.is_value)), self.over(self.half) as i:
            cos, sin = k.let(table.load(at + i), "cos"), k.let(table.load(at + self.half + i), "sin")
            first = k.let(self.row + self.spec.how.latent + i, "first")
            a, b = k.let(self.rows.load(first), "a"), k.let(self.rows.load(first + self.half), "b")
            k.store(self.rows, first, a * cos - b * sin)
            k.store(self.rows, first + self.half, b * cos + a * sin)

    def turn(self) -> None:
        """Queries and keys by the matrix of signs (-1)**popcount(i & j) within the dimensions of each scale, which
        spreads what is large over all of them and changes products of the two by a factor only."""
        k, span = self.k, 1
        while span < self.spec.keys.group:
            with k.when(tirx.Not(self.is_value)), self.over(self.spec.hp // 2) as pair:
                at = k.let(self.row + div(pair, span) * (2 * span) + mod(pair, span), "at")
                a, b = k.let(self.rows.load(at), "a"), k.let(self.rows.load(at + span), "b")
                k.store(self.rows, at, a + b)
                k.store(self.rows, at + span, a - b)
            k.barrier()
            span *= 2

    # -- to where it is read
    def write(self, token: Expr, active: Expr) -> None:
        """The row where queries or pages have it. Bytes: behind `measure`."""
        k, spec = self.k, self.spec
        if self.q_out is not None:
            scale = splat(k.let(self.q_scale(token), "scale"))
            kv, g = div(self.index, self.query_group), mod(self.index, self.query_group)
            about = [self.sinks, self.slopes]
            width = query_width(spec.hp, more=any(about)) // 4
            at = k.let(((kv * self.tokens + token) * self.query_group + g) * width, "at")
            with k.when(tirx.And(active, self.is_query)), self.over(spec.hp // 4) as quad:
                k.store(self.q_out, at + quad, self.quad(quad) * scale)
            if any(about):
                with k.when(tirx.And(tirx.And(active, self.is_query), tirx.EQ(self.lane, 0))):
                    own = [f32(0.0) if each is None else k.let(each.load(self.index), "own") for each in about]
                    k.store(self.q_out, at + spec.hp // 4, vector(*own, f32(0.0), f32(0.0)))
        if spec.heads == "q":
            return
        for pages, memory, here in self.appended():
            with k.when(tirx.And(active, here)):
                block, slot = self.block_of(pages, token)
                with self.over(pages.quads) as quad:
                    inverse = self.inverse(pages, quad) if pages.scaled else None
                    pages.store(k, memory, pages.at(block, slot, quad), k.let(self.quad(quad), "quad"), inverse)

    def q_scale(self, token: Expr) -> Expr:
        """What a token's queries are multiplied by."""
        k, spec = self.k, self.spec
        turned = spec.kv_dtype == "int8" and spec.how.turned
        scale = f32(spec.how.q_scale / (spec.keys.group if turned else 1))
        if spec.temperature is None:
            return scale
        assert self.places is not None
        rate, length, offset = spec.temperature
        far = div(self.places.load(token * PLACE_FIELDS + POSITION) + offset, length) + 1
        return scale * (f32(1.0) + f32(rate) * builtin("log", "float32", k.let(cast("float32", far), "far")))

    def appended(self) -> list[tuple[Pages, Memory, Expr]]:
        keys = (self.spec.keys, self.k_pages, self.is_key)
        return [keys] if self.spec.how.latent else [keys, (self.spec.values, self.v_pages, self.is_value)]

    def quad(self, index: Expr) -> Expr:
        at = self.k.let(self.row + index * 4, "at")
        return vector(*(self.rows.load(at + i) for i in range(4)))

    def block_of(self, pages: Pages, token: Expr) -> tuple[Expr, Expr]:
        """Where the block of a token's page begins, and its slot."""
        assert self.places is not None
        place = self.k.let(self.places.load(token * PLACE_FIELDS + PLACE), "place")
        block = (div(place, PAGE_TOKENS) * self.kv_heads + self.index) * pages.block
        return self.k.let(block, "block"), self.k.let(mod(place, PAGE_TOKENS), "slot")

    # -- bytes and their scales
    def append_pairs(self) -> None:
        """Numbers and scales of a token and of the one behind it, where both share words of scales."""
        assert self.places is not None
        k, token, places = self.k, self.token, self.places

        def place_of(token: Expr) -> Expr:
            return k.let(places.load(token * PLACE_FIELDS + PLACE), "place")

        own = place_of(token)
        before, behind = place_of(tirx.max(token - 1, 0)), place_of(tirx.min(token + 1, self.tokens - 1))
        odd = k.let(tirx.EQ(mod(own, 2), 1), "odd")
        led = k.let(tirx.And(odd, tirx.EQ(before, own - 1)), "led")  # the token before appends this one, too
        leads = k.let(tirx.And(self.there, tirx.Not(led)), "leads")
        paired = k.let(tirx.And(leads, tirx.And(tirx.Not(odd), tirx.EQ(behind, own + 1))), "paired")
        self.take(token)
        first = self.measure()
        self.write(token, k.let(tirx.Select(self.is_query, self.there, leads), "active"))
        k.barrier()
        following = k.let(tirx.min(token + 1, self.tokens - 1), "following")
        self.take(following)
        second = self.measure()
        self.write(following, k.let(tirx.And(paired, tirx.Not(self.is_query)), "active"))
        for pages, memory, here in self.appended():
            groups = pages.quads * 4 // pages.group
            for turn in range(-(-groups // LANES)):
                group = k.let(self.lane + turn * LANES, "group")
                with k.when(tirx.And(tirx.And(leads, here), group < groups)):
                    block, slot = self.block_of(pages, token)
                    word = k.let(pages.scale_word(block, slot, group), "word")
                    there = k.let(unpack_halves(memory.load(word)), "there")
                    low = tirx.Select(odd, lane(there, 0), first[turn])
                    high = tirx.Select(odd, first[turn], tirx.Select(paired, second[turn], lane(there, 1)))
                    k.store(memory, word, pack_halves(vector(k.let(low, "low"), k.let(high, "high"))))

    def measure(self) -> list[Expr]:
        """The largest magnitudes of a row's chunks of 16, for `inverse`; answers the scales of which the invocation is
        in charge: of every so many groups one."""
        k = self.k
        with self.over(self.chunks) as chunk:
            most = k.register("float32", f32(0.0))
            for i in range(LANES):
                most.set(tirx.max(most.get(), builtin("abs", "float32", self.rows.load(self.row + chunk * LANES + i))))
            k.store(self.largest, self.chunks_at + chunk, most.get())
        k.barrier()
        groups = self.spec.hp // self.spec.keys.group
        turns = (tirx.min(self.lane + turn * LANES, groups - 1) for turn in range(-(-groups // LANES)))
        return [self.scale(k.let(tirx.Select(self.is_key, group, 0), "group")) for group in turns]

    def scale(self, group: Expr) -> Expr:
        """Of a group of dimensions of the row, as f16 has it."""
        k, per_group = self.k, self.spec.keys.group // LANES
        begin = k.let(tirx.Select(self.is_key, group * per_group, 0), "begin")
        end = k.let(tirx.Select(self.is_key, begin + per_group, self.chunks), "end")
        most = k.register("float32", f32(0.0))
        with k.loop(begin, end) as chunk:
            most.set(tirx.max(most.get(), self.largest.load(self.chunks_at + chunk)))
        scale = k.let(tirx.min(most.get() * f32(1.0 / INT8_MAX), f32(F16_MAX)), "scale")
        halves = k.let(unpack_halves(pack_halves(vector(scale, f32(0.0)))), "halves")
        return k.let(lane(halves, 0), "kept")

    def inverse(self, pages: Pages, quad: Expr) -> Expr:
        kept = self.scale(self.k.let(div(quad * 4, pages.group), "group"))
        return self.k.let(tirx.Select(kept > f32(0.0), f32(1.0) / tirx.max(kept, f32(1e-8)), f32(0.0)), "inverse")
