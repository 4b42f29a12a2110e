"""Attention in shifted windows against what transformers' Swin layers compute (`windows/make_windows.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded, host_isa

from hearth.compiler.cpu.kernels.window_attention import WindowAttentionSpec, window_attention

HEADS, D = 2, 6


@dataclass(frozen=True)
class Case:
    """Maps (batch, height, width, heads * d), biases and expected output of one attention."""

    arrays: dict[str, NDArray[Any]]

    def spec(self, int8: bool = False) -> WindowAttentionSpec:
        version, window, shift = (int(x) for x in self.arrays["options"])
        v2 = version == 2
        return WindowAttentionSpec(
            D, 1.0 if v2 else D**-0.5, (window, window), shifted=shift > 0, cosine=v2,
            padding=True, penalty=-200.0 if v2 else -100.0, int8=int8,
        )  # fmt: skip

    def run(self, library: KernelLibrary, chunk: int, int8: bool = False) -> NDArray[np.float32]:
        """Queries, keys and values are columns of one buffer."""
        x = np.concatenate([self.arrays[name] for name in "qkv"], axis=-1)
        batch, height, width, columns = x.shape
        ld, ldo = 48, 16
        rows = guarded((batch, height, width, ld), np.float32)
        rows[..., :columns] = x
        out = guarded((batch, height, width, ldo), np.float32, 7)
        relative = self.arrays["relative"]
        padding = ((0, 0), (0, 0), (0, -relative.shape[-1] % 16))
        buffers = [rows, rows, rows, copied(np.pad(relative, padding, constant_values=np.nan))]
        spec = self.spec(int8)
        row = np.concatenate([np.full(HEADS * D, np.nan, np.float32), self.arrays["pad_k"], self.arrays["pad_v"]])
        buffers += [copied(row), copied(row)]
        buffers += [copied(self.arrays["head_scales"])] if spec.cosine else []
        _, window, shift = (int(x) for x in self.arrays["options"])
        scalars = [height, width, HEADS, ld, ld, ld, ldo, 0, HEADS * D, 2 * HEADS * D]
        scalars += [shift, shift] if spec.shifted else []
        units = batch * -(-height // window) * -(-width // window) * HEADS
        library.run(spec.name, [*buffers, out], scalars, units, chunk=chunk, scratch_bytes=spec.scratch_bytes())
        assert (out[..., HEADS * D :] == 7).all()
        return out[..., : HEADS * D]


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    with np.load(Path(__file__).parent / "windows" / "windows.npz") as arrays:
        for key in arrays:
            name, part = key.split("/")
            found.setdefault(name, Case({})).arrays[part] = arrays[key]
    return found


CASES = cases()


COMMON = ("shifted", "padded")
"""What is tried on every instruction set; the others on this machine's best."""


@pytest.fixture(scope="module", params=float_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    kernels = [window_attention(request.param, spec) for spec in {CASES[name].spec() for name in COMMON}]
    return build(kernels, request.param, tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    specs = {case.spec() for case in CASES.values()} | {CASES["large"].spec(int8=True)}
    return build([window_attention(host_isa(), spec) for spec in specs], host_isa(), tmp_path_factory.mktemp("windows"))


def check(library: KernelLibrary, name: str) -> None:
    actual = CASES[name].run(library, chunk=3)
    np.testing.assert_allclose(actual, CASES[name].arrays["output"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", COMMON)
def test_as_transformers_computes_it(library: KernelLibrary, name: str) -> None:
    check(library, name)


@pytest.mark.parametrize("name", [name for name in CASES if name not in COMMON])
def test_other_windows(here: KernelLibrary, name: str) -> None:
    check(here, name)


@pytest.mark.parametrize("name", ["padded", "cosine_padded"])
def test_how_windows_are_shared_changes_no_bit(here: KernelLibrary, name: str) -> None:
    assert np.array_equal(CASES[name].run(here, chunk=1), CASES[name].run(here, chunk=100))


def test_bytes_come_close(here: KernelLibrary) -> None:
    expected = CASES["large"].arrays["output"]
    error = CASES["large"].run(here, chunk=3, int8=True) - expected
    assert np.sqrt((error**2).mean() / (expected**2).mean()) < 0.03
