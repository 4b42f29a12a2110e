"""RMSNorm over each of several parts of a row, together with a gate: what ends a recurrent mixer."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, cast, f32, in_name
from hearth.compiler.cpu.kernels.norms import sum_of_squares

LANES = 16


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


def gated_norm(spec: GatedNormSpec) -> Kernel:
    """Buffers: X f32 [row][ldx]; Z f32 [row][ldz]; weight f32 [parts * size], or [size] where it is shared; Y f32
    [row][ld]. Scalars: parts, size (whole vectors), ldx, ldz, offset (of the first column in Z), ld. Unit: row."""
    k = Kernel(spec.name)
    x, z, weight, y = (k.buffer(name, "float32") for name in ("X", "Z", "weight", "Y"))
    parts, size, ldx, ldz, offset, ld = (k.scalar(name) for name in ("parts", "size", "ldx", "ldz", "offset", "ld"))
    act = {"silu": vmath.silu, "sigmoid": vmath.sigmoid}[spec.activation]
    with k.loop(k.begin, k.end) as row, k.loop(0, parts) as part:
        start = k.opaque(row * ldx + part * size, "start")
        gate_at = k.opaque(row * ldz + offset + part * size, "gate_at")
        to = k.opaque(row * ld + part * size, "to")
        weight_at = k.opaque(part * (0 if spec.shared else 1) * size, "weight_at")

        def gated(value: Expr, j: Expr, gate_at: Expr = gate_at) -> Expr:
            return value * act(k, k.let(z.load(gate_at + j, LANES), "z"), LANES)

        if spec.before:
            with k.loop(0, size, LANES) as j:
                k.store(y, to + j, k.let(gated(x.load(start + j, LANES), j), "gated"))
        source, at = (y, to) if spec.before else (x, start)
        mean = sum_of_squares(k, source, at, size) / cast("float32", size)
        factor = k.let(broadcast(f32(1.0) / tirx.sqrt(mean + f32(spec.epsilon)), LANES), "factor")
        with k.loop(0, size, LANES) as j:
            value = k.let(source.load(at + j, LANES) * factor * weight.load(weight_at + j, LANES), "value")
            k.store(y, to + j, value if spec.before else k.let(gated(value, j), "y"))
    return k
