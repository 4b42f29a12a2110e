"""Activations by themselves against float64, over all arguments that networks have and those they should not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, emulated_params, guarded, isa_params
from tests.compiler.references import ACTIVATIONS

from hearth.compiler.cpu.kernels.elementwise import ElementwiseSpec, elementwise
from hearth.compiler.cpu.kernels.vmath import ACTIVATIONS as KERNELS

FUNCTIONS = ("log", "sin", "cos", "erf")
SPECS = {
    name: ElementwiseSpec((name, 0), ("v", "v"), ("float32",), axes=1, padded=True) for name in (*KERNELS, *FUNCTIONS)
}


@pytest.fixture(scope="module", params=[*isa_params(), *emulated_params()])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    return build(map(elementwise, SPECS.values()), request.param, tmp_path_factory.mktemp("activations"))


def computed(library: KernelLibrary, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    y = guarded(x.shape, np.float32)
    width = x.shape[1]
    library.run(SPECS[name].name, [copied(x), y], [width, 0, width, 0, width], len(x), chunk=3)
    return y


def arguments() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    near, far = rng.uniform(-6, 6, 40000), rng.uniform(-30, 30, 8000)
    tiny = np.exp(rng.uniform(-30, 0, 8000)) * rng.choice([-1, 1], 8000)
    x = np.concatenate([near, far, tiny, [0.0, -0.0, 0.625, -0.625, 13.5, -13.5]]).astype(np.float32)
    return np.pad(x, (0, -len(x) % 64)).reshape(-1, 64)


@pytest.mark.parametrize("name", KERNELS)
def test_activation_to_the_last_bits(library: KernelLibrary, name: str) -> None:
    x = arguments()
    exact = ACTIVATIONS[name](x.astype(np.float64))
    # The tails left of 0 are tiny numbers, products of many roundings.
    rtol = np.where(x > 0, 2e-7, 7e-7) if name != "tanh" else 2e-7
    error = np.abs(computed(library, name, x) - exact)
    np.testing.assert_array_less(error, rtol * np.abs(exact) + 2e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_far_arguments_have_the_limits(library: KernelLibrary, name: str) -> None:
    x = np.repeat(np.array([[3e4, -3e4, 1e30, -1e30]], np.float32), 16, axis=1)
    with np.errstate(over="ignore"):
        exact = ACTIVATIONS[name](x.astype(np.float64))
    np.testing.assert_allclose(computed(library, name, x), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "sigmoid"])
def test_not_a_number_stays_one(library: KernelLibrary, name: str) -> None:
    """A fault in a network must be seen, not turned into a plausible number."""
    assert np.isnan(computed(library, name, np.full((1, 16), np.nan, np.float32))).all()


def test_logarithm_to_the_last_bits(library: KernelLibrary) -> None:
    rng = np.random.default_rng(1)
    near, far = rng.uniform(0.3, 3, 8000), np.exp(rng.uniform(-87, 88, 8000))
    just = 1 + rng.integers(-9, 10, 300) * 2.0**-24
    x = np.concatenate([near, far, just, [1.0, 0.5, 2.0, 3e38, 1e-40, 1.5e-45]]).astype(np.float32)
    x = np.pad(x, (0, -len(x) % 64), constant_values=1).reshape(-1, 64)
    exact = np.log(x.astype(np.float64))
    np.testing.assert_array_less(np.abs(computed(library, "log", x) - exact), 3e-7 * np.abs(exact) + 1e-12)
    odd = np.repeat(np.array([[0.0, -0.0, -1.0, np.inf, np.nan, -np.inf]], np.float32), 16, axis=0).T.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_array_equal(computed(library, "log", odd), np.log(odd))


@pytest.mark.parametrize("name", ["sin", "cos", "erf"])
def test_waves_and_the_error_function(library: KernelLibrary, name: str) -> None:
    x = np.concatenate([arguments(), np.linspace(-25000, 25000, 64 * 200, dtype=np.float32).reshape(-1, 64)])
    exact = {"sin": np.sin, "cos": np.cos, "erf": np.vectorize(math.erf, otypes=[float])}[name](x.astype(np.float64))
    error = np.abs(computed(library, name, x) - exact)
    np.testing.assert_array_less(error, (3e-7 * np.abs(exact) if name == "erf" else 2e-7) + 1e-30)
    assert np.isnan(computed(library, name, np.full((1, 16), np.nan, np.float32))).all()
