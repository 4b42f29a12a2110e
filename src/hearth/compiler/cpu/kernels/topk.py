"""The largest (or the smallest) numbers of each row, in order, and where they stand; of equal ones the first is first.

A number and its place make one 64-bit key, no two of which are equal: the bits of the number in the order of its size,
then the place, counted from the end. A heap of k keys meets the row once.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, cast, const, f32, i64

PLACES = (1 << 32) - 1
MAGNITUDE, INFINITY = 0x7FFFFFFF, 0x7F800000
"""Bits of an f32 without its sign; those of infinity, beyond which there is only NaN."""


@dataclass(frozen=True)
class TopkSpec:
    """How many of each row at most; the largest in falling order, or the smallest in rising order."""

    most: int
    largest: bool = True

    @property
    def name(self) -> str:
        return f"topk_{self.most}{'' if self.largest else '_smallest'}"

    def scratch_bytes(self) -> int:
        """The heap."""
        return 8 * self.most


def topk(spec: TopkSpec) -> Kernel:
    """Buffers: X f32 [row][ld]; values f32 [row][values_ld]; indices i32 [row][k]. Scalars: size (true columns, at
    least k), ld, values_ld, k. Unit: row. NaN counts as larger than any number, as in torch."""
    k = Kernel(spec.name)
    x, values, indices = k.buffer("X", "float32"), k.buffer("values", "float32"), k.buffer("indices", "int32")
    size, ld, values_ld, count = (k.scalar(name) for name in ("size", "ld", "values_ld", "k"))
    heap = k.scratch("int64")
    with k.loop(k.begin, k.end) as row:
        start = k.opaque(row * ld, "start")

        def key(place: Expr, start: Expr = start) -> Expr:
            value = k.let(x.load(start + place), "value")
            bits = k.let(bitcast("int32", tirx.Select(tirx.EQ(value, f32(0.0)), f32(0.0), value)), "bits")
            # Negative numbers are in the opposite order of their bits.
            sign = tirx.shift_right(bits, const("int32", 31))
            ordered = tirx.bitwise_xor(bits, tirx.bitwise_and(sign, const("int32", MAGNITUDE)))
            is_nan = tirx.bitwise_and(bits, const("int32", MAGNITUDE)) > const("int32", INFINITY)
            ordered = tirx.Select(is_nan, const("int32", MAGNITUDE), ordered)
            if not spec.largest:
                ordered = const("int32", -1) - ordered
            return tirx.shift_left(cast("int64", ordered), i64(32)) + (i64(PLACES) - place)

        with k.loop(0, count) as i:
            k.store(heap, i, k.let(key(i), "key"))
        half = k.opaque(tirx.floordiv(count, i64(2)), "half")
        with k.loop(0, half) as i:
            _sift(k, heap, half - 1 - i, count, spec.most)
        with k.loop(count, size) as i:
            new = k.let(key(i), "key")
            with k.when(new > heap.load(0)):
                k.store(heap, 0, new)
                _sift(k, heap, i64(0), count, spec.most)
        # The smallest goes last, again and again.
        with k.loop(0, count) as i:
            place = k.opaque(count - 1 - i, "place")
            smallest = k.opaque(heap.load(0), "smallest")
            k.store(heap, 0, heap.load(place))
            _sift(k, heap, i64(0), place, spec.most)
            index = k.opaque(i64(PLACES) - tirx.bitwise_and(smallest, i64(PLACES)), "index")
            k.store(values, row * values_ld + place, x.load(start + index))
            k.store(indices, row * count + place, cast("int32", index))
    return k


def _sift(k: Kernel, heap: Memory, start: Expr, count: Expr, most: int) -> None:
    """Lets the key at `start` sink below all smaller ones in the heap of `count`, whose root is the smallest."""
    at = k.register("int64", init=start)
    moving = k.opaque(heap.load(start), "moving")
    with k.loop(0, most.bit_length()):
        left = k.opaque(at.get() * 2 + 1, "left")
        with k.when(left < count):
            right = k.opaque(tirx.min(left + 1, count - 1), "right")
            child = k.opaque(tirx.Select(heap.load(right) < heap.load(left), right, left), "child")
            below = k.opaque(heap.load(child), "below")
            with k.when(below < moving):
                k.store(heap, at.get(), below)
                k.store(heap, child, moving)
                at.set(child)
