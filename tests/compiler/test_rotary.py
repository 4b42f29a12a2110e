"""Rotation of heads against numpy: both kinds of pairs, part of a head, several heads in place, tables that repeat."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded

from hearth.compiler.cpu.kernels.rotary import RotarySpec, rotary

SPECS = {interleaved: RotarySpec(interleaved) for interleaved in (False, True)}


@pytest.fixture(scope="module", params=float_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    return build(map(rotary, SPECS.values()), request.param, tmp_path_factory.mktemp("rotary"))


def turned(x: NDArray[np.float32], angles: NDArray[np.float64], interleaved: bool) -> NDArray[np.float64]:
    """x (n, heads, d) as complex numbers, turned by angles (n, half)."""
    half = angles.shape[1]
    y = x.astype(np.float64)
    halves, turns = (slice(half), slice(half, 2 * half)), (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
    first, second = turns if interleaved else halves
    z = (y[..., first] + 1j * y[..., second]) * np.exp(1j * angles)[:, None]
    y[..., first], y[..., second] = z.real, z.imag
    return y


@pytest.mark.parametrize("interleaved", SPECS)
@pytest.mark.parametrize(("d", "half"), [(20, 10), (64, 32), (48, 11), (80, 20)])
def test_rotated_heads(library: KernelLibrary, interleaved: bool, d: int, half: int) -> None:
    """From some columns of one buffer to others of another; what stands beside them stays."""
    n, heads, positions, off_x, off_y = 7, 3, 4, 5, 9
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, heads, d)).astype(np.float32)
    angles = rng.uniform(-4, 4, (positions, half))
    source, out = guarded((n, 256), np.float32), guarded((n, 288), np.float32, 7)
    source[:, off_x : off_x + heads * d] = x.reshape(n, -1)
    tables = [copied(part.astype(np.float32)) for part in (np.cos(angles), np.sin(angles))]
    scalars = [positions, heads, d, half, half, 256, off_x, 288, off_y]
    library.run(SPECS[interleaved].name, [source, *tables, out], scalars, n, chunk=2)
    expected = turned(x, angles[np.arange(n) % positions], interleaved)
    columns = slice(off_y, off_y + heads * d)
    np.testing.assert_allclose(out[:, columns].reshape(x.shape), expected, rtol=1e-6, atol=1e-6)
    out[:, columns] = 7
    assert (out == 7).all()
    # In place it is the same.
    again = copied(source)
    scalars = [positions, heads, d, half, half, 256, off_x, 256, off_x]
    library.run(SPECS[interleaved].name, [again, *tables, again], scalars, n, chunk=3)
    kept = slice(off_x, off_x + heads * d)
    np.testing.assert_allclose(again[:, kept].reshape(x.shape), expected, rtol=1e-6, atol=1e-6)
