"""Numbers that count up: positions, along an axis whose size may be open."""

from __future__ import annotations

from hearth.compiler.cpu.kernels.builder import Kernel, cast


def count_up(dtype: str) -> Kernel:
    """Y[i] = start + i step. Buffers: Y `dtype` [count]. Scalars: start, step, count. Unit: all of it."""
    k = Kernel(f"count_up_{dtype}")
    y = k.buffer("Y", dtype)
    start, step, count = (k.scalar(name) for name in ("start", "step", "count"))
    with k.loop(k.begin, k.end), k.loop(0, count) as i:
        k.store(y, i, cast(dtype, start + i * step))
    return k
