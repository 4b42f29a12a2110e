"""Pictures resized, cut, padded and normalised on their way into a network: against Pillow's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded
from tests.compiler.maps.pictures import FILTERS, GOLDEN, SIZES, name, picture

from hearth.compiler.cpu.kernels.image_filters import resample_table
from hearth.compiler.cpu.kernels.image_resize import ImageResize, resample_first, resample_second

U8 = NDArray[np.uint8]


def some_isas() -> list[Any]:
    """The best of each architecture, and what any processor has; wasm, which is slow to emulate, stands for itself in
    the tests of products."""
    first = {param.values[0].architecture: param for param in reversed(float_params())}
    return [param for architecture, param in first.items() if architecture != "wasm32"]


@pytest.fixture(scope="module", params=some_isas())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    passes = [resample_first(3), resample_first(1)]
    passes += [resample_second(c, normalise=normalise) for c in (1, 3) for normalise in (False, True)]
    tables = [resample_table(kind) for kind in FILTERS]  # type: ignore[arg-type]
    return build([*tables, *passes], request.param, tmp_path_factory.mktemp("pictures"))


def resized(
    library: KernelLibrary, pixels: U8, plan: ImageResize, numbers: NDArray[np.float32] | None = None, chunk: int = 3
) -> NDArray[Any]:
    channels, tables = pixels.shape[2], []
    for axis in range(2):
        count = plan.result[axis]
        bounds, weights = guarded((count, 2), np.int32), guarded((count, plan.taps(axis)), np.int32)
        units = 1 if plan.kind == "nearest" else count
        library.run(f"resample_table_{plan.kind}", [bounds, weights], plan.table_scalars(axis), units, chunk=chunk)
        tables += [bounds, weights]
    between = guarded((plan.between_bytes,), np.uint8)
    scalars = plan.pass_scalars()
    first = [copied(pixels), *tables, between]
    library.run(f"resample_first_{channels}", first, scalars, plan.first_units, chunk=chunk)
    suffix, shape, dtype = ("", (*plan.result, channels), np.uint8)
    if numbers is not None:
        suffix, shape, dtype = "_normalise", (*plan.result, 16), np.float32  # type: ignore[assignment]
    y = guarded(shape, dtype)
    second = [between, *tables, *([] if numbers is None else [copied(numbers)]), y]
    library.run(f"resample_second_{channels}{suffix}", second, scalars, plan.result[0], chunk=chunk)
    return y


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_bytes_are_pillow_s(library: KernelLibrary, kind: Any, size: Any, out: Any) -> None:
    with np.load(GOLDEN) as arrays:
        expected = arrays[name(kind, size, out)]
    plan = ImageResize(kind, size, out, (0, 0), out)
    assert np.array_equal(resized(library, picture(*size), plan), expected)
    assert np.array_equal(resized(library, picture(*size), plan, chunk=100), expected)
    grey = resized(library, np.ascontiguousarray(picture(*size)[..., 1:2]), plan)
    assert np.array_equal(grey[..., 0], expected[..., 1])


def test_cut_padded_and_normalised(library: KernelLibrary) -> None:
    size, out = SIZES[0]
    mean, deviation, fill = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array([0.5, 0, -1])
    numbers = np.zeros((3, 4), np.float32)
    numbers[:, :3] = 1 / (255 * deviation), -mean / deviation, fill
    with np.load(GOLDEN) as arrays:
        expected = (arrays[name("bicubic", size, out)] / 255 - mean) / deviation
    plan = ImageResize("bicubic", size, out, (4, -3), (14, 19))
    y = resized(library, picture(*size), plan, numbers)
    wanted = np.broadcast_to(fill, (14, 19, 3)).copy()
    wanted[:12, 3:] = expected[4:, :16]
    np.testing.assert_allclose(y[..., :3], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.reference
def test_bytes_are_those_of_the_pillow_at_hand(library: KernelLibrary) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(4)
    for kind in FILTERS:
        for _ in range(12):
            size, out = (tuple(int(n) for n in rng.integers(1, 90, 2)) for _ in range(2))
            pixels = picture(*size)
            wanted = np.array(image.fromarray(pixels).resize(out[::-1], image.Resampling[kind.upper()]))
            plan = ImageResize(kind, size, out, (0, 0), out)  # type: ignore[arg-type]
            assert np.array_equal(resized(library, pixels, plan), wanted), (kind, size, out)
