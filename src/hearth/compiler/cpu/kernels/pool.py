"""Pooling over windows of a map: the largest, the average, of fixed or adaptive windows; the mean of a whole image.

Windows are cut to what lies in the map; vectors run over channels, so what a pixel's padding holds stays in padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, cast, f32, i64

LANES = 16
LOWEST = float("-inf")


@dataclass(frozen=True)
class PoolSpec:
    """Which pooling.

    Attributes:
        kind: of `average` the divisor counts the elements in the map, of `average_padded` those in the padding too.
        adaptive: window o of `out` along an axis of `size` is [floor(o size / out), ceil((o + 1) size / out)).
    """

    kind: Literal["max", "average", "average_padded"]
    adaptive: bool = False

    @property
    def name(self) -> str:
        return f"pool_{self.kind}{'_adaptive' if self.adaptive else ''}"

    def scratch_bytes(self) -> int:
        return 0


def pool(spec: PoolSpec) -> Kernel:
    """Buffers: X f32 [image][h][w][ld]; Y f32 [image][out_h][out_w][ld].

    Scalars: h, w, out_h, out_w, ld, and unless adaptive kernel_h, kernel_w, stride_h, stride_w, top, left, bottom,
    right, dilation_h, dilation_w. Unit: row of Y (of all images). No window lies in the padding alone.
    """
    assert not (spec.adaptive and spec.kind == "average_padded")
    k = Kernel(spec.name)
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    h, w, out_h, out_w, ld = (k.scalar(name) for name in ("h", "w", "out_h", "out_w", "ld"))
    rows: _Axis | _AdaptiveAxis
    columns: _Axis | _AdaptiveAxis
    if spec.adaptive:
        rows, columns = _AdaptiveAxis(k, h, out_h), _AdaptiveAxis(k, w, out_w)
    else:
        names = ("kernel", "stride", "before", "after", "dilation")
        fixed = {f"{name}_{axis}": k.scalar(f"{name}_{axis}") for name in names for axis in "hw"}
        rows, columns = (
            _Axis(k, size, *(fixed[f"{name}_{axis}"] for name in names)) for axis, size in (("h", h), ("w", w))
        )
    largest = spec.kind == "max"
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, out_h), "image")
        row = rows.window(k.opaque(unit - image * out_h, "row"))
        with k.loop(0, out_w) as out_x:
            column = columns.window(out_x)
            count = row.padded * column.padded if spec.kind == "average_padded" else row.count * column.count
            divisor = k.let(cast("float32", count), "divisor")
            first = k.opaque(((image * h + row.first) * w + column.first) * ld, "first")
            with k.loop(0, ld, LANES) as c:
                total = k.register("float32", LANES, f32(LOWEST if largest else 0.0, LANES))
                with k.loop(0, row.count) as i, k.loop(0, column.count) as j:
                    value = x.load(first + (i * row.step * w + j * column.step) * ld + c, LANES)
                    total.set(tirx.max(total.get(), value) if largest else total.get() + value)
                value = total.get() if largest else total.get() / broadcast(divisor, LANES)
                k.store(y, (unit * out_w + out_x) * ld + c, k.let(value, "y"))
    return k


@dataclass(frozen=True)
class _Window:
    """Along one axis: elements `first + step * i`, i < count; `padded`: how many, padding included."""

    first: Expr
    count: Expr
    step: Expr
    padded: Expr


class _Axis:
    def __init__(
        self, k: Kernel, size: Expr, kernel: Expr, stride: Expr, before: Expr, after: Expr, dilation: Expr
    ) -> None:
        self.k, self.size, self.kernel, self.stride = k, size, kernel, stride
        self.before, self.after, self.dilation = before, after, dilation

    def window(self, out: Expr) -> _Window:
        k = self.k
        start = k.opaque(out * self.stride - self.before, "start")
        # Taps before the map and beyond it.
        low = k.opaque(_ceil_div(tirx.max(i64(0) - start, i64(0)), self.dilation), "low")
        high = k.opaque(tirx.min(self.kernel, _ceil_div(tirx.max(self.size - start, i64(0)), self.dilation)), "high")
        end = tirx.min(start + self.kernel, self.size + self.after)
        first = k.opaque(start + low * self.dilation, "first")
        return _Window(first, k.opaque(high - low, "count"), self.dilation, end - start)


class _AdaptiveAxis:
    def __init__(self, k: Kernel, size: Expr, out_size: Expr) -> None:
        self.k, self.size, self.out_size = k, size, out_size

    def window(self, out: Expr) -> _Window:
        first = self.k.opaque(tirx.floordiv(out * self.size, self.out_size), "first")
        count = self.k.opaque(_ceil_div((out + 1) * self.size, self.out_size) - first, "count")
        return _Window(first, count, i64(1), count)


def _ceil_div(value: Expr, by: Expr) -> Expr:
    return tirx.floordiv(value + by - 1, by)
