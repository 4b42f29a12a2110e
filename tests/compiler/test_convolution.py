"""Convolutions of every kind against torch's numbers, on every instruction set: a failure says that networks with such
layers see something else than they were trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import (
    KernelLibrary,
    build,
    copied,
    emulated_params,
    float_params,
    guarded,
    isa_params,
    matrix_params,
)
from tests.compiler.maps.cases import CONVS, F32, GOLDEN, TRANSPOSED, ConvCase, numbers

from hearth.compiler.cpu.kernels.conv import ConvSpec, conv
from hearth.compiler.cpu.kernels.conv_geometry import Conv, PreparedMap, conv2d, conv_transpose2d
from hearth.compiler.cpu.kernels.conv_prepare import PrepareMapSpec, map_range, prepare_map
from hearth.compiler.cpu.targets import Isa
from hearth.errors import Unsupported
from hearth.quant import round_up
from hearth.quant.convolution import ConvKind, ConvWeight, transposed_phase, transposed_taps

KINDS: tuple[ConvKind, ...] = ("float32", "int8")
F64 = NDArray[np.float64]


def golden(name: str) -> F32:
    with np.load(GOLDEN) as arrays:
        return np.array(arrays[name])


def padded_channels(x: F32) -> F32:
    """NHWC with rows of 16 channels, NaN in the padding: what stands there is unspecified."""
    out = guarded((*x.shape[:3], round_up(x.shape[3], 16)), np.float32)
    out[..., : x.shape[3]] = x
    return out


@dataclass(frozen=True)
class Kernels:
    """The kernels of one instruction set and kind."""

    isa: Isa
    kind: ConvKind
    library: KernelLibrary

    def prepare(self, x: F32, source: PreparedMap, chunk: int) -> tuple[NDArray[Any], list[F32]]:
        """The prepared map, and for int8 its scales."""
        images, height, width, channels = x.shape
        given, rows = padded_channels(x), images * height
        spec = PrepareMapSpec(self.isa, self.kind, source.upsample)
        shape = (images, source.rows, source.dwords, source.columns)
        units = images * source.rows
        if self.kind == "float32":
            out = guarded(shape, np.float32)
            self.library.run(spec.name, [given, out], source.prepare_scalars(), units, chunk=chunk)
            return out, []
        ranges, out, scales = guarded((rows, 2), np.float32), guarded(shape, np.int32), guarded((images, 2), np.float32)
        self.library.run("map_range", [given, ranges], [width, channels, given.shape[3]], rows, chunk=chunk)
        self.library.run(spec.name, [given, ranges, out, scales], source.prepare_scalars(), units, chunk=chunk)
        return out, [scales]

    def convolve(
        self, what: Conv, prepared: tuple[NDArray[Any], list[F32]], packed: NDArray[np.uint8], y: F32, *, chunk: int,
        residual: F32 | None = None, activation: str | None = None,
    ) -> None:  # fmt: skip
        spec = ConvSpec.of(what, self.isa, residual=residual is not None, activation=activation)
        x, scales = prepared
        buffers = [x, *scales, copied(packed), *([] if residual is None else [residual]), y]
        units, scratch = what.units(len(x), spec.blocks), max(64, spec.scratch_bytes())
        self.library.run(spec.name, buffers, what.scalars(len(x)), units, chunk=chunk, scratch_bytes=scratch)


WIDE = ConvCase("wide", (2, 31), 4, 16, (1, 1))
ACTIVATIONS = ("relu", "relu6", "hardswish", "silu", "gelu")


def specs(isa: Isa, kind: ConvKind) -> set[ConvSpec]:
    """Of all cases, and of what follows the sums."""
    found = {ConvSpec.of(geometry(case, kind), isa) for case in (*CONVS, WIDE, *map(phase, TRANSPOSED))}
    found.add(ConvSpec(isa, kind, residual=True, activation="relu"))
    return found | {ConvSpec(isa, kind, residual=True, activation="relu", ranges=True)} if kind == "int8" else found


def phase(case: ConvCase) -> ConvCase:
    """A convolution by the kernel that a transposed one's phases use."""
    taps = tuple(-(-k // s) for k, s in zip(case.kernel, case.stride, strict=True))
    return replace(case, kernel=taps, stride=(1, 1))


def all_kernels(isa: Isa, folder: Path) -> dict[ConvKind, Kernels]:
    made: dict[ConvKind, Kernels] = {}
    for kind in KINDS:
        sources = [conv(spec) for spec in specs(isa, kind)] + [map_range()]
        sources += [prepare_map(PrepareMapSpec(isa, kind, upsample)) for upsample in (1, 2)]
        (folder / kind).mkdir()
        made[kind] = Kernels(isa, kind, build(sources, isa, folder / kind))
    return made


@pytest.fixture(scope="module", params=[*isa_params(), *matrix_params()])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[ConvKind, Kernels]:
    return all_kernels(request.param, tmp_path_factory.mktemp("conv"))


@pytest.fixture(scope="module", params=float_params()[:1])
def best(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    isa = request.param
    chosen = [conv(ConvSpec(isa, "float32", activation=name)) for name in (None, *ACTIVATIONS)]
    library = build([*chosen, prepare_map(PrepareMapSpec(isa, "float32"))], isa, tmp_path_factory.mktemp("best"))
    return Kernels(isa, "float32", library)


def geometry(case: ConvCase, kind: ConvKind) -> Conv:
    weight = ConvWeight(case.outputs, case.inputs, case.kernel, case.groups, kind)
    return conv2d(weight, case.size, stride=case.stride, padding=case.padding, dilation=case.dilation)


def result(kernels: Kernels, case: ConvCase, chunk: int = 3) -> F32:
    what = geometry(case, kernels.kind)
    y = guarded((2, *what.output.size, what.output.ld), np.float32)
    prepared = kernels.prepare(case.x, what.source, chunk)
    kernels.convolve(what, prepared, what.weight.pack(case.weight, case.bias), y, chunk=chunk)
    return np.array(y[..., : case.outputs])


def convolved(x: F64, weight: F64, case: ConvCase) -> F64:
    """In float64, by numpy; the first test below holds it to torch."""
    top, left, bottom, right = case.padding
    grown = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    reach = tuple((k - 1) * d + 1 for k, d in zip(case.kernel, case.dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(grown, reach, (1, 2))
    taps = windows[:, :: case.stride[0], :: case.stride[1], :, :: case.dilation[0], :: case.dilation[1]]
    apart = taps.reshape(*taps.shape[:3], case.groups, -1, *case.kernel)
    out = np.einsum("nyxgcij,gocij->nyxgo", apart, weight.reshape(case.groups, -1, *weight.shape[1:]))
    return np.asarray(out.reshape(*out.shape[:3], -1))


def quantised_weight(weight: F32) -> F64:
    """What int8 weights are worth: a scale for each output."""
    steps = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / np.float32(127)
    wide = steps.reshape(-1, 1, 1, 1)
    return np.asarray(np.rint(weight / wide) * wide.astype(np.float64))


def quantised_map(x: F32) -> F64:
    """What int8 activations are worth, by the rule of docs/architecture.md, "Prepared maps"."""
    low, high = (bound(x.reshape(len(x), -1), axis=1, initial=0) for bound in (np.min, np.max))
    steps, inverse = (high - low) * np.float32(1 / 252), np.float32(252) / (high - low)
    shift = (np.float32(-126) - np.rint(low * inverse)).reshape(-1, 1, 1, 1)
    integers = np.rint(x.astype(np.float64) * inverse.reshape(-1, 1, 1, 1) + shift)
    assert np.abs(integers).max() <= 127
    return np.asarray((integers - shift) * steps.astype(np.float64).reshape(-1, 1, 1, 1))


@pytest.mark.parametrize("case", CONVS, ids=lambda case: case.name)
def test_convolution_is_torch_s(made: dict[ConvKind, Kernels], case: ConvCase) -> None:
    expected = golden(f"conv_{case.name}")
    np.testing.assert_allclose(result(made["float32"], case), expected, rtol=2e-6, atol=1e-5)
    exact = convolved(case.x.astype(np.float64), case.weight.astype(np.float64), case) + case.bias
    np.testing.assert_allclose(exact, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CONVS, ids=lambda case: case.name)
def test_int8_convolution_is_that_of_its_integers(made: dict[ConvKind, Kernels], case: ConvCase) -> None:
    expected = convolved(quantised_map(case.x), quantised_weight(case.weight), case) + case.bias
    y = result(made["int8"], case)
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-5)
    exact = golden(f"conv_{case.name}")
    error = np.sqrt(((y - exact) ** 2).mean() / (exact**2).mean())
    assert error < 0.02, "8 bits cost more than a fiftieth of the signal"


@pytest.mark.parametrize("isa", emulated_params())
def test_other_processors_convolve_the_same(isa: Isa, tmp_path: Path) -> None:
    kernels = all_kernels(isa, tmp_path)
    for case in (CONVS[0], CONVS[1], CONVS[-1]):
        np.testing.assert_allclose(
            result(kernels["float32"], case, 99), golden(f"conv_{case.name}"), rtol=2e-6, atol=1e-5
        )
        expected = convolved(quantised_map(case.x), quantised_weight(case.weight), case) + case.bias
        np.testing.assert_allclose(result(kernels["int8"], case, 99), expected, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", TRANSPOSED, ids=lambda case: case.name)
def test_transposed_convolution_is_torch_s(made: dict[ConvKind, Kernels], case: ConvCase, kind: ConvKind) -> None:
    kernels, expected = made[kind], golden(f"transposed_{case.name}")
    whole = ConvWeight(case.outputs, case.inputs, case.kernel, case.groups, kind)
    phases = conv_transpose2d(
        whole, case.size, stride=case.stride, padding=case.padding[:2], output_padding=case.output_padding
    )
    y = guarded((2, *phases[0].output.size, phases[0].output.ld), np.float32)
    prepared = kernels.prepare(case.x, phases[0].source, 3)
    for what in phases:
        rows, columns = (
            transposed_taps(k, s, p, a)
            for k, s, p, a in zip(case.kernel, case.stride, case.padding, what.output.start, strict=False)
        )
        weight = transposed_phase(case.transposed_weight, case.groups, rows, columns)
        kernels.convolve(what, prepared, what.weight.pack(weight, case.bias), y, chunk=2)
    assert y.shape[:3] == expected.shape[:3]
    tolerance = 1e-5 if kind == "float32" else 0.03 * np.abs(expected).max()
    np.testing.assert_allclose(y[..., : case.outputs], expected, rtol=2e-6, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_of_the_units_change_no_bit(made: dict[ConvKind, Kernels], kind: ConvKind) -> None:
    for case in CONVS[:3]:
        together = result(made[kind], case, chunk=1000)
        for chunk in (1, 5):
            assert np.array_equal(result(made[kind], case, chunk), together), (case.name, chunk)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_any_width(made: dict[ConvKind, Kernels], kind: ConvKind) -> None:
    """Tiles of several sizes cover a row; each pixel is the same whatever tile it falls in."""
    expected = result(made["float32"], WIDE)
    for width in range(1, 31):
        case = ConvCase("wide", (2, width), 4, 16, (1, 1))
        what = geometry(case, kind)
        x = np.ascontiguousarray(WIDE.x[:, :, :width])
        y = guarded((2, *what.output.size, 16), np.float32)
        kernels = made[kind]
        prepared = kernels.prepare(x, what.source, 2)
        kernels.convolve(what, prepared, what.weight.pack(WIDE.weight, WIDE.bias), y, chunk=2)
        tolerance = 0.0 if kind == "float32" else 0.1
        np.testing.assert_allclose(y, expected[:, :, :width], rtol=0, atol=tolerance)


def test_the_largest_integers_do_not_overflow(made: dict[ConvKind, Kernels]) -> None:
    """Sums of two products in 16 bits are as large as there can be; the sign of one side is all on the other."""
    kernels, case = made["int8"], ConvCase("large", (3, 6), 64, 16, (3, 3), padding=(1, 1, 1, 1))
    what = geometry(case, "int8")
    for sign in (1, -1):
        x = np.full((2, 3, 6, 64), sign, np.float32)
        x[0, 0, 0, 0] = -sign  # so that zero stands in the midst of the integers
        weight = np.ones((16, 64, 3, 3), np.float32)
        weight[::2] = -1
        y = guarded((2, 3, 6, 16), np.float32)
        kernels.convolve(what, kernels.prepare(x, what.source, 9), what.weight.pack(weight, None), y, chunk=9)
        worth = quantised_map(x)
        np.testing.assert_allclose(y, convolved(worth, weight.astype(np.float64), case), rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_residual_then_relu(made: dict[ConvKind, Kernels], kind: ConvKind) -> None:
    kernels, case = made[kind], CONVS[0]
    what = geometry(case, kind)
    y, residual = (guarded((2, *what.output.size, 48), np.float32) for _ in range(2))
    residual[..., :40] = numbers(9, 2, *what.output.size, 40) * 4
    prepared = kernels.prepare(case.x, what.source, 4)
    packed = what.weight.pack(case.weight, case.bias)
    kernels.convolve(what, prepared, packed, y, chunk=4, residual=residual, activation="relu")
    expected = np.maximum(result(kernels, case) + residual[..., :40], 0)
    assert np.array_equal(y[..., :40], expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(best: Kernels, activation: str) -> None:
    kernels, case = best, CONVS[0]
    what = geometry(case, "float32")
    y = guarded((2, *what.output.size, 48), np.float32)
    packed = what.weight.pack(case.weight / 8, case.bias)
    kernels.convolve(what, kernels.prepare(case.x, what.source, 9), packed, y, chunk=9, activation=activation)
    plain = guarded(y.shape, np.float32)
    kernels.convolve(what, kernels.prepare(case.x, what.source, 9), packed, plain, chunk=9)
    x = plain[..., :40].astype(np.float64)
    expected = {
        "relu": lambda: np.maximum(x, 0),
        "relu6": lambda: np.clip(x, 0, 6),
        "hardswish": lambda: x * np.clip(x + 3, 0, 6) / 6,
        "silu": lambda: x / (1 + np.exp(-x)),
        "gelu": lambda: x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2))),
    }[activation]()
    np.testing.assert_allclose(y[..., :40], expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_that_is_enlarged_for_its_convolution(made: dict[ConvKind, Kernels], kind: ConvKind) -> None:
    """The same bits as of the enlarged map itself, which need not be anywhere."""
    kernels, case = made[kind], CONVS[0]
    grown = ConvCase("three", (12, 26), 20, 40, (3, 3), padding=(1, 1, 1, 1))
    results = []
    for x, size, upsample in ((case.x, case.size, 2), (case.x.repeat(2, axis=1).repeat(2, axis=2), grown.size, 1)):
        weight = ConvWeight(40, 20, (3, 3), kind=kind)
        what = conv2d(weight, size, padding=case.padding, upsample=upsample)
        y = guarded((2, *what.output.size, 48), np.float32)
        kernels.convolve(what, kernels.prepare(x, what.source, 5), weight.pack(case.weight, case.bias), y, chunk=5)
        results.append(y)
    assert np.array_equal(*results)


def test_ranges_that_a_convolution_leaves(made: dict[ConvKind, Kernels]) -> None:
    """Its own output, of 40 channels and with garbage in the padding of the residual, prepared with them or measured
    again: the same bits."""
    kernels, case = made["int8"], CONVS[0]
    what = geometry(case, "int8")
    y, residual = (guarded((2, *what.output.size, 48), np.float32) for _ in range(2))
    residual[..., :40] = numbers(9, 2, *what.output.size, 40) * 4
    spec = ConvSpec(kernels.isa, "int8", residual=True, activation="relu", ranges=True)
    entries = what.range_entries(spec.blocks)
    ranges = guarded((2, entries, 2), np.float32)
    x, (scales,) = kernels.prepare(case.x, what.source, 3)
    buffers = [x, scales, copied(what.weight.pack(case.weight, case.bias)), residual, y, ranges]
    kernels.library.run(spec.name, buffers, what.scalars(2, ranges=True), what.units(2, spec.blocks), chunk=3,
                        scratch_bytes=spec.scratch_bytes())  # fmt: skip
    np.testing.assert_array_equal(ranges[..., 0].min(axis=1), 0)
    np.testing.assert_array_equal(ranges[..., 1].max(axis=1), y[..., :40].max(axis=(1, 2, 3)))

    source = conv2d(ConvWeight(16, 40, (3, 3), kind="int8"), case.size, padding=(1, 1, 1, 1)).source
    again, (wanted,) = kernels.prepare(np.array(y[..., :40]), source, 3)
    out, found = guarded(again.shape, np.int32), guarded((2, 2), np.float32)
    name = PrepareMapSpec(kernels.isa, "int8").name
    kernels.library.run(name, [y, ranges, out, found], source.prepare_scalars(entries), 2 * source.rows, chunk=5)
    assert np.array_equal(out, again)
    assert np.array_equal(found.view(np.int32), wanted.view(np.int32))


def test_sums_that_32_bits_do_not_hold_are_refused() -> None:
    weight = ConvWeight(1, 70_000, (1, 1), kind="int8")
    with pytest.raises(Unsupported, match="70,000 products"):
        weight.pack(np.zeros((1, 70_000, 1, 1), np.float32), None)


def test_a_map_of_zeros(made: dict[ConvKind, Kernels]) -> None:
    """Has no scale: its convolution is the bias."""
    kernels, case = made["int8"], CONVS[1]
    what = geometry(case, "int8")
    y = guarded((2, *what.output.size, 32), np.float32)
    packed = what.weight.pack(case.weight, case.bias)
    kernels.convolve(what, kernels.prepare(np.zeros_like(case.x), what.source, 9), packed, y, chunk=9)
    assert np.array_equal(y[..., : case.outputs], np.broadcast_to(case.bias, (*y.shape[:3], case.outputs)))
