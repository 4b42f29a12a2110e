"""Rotates activations as the rows of a weight were rotated before they were rounded (`quant/rotation.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.compiler.gpu.kernels.activations import Activations
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, f32, i32, mod, splat
from hearth.compiler.gpu.kernels.meeting import Meeting
from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.physical import in_name
from hearth.quant.rotation import LANES

_THREADS = 64
_QUARTERS = LANES // 4


@dataclass(frozen=True)
class RotateSpec:
    """Attributes:
    vectors: of 16 columns that are rotated together.
    product: of which `norm` and `gather` count: what is done to the activations before.
    """

    vectors: int
    product: ProductSpec

    @property
    def name(self) -> str:
        norm = [] if self.product.norm is None else [f"norm{in_name(self.product.norm)}"]
        return "_".join([f"rotate{self.vectors}", *norm, *(["gather"] if self.product.gather else [])])


def rotate(spec: RotateSpec) -> GpuKernel:
    """Y = X H, lane by lane across vectors, H being Sylvester's Hadamard matrix of ones and minus ones.

    Buffers: those of `Activations`; Y f32x4 [m][K / 4]. Scalars: those of `Activations`. Unit: row. K is a multiple of
    16 * vectors.
    """
    k = GpuKernel(spec.name, threads=_THREADS)
    x = Activations(k, spec.product)
    y = k.buffer("Y", "float32x4")
    x.scalars()
    start, quads = x.start(k.group), k.let(div(x.columns, 4), "quads")
    factor = None
    if spec.product.norm is not None:
        squares = k.register("float32", f32(0.0))
        with k.loop(k.thread, quads, _THREADS) as i:
            x.load([start], i, [squares])
        meeting = Meeting(k, [squares], "float32", 1)
        k.barrier()
        meeting.fold()
        k.barrier()
        factor = x.factor(meeting.total(i32(0), i32(0)))
    with k.loop(k.thread, div(quads, spec.vectors), _THREADS) as i:
        first = k.let(div(i, _QUARTERS) * (spec.vectors * _QUARTERS) + mod(i, _QUARTERS), "first")
        values = [x.load([start], first + v * _QUARTERS, None)[0] for v in range(spec.vectors)]
        for v, value in enumerate(_rotated(k, values)):
            k.store(y, k.group * quads + first + v * _QUARTERS, value if factor is None else value * splat(factor))
    return k


def _rotated(k: GpuKernel, values: list[Expr]) -> list[Expr]:
    span = 1
    while span < len(values):
        for low in (i for i in range(len(values)) if not i & span):
            a, b = values[low], values[low + span]
            values[low], values[low + span] = k.let(a + b, "sum"), k.let(a - b, "difference")
        span *= 2
    return values
