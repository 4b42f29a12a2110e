"""RMSNorm over each of several parts of a row, together with a gate: what ends a recurrent mixer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, dot, f32, mod, splat
from hearth.compiler.gpu.kernels.norms import inverse_rms, row_total
from hearth.compiler.physical import in_name

THREADS = 64
_GATES: dict[str, Callable[[GpuKernel, Expr, int], Expr]] = {
    "silu": vmath.silu,
    "sigmoid": lambda k, x, lanes: vmath.sigmoid(x, lanes),
}


@dataclass(frozen=True)
class GatedNormSpec:
    """How norm and gate follow each other.

    Attributes:
        epsilon: added to the mean of the squares.
        activation: of the gate: `silu`, `sigmoid`.
        before: the gate multiplies what is normalised (Mamba 2); else the result (Gated DeltaNet).
        shared: all parts have the same weights.
    """

    epsilon: float
    activation: str
    before: bool
    shared: bool

    @property
    def name(self) -> str:
        order = "before" if self.before else "after"
        return f"gated_norm_{self.activation}_{order}_{in_name(self.epsilon)}{'_shared' if self.shared else ''}"


def gated_norm(spec: GatedNormSpec) -> GpuKernel:
    """Buffers: X f32 [row][ldx]; Z f32 [row][ldz]; weight f32 [parts * size], or [size] where it is shared; Y f32
    [row][ld]. Scalars: parts; size, ldx, ldz, offset (of the first column in Z), ld, multiples of 4. Unit: row, part.
    """
    k = GpuKernel(spec.name, threads=THREADS)
    x, z, weight, y = (k.buffer(name, "float32x4") for name in ("X", "Z", "weight", "Y"))
    parts, size, *strides = (k.scalar(name) for name in ("parts", "size", "ldx", "ldz", "offset", "ld"))
    quads, ldx, ldz, offset, ld = (k.let(div(number, 4), "quads") for number in (size, *strides))
    row, first = k.let(div(k.group, parts), "row"), k.let(mod(k.group, parts) * quads, "first")

    def gate(i: Expr) -> Expr:
        return _GATES[spec.activation](k, k.let(z.load(row * ldz + offset + first + i), "z"), 4)

    def normed(i: Expr) -> Expr:
        value = x.load(row * ldx + first + i)
        return k.let(value * gate(i) if spec.before else value, "x")

    squares = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        value = normed(i)
        squares.set(squares.get() + dot(value, value))
    factor = inverse_rms(k, row_total(k, squares), size, spec.epsilon)
    with k.loop(k.thread, quads, THREADS) as i:
        value = normed(i) * splat(factor) * weight.load(i if spec.shared else first + i)
        k.store(y, row * ld + first + i, value if spec.before else value * gate(i))
    return k
