"""Products of heads with a matrix of each against numpy: latent attention reads and writes through them.

A failure says that what heads look for, or find, is another's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import prepared
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded
from tests.compiler.test_experts import F32, product_params, weights_of

from hearth.compiler.cpu.kernels.head_product import head_product, head_product_name
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.quant.formats import Format, round_up

HEADS = 3


@dataclass(frozen=True)
class Products:
    library: KernelLibrary
    fmt: Format
    kind: str
    name: str


@pytest.fixture(scope="module", params=product_params())
def products(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Products:
    isa, fmt, kind = request.param
    spec = MatmulSpec(fmt, isa, activations=kind)
    library = build([head_product(spec)], isa, tmp_path_factory.mktemp("heads"))
    return Products(library, fmt, kind, head_product_name(spec))


def run(products: Products, packed: NDArray[np.uint8], n: int, x: F32, chunk: int) -> F32:
    """(tokens, heads, n) of x (tokens, heads, k)."""
    tokens, heads, k = x.shape
    kp, units = round_up(k, products.fmt.column_multiple), round_up(n, 16) // 16
    y = guarded((tokens, heads * units * 16), np.float32)
    buffers = [copied(packed), *prepared(x.reshape(-1, k), kp, products.kind).buffers, y]
    scalars = [tokens, kp // products.fmt.block_columns, kp, heads * units * 16, units, heads]
    products.library.run(products.name, buffers, scalars, heads * units, chunk=chunk)
    return np.array(y).reshape(tokens, heads, units * 16)[:, :, :n]


@pytest.mark.parametrize("tokens", [1, 3, 24])
def test_heads_meet_their_matrices(products: Products, tokens: int) -> None:
    n, k = 40, 200
    packed, exact = weights_of(products.fmt, HEADS, n, k)
    x = np.random.default_rng(tokens).standard_normal((tokens, HEADS, k)).astype(np.float32)
    together = run(products, packed, n, x, chunk=4)
    kp = round_up(k, products.fmt.column_multiple)
    values = prepared(x.reshape(-1, k), kp, products.kind).values.reshape(tokens, HEADS, -1)
    expected = np.einsum("thk,hnk->thn", values, exact)
    size = np.einsum("thk,hnk->thn", np.abs(values), np.abs(exact))
    assert (np.abs(together - expected) <= 1e-5 * size).all()
    for token in {0, tokens - 1}:
        assert np.array_equal(run(products, packed, n, x[token : token + 1], chunk=1)[0], together[token])
