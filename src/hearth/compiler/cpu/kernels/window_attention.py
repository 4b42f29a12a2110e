"""Attention within windows of a map that has been shifted in a circle (Swin v1 and v2), without moving anything.

A unit is one head of one window. Its rows are gathered into scratch from where they lie in the map: the circle, the
windows and the places that a map which is no multiple of the window is padded with exist as addresses only. What was
brought together from opposite edges by the shift is kept apart by a penalty on its scores, as transformers does it.

A padded place is what the projections make of zeros: their biases. It is a key like any other, and its own output is
written nowhere. Arithmetic and order: `attention_tile.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.attention_layout import LANES, SPLIT_KEYS, Packed, PackedLayout, Rows, splits_of
from hearth.compiler.cpu.kernels.attention_pack import RowBytes, pack_split
from hearth.compiler.cpu.kernels.attention_tile import Adjust, Split, Tile, TileAttention
from hearth.compiler.cpu.kernels.attention_tile_int8 import TileAttentionInt8
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    broadcast,
    cast,
    const,
    f32,
    i64,
    in_name,
    load_pieces,
)
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import round_up

SMALLEST_NORM = 1e-12
"""What a row's norm is taken for at least: torch.nn.functional.normalize."""


@dataclass(frozen=True)
class WindowAttentionSpec:
    """Which attention.

    Attributes:
        head_dim: of queries, keys and values.
        scale: of the products of queries and keys.
        window: height and width.
        shifted: the map is shifted before it is cut in windows.
        bias: adds f32 [heads][area][area, padded to 16] to scores, by query and key; the area is that of a window.
        padding: padded places have the rows of two buffers; else zeros.
        cosine: queries and keys are divided by their norms, and scores have a factor for each head (Swin v2).
        penalty: of scores between places that the shift brought together: -100 in transformers' Swin, and since it is
            added twice there -200 in its Swin v2.
        int8: products are of bytes, which each window is packed to.
    """

    head_dim: int
    scale: float
    window: tuple[int, int]
    shifted: bool = False
    bias: bool = True
    padding: bool = False
    cosine: bool = False
    penalty: float = -100.0
    int8: bool = False

    @property
    def name(self) -> str:
        parts = ["window_attention", f"d{self.head_dim}", in_name(self.scale), "{}x{}".format(*self.window)]
        parts += ["shifted", in_name(self.penalty)] if self.shifted else []
        flags = ("bias", "padding", "cosine", "int8")
        return "_".join([*parts, *(flag for flag in flags if getattr(self, flag))])

    @property
    def area(self) -> int:
        return self.window[0] * self.window[1]

    @property
    def tile(self) -> type[TileAttention]:
        return TileAttentionInt8 if self.int8 else TileAttention

    def places(self) -> tuple[int, int, int]:
        """Where gathered rows, facts about places, and blocks of bytes begin in scratch, in floats."""
        rows = round_up(self.tile.scratch_floats(self.head_dim), LANES)
        facts = rows + 3 * round_up(self.area * self.head_dim, LANES)
        return rows, facts, facts + 2 * round_up(self.area, LANES) + LANES

    def scratch_bytes(self) -> int:
        """The tile's; queries, keys and values of a window; for each of its places where it is and in which region;
        keys and values as bytes."""
        layout = PackedLayout(self.head_dim)
        if not self.int8:
            return 4 * self.places()[2]
        packed = int(splits_of(self.area)) * layout.block_bytes
        return 4 * (self.places()[2] + RowBytes.scratch_floats(layout)) + packed


def window_attention(isa: Isa, spec: WindowAttentionSpec) -> Kernel:
    """Buffers: Q f32 [batch][height][width][ldq], K [...][ldk], V [...][ldv] (each from its own first column on; they
    may be one buffer); [bias f32 [heads][area][area, padded to 16]]; [pad_k, pad_v f32: a row of K and of V, the same
    columns]; [head scales f32 [heads]]; O f32 [batch][height][width][ldo].
    Scalars: height, width, heads, ldq, ldk, ldv, ldo, off_q, off_k, off_v, [shift_y, shift_x: less than the window].
    Units: batch * ceil(height / window height) * ceil(width / window width) * heads, heads innermost."""
    k = Kernel(spec.name)
    q, keys, values = (k.buffer(name, "float32") for name in "QKV")
    bias = k.buffer("bias", "float32") if spec.bias else None
    pad_k, pad_v = (k.buffer(name, "float32") if spec.padding else None for name in ("pad_k", "pad_v"))
    head_scales = k.buffer("head_scales", "float32") if spec.cosine else None
    out = k.buffer("O", "float32")
    height, width, heads, ldq, ldk, ldv, ldo, off_q, off_k, off_v = (
        k.scalar(name) for name in ("height", "width", "heads", "ldq", "ldk", "ldv", "ldo", "off_q", "off_k", "off_v")
    )
    shift = [k.scalar(name) if spec.shifted else i64(0) for name in ("shift_y", "shift_x")]
    memory, integers = k.scratch("float32"), k.scratch("int32")
    core = spec.tile(k, isa, spec.head_dim, spec.scale, memory)
    size = round_up(spec.area * spec.head_dim, LANES)
    rows_at, places, packed_at = spec.places()
    q_rows, k_rows, v_rows = (Rows.strided(memory, i64(rows_at + i * size), i64(spec.head_dim)) for i in range(3))
    regions = places + round_up(spec.area, LANES)
    packed = Packed(k, memory, i64(4 * packed_at), PackedLayout(spec.head_dim)) if spec.int8 else None

    grid = [
        k.opaque(tirx.floordiv(extent + (side - 1), i64(side)), "windows")
        for extent, side in zip((height, width), spec.window, strict=True)
    ]
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floormod(unit, heads), "head")
        window = k.opaque(tirx.floordiv(unit, heads), "window")
        column = k.opaque(head * spec.head_dim, "column")
        in_row = k.opaque(tirx.floormod(window, grid[1]), "in_row")
        in_column = k.opaque(tirx.floormod(tirx.floordiv(window, grid[1]), grid[0]), "in_column")
        batch = k.opaque(tirx.floordiv(window, grid[0] * grid[1]), "batch")

        def along(axis: int, place: Expr, index: tuple[Expr, Expr] = (in_column, in_row)) -> tuple[Expr, Expr]:
            """Where in the map a window's place is, and whether the circle's seam lies between it and the first."""
            side = spec.window[axis]
            at = k.opaque(index[axis] * side + place + shift[axis], "at")
            whole = grid[axis] * side
            last = tirx.EQ(index[axis], grid[axis] - 1)
            beyond = tirx.all(last, place >= side - shift[axis])
            return k.opaque(tirx.Select(at >= whole, at - whole, at), "at"), beyond

        with k.loop(0, spec.window[0]) as y:
            map_y, beyond_y = along(0, y)
            with k.loop(0, spec.window[1]) as x:
                map_x, beyond_x = along(1, x)
                i = k.opaque(y * spec.window[1] + x, "i")
                inside = k.opaque(
                    tirx.Select(tirx.all(map_y < height, map_x < width), const("int32", 1), const("int32", 0)), "inside"
                )
                place = k.opaque((batch * height + map_y) * width + map_x, "place")
                for rows, source, pad, ld, offset in (
                    (q_rows, q, None, ldq, off_q),
                    (k_rows, keys, pad_k, ldk, off_k),
                    (v_rows, values, pad_v, ldv, off_v),
                ):
                    to = k.opaque(rows.at(i), "to")
                    with k.when(inside > 0):
                        _copy(k, spec.head_dim, memory, to, source, k.opaque(place * ld + offset + column, "from"))
                    with k.when(inside < 1):
                        _copy(k, spec.head_dim, memory, to, pad, k.opaque(offset + column, "from"))
                if head_scales is not None:
                    _normalise(k, spec.head_dim, memory, k.opaque(q_rows.at(i), "to"), head_scales.load(head))
                    _normalise(k, spec.head_dim, memory, k.opaque(k_rows.at(i), "to"), f32(1.0))
                outside = const("int32", -1)
                k.store(integers, places + i, tirx.Select(inside > 0, cast("int32", place), outside))
                one, two, zero = (const("int32", number) for number in (1, 2, 0))
                region = tirx.Select(beyond_y, two, zero) + tirx.Select(beyond_x, one, zero)
                k.store(integers, regions + i, region)

        if packed is not None:
            row_at = packed_at + int(splits_of(spec.area)) * packed.layout.block_bytes // 4
            for split, start in enumerate(range(0, spec.area, SPLIT_KEYS)):
                stop = min(start + SPLIT_KEYS, spec.area)
                at = packed.at(i64(split))
                pack_split(k, isa, k_rows, v_rows, i64(start), i64(stop), packed, at, memory, row_at)

        def place_of(i: Expr) -> Expr:
            return cast("int64", integers.load(places + i))

        def output(i: Expr, column: Expr = column) -> Expr:
            return place_of(i) * ldo + column

        bias_at = k.opaque(head * (spec.area * round_up(spec.area, LANES)), "bias_at")
        core.run(
            Tile(
                count=i64(spec.area),
                queries=q_rows,
                keys=k_rows,
                values=v_rows,
                packed=packed,
                begin=i64(0),
                end=i64(spec.area),
                out=Rows(out, output),
                written=lambda i: place_of(i) >= 0,
                bias=Rows.strided(bias, bias_at, i64(round_up(spec.area, LANES))) if bias is not None else None,
                adjust=[_Apart(integers, regions, spec.penalty)] if spec.shifted else [],
            )
        )
    return k


def _copy(k: Kernel, size: int, out: Memory, to: Expr, source: Memory | None, at: Expr) -> None:
    """`size` elements; zeros where there is no source."""
    for d, lanes in load_pieces(size):
        k.store(out, to + d, source.load(at + d, lanes) if source is not None else f32(0.0, lanes))


def _normalise(k: Kernel, size: int, memory: Memory, at: Expr, factor: Expr) -> None:
    """A row over its norm, times the factor, in place."""
    total: Expr = f32(0.0)
    for d, lanes in load_pieces(size):
        x = k.let(memory.load(at + d, lanes), "x")
        total = k.let(total + vmath.reduce_sum(k, x * x, lanes), "total")
    inverse = k.let(factor / tirx.max(tirx.sqrt(total), f32(SMALLEST_NORM)), "inverse")
    for d, lanes in load_pieces(size):
        k.store(memory, at + d, k.let(memory.load(at + d, lanes) * broadcast(inverse, lanes), "x"))


@dataclass(frozen=True)
class _Apart(Adjust):
    """The penalty between places of different regions."""

    integers: Memory
    regions: int
    penalty: float

    def apply(self, split: Split, key: Expr, vector: int, scores: Expr) -> Expr:
        own = self.integers.load(self.regions + split.first + vector * LANES, LANES)
        other = broadcast(self.integers.load(self.regions + key), LANES)
        return scores + tirx.Select(tirx.EQ(own, other), f32(0.0, LANES), f32(self.penalty, LANES))
