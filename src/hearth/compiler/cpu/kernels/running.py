"""Running sums and products along an axis, in the order of its places."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, const


@dataclass(frozen=True)
class RunningSpec:
    """Which: of sums or of products, of elements of a type, each with its own element or with those before it alone."""

    product: bool
    dtype: str
    exclusive: bool

    @property
    def name(self) -> str:
        kind = "product" if self.product else "sum"
        return f"running_{kind}_{self.dtype}{'_exclusive' if self.exclusive else ''}"


def running(spec: RunningSpec) -> Kernel:
    """Y[o][i][j] = X[o][0][j] + ... + X[o][i][j].

    Buffers: X, Y of the type. Scalars: count of the axis, its stride, size of what is behind it (j) and a stride of
    that, stride of o: the same in X and Y. Unit: (o, j).
    """
    k = Kernel(spec.name)
    x, y = k.buffer("X", spec.dtype), k.buffer("Y", spec.dtype)
    count, along, inner, step, outer = (k.scalar(name) for name in ("count", "along", "inner", "step", "outer"))
    with k.loop(k.begin, k.end) as unit:
        start = k.opaque(tirx.floordiv(unit, inner) * outer + tirx.floormod(unit, inner) * step, "start")
        total = k.register(spec.dtype, init=const(spec.dtype, 1 if spec.product else 0))
        with k.loop(0, count) as i:
            at = k.opaque(start + i * along, "at")
            element = x.load(at)
            after = k.let(total.get() * element if spec.product else total.get() + element, "after")
            k.store(y, at, total.get() if spec.exclusive else after)
            total.set(after)
    return k
