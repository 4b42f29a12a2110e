"""Non-maximum suppression: of boxes that overlap, those with the highest scores.

Greedy, as everywhere: the best box is kept, what overlaps it goes, and so on. Boxes that are left stand together in
scratch, in their order, and each round walks over them once: it drops the overlapping ones and finds the next best.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, bitcast, cast, const, f32, i64


def scratch_bytes(boxes: int) -> int:
    """Scores and numbers of the boxes that are left."""
    return 8 * boxes


def suppress() -> Kernel:
    """Buffers: boxes f32 [image][n][ld_boxes], corners with the lesser coordinates first; scores f32 [class of an
    image][ld]; kept i32 [class of an image][most]: numbers of boxes by falling score; counts i32 [class of an image].
    Scalars: n, ld_boxes, ld, classes, most, bits of the f32 iou, whether scores count, bits of the least one. Unit:
    class of an image. Of equal scores the first is first."""
    k = Kernel("suppress_boxes")
    boxes, scores = k.buffer("boxes", "float32"), k.buffer("scores", "float32")
    kept, counts = k.buffer("kept", "int32"), k.buffer("counts", "int32")
    names = ("n", "ld_boxes", "ld", "classes", "most", "iou", "filters", "least")
    n, ld_boxes, ld, classes, most, iou, filters, least = (k.scalar(name) for name in names)
    left = k.scratch("int32")  # scores, as their bits, and behind them the numbers
    limit, lowest = (k.opaque(bitcast("float32", cast("int32", bits)), "limit") for bits in (iou, least))
    with k.loop(k.begin, k.end) as unit:
        first_box = k.opaque(tirx.floordiv(unit, classes) * n * ld_boxes, "first_box")
        count = k.register("int64", init=i64(0))
        best, place = k.register("float32", init=f32(0.0)), k.register("int64", init=i64(0))

        with k.loop(0, n) as i:
            score = k.opaque(scores.load(unit * ld + i), "score")
            with k.when(tirx.any(tirx.EQ(filters, i64(0)), score > lowest)):
                _leave(k, left, n, cast("int32", i), score, count, best, place)
        taken = k.register("int64", init=i64(0))
        with k.loop(0, most) as i, k.when(count.get() > i64(0)):
            chosen = k.opaque(place.get(), "chosen")
            number = k.opaque(left.load(n + chosen), "number")
            k.store(kept, unit * most + i, number)
            taken.set(i + 1)
            box = _corners(k, boxes, first_box + cast("int64", number) * ld_boxes)
            area = _area(k, box)
            end = k.opaque(count.get(), "end")
            count.set(i64(0))
            with k.loop(0, end) as j:
                other = k.opaque(left.load(n + j), "other")
                score = k.opaque(bitcast("float32", left.load(j)), "score")
                corners = _corners(k, boxes, first_box + cast("int64", other) * ld_boxes)
                inner = _intersection(k, box, corners)
                share = k.opaque(inner / (area + _area(k, corners) - inner), "share")
                gone = k.opaque(cast("int32", share > limit), "gone")
                with k.when(tirx.all(tirx.NE(j, chosen), tirx.EQ(gone, const("int32", 0)))):
                    _leave(k, left, n, other, score, count, best, place)
        k.store(counts, unit, cast("int32", taken.get()))
    return k


def _leave(
    k: Kernel, left: Memory, n: Expr, number: Expr, score: Expr, count: Register, best: Register, place: Register
) -> None:
    """Adds a box to those that are left, and notes the first of the best."""
    at = k.opaque(count.get(), "at")
    k.store(left, at, bitcast("int32", score))
    k.store(left, n + at, number)
    with k.when(tirx.any(tirx.EQ(at, i64(0)), score > best.get())):
        best.set(score)
        place.set(at)
    count.set(at + 1)


def collect() -> Kernel:
    """Buffers: kept and counts as above; found i32 [total][3]: image, class and number, zeros behind the last; number
    i32 [1] of them. Scalars: units (classes of all images), classes, most. Unit: all of it."""
    k = Kernel("collect_boxes")
    kept, counts, found, number = (k.buffer(name, "int32") for name in ("kept", "counts", "found", "number"))
    units, classes, most = (k.scalar(name) for name in ("units", "classes", "most"))
    with k.loop(k.begin, k.end):
        at = k.register("int64", init=i64(0))
        with k.loop(0, units) as unit:
            image = k.opaque(tirx.floordiv(unit, classes), "image")
            with k.loop(0, k.opaque(cast("int64", counts.load(unit)), "count")) as i:
                row = k.opaque(at.get() * 3, "row")
                k.store(found, row, cast("int32", image))
                k.store(found, row + 1, cast("int32", unit - image * classes))
                k.store(found, row + 2, kept.load(unit * most + i))
                at.set(at.get() + 1)
        _zeros(k, found, at.get() * 3, units * most * 3)
        k.store(number, i64(0), cast("int32", at.get()))
    return k


def places(rank: int) -> Kernel:
    """Where an array of truth is true, 1.0 being true and 0.0 not.

    Buffers: X f32 [row][ld]; found i32 [element][rank], zeros behind the last; number i32 [1] of them. Scalars: columns
    of a row, rows, ld, size of each axis but the last. Unit: all of it.
    """
    k = Kernel(f"true_places_{rank}")
    x, found, number = k.buffer("X", "float32"), k.buffer("found", "int32"), k.buffer("number", "int32")
    columns, rows, ld = (k.scalar(name) for name in ("columns", "rows", "ld"))
    sizes = [k.scalar(f"size{axis}") for axis in range(rank - 1)]
    with k.loop(k.begin, k.end):
        at = k.register("int64", init=i64(0))
        with k.loop(0, rows) as row:
            where = _places(k, row, sizes)
            with k.loop(0, columns) as column, k.when(tirx.NE(x.load(row * ld + column), f32(0.0))):
                start = k.opaque(at.get() * rank, "start")
                for axis, place in enumerate([*where, column]):
                    k.store(found, start + axis, cast("int32", place))
                at.set(at.get() + 1)
        _zeros(k, found, at.get() * rank, rows * columns * rank)
        k.store(number, i64(0), cast("int32", at.get()))
    return k


def _places(k: Kernel, row: Expr, sizes: Sequence[Expr]) -> list[Expr]:
    """The number along each axis, of a row counted over all of them."""
    found: list[Expr] = []
    for size in reversed(sizes):
        rest = k.opaque(tirx.floordiv(row, size), "rest")
        found.insert(0, k.opaque(row - rest * size, "place"))
        row = rest
    return found


def _zeros(k: Kernel, memory: Memory, begin: Expr, end: Expr) -> None:
    with k.loop(k.opaque(begin, "begin"), end) as i:
        k.store(memory, i, const("int32", 0))


def _corners(k: Kernel, boxes: Memory, at: Expr) -> list[Expr]:
    at = k.opaque(at, "box")
    return [k.opaque(boxes.load(at + i), "corner") for i in range(4)]


def _area(k: Kernel, box: Sequence[Expr]) -> Expr:
    return k.opaque((box[2] - box[0]) * (box[3] - box[1]), "area")


def _intersection(k: Kernel, a: Sequence[Expr], b: Sequence[Expr]) -> Expr:
    sides = [
        k.opaque(tirx.max(tirx.min(a[2 + i], b[2 + i]) - tirx.max(a[i], b[i]), f32(0.0)), "side") for i in range(2)
    ]
    return k.opaque(sides[0] * sides[1], "intersection")
