"""Tiles of int32 sums over all of K: how each instruction set multiplies some rows of bytes with some rows of a weight.

Where a scale belongs to a whole weight row and to a whole row of activations, nothing but integers is added up along K,
so a tile of sums stays in registers from the first column to the last. A tile is some rows of activations times one or
two blocks of 16 weight rows. Its sums are exact, so they do not depend on the instruction set, nor on their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tvm import tirx

from hearth.compiler.cpu.kernels import dot
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, bitcast, const, i64
from hearth.compiler.cpu.targets import DotKind, Isa

LANES = 16
QUAD_BYTES = 4 * LANES
UNIT_BLOCKS = 2
"""Blocks of 16 weight rows that an item of a product has."""
UNIT_COLUMNS = UNIT_BLOCKS * LANES
MAX_ROWS = 32
"""Rows of activations in the largest tile of any instruction set."""
SUMS_BYTES = MAX_ROWS * UNIT_COLUMNS * 4
"""Of the scratch that holds a tile's sums, int32 [rows][32], from its beginning."""
MATRIX_BYTES = 256
"""Of scratch that a matrix unit has for itself, behind the sums."""
_GROUP, _UNROLL, _PAIR = 8, 4, 2
"""Quads that the loops below take at once."""


@dataclass(frozen=True)
class Operands:
    """What a tile multiplies, and where its sums go.

    Attributes:
        activations: prepared ones as int32: quads of bytes, unsigned where `Isa.unsigned_activations`.
        word: the index of the first row's first quad.
        quads: of a row, K / 4: a multiple of `quad_multiple`.
        weights: signed bytes.
        blocks: for each block of 16 weight rows, where its quad vectors begin.
        starts: (block, lane, lanes) -> what the sums of these weight rows begin at, int32; None: zeros.
        sums: this thread's scratch, as int32.
        steps: for weights whose groups of 32 columns have integer scales that are not in the bytes (`steps_apart`):
            (block, group, part) -> that scale in both words of each lane, int32.
        ahead: (quad, quads) asks for what is read later while these quads are multiplied; called once for each quad.
        first: which block of the unit `blocks` begin with.
        keep: (row, block, lane, vector) does something else with a finished vector than to put it in `sums`.
        positive: activations are bytes from 0 on: none needs its weight's sign.
        row_stride, quad_stride: from one row or quad of the activations to the next; None: rows follow each other, and
            the quads of a row do.
    """

    activations: Memory
    word: Expr
    quads: Expr
    weights: Memory
    blocks: list[Expr]
    starts: Callable[[int, int, int], Expr] | None
    sums: Memory
    ahead: Callable[[Expr, int], None]
    steps: Callable[[int, Expr, int], Expr] | None = None
    first: int = 0
    keep: Callable[[int, int, int, Expr], None] | None = None
    positive: bool = False
    row_stride: Expr | None = None
    quad_stride: Expr | None = None

    def at(self, block: int, quad: Expr, offset: int = 0) -> Expr:
        """Where a quad vector of a block stands, `offset` bytes into it."""
        return self.blocks[block] + quad * QUAD_BYTES + offset

    def quad(self, row: int, quad: Expr) -> Expr:
        """The index of a quad of a row."""
        stride = self.quads if self.row_stride is None else self.row_stride
        return self.word + stride * row + (quad if self.quad_stride is None else quad * self.quad_stride)

    def start(self, block: int, lane: int, lanes: int) -> Expr:
        return const("int32", 0, lanes) if self.starts is None else self.starts(self.first + block, lane, lanes)

    def step(self, block: int, group: Expr, part: int) -> Expr:
        assert self.steps is not None
        return self.steps(self.first + block, group, part)

    def put(self, k: Kernel, row: int, block: int, lane: int, sums: Expr) -> None:
        """Keeps a finished vector of int32."""
        if self.keep is not None:
            self.keep(row, self.first + block, lane, sums)
            return
        k.store(self.sums, i64(row * UNIT_COLUMNS + (self.first + block) * LANES + lane), sums)

    def some(self, first: int, count: int) -> Operands:
        """The same with some of the unit's blocks alone."""
        return replace(self, blocks=self.blocks[first : first + count], first=first)

    def look_ahead(self, block: int, part: int, quad: Expr, quads: int) -> None:
        """Calls `ahead` where these are the unit's first weight rows: an instruction set may go through K several
        times."""
        if self.first + block + part == 0:
            self.ahead(quad, quads)


def steps_apart(isa: Isa) -> bool:
    """Whether the integer scales of groups of 4-bit weights stay out of the bytes that are multiplied: where products
    are summed in 16 bits, which then hold those of a whole group."""
    return isa.dot in _STEPPED


def takes_unsigned(isa: Isa, is_stepped: bool) -> bool:
    """Whether sums are of unsigned activations, and begin at -128 times those of the weights."""
    return isa.unsigned_activations or (is_stepped and isa.dot == "maddubs")


_Tile = Callable[[Isa, Kernel, int, Operands], None]
"""Writes out a tile of so many rows of activations."""


def compute(isa: Isa, k: Kernel, count: Expr, x: Operands, most: int) -> None:
    """Sums of `count` rows of activations, 1 to `most`, with all blocks of a unit: a piece of code for each number."""
    for rows in range(1, most + 1):
        with k.when(count == i64(rows)):
            tile(isa, k, rows, x)


def tile(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """Sums of so many rows of activations with all blocks, as many at once as there are registers for."""
    chosen = _STEPPED[isa.dot] if x.steps is not None else _TILES.get(isa.dot, _grouped)
    for first in range(0, len(x.blocks), isa.tile[1]):
        chosen(isa, k, rows, x.some(first, isa.tile[1]))


def quad_multiple(isa: Isa) -> int:
    """What the quads of a row must be a multiple of."""
    return {"vpdpbusd": _UNROLL, "sdot": _UNROLL, "smmla": _UNROLL, "maddubs": _PAIR}.get(isa.dot, _GROUP)


def _two_quads(x: Operands, eights: Memory, row: int, quad: Expr) -> Expr:
    """A quad and the next as one int64; `eights`: the activations as such."""
    if x.quad_stride is None:
        return eights.load(tirx.floordiv(x.quad(row, quad), i64(2)))
    return dot.eight([x.activations.load(x.quad(row, quad + i)) for i in (0, 1)], 0)


def _parts(isa: Isa, x: Operands) -> list[tuple[int, int]]:
    """(block, part): the vectors that make up the blocks of weight rows."""
    return [(block, part) for block in range(len(x.blocks)) for part in range(isa.parts)]


def _accumulating(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """The instruction adds four products to each lane: a register for each sum, each weight read once for all rows."""
    parts, unroll = _parts(isa, x), _UNROLL
    # An instruction takes 4 or 5 cycles and there are two units for it: with few rows every other quad has sums of its
    # own, where the registers hold them.
    chains = 2 if rows * len(parts) < 12 and 2 * rows <= isa.tile[0] + 1 else 1
    sums: list[list[list[Register]]] = []
    for _ in range(rows):
        sums.append([])
        for block, part in parts:
            first = x.start(block, part * isa.rows, isa.rows)
            others = [const("int32", 0, isa.rows)] * (chains - 1)
            sums[-1].append([k.register("int32", isa.rows, value) for value in (first, *others)])
    with k.loop(0, tirx.floordiv(x.quads, i64(unroll))) as step:
        x.look_ahead(0, 0, step * unroll, unroll)
        for u in range(unroll):
            quad = k.let(step * unroll + u, "quad")
            weights = [k.let(x.weights.load(x.at(b, quad, p * isa.width), isa.width), "weights") for b, p in parts]
            for row in range(rows):
                a = k.let(dot.spread(isa, x.activations.load(x.quad(row, quad))), "a")
                for chain, weight in zip(sums[row], weights, strict=True):
                    total = chain[u % chains]
                    total.set(dot.accumulate(isa, total.get(), a, weight, 8))
    for row in range(rows):
        for (block, part), chain in zip(parts, sums[row], strict=True):
            value = chain[0].get()
            for other in chain[1:]:
                value = value + other.get()
            x.put(k, row, block, part * isa.rows, value)


def _signed(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """AVX2 multiplies unsigned bytes by signed ones and adds pairs in 16 bits with saturation: magnitudes by
    activations that took the weights' signs, at most 2 * 127 * 127, never saturate. Four instructions for 32 products
    (three where activations have no signs to take); bytes widened to words, or weights of 7 bits and the eighth apart,
    take as many multiplications and more."""
    unroll = _PAIR
    ones = const("int16", 1, isa.width // 2)
    for block, part in _parts(isa, x):
        sums = [k.register("int32", isa.rows, const("int32", 0, isa.rows)) for _ in range(rows)]
        with k.loop(0, tirx.floordiv(x.quads, i64(unroll))) as step:
            x.look_ahead(block, part, step * unroll, unroll)
            for u in range(unroll):
                quad = k.let(step * unroll + u, "quad")
                weights = k.let(x.weights.load(x.at(block, quad, part * isa.width), isa.width), "weights")
                size = None if x.positive else k.let(dot.sign(weights, weights), "size")
                for row, total in enumerate(sums):
                    a = dot.spread(isa, x.activations.load(x.quad(row, quad)))
                    pairs = dot.maddubs(a, weights) if size is None else dot.maddubs(size, dot.sign(a, weights))
                    total.set(total.get() + dot.madd(pairs, ones))
        for row, total in enumerate(sums):
            x.put(k, row, block, part * isa.rows, total.get())


def _paired(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """Arm's i8mm: one instruction multiplies two rows of 8 columns with two others, so rows go in pairs; an odd one is
    paired with itself."""
    if rows == 1:
        _accumulating(isa, k, rows, x)
        return
    pairs = [(row, min(row + 1, rows - 1)) for row in range(0, rows, 2)]
    eights = k.view(x.activations, "int64")
    halves = (0, 1)  # of a vector's four weight rows
    for block in range(len(x.blocks)):
        zero = const("int32", 0, 4)
        sums = [[[k.register("int32", 4, zero) for _ in halves] for _ in range(isa.parts)] for _ in pairs]
        with k.loop(0, tirx.floordiv(x.quads, i64(_PAIR))) as step:
            x.look_ahead(block, 0, step * _PAIR, _PAIR)
            activations = []
            for pair in pairs:
                both = [_two_quads(x, eights, row, step * _PAIR) for row in pair]
                activations.append(k.let(bitcast("int8", dot.pick(both, (0, 1)), 16), "pair"))
            for part in range(isa.parts):
                quads = [bitcast("int32", x.weights.load(x.at(block, step * 2 + i, part * 16), 16), 4) for i in (0, 1)]
                quads = [k.let(quad, "quad") for quad in quads]
                for half, lanes in zip(halves, ((0, 4, 1, 5), (2, 6, 3, 7)), strict=True):
                    weights = k.let(bitcast("int8", dot.pick(quads, lanes), 16), "weights")
                    for a, totals in zip(activations, sums, strict=True):
                        total = totals[part][half]
                        total.set(dot.smmla(total.get(), a, weights))
        for pair, totals in zip(pairs, sums, strict=True):
            for part, both in enumerate(totals):
                for row, lanes in zip(dict.fromkeys(pair), ((0, 1, 4, 5), (2, 3, 6, 7)), strict=False):
                    x.put(k, row, block, part * 4, dot.pick([total.get() for total in both], lanes))


def _grouped(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """Sums of 32 columns at a time, in whatever way the instruction set has for them."""
    for block, part in _parts(isa, x):
        sums = [k.register("int32", isa.rows, const("int32", 0, isa.rows)) for _ in range(rows)]
        with k.loop(0, tirx.floordiv(x.quads, i64(_GROUP))) as group:
            x.look_ahead(block, part, group * _GROUP, _GROUP)
            for total, value in zip(sums, _group(isa, k, rows, x, block, part, group, 8), strict=True):
                total.set(total.get() + value)
        for row, total in enumerate(sums):
            x.put(k, row, block, part * isa.rows, total.get())


def _group(isa: Isa, k: Kernel, rows: int, x: Operands, block: int, part: int, group: Expr, bits: int) -> list[Expr]:
    """For each row its sums over a group of 32 columns, of weights with so many bits."""
    first = k.let(group * _GROUP, "first")

    def weights(u: int) -> Callable[[], Expr]:
        at = x.at(block, first + u, part * isa.width)
        return lambda: k.let(x.weights.load(at, isa.width), "weights")

    activations = [[x.activations.load(x.quad(row, first + u)) for u in range(_GROUP)] for row in range(rows)]
    return dot.group_dot(isa, k, [weights(u) for u in range(_GROUP)], activations, bits)


def _stepped_pairs(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """AVX2 with 4-bit weights: 16 products of unsigned bytes with -8..7 fit 16 bits, so a group is summed there, and is
    multiplied by its scale when its words are added in pairs. Four rows at a time, by all of a block's vectors."""
    parts = range(isa.parts)
    for block in range(len(x.blocks)):
        for begin in range(0, rows, 4):
            some = range(begin, min(begin + 4, rows))
            starts = [x.start(block, p * isa.rows, isa.rows) for p in parts]
            sums = [[k.register("int32", isa.rows, start) for start in starts] for _ in some]
            with k.loop(0, tirx.floordiv(x.quads, i64(_GROUP))) as group:
                first = k.let(group * _GROUP, "first")
                if begin == 0:
                    x.look_ahead(block, 0, first, _GROUP)
                words: list[list[Expr]] = [[None] * isa.parts for _ in some]
                for u in range(_GROUP):
                    weights = [k.let(x.weights.load(x.at(block, first + u, p * isa.width), isa.width)) for p in parts]
                    for row, kept in zip(some, words, strict=True):
                        quad = tirx.bitwise_xor(x.activations.load(x.quad(row, first + u)), const("int32", -0x7F7F7F80))
                        a = k.let(dot.spread(isa, quad), "a")
                        for p, weight in enumerate(weights):
                            product = dot.maddubs(a, weight)
                            kept[p] = k.let(product if u == 0 else kept[p] + product, "words")
                for p in parts:
                    step = k.let(bitcast("int16", x.step(block, group, p), isa.width // 2), "step")
                    for totals, kept in zip(sums, words, strict=True):
                        totals[p].set(totals[p].get() + dot.madd(kept[p], step))
            for row, totals in zip(some, sums, strict=True):
                for p, total in enumerate(totals):
                    x.put(k, row, block, p * isa.rows, total.get())


def _stepped(isa: Isa, k: Kernel, rows: int, x: Operands) -> None:
    """4-bit weights where products are summed in 16 bits: a group at a time, then times its scale."""
    for block, part in _parts(isa, x):
        sums = [k.register("int32", isa.rows, const("int32", 0, isa.rows)) for _ in range(rows)]
        with k.loop(0, tirx.floordiv(x.quads, i64(_GROUP))) as group:
            x.look_ahead(block, part, group * _GROUP, _GROUP)
            both = x.step(block, group, part)
            half = const("int32", 16, isa.rows)
            step = k.let(tirx.shift_right(tirx.shift_left(both, half), half), "step")
            dots = _group(isa, k, rows, x, block, part, group, 4)
            for total, value in zip(sums, dots, strict=True):
                total.set(total.get() + value * step)
        for row, total in enumerate(sums):
            x.put(k, row, block, part * isa.rows, total.get())


_STEPPED: dict[DotKind, _Tile] = {"maddubs": _stepped_pairs, "smull": _stepped}
_TILES: dict[DotKind, _Tile] = {
    "vpdpbusd": _accumulating,
    "sdot": _accumulating,
    "maddubs": _signed,
    "smmla": _paired,
}
