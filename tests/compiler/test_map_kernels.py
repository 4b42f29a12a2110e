"""Kernels of maps that are no products (depthwise convolution, pooling, resizing, sampling) and top-k: against torch's
numbers. Vectors run over channels, so one instruction set of each width stands for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded
from tests.compiler.maps.cases import (
    DEPTHWISE,
    GOLDEN,
    GRID_SIZE,
    GRIDS,
    POOLS,
    RESIZES,
    ConvCase,
    PoolCase,
    ResizeCase,
    grid_map,
    grid_points,
    numbers,
)

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.depthwise import DepthwiseSpec, depthwise
from hearth.compiler.cpu.kernels.gather import gather
from hearth.compiler.cpu.kernels.grid_sample import GridSampleSpec, grid_sample
from hearth.compiler.cpu.kernels.patches import patches
from hearth.compiler.cpu.kernels.pool import PoolSpec, pool
from hearth.compiler.cpu.kernels.resize_map import ResizeMapSpec, resize_map
from hearth.compiler.cpu.kernels.topk import TopkSpec, topk
from hearth.compiler.cpu.targets import Isa
from hearth.quant import round_up
from hearth.quant.convolution import pack_depthwise

F32 = NDArray[np.float32]


def golden(name: str) -> F32:
    with np.load(GOLDEN) as arrays:
        return np.array(arrays[name])


def padded_channels(x: F32) -> F32:
    out = guarded((*x.shape[:-1], round_up(x.shape[-1], 16)), np.float32)
    out[..., : x.shape[-1]] = x
    return out


def depthwise_spec(isa: Isa, case: ConvCase, activation: str | None = None) -> DepthwiseSpec:
    return DepthwiseSpec(isa, case.kernel[1], case.stride[1], case.dilation[1], activation)


def pool_spec(case: PoolCase) -> PoolSpec:
    return PoolSpec(case.kind, case.out is not None)  # type: ignore[arg-type]


def resize_spec(case: ResizeCase) -> ResizeMapSpec:
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(case.mode, "nearest")
    half = case.mode == "nearest-exact" or (mode != "nearest" and not case.align_corners)
    return ResizeMapSpec(mode, half)  # type: ignore[arg-type]


TOPK = (1, 2, 5, 300)


def kernels(isa: Isa) -> dict[str, Kernel]:
    made = [
        *(depthwise(depthwise_spec(isa, case)) for case in DEPTHWISE),
        depthwise(depthwise_spec(isa, DEPTHWISE[0], "relu6")),
        *(pool(pool_spec(case)) for case in POOLS),
        patches(),
        *(resize_map(resize_spec(case)) for case in RESIZES),
        *(grid_sample(GridSampleSpec(*grid)) for grid in GRIDS),  # type: ignore[arg-type]
        *(topk(TopkSpec(k)) for k in TOPK),
        gather(),
    ]
    return {kernel.name: kernel for kernel in made}


def some_isas() -> list[Any]:
    """The best of each architecture, and what any processor has; wasm, which is slow to emulate, stands for itself in
    the tests of products."""
    first = {param.values[0].architecture: param for param in reversed(float_params())}
    return [param for architecture, param in first.items() if architecture != "wasm32"]


@pytest.fixture(scope="module", params=some_isas())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Isa, KernelLibrary]:
    isa = request.param
    return isa, build(kernels(isa).values(), isa, tmp_path_factory.mktemp("maps"))


def run_depthwise(made: tuple[Isa, KernelLibrary], case: ConvCase, chunk: int, activation: str | None = None) -> F32:
    isa, library = made
    top, left = case.padding[:2]
    x = padded_channels(case.x)
    out_h, out_w = golden(f"conv_{case.name}").shape[1:3]
    y = guarded((2, out_h, out_w, x.shape[3]), np.float32)
    scalars = [*case.size, out_h, out_w, x.shape[3], case.kernel[0], case.stride[0], top, left, case.dilation[0]]
    packed = copied(pack_depthwise(case.weight, case.bias))
    library.run(depthwise_spec(isa, case, activation).name, [x, packed, y], scalars, 2 * out_h, chunk=chunk)
    return np.array(y[..., : case.outputs])


@pytest.mark.parametrize("case", DEPTHWISE, ids=lambda case: case.name)
def test_depthwise_convolution(made: tuple[Isa, KernelLibrary], case: ConvCase) -> None:
    y = run_depthwise(made, case, chunk=3)
    np.testing.assert_allclose(y, golden(f"conv_{case.name}"), rtol=2e-6, atol=1e-5)
    assert np.array_equal(run_depthwise(made, case, chunk=100), y)


def test_depthwise_convolution_and_activation(made: tuple[Isa, KernelLibrary]) -> None:
    case = DEPTHWISE[0]
    expected = np.clip(run_depthwise(made, case, chunk=3), 0, 6)
    assert np.array_equal(run_depthwise(made, case, chunk=3, activation="relu6"), expected)


@pytest.mark.parametrize("case", POOLS, ids=lambda case: case.name)
def test_pooling(made: tuple[Isa, KernelLibrary], case: PoolCase) -> None:
    expected = golden(f"pool_{case.name}")
    x = padded_channels(case.x)
    y = guarded((*expected.shape[:3], x.shape[3]), np.float32)
    scalars = [*case.size, *expected.shape[1:3], x.shape[3]]
    if case.out is None:
        scalars += [*case.kernel, *case.stride, *case.padding, *case.padding, *case.dilation]
    made[1].run(pool_spec(case).name, [x, y], scalars, 2 * expected.shape[1], chunk=3)
    np.testing.assert_allclose(y[..., :20], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 20])
def test_patches_are_rows_whose_product_is_the_convolution(made: tuple[Isa, KernelLibrary], channels: int) -> None:
    x, weight = numbers(5, 2, 9, 14, channels), numbers(6, 7, channels, 4, 3)
    ld = round_up(12 * channels, 16)
    rows = guarded((2, 2, 4, ld), np.float32)
    scalars = [9, 14, channels, round_up(channels, 16), 4, 3, 2, 4, ld]
    made[1].run("patches", [padded_channels(x), rows], scalars, 16, chunk=3)
    product = rows[..., : 12 * channels] @ weight.transpose(0, 2, 3, 1).reshape(7, -1).T
    tiles = x[:, :8, :12].reshape(2, 2, 4, 4, 3, channels)
    np.testing.assert_allclose(product, np.einsum("nyixjc,ocij->nyxo", tiles, weight), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("case", RESIZES, ids=lambda case: case.name)
def test_resizing(made: tuple[Isa, KernelLibrary], case: ResizeCase) -> None:
    (h, w), (out_h, out_w) = case.size, case.out
    x = padded_channels(case.x)
    y = guarded((2, out_h, out_w, 32), np.float32)
    scales = [h, out_h, w, out_w]
    if case.align_corners:
        scales = [h - 1, max(out_h - 1, 1), w - 1, max(out_w - 1, 1)]
    made[1].run(resize_spec(case).name, [x, y], [h, w, out_h, out_w, 32, *scales], 2 * out_h, chunk=3)
    np.testing.assert_allclose(y[..., :20], golden(f"resize_{case.name}"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: "-".join(map(str, grid)))
def test_sampling_at_a_grid(made: tuple[Isa, KernelLibrary], grid: Any) -> None:
    """Each image is two heads of 16 channels side by side, as in deformable attention."""
    mode, padding, corners = grid
    h, w = GRID_SIZE
    x, points = copied(np.concatenate([grid_map(), -grid_map()], axis=3)), grid_points()
    both = guarded((2, 2, 24, 16), np.float32)
    both[..., :2] = points[:, None]
    y = guarded((2, 2, 24, 16), np.float32)
    scalars = [h, w, 16, 24, 16, 2, h * w * 32, 16, w * 32, 32]
    made[1].run(GridSampleSpec(mode, padding, corners).name, [x, both, y], scalars, 2 * 2 * 24, chunk=7)
    expected = golden(f"grid_{mode}_{padding}_{corners}")
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(y[:, 1], -expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("k", TOPK)
def test_top_k(made: tuple[Isa, KernelLibrary], k: int) -> None:
    """Many equal numbers: of these the first. Both zeros are one number, and NaN is above all."""
    size, ld = 333, 336
    x = guarded((3, ld), np.float32)
    x[:, :size] = np.random.default_rng(1).integers(-9, 9, (3, size)) / 2
    x[1, :size] = np.where(np.arange(size) % 2, -0.0, 0.0)
    x[2, 77], x[2, 5], x[2, 6], x[2, 100] = -np.nan, np.inf, -np.inf, np.nan
    values, indices = guarded((3, round_up(k, 16)), np.float32), guarded((3, k), np.int32)
    spec = TopkSpec(k)
    scalars = [size, ld, round_up(k, 16), k]
    made[1].run(spec.name, [x, values, indices], scalars, 3, chunk=2, scratch_bytes=spec.scratch_bytes())
    order = np.stack([np.argsort(np.where(np.isnan(r), -np.inf, -r), kind="stable") for r in x[:, :size]])
    order[2] = [77, 100, 5, *[i for i in order[2] if i not in (77, 100, 5)]]
    assert np.array_equal(indices, order[:, :k])
    assert np.array_equal(values[:, :k], np.take_along_axis(x, order[:, :k], axis=1), equal_nan=True)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_rows_of_each_image_are_gathered(made: tuple[Isa, KernelLibrary], chunk: int) -> None:
    _, library = made
    rng = np.random.default_rng(8)
    x = padded_channels(rng.normal(size=(3, 7, 20)).astype(np.float32))
    ids = rng.integers(0, 7, (3, 4)).astype(np.int32)
    y = guarded((3, 4, 32), np.float32)
    library.run("gather_rows", [x, copied(ids), y], [7, 4, 32], 12, chunk=chunk)
    np.testing.assert_array_equal(y[..., :20], np.take_along_axis(x, ids[..., None], 1)[..., :20])
