"""f16 numbers are read as what they are, by instructions or in their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.kernel_library import build, copied, emulated_params, guarded, isa_params

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.halves import float_loader
from hearth.compiler.cpu.targets import Isa

LANES = 16


def reader(isa: Isa) -> Kernel:
    k = Kernel("read_halves")
    load = float_loader(isa, k, k.buffer("X", "float16"))
    y = k.buffer("Y", "float32")
    with k.loop(k.begin, k.end) as unit:
        k.store(y, unit * LANES, k.let(load(unit * LANES, LANES), "value"))
    return k


@pytest.mark.parametrize("isa", [*isa_params(), *emulated_params()])
def test_every_half_is_read_as_numpy_reads_it(isa: Isa, tmp_path: Path) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    floats = guarded(halves.shape, np.float32)
    build([reader(isa)], isa, tmp_path).run(
        "read_halves", [copied(halves), floats], [], len(halves) // LANES, chunk=100
    )
    np.testing.assert_array_equal(floats, halves.astype(np.float32))
