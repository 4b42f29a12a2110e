"""Chosen rows of each image, blocks and elements along an axis, by their numbers (beyond an axis its ends are taken);
rows put into chosen places."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, cast, i64

LANES = 16


def gather() -> Kernel:
    """Y[unit] = X[its image][ids[unit]].

    Buffers: X f32 [image][row][ld]; ids i32 [image][count], each a row of its image; Y f32 [image][count][ld].
    Scalars: rows and count (of an image), ld (a multiple of 16). Unit: id.
    """
    k = Kernel("gather_rows")
    x, ids, y = k.buffer("X", "float32"), k.buffer("ids", "int32"), k.buffer("Y", "float32")
    rows, count, ld = (k.scalar(name) for name in ("rows", "count", "ld"))
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, count), "image")
        start = k.opaque((image * rows + place(k, ids, unit, rows)) * ld, "start")
        with k.loop(0, ld, LANES) as c:
            k.store(y, unit * ld + c, x.load(start + c, LANES))
    return k


def replace_rows() -> Kernel:
    """X[places[unit]] = R[unit], in place.

    Buffers: R f32 [row][ld]; places i32 [row]; X f32 [place][ld]. Scalars: ld (a multiple of 16). Unit: row of R.
    """
    k = Kernel("replace_rows")
    rows, places, x = k.buffer("R", "float32"), k.buffer("places", "int32"), k.buffer("X", "float32")
    ld = k.scalar("ld")
    with k.loop(k.begin, k.end) as unit:
        start = k.opaque(cast("int64", places.load(unit)) * ld, "start")
        with k.loop(0, ld, LANES) as c:
            k.store(x, start + c, rows.load(unit * ld + c, LANES))
    return k


def place(k: Kernel, ids: Memory, at: Expr, size: Expr) -> Expr:
    """A number of an axis of this size: whatever stands there, it lies within."""
    return k.opaque(tirx.max(tirx.min(cast("int64", ids.load(at)), size - 1), i64(0)), "place")


def gather_blocks(dtype: str) -> Kernel:
    """Y[o][i] = X[o][ids[i]], blocks of elements that stand together.

    Buffers: X `dtype` [o][size][block]; ids i32 [count]; Y `dtype` [o][count][block]. Scalars: size, count, block.
    Unit: one block of Y.
    """
    k = Kernel(f"gather_blocks_{dtype}")
    x, ids, y = k.buffer("X", dtype), k.buffer("ids", "int32"), k.buffer("Y", dtype)
    size, count, block = (k.scalar(name) for name in ("size", "count", "block"))
    vectors = k.let(tirx.floordiv(block, i64(LANES)), "vectors")
    with k.loop(k.begin, k.end) as unit:
        at = place(k, ids, tirx.floormod(unit, count), size)
        start = k.opaque((tirx.floordiv(unit, count) * size + at) * block, "start")
        with k.loop(0, vectors) as v:
            k.store(y, unit * block + v * LANES, x.load(start + v * LANES, LANES))
        with k.loop(vectors * LANES, block) as i:
            k.store(y, unit * block + i, x.load(start + i))
    return k


def gather_columns(dtype: str) -> Kernel:
    """Y[o][i][j] = X[o][ids[i][j]].

    Buffers: X `dtype` [o][ldx]; ids i32 [i][columns]; Y `dtype` [o][i][ldy]. Scalars: size of the axis in X, ldx; rows
    and columns of ids; ldy. Unit: row of Y.
    """
    k = Kernel(f"gather_columns_{dtype}")
    x, ids, y = k.buffer("X", dtype), k.buffer("ids", "int32"), k.buffer("Y", dtype)
    size, ldx, rows, columns, ldy = (k.scalar(name) for name in ("size", "ldx", "rows", "columns", "ldy"))
    with k.loop(k.begin, k.end) as unit:
        start = k.opaque(tirx.floordiv(unit, rows) * ldx, "start")
        first = k.opaque(tirx.floormod(unit, rows) * columns, "first")
        with k.loop(0, columns) as column:
            k.store(y, unit * ldy + column, x.load(start + place(k, ids, first + column, size)))
    return k


@dataclass(frozen=True)
class ElementsSpec:
    """Elements along an axis, one for each place of an array of numbers.

    Attributes:
        axes: of these arrays, but for the last one.
        dtype: of the elements.
    """

    axes: int
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.axes}_{self.dtype}"


class Elements:
    """The walk that `gather_elements` and `scatter_elements` share: coordinates in ids, places in what they point into.

    Scalars: size of the axis and its stride; columns of ids and the stride of a column (0 where the axis is the last
    one); sizes of the axes of ids but the first and the last; the strides of all but the last (0 for the axis).
    """

    def __init__(self, k: Kernel, spec: ElementsSpec) -> None:
        self.k = k
        names = ("size", "along", "columns", "step")
        self.size, self.along, self.columns, self.step = (k.scalar(name) for name in names)
        self.sizes = [k.scalar(f"size{axis}") for axis in range(1, spec.axes)]
        self.strides = [k.scalar(f"stride{axis}") for axis in range(spec.axes)]

    def start(self, row: Expr) -> Expr:
        """Where in the memory the elements of a row of ids begin."""
        k, rest, start = self.k, row, i64(0)
        for length, stride in zip(reversed(self.sizes), reversed(self.strides[1:]), strict=True):
            start = start + tirx.floormod(rest, length) * stride
            rest = k.opaque(tirx.floordiv(rest, length), "rest")
        return k.opaque(start + rest * self.strides[0] if self.strides else start, "start")

    def place(self, start: Expr, ids: Memory, row: Expr, column: Expr) -> Expr:
        return start + place(self.k, ids, row * self.columns + column, self.size) * self.along + column * self.step


def gather_elements(spec: ElementsSpec) -> Kernel:
    """Y[..., i, ...] = X[..., ids[..., i, ...], ...].

    Buffers: X `dtype`; ids i32, dense; Y `dtype` [row][ldy]. Scalars: those of `Elements`, ldy. Unit: row of ids.
    """
    k = Kernel(f"gather_elements_{spec.name}")
    x, ids, y = k.buffer("X", spec.dtype), k.buffer("ids", "int32"), k.buffer("Y", spec.dtype)
    walk = Elements(k, spec)
    ldy = k.scalar("ldy")
    with k.loop(k.begin, k.end) as row:
        start = walk.start(row)
        with k.loop(0, walk.columns) as column:
            k.store(y, row * ldy + column, x.load(walk.place(start, ids, row, column)))
    return k
