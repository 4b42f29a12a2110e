"""act(gate) * up for gate and up that are products of their own: in GGUF mixtures their formats may differ.

Where the formats are the same this happens in the epilogue of one product (`matmul`, epilogue `gated`).
"""

from __future__ import annotations

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Kernel

LANES = 16


def gate(activation: str) -> Kernel:
    """Buffers: gate, up, Y f32 [m][ld]. Scalars: ld, a multiple of 16. Unit: row."""
    k = Kernel(f"gate_{activation}")
    gates, ups, y = (k.buffer(name, "float32") for name in ("gate", "up", "Y"))
    ld = k.scalar("ld")
    with k.loop(k.begin * ld, k.end * ld, LANES) as at:
        value = vmath.ACTIVATIONS[activation](k, k.let(gates.load(at, LANES), "gate"), LANES)
        k.store(y, at, k.let(value * ups.load(at, LANES), "y"))
    return k
