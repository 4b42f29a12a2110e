"""Products with packed weights, each number format on each instruction set: against numpy in float64.

The weights hold every integer of their format and the activations are large, so an overflow of 16 bits shows. A failure
says that models in this format answer wrongly on such processors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tests.compiler.activations import Prepared, prepared
from tests.compiler.kernel_library import (
    KernelLibrary,
    build,
    copied,
    emulated_params,
    emulator,
    guarded,
    host_isa,
    isa_params,
    runs_here,
)
from tests.quant.helpers import OTHER_TABLES, random_blocks

from hearth.compiler.cpu.kernels.build import compile_module
from hearth.compiler.cpu.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.cpu.objects import llvm_target
from hearth.compiler.cpu.targets import ISAS, Isa
from hearth.quant import FORMATS, Blocks, Format, pack, round_up, unpack_layout

ROWS = (1, 2, 3, 5, 8, 17)
SHAPES = ((40, 200), (23, 300))  # N and K that fill neither blocks of rows nor of columns
LAYOUTS = {fmt.kernel_layout: fmt for fmt in FORMATS.values() if not fmt.is_row}

PRODUCTS = [(fmt, kind) for fmt in LAYOUTS.values() for kind in (("float32",) if fmt.is_float else ("int8", "float32"))]

OFTEN_EMULATED = (
    ("q4", "int8"), ("q5_1", "int8"), ("q6_k", "int8"), ("q8", "int8"), ("f16", "float32"), ("iq4_nl", "int8"),
)  # fmt: skip
"""One of each kind of arithmetic: the others under emulation are for `-m slow`."""


AVXVNNI_ENCODED_AS_AVX512 = replace(
    ISAS["avxvnni"],
    features=("avx512vl", "avx512_vnni", *ISAS["avx2"].features),
    llvm_features=("+avx512vl", "+avx512vnni", *ISAS["avx2"].llvm_features),
)
"""The same kernels in an encoding that processors with AVX-512 run: most of those have no AVX-VNNI."""


def is_long_to_compile(fmt: Format, kind: str, isa: Isa) -> bool:
    """k-quants with f32 activations take LLVM 5 to 40 s: by default only for the instruction set of this machine."""
    return fmt.plane_groups > 2 and kind == "float32" and isa is not host_isa()


def product_params() -> list[Any]:
    """(instruction set, format, activations): each its own library, so that nothing long is compiled for the others."""
    params = []
    for isa in isa_params():
        for fmt, kind in PRODUCTS:
            is_slow = is_long_to_compile(fmt, kind, isa.values[0]) or fmt.name in OTHER_TABLES
            marks = [*isa.marks, *([pytest.mark.slow] if is_slow else [])]
            name = f"{isa.id}-{fmt.name}-{kind}"
            params.append(pytest.param((isa.values[0], fmt, kind), id=name, marks=marks))
    if not runs_here(ISAS["avxvnni"]) and runs_here(AVXVNNI_ENCODED_AS_AVX512):
        for fmt, kind in PRODUCTS:
            if kind == "int8" and fmt.name not in OTHER_TABLES:
                params.append(pytest.param((AVXVNNI_ENCODED_AS_AVX512, fmt, kind), id=f"avxvnni512-{fmt.name}"))
    for isa in emulated_params():
        for fmt, kind in PRODUCTS:
            marks = [*isa.marks, *([] if (fmt.name, kind) in OFTEN_EMULATED else [pytest.mark.slow])]
            params.append(pytest.param((isa.values[0], fmt, kind), id=f"{isa.id}-{fmt.name}-{kind}", marks=marks))
    return params


@dataclass(frozen=True)
class Product:
    library: KernelLibrary
    spec: MatmulSpec

    def run(self, weight: NDArray[np.uint8], n: int, k: int, x: Prepared, chunk: int = 2) -> NDArray[np.float32]:
        """Y[:, :n], computed `chunk` blocks of 16 rows a call."""
        fmt = self.spec.fmt
        rows, units, kp = len(x.values), round_up(n, 16) // 16, round_up(k, fmt.column_multiple)
        y = guarded((rows, units * 16), np.float32)
        scalars = [rows, kp // fmt.block_columns, kp, units * 16]
        self.library.run(self.spec.name, [copied(weight), *x.buffers, y], scalars, units, chunk=chunk)
        return np.array(y[:, :n])


@pytest.fixture(scope="module", params=product_params())
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Product:
    isa, fmt, kind = request.param
    spec = MatmulSpec(fmt, isa, activations=kind)
    return Product(build([matmul(spec)], isa, tmp_path_factory.mktemp("product")), spec)


def random_weight(fmt: Format, n: int, k: int) -> NDArray[np.uint8]:
    if fmt.is_float:
        return pack(np.random.default_rng(3).standard_normal((n, k)).astype(np.float32), fmt)
    blocks: Blocks = random_blocks(fmt.name, n, k, seed=3)
    return pack(blocks, fmt)


def activations(rows: int, k: int) -> NDArray[np.float32]:
    """Of very different sizes from group to group; one group of zeros; one row of the largest integers throughout."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((rows, k)).astype(np.float32) * np.exp(rng.uniform(-3, 3, (rows, 1))).astype(np.float32)
    x[:, 32:64] = 0
    x[rows // 2] = 3.5
    return x


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_product_is_what_numpy_computes(product: Product, n: int, k: int) -> None:
    spec = product.spec
    weight = random_weight(spec.fmt, n, k)
    exact = unpack_layout(weight, n, k, spec.fmt).astype(np.float64)
    for rows in ROWS:
        x = prepared(activations(rows, k), round_up(k, spec.fmt.column_multiple), spec.activations)
        y = product.run(weight, n, k, x)
        # Rounding errors grow with the size of what is summed, not of the sum: compare with that.
        assert (np.abs(y - x.values @ exact.T) <= 1e-5 * (np.abs(x.values) @ np.abs(exact.T))).all(), f"{rows} rows"


def test_a_row_has_the_same_bits_in_any_batch(product: Product) -> None:
    """Else an answer would depend on what other users ask at the same time."""
    n, k = SHAPES[0]
    spec = product.spec
    weight, x = random_weight(spec.fmt, n, k), activations(17, k)
    kp = round_up(k, spec.fmt.column_multiple)
    together = product.run(weight, n, k, prepared(x, kp, spec.activations), chunk=3)
    for start, rows in ((0, 1), (16, 1), (3, 2), (5, 4), (1, 7), (4, 13)):
        part = prepared(x[start : start + rows], kp, spec.activations)
        assert np.array_equal(product.run(weight, n, k, part, chunk=1), together[start : start + rows]), (start, rows)


def test_the_largest_integers_do_not_overflow(product: Product) -> None:
    """All weights and activations at the end of their range, of one sign: the largest sums there can be."""
    fmt = product.spec.fmt
    if fmt.is_float:
        pytest.skip("floats have no integers")
    n, k = 16, 256
    blocks = random_blocks(fmt.name, n, k)
    ends = [fmt.table.index(end) for end in (min(fmt.table), max(fmt.table))] if fmt.table else (0, (1 << fmt.bits) - 1)
    for extreme in (-128, 127) if fmt.signed else ends:
        blocks.q[:] = extreme
        weight = pack(blocks, fmt)
        exact = unpack_layout(weight, n, k, fmt).astype(np.float64)
        for sign in (1, -1):
            x = prepared(np.full((3, k), 2.0 * sign, np.float32), k, product.spec.activations)
            y = product.run(weight, n, k, x)
            assert (np.abs(y - x.values @ exact.T) <= 1e-5 * (np.abs(x.values) @ np.abs(exact.T))).all(), extreme


@pytest.mark.skipif(emulator(ISAS["i8mm"]) is None and not runs_here(ISAS["i8mm"]), reason="needs qemu-aarch64")
@pytest.mark.parametrize("name", ["q4", "q6_k", "q8"])
def test_arm_processors_give_the_same_bits(tmp_path: Path, name: str) -> None:
    """Their integer products are exact and added up in one order, so a bundle answers the same on all of them."""
    n, k = SHAPES[1]
    fmt = FORMATS[name]
    weight, x = random_weight(fmt, n, k), prepared(activations(17, k), round_up(k, fmt.column_multiple), "int8")
    results = []
    for isa in (ISAS[name] for name in ("i8mm", "dotprod", "neon")):
        spec = MatmulSpec(fmt, isa)
        results.append(Product(build([matmul(spec)], isa, tmp_path), spec).run(weight, n, k, x))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_avxvnni_kernels_hold_no_instruction_of_avx512() -> None:
    """Intel's desktop processors have the one and not the other: an illegal instruction at the first token."""
    kernel = matmul(MatmulSpec(FORMATS["q4"], ISAS["avxvnni"]))
    module = tvm.IRModule({kernel.name: kernel.finish()})
    code = compile_module(module, llvm_target("x86_64-linux-gnu", ISAS["avxvnni"])).inspect_source("asm")
    products = [line for line in code.splitlines() if "vpdpbusd" in line]
    assert products
    assert all("{vex}" in line and "%ymm" in line for line in products)
    assert not re.search(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]|\{1to", code)
