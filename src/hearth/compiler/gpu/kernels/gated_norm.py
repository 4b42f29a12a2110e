"""RMSNorm over each of several parts of a row, together with a gate: what ends a recurrent mixer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, div, dot, f32, i32, mod, splat
from hearth.compiler.gpu.kernels.norms import inverse_rms
from hearth.compiler.physical import in_name

THREADS = 64
_TOGETHER = 8
"""Of the sums of as many invocations, one more sum: THREADS of them in two steps."""
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
        return gated(k, spec, z.load(row * ldz + offset + first + i))

    def normed(i: Expr) -> Expr:
        value = x.load(row * ldx + first + i)
        return value * gate(i) if spec.before else value

    factor = Squares(k).factor(normed, quads, size, spec.epsilon)
    with k.loop(k.thread, quads, THREADS) as i:
        value = normed(i) * splat(factor) * weight.load(i if spec.shared else first + i)
        k.store(y, row * ld + first + i, value if spec.before else value * gate(i))
    return k


def gated(k: GpuKernel, spec: GatedNormSpec, z: Expr) -> Expr:
    """What a gate multiplies four columns by."""
    return _GATES[spec.activation](k, k.let(z, "z"), 4)


class Squares:
    """Sums of the squares of parts, in an order that does not depend on how many invocations a workgroup has."""

    def __init__(self, k: GpuKernel) -> None:
        """Declares the memory."""
        assert k.threads >= _TOGETHER
        self.k = k
        self._own, self._sums = k.workgroup(THREADS, "float32", "squares"), k.workgroup(_TOGETHER, "float32", "sums")

    def factor(self, load: Callable[[Expr], Expr], quads: Expr, size: Expr, epsilon: float) -> Expr:
        """What the norm multiplies a part by whose vectors `load` gives; all invocations have to be here."""
        k = self.k
        with k.loop(k.thread, THREADS, k.threads) as own:
            squares = k.register("float32", f32(0.0))
            with k.loop(own, quads, THREADS) as i:
                value = k.let(load(i), "value")
                squares.set(squares.get() + dot(value, value))
            k.store(self._own, own, squares.get())
        k.barrier()
        with k.when(k.thread < _TOGETHER):
            k.store(self._sums, k.thread, self._sum(self._own, k.thread, THREADS, _TOGETHER))
        k.barrier()
        return inverse_rms(k, self._sum(self._sums, i32(0), _TOGETHER, 1), size, epsilon)

    def _sum(self, memory: Memory, first: Expr, end: int, step: int) -> Expr:
        total = self.k.register("float32", memory.load(first))
        for i in range(step, end, step):
            total.set(total.get() + memory.load(first + i))
        return self.k.let(total.get(), "total")
