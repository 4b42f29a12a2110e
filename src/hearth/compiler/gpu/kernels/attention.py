"""What both kernels of attention over pages share, and the merge of the partial results that they leave.

The context is cut at absolute positions into *splits*. For each split a row (a token's query head) gets the maximum of
its scores, the sum of its weights and the weighted sum of values; splits are folded one after the other, in order, by
one formula. How a batch is cut into items therefore changes no result. Two kernels take items of different shapes:
`attention_decode.py` those of up to `FEW_TOKENS`, `attention_tile.py` those of more; each leaves the other's alone.

Queries f32 [kv_head][token][group][hp] (scaled, `append.py`), with sinks or slopes [hp + 4]: those of a query stand
behind it, since the kernels have no binding left for a further buffer. Partial results f32 [slot][kv_head][group]
[hp + 4]: output, maximum, sum, two that are not used.
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
from hearth.compiler.gpu.kernels.pages import KINDS, Pages
from hearth.compiler.gpu.kernels.tokens import LAST_SEEN, PLACE_FIELDS, POSITION
from hearth.compiler.physical import in_name
from hearth.model.text.kv_cache import PAGE_TOKENS, KvDtype
from hearth.quant.formats import LANES, round_up

ITEM_FIELDS = 8
"""first token, count, sequence, first split, end of splits, slot (-1: fold here), 0, 0"""
MERGE_FIELDS = 4
"""first token, count, first slot, splits"""
HIDDEN = -2.0e30
"""The score of what a row may not see."""
UNSEEN = -1.0e30
"""The maximum of a row that has seen nothing yet."""
FEW_TOKENS = 8
"""So many tokens of a sequence are faster one by one, all at the same time, than as rows of a tile that is mostly
empty: a drawn token and guesses at the next ones."""
_MERGED = 4
"""Splits whose partial results are loaded at once."""
NO_WINDOW = 1 << 30
"""The window of layers that see everything before them."""


@dataclass(frozen=True)
class AttentionSpec:
    """Attributes:
    group: query heads that share a KV head.
    hp: padded head size.
    split_tokens: of a split.
    softcap: of scores, if they have one.
    sinks: a logit for each head joins the softmax's denominator alone.
    slopes: scores fall with the distance, by a slope of each head (ALiBi).
    chunked: windows do not slide: a row sees its own multiple of the window.
    latent: values are the first so many numbers of the keys; 0: they are others.
    """

    group: int
    hp: int
    kv_dtype: KvDtype
    split_tokens: int
    softcap: float | None = None
    sinks: bool = False
    slopes: bool = False
    chunked: bool = False
    latent: int = 0

    @property
    def name(self) -> str:
        parts = [f"g{self.group}", f"h{self.hp}", f"s{self.split_tokens}", f"kv_{self.kv_dtype}"]
        parts += [] if self.softcap is None else [f"cap{in_name(self.softcap)}"]
        parts += [f"latent{self.latent}"] if self.latent else []
        return "_".join([*parts, *(name for name in ("sinks", "slopes", "chunked") if getattr(self, name))])

    @property
    def columns(self) -> int:
        """Of an output: a value, padded."""
        return round_up(self.latent, LANES) if self.latent else self.hp

    @property
    def quads(self) -> int:
        """Of a query and a key."""
        return self.hp // 4

    @property
    def value_quads(self) -> int:
        """Of a value and an output."""
        return self.columns // 4

    @property
    def query_quads(self) -> int:
        """Of a query, and what stands behind it."""
        return query_width(self.hp, more=self.sinks or self.slopes) // 4

    @property
    def partial_quads(self) -> int:
        """Of a row's partial result."""
        return self.value_quads + 1


def query_width(hp: int, *, more: bool) -> int:
    """Floats of one row of Q, behind which there may be more than its dimensions."""
    return hp + 4 * more


def partial_width(columns: int) -> int:
    """Floats of one row's partial result."""
    return columns + 4


class Attention:
    """Arguments and the item of one workgroup.

    Buffers: Q; K, V pages (of latent vectors K pages alone); items i32 [.][8]; places i32 [t][4] (`tokens.PLACE`);
    block_table i32 [seq][stride]; P; O f32 [token][ld]. Scalars: kv_heads, head_dim (of values), tokens, stride, ld,
    window, parts. Unit: (item, KV head, part of it).

    Attributes:
        part: which of the item's parts this workgroup computes.
        first, count: its tokens.
    """

    def __init__(self, k: GpuKernel, spec: AttentionSpec) -> None:
        self.k, self.spec = k, spec
        f16 = k.features.f16
        self.keys, self.values = (Pages(kind, spec.kv_dtype, spec.hp, f16) for kind in KINDS)
        if spec.latent:
            self.values = self.keys
        self.q = k.buffer("Q", "float32x4")
        self.k_pages = k.buffer("k_pages", self.keys.quad)
        self.v_pages = self.k_pages if spec.latent else k.buffer("v_pages", self.values.quad)
        items, self.places = k.buffer("items", "int32"), k.buffer("places", "int32")
        self.block_table = k.buffer("block_table", "int32")
        self.partials, self.out = k.buffer("P", "float32x4"), k.buffer("O", "float32")
        names = ("kv_heads", "head_dim", "tokens", "stride", "ld", "window", "parts")
        self.kv_heads, self.head_dim, self.tokens, stride, self.ld, self.window, parts = (k.scalar(n) for n in names)
        unit = k.let(div(k.group, parts), "unit")
        self.part, self.kv = k.let(mod(k.group, parts), "part"), k.let(mod(unit, self.kv_heads), "kv")
        item = k.let(div(unit, self.kv_heads) * ITEM_FIELDS, "item")
        fields = ("first", "count", "sequence", "begin", "end", "slot")
        self.first, self.count, sequence, begin, self.end, self.slot = (
            k.let(items.load(item + i), name) for i, name in enumerate(fields)
        )
        self.folds = k.let(self.slot < 0, "folds")
        self.table = k.let(sequence * stride, "table")
        # What folds splits itself passes over those before the window, which would change nothing.
        seen = tirx.Select(self.folds, div(self.lowest(i32(0)), spec.split_tokens), i32(0))
        self.begin = k.let(tirx.max(begin, seen), "begin")

    def position(self, token: Expr) -> Expr:
        """Of a token of the item."""
        return self.places.load((self.first + token) * PLACE_FIELDS + POSITION)

    def lowest(self, token: Expr) -> Expr:
        """The first position that a token sees."""
        position = self.position(token)
        if self.spec.chunked:
            return self.k.let(div(position, self.window) * self.window, "lowest")
        return self.k.let(tirx.max(position - self.window + 1, 0), "lowest")

    def last(self, token: Expr) -> Expr:
        """The last position that a token sees."""
        return self.k.let(self.places.load((self.first + token) * PLACE_FIELDS + LAST_SEEN), "last")

    def page(self, position: Expr) -> Expr:
        """The block of a position, counted over all pages and KV heads."""
        page = self.block_table.load(self.table + div(position, PAGE_TOKENS))
        return self.k.let(page * self.kv_heads + self.kv, "page")

    def score(self, value: Expr, lanes: int = 1) -> Expr:
        """A score as the softmax takes it."""
        return value if self.spec.softcap is None else vmath.softcap(self.k, value, self.spec.softcap, lanes)

    def row(self, token: Expr) -> Expr:
        """The first row of a token and this KV head in Q."""
        return (self.kv * self.tokens + self.first + token) * self.spec.group

    def query(self, row: Expr, quad: Expr) -> Expr:
        """A quad of a row of Q."""
        return self.q.load(row * self.spec.query_quads + quad)

    def sink(self, row: Expr) -> Expr | None:
        """The logit that joins the denominator of a row of Q, where there are such."""
        return self.k.let(lane(self.query(row, i32(self.spec.quads)), 0), "sink") if self.spec.sinks else None

    def slope(self, row: Expr) -> Expr:
        """By how much the scores of a row of Q fall with each token; 0 where they do not."""
        if not self.spec.slopes:
            return f32(0.0)
        return self.k.let(lane(self.query(row, i32(self.spec.quads)), 1), "slope")


class Fold:
    """What one row (or a part of its dimensions) has of the splits so far, in registers."""

    def __init__(self, k: GpuKernel, quads: int) -> None:
        self.k = k
        self.peak = k.register("float32", f32(UNSEEN))
        self.total = k.register("float32", f32(0.0))
        self.out = [k.register("float32x4", f32(0.0, 4)) for _ in range(quads)]

    def add(self, peak: Expr, total: Expr, outputs: list[Expr]) -> None:
        """One more split: its maximum, sum and weighted values."""
        k, before = self.k, self.peak.get()
        now = k.let(tirx.max(before, peak), "now")
        old = k.let(builtin("exp", "float32", before - now), "old")
        new = k.let(builtin("exp", "float32", peak - now), "new")
        self.total.set(fma(total, new, self.total.get() * old))
        for sums, output in zip(self.out, outputs, strict=True):
            sums.set(fma(output, splat(new), sums.get() * splat(old), 4))
        self.peak.set(now)

    def results(self, sink: Expr | None = None) -> list[Expr]:
        """The outputs over the sum of weights, the sink's among them."""
        k, share, total = self.k, f32(1.0), self.total.get()
        if sink is not None:
            peak = self.peak.get()
            highest = k.let(tirx.max(peak, sink), "highest")
            share = k.let(builtin("exp", "float32", peak - highest), "share")
            total = fma(total, share, builtin("exp", "float32", sink - highest))
        inverse = k.let(share / total, "inverse")
        return [self.k.let(sums.get() * splat(inverse), "o") for sums in self.out]


def partial_place(a: Attention, split: Expr, token: Expr, head: Expr) -> Expr:
    """Where the partial result of a split and a row, a token of the item and a query head of the group, begins."""
    slot = a.slot + (split - a.begin) * a.count + token
    return a.k.let(((slot * a.kv_heads + a.kv) * a.spec.group + head) * a.spec.partial_quads, "place")


def store_columns(k: GpuKernel, out: Memory, row: Expr, quad: Expr, value: Expr, head_dim: Expr) -> None:
    """Four columns of a head, as far as it has them; `row`: where it begins."""
    for i in range(4):
        with k.when(quad * 4 + i < head_dim):
            k.store(out, row + quad * 4 + i, lane(value, i))


def stats(peak: Expr, total: Expr) -> Expr:
    """The quad of a partial result with its maximum and sum."""
    return vector(peak, total, f32(0.0), f32(0.0))


def merge_name(group: int, columns: int, *, sinks: bool = False) -> str:
    return f"attention_merge_g{group}_h{columns}{'_sinks' if sinks else ''}"


def attention_merge(group: int, columns: int, *, sinks: bool = False) -> GpuKernel:
    """Folds the partial results of a tile, of so many columns, in the order of their splits.

    Buffers: P; merges i32 [.][4]; [sinks f32 [head]]; O f32 [token][ld]. Scalars: kv_heads, head_dim, ld. Unit: (merge,
    KV head).
    """
    threads, quads = 128, columns // 4
    k = GpuKernel(merge_name(group, columns, sinks=sinks), threads=threads)
    partials, merges = k.buffer("P", "float32x4"), k.buffer("merges", "int32")
    logits = k.buffer("sinks", "float32") if sinks else None
    out = k.buffer("O", "float32")
    kv_heads, head_dim, ld = (k.scalar(name) for name in ("kv_heads", "head_dim", "ld"))
    merge = k.let(div(k.group, kv_heads) * MERGE_FIELDS, "merge")
    kv = k.let(mod(k.group, kv_heads), "kv")
    first, count, slot, splits = (
        k.let(merges.load(merge + i), name) for i, name in enumerate(("first", "count", "slot", "splits"))
    )
    with k.loop(k.thread, count * (group * quads), threads) as at:
        row, quad = k.let(div(at, quads), "row"), k.let(mod(at, quads), "quad")
        token, g = k.let(div(row, group), "token"), k.let(mod(row, group), "g")
        fold = Fold(k, 1)
        with k.loop(0, splits, _MERGED) as first_split:
            # Loads do not wait for what comes before; of splits beyond the last nothing is taken.
            parts = []
            for i in range(_MERGED):
                split = tirx.min(first_split + i, splits - 1)
                place = (((slot + split * count + token) * kv_heads + kv) * group + g) * (quads + 1)
                place = k.let(place, "place")
                parts.append([k.let(partials.load(place + at), "part") for at in (quads, quad)])
            for i, (about, output) in enumerate(parts):
                with k.when(first_split + i < splits):
                    fold.add(lane(about, 0), lane(about, 1), [output])
        head = k.let(kv * group + g, "head")
        (value,) = fold.results(None if logits is None else k.let(logits.load(head), "sink"))
        to = k.let((first + token) * ld + head * head_dim, "to")
        store_columns(k, out, to, quad, value, head_dim)
    return k
