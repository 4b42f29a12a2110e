"""Pictures resized, cut, padded and normalised on their way into a network: against Pillow's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded
from tests.compiler.maps.pictures import FILTERS, GOLDEN, SIZES, name, picture

from hearth.compiler.cpu.kernels.image_filters import ENTRY, resample_table, weights_size
from hearth.compiler.cpu.kernels.image_resize import SHARES, between_bytes, resample_first, resample_second

U8 = NDArray[np.uint8]


def some_isas() -> list[Any]:
    """The best of each architecture, and what any processor has; wasm, which is slow to emulate, stands for itself in
    the tests of products."""
    first = {param.values[0].architecture: param for param in reversed(float_params())}
    return [param for architecture, param in first.items() if architecture != "wasm32"]


MOST_SIDE = 64


@pytest.fixture(scope="module", params=some_isas())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    tables = [resample_table(kind) for kind in FILTERS]  # type: ignore[arg-type]
    passes = [resample_first(), resample_second(bgr=False), resample_second(bgr=True)]
    return build([*tables, *passes], request.param, tmp_path_factory.mktemp("pictures"))


def resized(
    library: KernelLibrary,
    pixels: U8,
    kind: Any,
    out: tuple[int, int],
    *,
    offset: tuple[int, int] = (0, 0),
    result: tuple[int, int] | None = None,
    numbers: NDArray[np.float32] | None = None,
    size: tuple[int, int] | None = None,
    bgr: bool = False,
    chunk: int = 3,
) -> NDArray[np.float32]:
    """A picture's way through all kernels; without `numbers` bytes as they are.

    Args:
        size: that is told, where it is not that of the picture.
    """
    result = result or out
    most = max(MOST_SIDE, *pixels.shape[:2])
    sizes = [copied(np.array(values, np.int32)) for values in (size or pixels.shape[:2], out, offset)]
    area, tables = pixels.shape[0] * pixels.shape[1], []
    for axis, count in enumerate(result):
        entries, weights = guarded((count, ENTRY), np.int32), guarded((weights_size(kind, count, most),), np.int32)
        units = 1 if kind == "nearest" else count
        library.run(f"resample_table_{kind}", [*sizes, entries, weights], [axis, count, area], units, chunk=chunk)
        tables += [entries, weights]
    between, y = guarded((between_bytes(result, most),), np.uint8), guarded((*result, 3), np.float32)
    library.run("resample_first", [copied(pixels), *sizes, *tables, between], result, SHARES, chunk=chunk)
    if numbers is None:
        numbers = np.zeros((3, 4), np.float32)
        numbers[0] = 1
    second = "resample_second_bgr" if bgr else "resample_second"
    library.run(second, [between, *sizes, *tables, copied(numbers), y], result, result[0], chunk=chunk)
    return y


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_bytes_are_pillow_s(library: KernelLibrary, kind: Any, size: Any, out: Any) -> None:
    with np.load(GOLDEN) as arrays:
        expected = arrays[name(kind, size, out)]
    assert np.array_equal(resized(library, picture(*size), kind, out), expected)
    assert np.array_equal(resized(library, picture(*size), kind, out, chunk=100), expected)
    assert np.array_equal(resized(library, picture(*size), kind, out, bgr=True), expected[..., ::-1])
    cut = resized(library, picture(*size), kind, out, offset=(3, 2), result=(out[0] - 4, out[1] - 5))
    assert np.array_equal(cut, expected[3:-1, 2:-3])


@pytest.mark.parametrize("size", [(38, 53), (37, 54), (64, 64)])
def test_sizes_that_are_not_the_picture_s_make_no_picture(library: KernelLibrary, size: tuple[int, int]) -> None:
    assert not resized(library, picture(37, 53), "bicubic", (16, 21), size=size).any()


def test_most_of_a_picture_may_lie_outside(library: KernelLibrary) -> None:
    for kind in FILTERS:
        line = resized(library, picture(1, 60), kind, (7, 420), offset=(-2, 200), result=(12, 8))
        assert np.array_equal(line[2:9], np.broadcast_to(line[2], (7, 8, 3)))
        assert not line[:2].any()
        assert not line[9:].any()
        assert not resized(library, picture(9, 9), kind, (5, 5), offset=(6, -20), result=(4, 4)).any()


def test_cut_padded_and_normalised(library: KernelLibrary) -> None:
    size, out = SIZES[0]
    mean, deviation, fill = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array([0.5, 0, -1])
    numbers = np.zeros((3, 4), np.float32)
    numbers[:, :3] = 1 / (255 * deviation), -mean / deviation, fill
    with np.load(GOLDEN) as arrays:
        expected = (arrays[name("bicubic", size, out)] / 255 - mean) / deviation
    y = resized(library, picture(*size), "bicubic", out, offset=(4, -3), result=(14, 19), numbers=numbers)
    wanted = np.broadcast_to(fill, (14, 19, 3)).copy()
    wanted[:12, 3:] = expected[4:, :16]
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.reference
def test_bytes_are_those_of_the_pillow_at_hand(library: KernelLibrary) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(4)
    for kind in FILTERS:
        for _ in range(12):
            size, out = (tuple(int(n) for n in rng.integers(1, 90, 2)) for _ in range(2))
            pixels = picture(*size)
            wanted = np.array(image.fromarray(pixels).resize(out[::-1], image.Resampling[kind.upper()]))
            assert np.array_equal(resized(library, pixels, kind, out), wanted), (kind, size, out)
