"""Kernels that work on one token's row: norm, preparation of activations, embedding, rotation, append to the pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import padded_rows, prepared, quantised
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded, isa_params
from tests.compiler.kv_pages import KvPages
from tests.quant.helpers import random_blocks

from hearth.compiler.cpu.kernels.embedding import embedding
from hearth.compiler.cpu.kernels.norms import prepare, rms_norm
from hearth.compiler.cpu.kernels.rope import RopeSpec, rope_append, rope_table
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.paged_attention import Readying
from hearth.compiler.rope_table import RopeTableSpec
from hearth.quant import FORMATS, Format, pack, round_up, unpack_layout

EPS = 1e-5
SIZES = (20, 64, 100)
PAGE = 16
STREAMS = (0,) * 4 + (1,) * 17 + (2,) * 3  # by which position each frequency turns
LAYOUTS = {fmt.kernel_layout: fmt for fmt in FORMATS.values() if not fmt.is_row}
ROPES = [
    RopeSpec(Readying(rotate, norm, EPS, scale, temperature), dtype, 16 if dtype == "int8" else 0)  # type: ignore[arg-type]
    for rotate, norm, scale, temperature, dtype in (
        (True, None, 0.25, None, "float16"),
        (True, "head", 1.0, None, "float32"),
        (True, "full", 0.125, None, "float32"),
        (True, "head_layer", 0.125, None, "float32"),
        (True, "rotated_head", 0.125, (0.2, 8, 0), "float32"),
        (True, "rotated_head", 1.0, None, "int8"),
        (False, None, 0.5, None, "float32"),
        (True, None, 0.5, (0.3, 7, 1), "int8"),
    )
]
# Heads of values are normalised too; and queries alone are made ready.
ROPES.append(RopeSpec(replace(ROPES[1].how, value_norm=True), "float32"))
ROPES.append(replace(ROPES[1], appends=False))


class Library:
    """Kernels of one instruction set, by what they are made of."""

    def __init__(self, isa: Isa, folder: Path) -> None:
        self.isa = isa
        self.prepare = {
            (norm, quantise, gather): prepare(norm=norm, quantise=quantise, gather=gather, eps=EPS)
            for norm, quantise, gather in ((False, True, False), (True, True, False), (False, True, True),
                                           (False, False, False), (True, False, False), (False, False, True))
        }  # fmt: skip
        self.norm = rms_norm(eps=EPS, add=False)
        self.norm_add = rms_norm(eps=EPS, add=True, scale=0.3)
        self.embedding = {name: embedding(fmt, 1.0) for name, fmt in LAYOUTS.items()}
        self.scaled = embedding(FORMATS["q8"], 7.5)
        self.table = rope_table(RopeTableSpec(1.25))
        self.tables = rope_table(RopeTableSpec(1.25, STREAMS, 3))
        larger = (replace(spec, key_group=32) for spec in ROPES if spec.key_group)
        self.append = {spec: rope_append(spec) for spec in (*ROPES, *larger)}
        made = [*self.prepare.values(), self.norm, self.norm_add, *self.embedding.values(), self.scaled, self.table,
                self.tables, *self.append.values()]  # fmt: skip
        self.library: KernelLibrary = build(made, isa, folder)

    def run(self, kernel: Any, buffers: list[NDArray[Any]], scalars: list[int], units: int, chunk: int = 2) -> None:
        # `prepare` keeps one row of f32 there: its second scalar is the padded width.
        scratch_bytes = 4 * scalars[1] if kernel.name.startswith("prepare") else 64
        if kernel.name.startswith("rope_append"):
            scratch_bytes = 4 * scalars[9]
        self.library.run(kernel.name, buffers, scalars, units, chunk=chunk, scratch_bytes=scratch_bytes)


@pytest.fixture(scope="module", params=isa_params())
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(request.param, tmp_path_factory.mktemp("rows"))


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def normalised(x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + EPS) * weight


# -- norms and preparation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_rms_norm(kernels: Library, size: int) -> None:
    x, weight, ld = numbers(5, size) * 3, numbers(size, seed=1), round_up(size, 16)
    y = guarded((5, ld), np.float32)
    kernels.run(kernels.norm, [padded_rows(x, ld), copied(weight), y], [size, ld, ld], 5)
    np.testing.assert_allclose(y[:, :size], normalised(x, weight), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_norm_that_is_added(kernels: Library, size: int) -> None:
    x, weight, residual, ld = numbers(5, size), numbers(size, seed=1), numbers(5, size, seed=2), round_up(size, 16)
    y = guarded((5, ld), np.float32)
    buffers = [padded_rows(x, ld), copied(weight), padded_rows(residual, ld), y]
    kernels.run(kernels.norm_add, buffers, [size, ld, ld], 5)
    np.testing.assert_allclose(y[:, :size], residual + 0.3 * normalised(x, weight), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_quantised_activations_follow_the_documented_rule(kernels: Library, size: int) -> None:
    x, ld, kp = numbers(4, size) * 5, round_up(size, 16), round_up(size, 64)
    x[1] = 0
    aq, scales = guarded((4, kp), np.int8), guarded((4, 5, kp // 32), np.float32)
    kernels.run(kernels.prepare[False, True, False], [padded_rows(x, ld), aq, scales], [size, kp, ld], 4)
    expected_q, expected_scales = prepared(x, kp, "int8").buffers
    assert np.array_equal(aq, expected_q)
    np.testing.assert_allclose(scales[:, :2], expected_scales[:, :2], rtol=3e-7)
    assert np.array_equal(scales[:, 2:].view(np.int32), expected_scales[:, 2:].view(np.int32))


def test_normalised_and_quantised_in_one_step(kernels: Library) -> None:
    size, kp = 100, 128
    x, weight = numbers(3, size) * 2, numbers(size, seed=1)
    aq, scales = guarded((3, kp), np.int8), guarded((3, 5, kp // 32), np.float32)
    buffers = [padded_rows(x, 112), copied(weight), aq, scales]
    kernels.run(kernels.prepare[True, True, False], buffers, [size, kp, 112], 3)
    worth = aq.reshape(3, -1, 32) * scales[:, 0, :, None].astype(np.float64)
    error = np.abs(worth.reshape(3, kp)[:, :size] - normalised(x, weight))
    assert (error <= np.repeat(scales[:, 0], 32, axis=1)[:, :size] * 0.5001).all()
    assert (aq[:, size:] == 0).all()
    np.testing.assert_allclose(scales[:, 1], worth.sum(axis=2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_float_activations_get_zeros_in_their_padding(kernels: Library, size: int) -> None:
    """What follows the true columns in memory may be anything, NaN too, and must not reach a product."""
    x, weight, ld, kp = numbers(4, size), numbers(size, seed=1), round_up(size, 16), round_up(size, 64)
    y = guarded((4, kp), np.float32)
    kernels.run(kernels.prepare[False, False, False], [padded_rows(x, ld), y], [size, kp, ld], 4)
    assert np.array_equal(y, np.pad(x, ((0, 0), (0, kp - size))))
    kernels.run(kernels.prepare[True, False, False], [padded_rows(x, ld), copied(weight), y], [size, kp, ld], 4)
    np.testing.assert_allclose(y[:, :size], normalised(x, weight), rtol=2e-6, atol=1e-6)
    assert (y[:, size:] == 0).all()


def test_only_the_rows_asked_for_are_prepared(kernels: Library) -> None:
    x, rows = numbers(6, 20), copied(np.array([4, 0, 4], np.int32))
    y = guarded((3, 64), np.float32)
    kernels.run(kernels.prepare[False, False, True], [padded_rows(x, 32), rows, y], [20, 64, 32], 3)
    assert np.array_equal(y[:, :20], x[rows])
    aq, scales = guarded((3, 64), np.int8), guarded((3, 5, 2), np.float32)
    kernels.run(kernels.prepare[False, True, True], [padded_rows(x, 32), rows, aq, scales], [20, 64, 32], 3)
    assert np.array_equal(aq, quantised(np.pad(x[rows], ((0, 0), (0, 44))))[0])


# -- embedding ---------------------------------------------------------------------------------------------------------


def looked_up(kernels: Library, kernel: Any, fmt: Format, n: int, k: int) -> tuple[Any, Any]:
    values = numbers(n, k) if fmt.is_float else random_blocks(fmt.name, n, k)
    packed = pack(values, fmt)
    # The last one is none of the table: the nearest is taken, and no other memory is read.
    ids, ld = copied(np.array([n - 1, 0, 17, 17, 5, n + 99], np.int32)), round_up(k, 16)
    x = guarded((6, ld), np.float32)
    blocks = round_up(k, fmt.column_multiple) // fmt.block_columns
    kernels.run(kernel, [ids, copied(packed), x], [blocks, ld, n], 6)
    return x[:, :k], unpack_layout(packed, n, k, fmt)[np.minimum(ids, n - 1)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [36, 300])
def test_embedding(kernels: Library, layout: str, k: int) -> None:
    rows, expected = looked_up(kernels, kernels.embedding[layout], LAYOUTS[layout], 23, k)
    np.testing.assert_allclose(rows, expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())


def test_scaled_embedding(kernels: Library) -> None:
    rows, expected = looked_up(kernels, kernels.scaled, FORMATS["q8"], 23, 100)
    np.testing.assert_allclose(rows, 7.5 * expected, rtol=2e-6)


# -- rotation ----------------------------------------------------------------------------------------------------------


def test_rotation_table_at_far_positions(kernels: Library) -> None:
    positions = np.array([0, 1, 77, 4095, 131071], np.int32)
    inv_freq = (500000.0 ** -(np.arange(24) / 24)).astype(np.float32)
    cos, sin = guarded((5, 24), np.float32), guarded((5, 24), np.float32)
    kernels.run(kernels.table, [copied(positions), copied(inv_freq), cos, sin], [24], 5)
    # The angle is rounded to f32 first, as in transformers.
    angle = (positions[:, None].astype(np.float32) * inv_freq).astype(np.float64)
    np.testing.assert_allclose(cos, 1.25 * np.cos(angle), atol=3e-7)
    np.testing.assert_allclose(sin, 1.25 * np.sin(angle), atol=3e-7)


def test_rotation_tables_of_tokens_with_several_positions(kernels: Library) -> None:
    """Frequencies of a section turn by that section's position; where all are the same it is the table of one."""
    random = np.random.default_rng(3)
    positions = random.integers(0, 131072, (5, 3)).astype(np.int32)
    positions[0] = 77
    inv_freq = (500000.0 ** -(np.arange(24) / 24)).astype(np.float32)

    def tables(kernel: Any, of: NDArray[np.int32]) -> list[NDArray[np.float32]]:
        out = [guarded((5, 24), np.float32) for _ in range(2)]
        kernels.run(kernel, [copied(of), copied(inv_freq), *out], [24], 5)
        return out

    found = tables(kernels.tables, positions)
    angle = (positions[:, STREAMS].astype(np.float32) * inv_freq).astype(np.float64)
    np.testing.assert_allclose(found[0], 1.25 * np.cos(angle), atol=3e-7)
    np.testing.assert_allclose(found[1], 1.25 * np.sin(angle), atol=3e-7)
    alone = tables(kernels.table, positions[:, 1].copy())
    same = tables(kernels.tables, np.repeat(positions[:, 1:2], 3, axis=1))
    assert np.array_equal(alone, same)


@pytest.mark.parametrize("spec", ROPES, ids=lambda spec: spec.name)
@pytest.mark.parametrize(("kv_heads", "group", "head_dim", "half"), [(2, 3, 20, 10), (1, 4, 80, 32), (3, 1, 48, 24)])
def test_rotated_queries_and_appended_keys(
    kernels: Library, spec: RopeSpec, kv_heads: int, group: int, head_dim: int, half: int
) -> None:
    """Two sequences at their own positions, q, k, v in one buffer; all but the written slots of the pages stay."""
    tokens, heads, hp, stride = 6, kv_heads * group, round_up(head_dim, 16), 3
    widths = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim]
    x, ld = numbers(tokens, sum(widths)), round_up(sum(widths), 16)
    positions, seq = np.array([14, 15, 16, 17, 0, 33], np.int32), np.array([0, 0, 0, 0, 1, 1], np.int32)
    table = np.array([[4, 2, -1], [0, 5, 3]], np.int32)
    angles = positions[:, None] * (100.0 ** -(np.arange(half) / half))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    q, k, v = (part.reshape(tokens, -1, head_dim) for part in np.split(x, np.cumsum(widths)[:-1], axis=1))
    how = spec.how
    rows = {"full": lambda n: (n * head_dim,), "head_layer": lambda n: (n, hp)}
    shape = rows.get(how.norm or "", lambda n: (head_dim,))
    norms = [numbers(*shape(n), seed=s) for s, n in ((1, heads), (2, kv_heads))]

    k_pages, v_pages = (KvPages(kind, spec.kv_dtype, 6, kv_heads, hp, 9) for kind in "kv")
    before = [pages.memory.copy() for pages in (k_pages, v_pages)]
    out = guarded((kv_heads, tokens, group, hp), np.float32)
    shared = padded_rows(x, ld)
    inputs = [shared] * (3 if spec.appends else 1)
    inputs += [copied(cos), copied(sin)] if how.rotate else []
    inputs += [copied(norm) for norm in norms[: 2 if spec.appends else 1]] if how.norm else []
    inputs += [copied(positions), *([copied(seq), copied(table)] if spec.appends else [])]
    if spec.key_group and hp % 32 == 0:
        spec = replace(spec, key_group=32)
    columns = [ld, ld, ld, 0, widths[0], widths[0] + widths[1]] if spec.appends else [ld, 0]
    scalars = [*columns, group, kv_heads, head_dim, hp, half if how.rotate else 0, tokens, stride, PAGE]
    buffers = [*inputs, out, *([k_pages.memory, v_pages.memory] if spec.appends else [])]
    kernels.run(kernels.append[spec], buffers, scalars, tokens * kv_heads, chunk=3)

    # Keys of int8 are turned by a Hadamard matrix, and queries the same way: their products stay.
    turn = np.ones((1, 1))
    while len(turn) < max(1, spec.key_group):
        turn = np.kron(turn, [[1, 1], [1, -1]])

    def expected(heads_in: NDArray[np.float32], norm: NDArray[np.float32]) -> NDArray[np.float64]:
        y = heads_in.astype(np.float64)
        if how.norm == "full":
            y = normalised(heads_in.reshape(tokens, -1), norm).reshape(y.shape)
        elif how.norm == "head":
            y = normalised(heads_in, norm)
        elif how.norm == "head_layer":
            y = y - y.mean(axis=-1, keepdims=True)
            y = y / np.sqrt((y * y).mean(axis=-1, keepdims=True) + EPS) * norm[:, :head_dim]
        if how.rotate:
            a, b = y[..., :half].copy(), y[..., half : 2 * half].copy()
            y[..., :half] = a * cos[:, None] - b * sin[:, None]
            y[..., half : 2 * half] = b * cos[:, None] + a * sin[:, None]
        if how.norm == "rotated_head":
            y = y / np.sqrt((y * y).mean(axis=-1, keepdims=True) + EPS) * norm
        y = np.pad(y, ((0, 0), (0, 0), (0, hp - head_dim)))
        return (y.reshape(*y.shape[:2], -1, len(turn)) @ turn).reshape(y.shape)

    queries = how.q_scale / len(turn) * expected(q, norms[0]).reshape(tokens, kv_heads, group, hp)
    if how.temperature:
        rate, length, offset = how.temperature
        queries = queries * (1 + rate * np.log(1 + (positions + offset) // length))[:, None, None, None]
    np.testing.assert_allclose(out, queries.transpose(1, 0, 2, 3), atol=3e-6, rtol=1e-5)
    if not spec.appends:
        return
    if how.value_norm:
        v = normalised(v, np.ones(head_dim, np.float32)).astype(np.float32)
    keys, values = expected(k, norms[1]), np.pad(v, ((0, 0), (0, 0), (0, hp - head_dim)))
    for t in range(tokens):
        page, slot = table[seq[t], positions[t] // PAGE], positions[t] % PAGE
        for pages, wanted in ((k_pages, keys[t]), (v_pages, values[t])):
            if spec.kv_dtype == "int8":
                grouped = np.abs(wanted).reshape(kv_heads, pages.groups, -1).max(axis=-1)
                np.testing.assert_allclose(pages.scales[page, :, slot], grouped / 127, rtol=1e-3)
                assert (np.abs(pages.read(page, slot) - wanted) <= 0.51 * pages.steps(page, slot) + 1e-5).all()
            else:
                tolerance = {"float16": 2e-3, "float32": 3e-6}[spec.kv_dtype]
                np.testing.assert_allclose(pages.read(page, slot), wanted, atol=tolerance, rtol=tolerance)
    for t in range(tokens):  # all else is as it was
        page, slot = table[seq[t], positions[t] // PAGE], positions[t] % PAGE
        for pages, old in zip((k_pages, v_pages), before, strict=True):
            pages.numbers[page, :, slot] = 9
            if spec.kv_dtype == "int8":
                pages.scales[page, :, slot] = old[..., -2:].view(np.float16).reshape(-1)[0]
    assert all(np.array_equal(pages.memory, old) for pages, old in zip((k_pages, v_pages), before, strict=True))
