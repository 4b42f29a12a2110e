"""Attention over paged keys and values: blocks of tokens, online softmax, the queries of a group share each read.

One unit is a (tile, KV head) pair: the tile's tokens times the query heads of that KV head are its *rows*. For each
block of context the kernel computes all scores, then the block's part of the softmax, then adds the values; memory for
that is the thread's scratch. Rows are taken a few at a time with their accumulators in registers. Masked positions
(later than the query, or out of its sliding window) score minus infinity; blocks wholly out of the window are not read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.kernels import vmath
from hearth.compiler.kernels.builder import Expr, Kernel, broadcast, cast, const, f32, fma, i64, in_name
from hearth.compiler.targets import Isa

LANES = 16
BLOCK_PAGES = 8
"""Pages of a block of context: 128 tokens with pages of 16."""
MINUS_INFINITY = -3.0e38


@dataclass(frozen=True)
class AttentionSpec:
    window: int | None
    softcap: float | None
    tile_tokens: int
    group: int
    hp: int
    kv_dtype: str = "float16"

    @property
    def name(self) -> str:
        parts = ["attention", f"g{self.group}", f"h{self.hp}", f"t{self.tile_tokens}", f"kv{self.kv_dtype[5:]}"]
        if self.window:
            parts.append(f"w{self.window}")
        if self.softcap:
            parts.append(f"cap{in_name(self.softcap)}")
        return "_".join(parts)

    def scratch_bytes(self, page_tokens: int) -> int:
        """Scores, outputs, running maxima and sums of all rows of a tile."""
        rows = self.tile_tokens * self.group
        return 4 * rows * (BLOCK_PAGES * page_tokens + self.hp + 2 * LANES) + 256


def attention(isa: Isa, spec: AttentionSpec, page_tokens: int) -> Kernel:
    """Buffers: Q f32 [kv][token][group][hp] (scaled); K, V pages; tiles i32 [.][4]; positions i32; block_table i32;
    O f32 [token][ld]. Scalars: kv_heads, head_dim, tokens, stride, ld. Unit: tile * kv_heads + kv head."""
    assert page_tokens == LANES
    k = Kernel(spec.name)
    q = k.buffer("Q", "float32")
    kpages, vpages = k.buffer("k_pages", spec.kv_dtype), k.buffer("v_pages", spec.kv_dtype)
    tiles, positions = k.buffer("tiles", "int32"), k.buffer("positions", "int32")
    block_table, out = k.buffer("block_table", "int32"), k.buffer("O", "float32")
    kv_heads, head_dim, tokens, stride, ld = (k.scalar(n) for n in ("kv_heads", "head_dim", "tokens", "stride", "ld"))
    hp, group = spec.hp, spec.group
    width = BLOCK_PAGES * page_tokens
    max_rows = spec.tile_tokens * group
    memory = k.scratch("float32")
    at_out = max_rows * width  # [rows][hp]
    at_max = at_out + max_rows * hp
    at_sum = at_max + max_rows

    with k.loop(k.begin, k.end) as unit:
        tile = k.let(tirx.floordiv(unit, kv_heads), "tile")
        kv = k.let(tirx.floormod(unit, kv_heads), "kv")
        first = k.let(cast("int64", tiles.load(tile * 4)), "first")
        count = k.let(cast("int64", tiles.load(tile * 4 + 1)), "count")
        table = k.let(cast("int64", tiles.load(tile * 4 + 2)) * stride, "table")
        rows = k.let(count * group, "rows")
        q_at = k.let((kv * tokens + first) * (group * hp), "q_at")
        first_pos = k.let(cast("int64", positions.load(first)), "first_pos")
        last_pos = k.let(first_pos + count - 1, "last_pos")

        with k.loop(0, rows) as r:
            k.store(memory, at_max + r, f32(MINUS_INFINITY))
            k.store(memory, at_sum + r, f32(0.0))
            for v in range(hp // LANES):
                k.store(memory, at_out + r * hp + v * LANES, f32(0.0, LANES))

        lowest = tirx.max(first_pos - (spec.window - 1), i64(0)) if spec.window else i64(0)
        page_begin = k.let(tirx.floordiv(lowest, i64(page_tokens)), "page_begin")
        page_end = k.let(tirx.floordiv(last_pos, i64(page_tokens)) + 1, "page_end")
        num_blocks = tirx.floordiv(page_end - page_begin + (BLOCK_PAGES - 1), i64(BLOCK_PAGES))
        with k.loop(0, num_blocks) as block:
            start = k.let(page_begin + block * BLOCK_PAGES, "start")
            pages = k.let(tirx.min(i64(BLOCK_PAGES), page_end - start), "pages")

            def page_address(p: Expr, table: Expr = table, start: Expr = start, kv: Expr = kv) -> Expr:
                page = cast("int64", block_table.load(table + start + p))
                return k.let((page * kv_heads + kv) * (hp * page_tokens), "page")

            def scores(r0: Expr, n: int, pages: Expr = pages, start: Expr = start, q_at: Expr = q_at,
                       first_pos: Expr = first_pos, last_pos: Expr = last_pos) -> None:  # fmt: skip
                with k.loop(0, pages) as p:
                    address = page_address(p)
                    # Two sums a row, over even and odd dimensions: one chain of additions would wait for itself.
                    sums = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in range(2)] for _ in range(n)]
                    with k.loop(0, hp // 2) as pair:
                        for odd in range(2):
                            d = pair * 2 + odd
                            key = k.let(cast("float32", kpages.load(address + d * page_tokens, LANES), LANES), "key")
                            for i in range(n):
                                element = broadcast(q.load(q_at + (r0 + i) * hp + d), LANES)
                                sums[i][odd].set(fma(key, element, sums[i][odd].get(), LANES))
                    token0 = k.let((start + p) * page_tokens, "token0")
                    for i, (even, odds) in enumerate(sums):
                        value = k.let(even.get() + odds.get(), "score")
                        if spec.softcap is not None:
                            value = vmath.softcap(k, value, spec.softcap, LANES)
                        position = k.let(cast("int32", first_pos + tirx.floordiv(r0 + i, i64(group))), "position")
                        token = broadcast(cast("int32", token0), LANES) + tirx.Ramp(
                            const("int32", 0), const("int32", 1), LANES
                        )
                        token = k.let(token, "token")
                        value = tirx.Select(token <= broadcast(position, LANES), value, f32(MINUS_INFINITY, LANES))
                        if spec.window:
                            inside = token > broadcast(position - spec.window, LANES)
                            value = tirx.Select(inside, value, f32(MINUS_INFINITY, LANES))
                        k.store(memory, (r0 + i) * width + p * page_tokens, k.let(value, "score"))

            def weigh(r: Expr, pages: Expr = pages) -> None:
                """Online softmax: scores of row r become weights, and what is summed so far is rescaled."""
                peak = k.register("float32", LANES, f32(MINUS_INFINITY, LANES))
                with k.loop(0, pages) as p:
                    peak.set(tirx.max(peak.get(), memory.load(r * width + p * page_tokens, LANES)))
                before = k.let(memory.load(at_max + r), "before")
                # At least -1e38, so that a row with nothing to see yet gives weights of exp(-2e38) -> 0 and not of 1.
                now = k.let(tirx.max(tirx.max(before, vmath.reduce_max(peak.get())), f32(-1.0e38)), "now")
                total = k.register("float32", LANES, f32(0.0, LANES))
                with k.loop(0, pages) as p:
                    score = k.let(memory.load(r * width + p * page_tokens, LANES), "score")
                    hidden = score < f32(-2.0e38, LANES)
                    weight = vmath.exp(k, score - broadcast(now, LANES), LANES)
                    weight = k.let(tirx.Select(hidden, f32(0.0, LANES), weight), "weight")
                    k.store(memory, r * width + p * page_tokens, weight)
                    total.set(total.get() + weight)
                shrink = k.let(vmath.exp(k, k.let(before - now, "step"), 1), "shrink")
                k.store(memory, at_max + r, now)
                k.store(memory, at_sum + r, memory.load(at_sum + r) * shrink + vmath.reduce_sum(k, total.get(), LANES))
                with k.when(tirx.NE(before, now)):
                    for v in range(hp // LANES):
                        at = k.let(at_out + r * hp + v * LANES, "at")
                        k.store(memory, at, memory.load(at, LANES) * broadcast(shrink, LANES))

            def values(r0: Expr, n: int, pages: Expr = pages, start: Expr = start, last_pos: Expr = last_pos) -> None:
                step = max(1, isa.float_tile[1] // n)
                for v in range(0, hp // LANES, step):
                    wide = range(v, min(v + step, hp // LANES))
                    sums = [
                        [
                            k.register("float32", LANES, memory.load(at_out + (r0 + i) * hp + c * LANES, LANES))
                            for c in wide
                        ]
                        for i in range(n)
                    ]
                    with k.loop(0, pages) as p:
                        address = page_address(p)
                        # Slots after the last position may hold anything, NaN too: they are not read.
                        filled = tirx.min(i64(page_tokens), last_pos + 1 - (start + p) * page_tokens)
                        with k.loop(0, filled) as t:
                            parts = [
                                k.let(cast("float32", vpages.load(address + t * hp + c * LANES, LANES), LANES), "value")
                                for c in wide
                            ]
                            for i in range(n):
                                weight = broadcast(memory.load((r0 + i) * width + p * page_tokens + t), LANES)
                                weight = k.let(weight, "weight")
                                for total, part in zip(sums[i], parts, strict=True):
                                    total.set(fma(part, weight, total.get(), LANES))
                    for i in range(n):
                        for c, total in zip(wide, sums[i], strict=True):
                            k.store(memory, at_out + (r0 + i) * hp + c * LANES, total.get())

            _by_rows(k, rows, group, isa.float_tile[0], scores)
            with k.loop(0, rows) as r:
                weigh(r)
            _by_rows(k, rows, group, isa.float_tile[0], values)

        with k.loop(0, rows) as r:
            inverse = k.let(f32(1.0) / memory.load(at_sum + r), "inverse")
            token = first + tirx.floordiv(r, i64(group))
            to = k.let(token * ld + (kv * group + tirx.floormod(r, i64(group))) * head_dim, "to")
            with k.loop(0, tirx.floordiv(head_dim, i64(LANES))) as v:
                value = memory.load(at_out + r * hp + v * LANES, LANES) * broadcast(inverse, LANES)
                k.store(out, to + v * LANES, k.let(value, "o"))
            with k.loop(tirx.floordiv(head_dim, i64(LANES)) * LANES, head_dim) as d:
                k.store(out, to + d, memory.load(at_out + r * hp + d) * inverse)
    return k


def _by_rows(k: Kernel, rows: Expr, group: int, most: int, body: Callable[[Expr, int], None]) -> None:
    """body(first row, how many) over all rows, at most `most` at a time.

    There are `group` rows for each token of the tile, so whole groups are taken: a decode step is one piece. A group
    larger than `most` is cut in pieces of `most` and what is left by halves.
    """
    if group <= most:
        size = most // group * group
        with k.loop(0, tirx.floordiv(rows, i64(size))) as r:
            body(r * size, size)
        if size > group:
            with k.loop(tirx.floordiv(rows, i64(size)) * (size // group), tirx.floordiv(rows, i64(group))) as r:
                body(r * group, group)
        return
    with k.loop(0, tirx.floordiv(rows, i64(most))) as r:
        body(r * most, most)
    size = most
    while size > 1:
        size //= 2
        with k.when(tirx.EQ(tirx.floormod(tirx.floordiv(rows, i64(size)), i64(2)), i64(1))):
            body(k.let(tirx.floordiv(rows, i64(2 * size)) * (2 * size), "r"), size)
