"""The activations that products read: rows of f32, perhaps given by number, perhaps to be normed on the way.

An RMS norm before a product costs no step: the factor of a row, rsqrt(mean(x^2) + epsilon), can be applied to the sums,
and the squares are gathered while the row is read. Nor does one that follows a product and is added to a residual,
where there is a single row (`Carried`): the product that reads the sum adds it up.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    builtin,
    cast,
    div,
    dot,
    f32,
    i32,
    lane,
    splat,
    vec,
    vector,
)
from hearth.compiler.gpu.kernels.norms import inverse_rms, norm_sum, noted_squares
from hearth.compiler.gpu.kernels.product_output import ProductSpec


class Activations:
    """Buffers: X f32x4 [.][ldx / 4]; [carried: what is normed f32x4 [ldx / 4], sums of its squares f32 [K / 16], the
    norm's gain f32x4 [K / 4]; X is the residual]; [gain f32x4 [K / 4], with a norm]; [numbers i32 [m]: which row of X,
    when gathered]; behind those of `Output` [where what was carried is left f32x4 [ldx / 4]]. Scalars: m; columns: K;
    ldx: elements from one row of X to the next.
    """

    def __init__(self, k: GpuKernel, spec: ProductSpec) -> None:
        """Declares the buffers; `scalars` the scalars, and a buffer that stands behind all others."""
        self.k, self.spec = k, spec
        self.x: Memory = k.buffer("X", "float32x4")
        if spec.carried is not None:
            self.normed, self.noted = k.buffer("normed", "float32x4"), k.buffer("noted", "float32")
            self.added_gain = k.buffer("added_gain", "float32x4")
        self.gain = k.buffer("gain", "float32x4") if spec.norm is not None else None
        self.numbers = k.buffer("numbers", "int32") if spec.gather else None

    def scalars(self) -> None:
        stores = self.spec.carried is not None and self.spec.carried.stores
        self.sum = self.k.buffer("sum", "float32x4") if stores else None
        self.m, self.columns, self.ldx = (self.k.scalar(name) for name in ("m", "columns", "ldx"))

    def carry(self, leaves: Expr) -> None:
        """Begins a product whose activations are carried, behind all buffers and scalars; all invocations have to be
        here.

        Args:
            leaves: whether this invocation leaves them in memory.
        """
        k, carried = self.k, self.spec.carried
        assert carried is not None
        self._leaves = leaves
        total = noted_squares(k, self.noted, i32(0), self.columns)
        self._factor = inverse_rms(k, total, self.columns, carried.epsilon)

    def _carried(self, x: Expr, index: Expr, place: Expr) -> Expr:
        """A vector of the sum, of which `x` is the residual's."""
        k, carried = self.k, self.spec.carried
        assert carried is not None
        gain = self.added_gain.load(place)
        value = k.let(norm_sum(self.normed.load(place), self._factor, carried.scale, gain, x), "x")
        if self.sum is not None:
            with k.when(tirx.And(self._leaves, index * 4 < self.columns)):
                k.store(self.sum, place, value)
        return value

    def start(self, row: Expr) -> Expr:
        """The vector at which a row begins. Of rows behind the last one it is that of the last, so nothing is read
        that is not there."""
        row = builtin("min", "int32", row, self.m - 1)
        if self.numbers is not None:
            row = self.numbers.load(row)
        return self.k.let(row * div(self.ldx, 4), "row")

    def load(self, starts: Sequence[Expr], index: Expr, squares: Sequence[Register] | None) -> list[Expr]:
        """Columns 4 * index to 4 * index + 3 of rows, float32x4 each: times the gain, where there is a norm.

        Args:
            starts: where the rows begin.
            squares: with a norm, for each row what its squares are added to; None: they are known.
        """
        k = self.k
        index = place = k.let(index, "index")
        if self.spec.tail:
            place = k.let(builtin("min", "int32", index, div(self.columns - 1, 4)), "place")
        vectors = [k.let(self.x.load(start + place), "x") for start in starts]
        if self.spec.carried is not None:
            vectors = [self._carried(x, index, place) for x in vectors]
        if self.spec.tail:
            vectors = self._inside(vectors, index)
        if self.gain is None:
            return vectors
        for square, values in zip(squares or [], vectors, strict=squares is not None):
            square.set(square.get() + dot(values, values))
        gain = k.let(self.gain.load(place), "gain")
        return [k.let(values * gain, "x") for values in vectors]

    def _inside(self, loaded: Sequence[Expr], index: Expr) -> list[Expr]:
        """With zeros in place of what stands behind the last column."""
        k = self.k
        inside = [k.let(index * 4 + i < self.columns, "inside") for i in range(4)]
        return [
            k.let(vector(*[tirx.Select(inside[i], lane(values, i), f32(0.0)) for i in range(4)]), "x")
            for values in loaded
        ]

    def factor(self, squares: Expr, lanes: int = 1) -> Expr:
        """What a norm multiplies rows by whose squares have these sums."""
        assert self.spec.norm is not None
        k, epsilon = self.k, f32(self.spec.norm, lanes)
        columns = k.let(cast("float32", self.columns), "columns")
        mean = squares / (columns if lanes == 1 else splat(columns, lanes))
        return k.let(builtin("inverseSqrt", vec("float32", lanes), mean + epsilon), "factor")
