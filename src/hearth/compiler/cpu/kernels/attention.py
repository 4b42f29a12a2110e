"""Attention over paged keys and values: fixed splits of the context, the queries of a group share each read.

The context is cut at absolute positions into *splits* of `split_tokens`. For each split a row (a token's query head)
gets the maximum of its scores, the sum of its weights and the weighted sum of values; splits are then folded one after
the other, in order, by one formula. So the bits of a result depend on the row and its context alone: not on the tile
it was computed in, nor on whether one item walked through all splits or each split was an item of its own.

A unit is an (item, KV head) pair. An item is a tile (up to `tile_tokens` tokens of one sequence) and a range of splits;
it either folds them itself, or (few tiles, long contexts) leaves them as partial results for `attention_merge`. Rows
and pages are taken a few at a time with their sums in registers. Positions later than the query, or out of its sliding
window, have no weight; pages wholly out of the window are not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.attention_fold import (
    LANES,
    MINUS_INFINITY,
    MOST_ROWS,
    UNSEEN,
    AttentionSpec,
    State,
    clear,
    fold,
    partial,
    write,
)
from hearth.compiler.cpu.kernels.attention_latent import KeyPages, Places, latent_values
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, f32, fma, i64
from hearth.compiler.cpu.kernels.halves import float_loader
from hearth.compiler.cpu.targets import Isa
from hearth.model.text.kv_cache import ITEM_BYTES, block_bytes, key_group
from hearth.quant.formats import round_up

ITEM_FIELDS = 8
"""first token, count, sequence, first split, end of splits, slot (-1: fold here), 0, 0"""
LINE_BYTES = 64
PAGES_AHEAD = 4
"""How far values are asked for before they are used: pages lie anywhere, so the processor cannot guess the next."""
MOST_PAGES = 4
"""Pages that scores are computed of at once."""


def attention(isa: Isa, spec: AttentionSpec, page_tokens: int) -> Kernel:
    """Buffers: Q f32 [kv][token][group][hp] (scaled); K, V pages (with `latent` no V pages, and one head in those of K,
    which all groups of queries share); items i32 [.][8]; positions i32; with `ahead`
    last_seen i32 (the last position that each token sees, which never falls within a sequence); block_table i32; with
    `sinks` sinks f32 [head], with `slopes` slopes f32 [head]; P f32 [slot][kv][group][partial_width]; O f32
    [token][ld]. Scalars: kv_heads, head_dim, tokens, stride, ld.
    Unit: item * kv_heads + kv head."""
    assert page_tokens == LANES
    assert spec.split_tokens % page_tokens == 0
    k = Kernel(spec.name)
    q = k.buffer("Q", "float32")
    kpages = k.buffer("k_pages", spec.kv_dtype)
    vpages = kpages if spec.latent else k.buffer("v_pages", spec.kv_dtype)
    items, positions = k.buffer("items", "int32"), k.buffer("positions", "int32")
    last_seen = k.buffer("last_seen", "int32") if spec.ahead else positions
    block_table = k.buffer("block_table", "int32")
    sinks = k.buffer("sinks", "float32") if spec.sinks else None
    slopes = k.buffer("slopes", "float32") if spec.slopes else None
    partials, out = k.buffer("P", "float32"), k.buffer("O", "float32")
    kv_heads, head_dim, tokens, stride, ld = (k.scalar(n) for n in ("kv_heads", "head_dim", "tokens", "stride", "ld"))
    hp, columns, group, width = spec.hp, spec.columns, spec.group, spec.split_tokens
    split_pages = width // page_tokens
    quantised = spec.kv_dtype == "int8"
    block = {kind: block_bytes(kind, spec.kv_dtype, hp) // ITEM_BYTES[spec.kv_dtype] for kind in "kv"}
    key_scales, value_scales = (
        (float_loader(isa, k, k.view(pages, "float16")) for pages in (kpages, vpages)) if quantised else (None, None)
    )
    value_scales = None if spec.latent else value_scales
    load_keys, load_values = float_loader(isa, k, kpages), float_loader(isa, k, vpages)
    numbers = hp * page_tokens  # of a block, before its scales
    dims = key_group(hp) if quantised else hp  # that share a scale
    memory = k.scratch("float32")
    at = spec.rows * width
    part = State(at, at + spec.rows * columns, at + spec.rows * (columns + 1))
    at += spec.rows * (columns + 2)
    state = State(at, at + spec.rows * columns, at + spec.rows * (columns + 1))
    in_lanes = round_up(at + spec.rows * (columns + 2), LANES)

    def unseen(position: Expr) -> Expr:
        """The last position before the window of a position."""
        if spec.chunked:
            return tirx.floordiv(position, i64(spec.window)) * i64(spec.window) - 1
        return position - i64(spec.window)

    with k.loop(k.begin, k.end) as unit:
        item = k.let(tirx.floordiv(unit, kv_heads) * ITEM_FIELDS, "item")
        kv = k.let(tirx.floormod(unit, kv_heads), "kv")
        first, count, sequence, begin, end, slot = (
            k.let(cast("int64", items.load(item + i)), name)
            for i, name in enumerate(("first", "count", "sequence", "begin", "end", "slot"))
        )
        folds = slot < 0
        table = k.let(sequence * stride, "table")
        rows = k.let(count * group, "rows")
        q_at = k.let((kv * tokens + first) * (group * hp), "q_at")
        first_pos = k.let(cast("int64", positions.load(first)), "first_pos")
        # Positions that have been written, as far as this tile sees them.
        seen_until = cast("int64", last_seen.load(first + count - 1)) + 1 if spec.ahead else first_pos + count
        filled = k.let(seen_until, "filled")
        lowest = tirx.max(unseen(first_pos) + 1, i64(0)) if spec.window else i64(0)
        page_begin = k.let(tirx.floordiv(lowest, i64(page_tokens)), "page_begin")
        page_end = k.let(tirx.floordiv(filled - 1, i64(page_tokens)) + 1, "page_end")

        def page_address(kind: str, page: Expr, table: Expr = table, kv: Expr = kv) -> Expr:
            number = cast("int64", block_table.load(table + page))
            return k.let((number if spec.latent else number * kv_heads + kv) * block[kind], "address")

        def scales(load: Callable[[Expr, int], Expr], address: Expr, group: Expr = 0) -> Expr:
            """Of the tokens of a page, f32."""
            at = tirx.floordiv(address + numbers, i64(2)) + group * page_tokens
            return k.let(load(at, LANES), "scales")

        line = LINE_BYTES // ITEM_BYTES[spec.kv_dtype]
        unroll = max(2, line // page_tokens)

        if spec.window:  # what folds splits itself passes over those before the window: they would change nothing
            seen = tirx.Select(folds, tirx.floordiv(page_begin, i64(split_pages)), i64(0))
            begin = k.let(tirx.max(begin, seen), "begin")
        clear(k, memory, state, rows, columns)
        with k.loop(begin, end) as split:
            start = k.let(tirx.max(split * split_pages, page_begin), "start")
            stop = k.let(tirx.min((split + 1) * split_pages, page_end), "stop")
            pages = k.let(tirx.max(stop - start, i64(0)), "pages")

            def page_ahead(kind: str, p: Expr, start: Expr = start, stop: Expr = stop) -> Expr:
                return page_address(kind, tirx.max(tirx.min(start + p, stop - 1), i64(0)))

            def scores(r0: Expr, n: int, pages: Expr = pages, start: Expr = start, q_at: Expr = q_at) -> None:
                def take(p: Expr, several: int) -> None:
                    addresses = [page_address("k", start + p + j) for j in range(several)]
                    next_ones = [page_ahead("k", p + several + j) for j in range(several)]
                    for address in next_ones if quantised else ():
                        k.prefetch(kpages, address + numbers, level=2)
                    for part in range(hp // dims):
                        sums = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in addresses] for _ in range(n)]
                        with k.loop(part * dims // unroll, (part + 1) * dims // unroll) as some:
                            for address in next_ones:
                                for at in range(0, unroll * page_tokens, line):
                                    k.prefetch(kpages, address + some * (unroll * page_tokens) + at, level=2)
                            for u in range(unroll):
                                d = some * unroll + u
                                keys = [k.let(load_keys(a + d * page_tokens, LANES), "key") for a in addresses]
                                for i in range(n):
                                    element = k.let(broadcast(q.load(q_at + (r0 + i) * hp + d), LANES), "q")
                                    for total, key in zip(sums[i], keys, strict=True):
                                        total.set(fma(key, element, total.get(), LANES))
                        for j, address in enumerate(addresses):
                            scale = scales(key_scales, address, part) if key_scales is not None else None
                            for i in range(n):
                                at = k.let((r0 + i) * width + (p + j) * page_tokens, "at")
                                value = sums[i][j].get()
                                if scale is not None:
                                    before = memory.load(at, LANES) if part > 0 else f32(0.0, LANES)
                                    value = k.let(fma(value, scale, before, LANES), "score")
                                if spec.softcap is not None and part == hp // dims - 1:
                                    value = vmath.softcap(k, value, spec.softcap, LANES)
                                k.store(memory, at, k.let(value, "score"))

                several = _power_of_two(min(isa.float_tile[1] // n, MOST_PAGES))
                with k.loop(0, tirx.floordiv(pages, i64(several))) as p:
                    take(p * several, several)
                if several > 1:
                    with k.loop(tirx.floordiv(pages, i64(several)) * several, pages) as p:
                        take(p, 1)

            def tokens_of(p: Expr, start: Expr = start) -> Expr:
                """Positions of a page's tokens."""
                return broadcast(cast("int32", (start + p) * page_tokens), LANES) + tirx.Ramp(
                    const("int32", 0), const("int32", 1), LANES
                )

            def hide(
                r: Expr, pages: Expr = pages, start: Expr = start, first_pos: Expr = first_pos, first: Expr = first
            ) -> None:
                """Minus infinity where row r may not look: in the pages at the ends of what it sees, and beyond."""
                token = tirx.floordiv(r, i64(group))
                position = k.let(first_pos + token, "position")
                last = k.let(cast("int64", last_seen.load(first + token)), "last") if spec.ahead else position

                def mask(p: Expr, seen: Callable[[Expr], Expr]) -> None:
                    at = k.let(r * width + p * page_tokens, "at")
                    value = tirx.Select(seen(tokens_of(p)), memory.load(at, LANES), f32(MINUS_INFINITY, LANES))
                    k.store(memory, at, value)

                own = k.let(tirx.floordiv(last, i64(page_tokens)) - start, "own")
                own = k.let(tirx.min(tirx.max(own, i64(0)), pages), "own")
                with k.loop(own, pages) as p:
                    mask(p, lambda token: token <= broadcast(cast("int32", last), LANES))
                if spec.window:
                    before = tirx.floordiv(unseen(position), i64(page_tokens)) + 1 - start
                    with k.loop(0, k.let(tirx.min(tirx.max(before, i64(0)), pages), "before")) as p:
                        mask(p, lambda token: token > broadcast(cast("int32", unseen(position)), LANES))

            def slope(r: Expr, slopes: Memory, pages: Expr = pages, kv: Expr = kv, first_pos: Expr = first_pos) -> None:
                """Adds to the scores of row r its slope for each token that lies between."""
                position = broadcast(cast("int32", first_pos + tirx.floordiv(r, i64(group))), LANES)
                own = k.let(broadcast(slopes.load(kv * group + tirx.floormod(r, i64(group))), LANES), "slope")
                with k.loop(0, pages) as p:
                    at = k.let(r * width + p * page_tokens, "at")
                    distance = k.let(cast("float32", tokens_of(p) - position, LANES), "distance")
                    k.store(memory, at, fma(distance, own, memory.load(at, LANES), LANES))

            def weigh(r: Expr, pages: Expr = pages, start: Expr = start) -> None:
                """Scores of row r become weights, relative to their maximum (times the scales of the values)."""
                peak = k.register("float32", LANES, f32(MINUS_INFINITY, LANES))
                with k.loop(0, pages) as p:
                    peak.set(tirx.max(peak.get(), memory.load(r * width + p * page_tokens, LANES)))
                highest = k.let(vmath.reduce_max(peak.get()), "highest")
                origin = k.let(broadcast(tirx.max(highest, f32(UNSEEN)), LANES), "origin")
                total = k.register("float32", LANES, f32(0.0, LANES))
                with k.loop(0, pages) as p:
                    score = k.let(memory.load(r * width + p * page_tokens, LANES), "score")
                    weight = vmath.exp(k, score - origin, LANES)
                    weight = k.let(tirx.Select(score < f32(2 * UNSEEN, LANES), f32(0.0, LANES), weight), "weight")
                    total.set(total.get() + weight)
                    if value_scales is not None:
                        weight = weight * scales(value_scales, page_address("v", start + p))
                    k.store(memory, r * width + p * page_tokens, k.let(weight, "weight"))
                k.store(memory, part.peak + r, highest)
                k.store(memory, part.total + r, vmath.reduce_sum(k, total.get(), LANES))

            def full_pages(pages: Expr = pages, start: Expr = start, filled: Expr = filled) -> Expr:
                """Slots after the last position may hold anything, NaN too: they are not read."""
                full = tirx.min(pages, tirx.floordiv(filled, i64(page_tokens)) - start)
                return k.let(tirx.max(full, i64(0)), "full")

            def latents(r0: Expr, n: int, pages: Expr = pages, start: Expr = start, filled: Expr = filled) -> None:
                full = full_pages()

                def scales_of(address: Expr, group: Expr) -> Expr:
                    assert key_scales is not None
                    return scales(key_scales, address, group)

                latent_values(
                    k,
                    memory,
                    KeyPages(lambda p: page_address("k", start + p), load_keys, scales_of if quantised else None, dims),
                    Places(lambda r, p: r * width + p * page_tokens, lambda r: part.out + r * columns, i64(in_lanes)),
                    rows=(r0, n),
                    columns=columns,
                    wide=min(_power_of_two(isa.float_tile[1] // n), LANES),
                    full=full,
                    pages=pages,
                    left=filled - (start + full) * page_tokens,
                )

            def values(r0: Expr, n: int, pages: Expr = pages, start: Expr = start, filled: Expr = filled) -> None:
                def add(sums: list[list[Any]], wide: range, p: Expr, address: Expr, t: Expr) -> None:
                    parts = [k.let(load_values(address + t * hp + c * LANES, LANES), "value") for c in wide]
                    for i in range(n):
                        weight = broadcast(memory.load((r0 + i) * width + p * page_tokens + t), LANES)
                        weight = k.let(weight, "weight")
                        for total, one in zip(sums[i], parts, strict=True):
                            total.set(fma(one, weight, total.get(), LANES))

                several = max(1, isa.float_tile[1] // n)
                for v in range(0, hp // LANES, several):
                    wide = range(v, min(v + several, hp // LANES))
                    sums = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in wide] for _ in range(n)]
                    full = full_pages()
                    with k.loop(0, full) as p:
                        address = page_address("v", start + p)
                        ahead = page_ahead("v", p + PAGES_AHEAD) if v == 0 else None
                        with k.loop(0, page_tokens // unroll) as some:
                            for at in range(0, unroll * hp, line) if ahead is not None else ():
                                k.prefetch(vpages, ahead + some * (unroll * hp) + at, level=2)
                            for u in range(unroll):
                                add(sums, wide, p, address, some * unroll + u)
                    with k.loop(full, pages) as p:
                        address = page_address("v", start + p)
                        with k.loop(0, filled - (start + p) * page_tokens) as t:
                            add(sums, wide, p, address, t)
                    for i in range(n):
                        for c, total in zip(wide, sums[i], strict=True):
                            k.store(memory, part.out + (r0 + i) * columns + c * LANES, total.get())

            _by_rows(k, rows, group, isa.float_tile[0], scores)
            # Values that are a part of the keys have just been read.
            with k.loop(0, i64(0) if spec.latent else tirx.min(pages, i64(PAGES_AHEAD))) as p:
                address = page_address("v", start + p)
                with k.loop(0, -(-block["v"] // line)) as at:
                    k.prefetch(vpages, address + at * line, level=2)
            with k.loop(0, rows) as r:
                hide(r)
                if slopes is not None:
                    slope(r, slopes)
                weigh(r)
            _by_rows(k, rows, group, min(isa.float_tile[0], MOST_ROWS), latents if spec.latent else values)

            with k.loop(0, rows) as r:
                peak, total = memory.load(part.peak + r), memory.load(part.total + r)

                def output(v: int, r: Expr = r) -> Expr:
                    return memory.load(part.out + r * columns + v, LANES)

                with k.when(folds):
                    fold(k, memory, state, r, columns, peak, total, output)
                with k.when(slot >= 0):
                    token = slot + (split - begin) * count + tirx.floordiv(r, i64(group))
                    to = partial(k, token, kv_heads, kv, r, spec)
                    for v in range(0, columns, LANES):
                        k.store(partials, to + v, output(v))
                    k.store(partials, to + columns, peak)
                    k.store(partials, to + columns + 1, total)

        with k.when(folds):
            write(k, memory, state, sinks, out, rows, first, kv, spec, head_dim, ld)
    return k


def _power_of_two(most: int) -> int:
    return 1 << (max(1, most).bit_length() - 1)


def row_pieces(group: int, most: int) -> list[list[int]]:
    """How the rows of a tile, `group` for each of its tokens, are taken at most `most` at a time.

    Several whole tokens at once, then fewer; or, where a token has too many rows, in parts of nearly equal size. Each
    inner list is what one step of the loop takes one after the other.
    """
    if group > most:
        parts = -(-group // most)
        return [[group // parts + (i < group % parts) for i in range(parts)]]
    tokens, pieces = most // group, []
    while tokens > 0:
        pieces.append([tokens * group])
        tokens //= 2
    return pieces


def _by_rows(k: Kernel, rows: Expr, group: int, most: int, body: Callable[[Expr, int], None]) -> None:
    """body(first row, how many) over all rows (a multiple of `group`)."""
    done: Expr = i64(0)
    for parts in row_pieces(group, most):
        size = sum(parts)
        times = k.let(tirx.floordiv(rows - done, i64(size)), "times")
        with k.loop(0, times) as i:
            r = done + i * size
            for n in parts:
                body(k.let(r, "r"), n)
                r = r + n
        done = k.let(done + times * size, "done")
