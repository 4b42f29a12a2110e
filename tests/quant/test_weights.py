"""From checkpoint tensors to one packed parameter. If these fail, a model is compiled from the wrong rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import (
    FORMATS,
    RowSource,
    from_gguf,
    pack,
    pack_weight,
    packed_size,
    quantize,
    read_f32,
    unpack,
    unpack_blocks,
    unpack_layout,
    weight_rows,
)
from hearth.quant import weights as weights_module

from .helpers import HALVES, random_gguf

F32 = NDArray[np.float32]


def matrix(n: int, k: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)


def f32_source(w: F32, name: str = "w", **options: object) -> RowSource:
    return RowSource(name, "f32", w.view(np.uint8).reshape(-1), w.shape, **options)  # type: ignore[arg-type]


def packed(sources: list[RowSource], name: str, k: int, **options: object) -> NDArray[np.uint8]:
    fmt = FORMATS[name]
    n = weight_rows([source.n for source in sources], options.get("arrange", "dense"))  # type: ignore[arg-type]
    out = np.full(packed_size(fmt, n, k), 0xAA, np.uint8)  # every byte must be written
    pack_weight(sources, fmt, k, out, **options)  # type: ignore[arg-type]
    return out


def values(sources: list[RowSource], name: str, k: int, **options: object) -> F32:
    n = weight_rows([source.n for source in sources], options.get("arrange", "dense"))  # type: ignore[arg-type]
    return unpack_layout(packed(sources, name, k, **options), n, k, FORMATS[name])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one or a few row blocks, so that small tests cross their seams."""
    monkeypatch.setattr(weights_module, "_CHUNK_WEIGHTS", 5000)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("threads", [1, 3])
def test_dense_rows_follow_each_other_across_blocks(threads: int) -> None:
    """q, k, v of 20, 7 and 50 rows: no gap between them, whatever the blocks of 16 and the chunks."""
    parts = [matrix(n, 96, n) for n in (20, 7, 50)]
    whole = np.concatenate(parts)
    sources = [f32_source(part) for part in parts]
    np.testing.assert_array_equal(values(sources, "f32", 96, threads=threads), whole)
    np.testing.assert_array_equal(
        packed(sources, "q4", 96, threads=threads), pack(quantize(whole, FORMATS["q4"]), FORMATS["q4"])
    )


@pytest.mark.usefixtures("small_chunks")
def test_aligned_sources_start_on_a_block() -> None:
    first, second = matrix(20, 64, 1), matrix(33, 64, 2)
    got = values([f32_source(first), f32_source(second)], "f32", 64, arrange="aligned")
    assert got.shape == (32 + 48, 64)
    np.testing.assert_array_equal(got[:20], first)
    assert not got[20:32].any()
    np.testing.assert_array_equal(got[32 : 32 + 33], second)
    assert not got[32 + 33 :].any()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["f32", "q8", "q4_0"])
@pytest.mark.parametrize("threads", [1, 2])
def test_gate_and_up_alternate_by_blocks_of_16(name: str, threads: int) -> None:
    gate, up = matrix(100, 128, 1), matrix(100, 128, 2)
    got = values([f32_source(gate), f32_source(up)], name, 128, arrange="interleaved", threads=threads)
    assert got.shape == (2 * 112, 128)
    apart = got.reshape(7, 2, 16, 128)
    for i, w in enumerate((gate, up)):
        rows = apart[:, i].reshape(112, 128)
        expected = w if name == "f32" else unpack(quantize(w, FORMATS[name]))
        np.testing.assert_array_equal(rows[:100], expected)
        assert not rows[100:].any()


def test_interleaving_needs_equal_numbers_of_blocks() -> None:
    with pytest.raises(CorruptFile, match=r"'a' \(100\), 'b' \(80\)"):
        values([f32_source(matrix(100, 64), "a"), f32_source(matrix(80, 64), "b")], "f32", 64, arrange="interleaved")


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", HALVES)
def test_gguf_blocks_are_only_reordered(dtype: str) -> None:
    """Through rows, permutation and chunks the integers and scales are those of the file."""
    n, k = 60, 512
    raw = random_gguf(dtype, n, k)
    order = np.random.default_rng(1).permutation(40)
    source = RowSource("w", dtype, raw, (n, k), rows=(8, 48), order=order)
    fmt = FORMATS[dtype]
    whole, got = from_gguf(raw, (n, k), dtype), unpack_blocks(packed([source], dtype, k, threads=2), 40, k, fmt)
    np.testing.assert_array_equal(got.q, whole.q[8:48][order])
    for field in fmt.fields:
        np.testing.assert_array_equal(got.array(field.name), whole.array(field.name)[8:48][order])


@pytest.mark.parametrize(("dtype", "name"), [("q4_0", "q4"), ("q4_1", "q4a"), ("q8_0", "q8")])
def test_asking_for_the_format_it_has_rounds_nothing(dtype: str, name: str) -> None:
    raw = random_gguf(dtype, 32, 64)
    source = RowSource("w", dtype, raw, (32, 64))
    np.testing.assert_array_equal(packed([source], name, 64), pack(from_gguf(raw, (32, 64), dtype), FORMATS[dtype]))


def test_another_format_goes_through_exact_values() -> None:
    raw = random_gguf("q6_k", 20, 256)
    exact = unpack(from_gguf(raw, (20, 256), "q6_k"))
    source = RowSource("w", "q6_k", raw, (20, 256))
    np.testing.assert_array_equal(values([source], "q8", 256), unpack(quantize(exact, FORMATS["q8"])))
    np.testing.assert_array_equal(values([source], "f32", 256), exact)


@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "q8"])
def test_sources_of_different_types_meet(name: str) -> None:
    """A block of 16 rows may hold rows of an f16, a bf16, a q8_0 and an f32 tensor."""
    small = np.random.default_rng(0).integers(-8, 8, (6, 32)).astype(np.float32)  # exact in every type
    half, brain = small.astype(np.float16), (small.view(np.uint32) >> 16).astype(np.uint16)
    raw = random_gguf("q8_0", 6, 32)
    sources = [
        RowSource("a", "f16", half.view(np.uint8).reshape(-1), (6, 32)),
        RowSource("b", "bf16", brain.view(np.uint8).reshape(-1), (6, 32)),
        RowSource("c", "q8_0", raw, (6, 32)),
        f32_source(small, "d"),
    ]
    blocks = unpack(from_gguf(raw, (6, 32), "q8_0"))
    expected = np.concatenate([small, small, blocks, small])
    tolerance = {"f32": 0, "f16": 0.25, "bf16": 2, "q8": 0.04}[name]
    got = values(sources, name, 32)
    np.testing.assert_allclose(got, expected, atol=tolerance)
    if name != "q8":
        np.testing.assert_array_equal(np.delete(got, np.s_[12:18], axis=0), np.concatenate([small] * 3))


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_floats_of_the_same_type_are_moved_bit_by_bit(dtype: str) -> None:
    """Subnormals and negative zeros included."""
    bits = np.arange(0, 0x7C00, 31, dtype=np.uint16)[:960].reshape(15, 64)
    bits[0, :32] |= 0x8000
    source = RowSource("w", dtype, bits.view(np.uint8).reshape(-1), (15, 64))
    got = packed([source], dtype, 64).view(np.uint16).reshape(64, 16)
    np.testing.assert_array_equal(got[:, :15].T, bits)


def test_bad_values_are_named_whatever_the_thread() -> None:
    w = matrix(200, 64)
    w[150, 3] = np.nan
    for name in ("f32", "f16", "q4", "q8"):
        with pytest.raises(CorruptFile, match=r"'model\.norm'"):
            values([f32_source(w, "model.norm")], name, 64, threads=2)
    w[150, 3] = 1e6
    with pytest.raises(Unsupported, match=r"'model\.norm'.*too large for f16: 1e\+06"):
        values([f32_source(w, "model.norm")], "f16", 64)
    with pytest.raises(Unsupported, match="does not make q4_k"):
        values([f32_source(matrix(4, 256))], "q4_k", 256)


def test_wrong_shapes_are_refused() -> None:
    w = matrix(10, 64)
    raw = w.view(np.uint8).reshape(-1)
    with pytest.raises(CorruptFile, match=r"'w' has shape \[10, 64\], but a matrix of 32 columns"):
        values([f32_source(w)], "f32", 32)
    with pytest.raises(CorruptFile, match="2559 bytes where f32"):
        RowSource("w", "f32", raw[:-1], (10, 64))
    with pytest.raises(CorruptFile, match="rows 4 to 11"):
        RowSource("w", "f32", raw, (10, 64), rows=(4, 11))
    with pytest.raises(CorruptFile, match="no choice of its 10 rows"):
        RowSource("w", "f32", raw, (10, 64), order=np.array([0] * 10))
    with pytest.raises(CorruptFile, match="one or two dimensions"):
        RowSource("w", "f32", raw, (2, 5, 64))
    with pytest.raises(Unsupported, match="'q8_k'"):
        RowSource("w", "q8_k", raw, (10, 64))
    with pytest.raises(ValueError, match="needs"):
        pack_weight([f32_source(w)], FORMATS["f32"], 64, np.empty(3, np.uint8))


def test_vectors() -> None:
    """Norms and biases, also a third of a fused bias, in any type."""
    values = np.arange(96, dtype=np.float32)
    raw = values.astype(np.float16).view(np.uint8)
    np.testing.assert_array_equal(read_f32(RowSource("b", "f16", raw, (96,))), values)
    part = RowSource("b", "f16", raw, (96,), rows=(32, 64), order=np.arange(31, -1, -1))
    np.testing.assert_array_equal(read_f32(part), values[32:64][::-1])
    blocks = random_gguf("q8_0", 1, 96)
    expected = unpack(from_gguf(blocks, (1, 96), "q8_0"))[0]
    np.testing.assert_array_equal(read_f32(RowSource("b", "q8_0", blocks, (96,), rows=(3, 40))), expected[3:40])
    with pytest.raises(CorruptFile, match="'b'"):
        read_f32(RowSource("b", "f32", np.array([np.inf], np.float32).view(np.uint8), (1,)))
    matrix_values = matrix(3, 5)
    np.testing.assert_array_equal(read_f32(f32_source(matrix_values)), matrix_values)


def test_progress_counts_every_byte() -> None:
    seen: list[int] = []
    out = packed([f32_source(matrix(600, 2048))], "q8", 2048, threads=2, progress=seen.append)
    assert sum(seen) == out.size
    assert len(seen) > 1


def test_memory_beside_the_output_stays_small() -> None:
    """Compiling must not need a second copy of the model: 64 MiB of f32 are packed with a third of that in use."""
    w = np.zeros((8192, 2048), np.float32)
    w[:, ::7] = 0.5
    out = np.empty(packed_size(FORMATS["q4"], *w.shape), np.uint8)
    tracemalloc.start()
    pack_weight([f32_source(w)], FORMATS["q4"], 2048, out, threads=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20


def test_output_may_be_a_memoryview() -> None:
    w = matrix(16, 64)
    buffer = bytearray(packed_size(FORMATS["f32"], 16, 64) + 64)
    pack_weight([f32_source(w)], FORMATS["f32"], 64, memoryview(buffer)[64:])
    np.testing.assert_array_equal(unpack_layout(np.frombuffer(buffer, np.uint8)[64:], 16, 64, FORMATS["f32"]), w)
