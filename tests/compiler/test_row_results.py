"""Products that leave rows of bytes, on every instruction set: against numpy's integers. A failure says that networks
of convolutions answer wrongly on such processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import (
    KernelLibrary,
    build,
    copied,
    emulated_params,
    guarded,
    isa_params,
    matrix_params,
)
from tests.compiler.references import ACTIVATIONS, rotated
from tests.compiler.test_row_products import F32, Activations, activations, documented
from tests.quant.helpers import random_blocks

from hearth.compiler.cpu.kernels.prepare_rows import RowPrepareSpec, RowSign, prepare_rows
from hearth.compiler.cpu.kernels.row_product import RowProductSpec
from hearth.compiler.cpu.kernels.row_product_rows import RowProductRowsSpec, row_product_rows
from hearth.compiler.cpu.targets import Isa
from hearth.quant import FORMATS, pack, round_up

OPTIONS: list[dict[str, Any]] = [
    {},
    {"fmt": "i4", "bias": True},
    {"sign": "positive", "bias": True, "activation": "relu", "to": "positive"},
    {"sign": "positive", "bias": True, "add": "float", "after": "relu", "to": "positive"},
    {"add": "signed", "after": "relu", "to": "positive"},
    {"bias": True, "add": "positive"},
    {"gated": True, "activation": "silu"},
    {"bias": True, "activation": "gelu", "rotated": 2},
]
SHAPES = ((48, 64, 37), (23, 96, 5), (272, 32, 9))  # N, K and rows


def specification(isa: Isa, options: dict[str, Any]) -> RowProductRowsSpec:
    to = options.get("to", "signed")
    more = {key: value for key, value in options.items() if key not in ("to", "fmt", "rotated")}
    return RowProductRowsSpec(
        RowProductSpec(FORMATS[options.get("fmt", "i8")], isa, **more), to, options.get("rotated", 1)
    )


@pytest.fixture(scope="module", params=[*isa_params(), *matrix_params(), *emulated_params()])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Isa, KernelLibrary]:
    isa = request.param
    kernels = [row_product_rows(specification(isa, options)) for options in OPTIONS]
    kernels.append(prepare_rows(RowPrepareSpec(isa, sign="positive")))
    return isa, build(kernels, isa, tmp_path_factory.mktemp("row_product_rows"))


def steps(isa: Isa, sign: RowSign) -> int:
    return 255 if sign == "positive" and isa.unsigned_activations else 127


def stored(isa: Isa, q: NDArray[Any], sign: RowSign) -> NDArray[np.int8]:
    """Integers of rows as bytes of an instruction set."""
    return (q.astype(np.int64) + (128 if sign == "signed" and isa.unsigned_activations else 0)).astype(np.int8)


def integers(isa: Isa, stored_bytes: NDArray[np.int8], sign: RowSign) -> NDArray[np.int64]:
    if not isa.unsigned_activations:
        return stored_bytes.astype(np.int64)
    return stored_bytes.view(np.uint8).astype(np.int64) - (128 if sign == "signed" else 0)


def random_rows(isa: Isa, rows: int, k: int, sign: RowSign) -> Activations:
    x = activations(rows, k)
    if sign == "signed":
        return x
    q = np.random.default_rng(k).integers(0, steps(isa, sign) + 1, (rows, k))
    return Activations(q, x.scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "_".join(map(str, options.items())) or "plain")
@pytest.mark.parametrize(("n", "k", "rows"), SHAPES)
def test_results_are_rows_of_bytes(
    library: tuple[Isa, KernelLibrary], options: dict[str, Any], n: int, k: int, rows: int
) -> None:
    isa, kernels = library
    spec = specification(isa, options)
    product, rng = spec.product, np.random.default_rng(n)
    if product.gated or spec.rotated > 1:
        n = round_up(n, 32)
    columns = n // 2 if product.gated else n
    kp, np_, ld = round_up(k, 32), round_up(n, 16), round_up(columns, 32)
    weight, x = random_blocks(product.fmt.name, n, k), random_rows(isa, rows, k, product.sign)
    weight.scale[:] *= np.float32(1e-4)
    bias = rng.standard_normal(np_).astype(np.float32)
    expected = documented(weight, x).astype(np.float64)
    extra: list[NDArray[Any]] = []
    if product.bias:
        extra.append(copied(bias))
        expected = expected + bias[:n]
    if product.gated:
        gate, up = expected.reshape(rows, -1, 2, 16).transpose(2, 0, 1, 3).reshape(2, rows, -1)
        expected = ACTIVATIONS["silu"](gate) * up
    elif product.activation:
        expected = ACTIVATIONS[product.activation](expected)
    if product.add == "float":
        residual: F32 = rng.standard_normal((rows, np_)).astype(np.float32)
        extra.append(copied(residual))
        expected = expected + residual[:, :n]
    elif product.add:
        read = random_rows(isa, rows, n, product.add)
        padded = guarded((rows, ld), np.int8, 0)
        padded[:, :n] = stored(isa, read.q, product.add)
        extra += [padded, copied(read.scale)]
        expected = expected + read.q * read.scale[:, None].astype(np.float64)
    if product.after:
        expected = ACTIVATIONS[product.after](expected)

    expected = rotated(expected, spec.rotated)
    aq = guarded((rows, kp), np.int8, 0 if product.sign == "positive" or not isa.unsigned_activations else -128)
    aq[:, :k] = stored(isa, x.q, product.sign)
    yq, ys = guarded((rows, ld), np.int8), guarded((rows,), np.float32)
    buffers = [copied(pack(weight, weight.fmt)), aq, copied(x.scale), *extra, yq, ys]
    kernels.run(
        spec.name, buffers, [rows, kp, np_ // 16, columns, ld, 11], 11, chunk=3,
        scratch_bytes=spec.scratch_bytes(kp, columns),
    )  # fmt: skip
    q = integers(isa, yq, spec.sign)
    np.testing.assert_allclose(ys, np.abs(expected).max(axis=1) / steps(isa, spec.sign), rtol=1e-5)
    assert not q[:, columns:].any()
    error = np.abs(q[:, :columns] * ys[:, None].astype(np.float64) - expected)
    assert (error <= 0.501 * ys[:, None] + 1e-5 * np.abs(expected)).all()


def test_rows_without_negative_numbers_use_all_of_a_byte(library: tuple[Isa, KernelLibrary]) -> None:
    isa, kernels = library
    x = np.abs(np.random.default_rng(3).standard_normal((5, 40))).astype(np.float32)
    x[2] = 0
    source = guarded((5, 48), np.float32)
    source[:, :40] = x
    aq, scales = guarded((5, 64), np.int8), guarded((5,), np.float32)
    kernels.run(RowPrepareSpec(isa, sign="positive").name, [source, aq, scales], [40, 64, 48], 5, chunk=2)
    q = integers(isa, aq, "positive")
    np.testing.assert_allclose(scales, x.max(axis=1) / steps(isa, "positive"), rtol=1e-6)
    assert (np.abs(q[:, :40] * scales[:, None] - x) <= 0.501 * scales[:, None]).all()
    assert not q[:, 40:].any()
