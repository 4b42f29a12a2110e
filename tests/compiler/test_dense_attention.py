"""Attention without a cache, of whole sequences and of many in one batch, against numpy in float64.

A failure says that pictures or texts are read wrongly by networks with such heads, lengths or biases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    host_isa,
    isa_params,
)
from tests.compiler.references import attention

from hearth.compiler.cpu.kernels.attention_layout import SPLIT_KEYS
from hearth.compiler.cpu.kernels.attention_pack import AttentionPackSpec, attention_pack
from hearth.compiler.cpu.kernels.dense_attention import TILE_QUERIES, DenseAttentionSpec, dense_attention
from hearth.compiler.cpu.kernels.ragged_attention import RaggedAttentionSpec, ragged_attention
from hearth.compiler.cpu.targets import Isa
from hearth.quant import round_up

F32 = NDArray[np.float32]
TILE_TOKENS = 32
SCALE = 0.2
DENSE = {dim: DenseAttentionSpec(dim, SCALE) for dim in (16, 20, 64, 72, 160)}
INT8 = {40: DenseAttentionSpec(40, SCALE, "full", int8=True), 64: DenseAttentionSpec(64, SCALE, int8=True)}
KEY_BIAS, FULL_BIAS = (DenseAttentionSpec(20, SCALE, bias) for bias in ("keys", "full"))  # type: ignore[arg-type]
RAGGED = [
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, window=5),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, window=300),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, causal=True),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, window=40, causal=True),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, distance_bias=True),
    RaggedAttentionSpec(20, SCALE, TILE_TOKENS, window=33, distance_bias=True),
    RaggedAttentionSpec(64, SCALE, TILE_TOKENS),
]


RAGGED_INT8 = RaggedAttentionSpec(64, SCALE, TILE_TOKENS, distance_bias=True, int8=True)
COMMON: list[Any] = [DENSE[72], FULL_BIAS, RAGGED[6]]
"""What is tried on every instruction set; the others on this machine's best."""


def built(isa: Isa, specs: list[Any], folder: Path) -> KernelLibrary:
    makers: dict[type, Any] = {
        DenseAttentionSpec: dense_attention,
        RaggedAttentionSpec: ragged_attention,
        AttentionPackSpec: attention_pack,
    }
    return build([makers[type(spec)](isa, spec) for spec in specs], isa, folder)


@pytest.fixture(scope="module", params=float_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    return built(request.param, COMMON, tmp_path_factory.mktemp("attention"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    return built(host_isa(), [*DENSE.values(), KEY_BIAS, *RAGGED], tmp_path_factory.mktemp("attention"))


@pytest.fixture(scope="module", params=[*isa_params(), *emulated_params()])
def integer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    """Products of bytes, in which all instruction sets differ."""
    return built(request.param, [AttentionPackSpec(40), INT8[40]], tmp_path_factory.mktemp("integer"))


@pytest.fixture(scope="module")
def integer_here(tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    specs = [AttentionPackSpec(64), INT8[64], DenseAttentionSpec(64, SCALE, "keys", int8=True)]
    specs += [AttentionPackSpec(64, ragged=True), RAGGED_INT8]
    return built(host_isa(), specs, tmp_path_factory.mktemp("integer"))


def numbers(*shape: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def in_columns(*parts: F32) -> tuple[F32, int, list[int]]:
    """(rows, heads, d) each, side by side as one product leaves them: the buffer, its row stride, first columns."""
    rows = len(parts[0])
    flat = [part.reshape(rows, -1) for part in parts]
    starts = np.cumsum([0, *(part.shape[1] for part in flat)])
    ld = round_up(int(starts[-1]), 16)
    buffer = guarded((rows, ld), np.float32)
    for start, part in zip(starts, flat, strict=False):
        buffer[:, start : start + part.shape[1]] = part
    return buffer, ld, [int(start) for start in starts[:-1]]


@dataclass
class Heads:
    """Queries, keys and values (tokens, heads, d) of one sequence after another; `batch` of them of one length."""

    q: F32
    k: F32
    v: F32
    batch: int = 1

    @classmethod
    def random(cls, n: int, m: int, heads: int, kv_heads: int, d: int, batch: int = 1, seed: int = 0) -> Heads:
        shapes = ((batch * n, heads), (batch * m, kv_heads), (batch * m, kv_heads))
        return cls(*(numbers(*shape, d, seed=seed + i) for i, shape in enumerate(shapes)), batch)  # type: ignore[arg-type]

    def split(self) -> list[F32]:
        """(batch, heads, tokens, d) each."""
        return [x.reshape(self.batch, -1, *x.shape[1:]).swapaxes(1, 2) for x in (self.q, self.k, self.v)]

    def dense(self, library: KernelLibrary, spec: DenseAttentionSpec, bias: F32 | None = None, chunk: int = 3) -> F32:
        """(batch, n, heads, d). Keys and values are columns of one buffer."""
        heads, d = self.q.shape[1:]
        n, m = len(self.q) // self.batch, len(self.k) // self.batch
        q, ldq, _ = in_columns(self.q)
        kv, ldk, (off_k, off_v) = in_columns(self.k, self.v)
        ldo = round_up(heads * d, 16)
        out = guarded((self.batch * n, ldo), np.float32, 7)
        buffers: list[NDArray[Any]] = [q, kv, kv, *([copied(bias)] if bias is not None else []), out]
        scalars = [n, m, heads, heads // self.k.shape[1], ldq, ldk, ldk, ldo, 0, off_k, off_v]
        if spec.int8:
            pack = AttentionPackSpec(d)
            kv_heads = self.k.shape[1]
            packed = guarded((self.batch, kv_heads, -(-m // SPLIT_KEYS), pack.layout.block_bytes), np.uint8)
            options = [m, kv_heads, ldk, ldk, off_k, off_v]
            blocks, scratch = self.batch * kv_heads * -(-m // SPLIT_KEYS), pack.scratch_bytes()
            library.run(pack.name, [kv, kv, packed], options, blocks, chunk=chunk, scratch_bytes=scratch)
            buffers[1:3] = [packed]
            scalars = [*scalars[:4], ldq, ldo, 0]
        if bias is not None:
            scalars += [0 if bias.shape[i] == 1 else int(np.prod(bias.shape[i + 1 :])) for i in range(3)]
        units = self.batch * heads * -(-n // TILE_QUERIES)
        library.run(spec.name, buffers, scalars, units, chunk=chunk, scratch_bytes=spec.scratch_bytes())
        assert (out[:, heads * d :] == 7).all(), "columns that are not the kernel's were written"
        return out[:, : heads * d].reshape(self.batch, n, heads, d)


LENGTHS = [(1, 1), (5, 77), (49, 49), (33, 300)]


def check(library: KernelLibrary, heads: Heads) -> None:
    expected = attention(*heads.split(), SCALE).swapaxes(1, 2)
    actual = heads.dense(library, DENSE[heads.q.shape[-1]])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("n", "m"), LENGTHS)
def test_every_query_sees_every_key(library: KernelLibrary, n: int, m: int) -> None:
    check(library, Heads.random(n, m, 3, 3, 72, batch=2))


@pytest.mark.parametrize("d", [16, 20, 64, 160])
@pytest.mark.parametrize(("n", "m"), LENGTHS)
def test_other_head_sizes(here: KernelLibrary, d: int, n: int, m: int) -> None:
    check(here, Heads.random(n, m, 3, 3, d, batch=2))


def test_query_heads_that_share_keys(library: KernelLibrary) -> None:
    check(library, Heads.random(21, 40, 6, 2, 72))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (2, 3, 1)])
def test_bias_by_key(here: KernelLibrary, shape: tuple[int, ...]) -> None:
    """As masks of padding come: 0 or the most negative number there is, or infinity."""
    m = 70
    bias = numbers(*shape, m)
    bias[..., 3:30] = np.finfo(np.float32).min
    bias[..., 60:] = -np.inf
    heads = Heads.random(34, m, 3, 3, 20, batch=2)
    expected = attention(*heads.split(), SCALE, bias.astype(np.float64)).swapaxes(1, 2)
    np.testing.assert_allclose(heads.dense(here, KEY_BIAS, bias), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize(("n", "m"), [(18, 5), (35, 290)])
def test_bias_by_query_and_key(library: KernelLibrary, shape: tuple[int, int], n: int, m: int) -> None:
    heads, bias = Heads.random(n, m, 3, 3, 20, batch=2), numbers(*shape, n, m, seed=5) * 2
    expected = attention(*heads.split(), SCALE, bias).swapaxes(1, 2)
    np.testing.assert_allclose(heads.dense(library, FULL_BIAS, bias), expected, rtol=1e-5, atol=2e-6)


def test_a_query_that_may_see_nothing_gives_zeros(library: KernelLibrary) -> None:
    bias = np.zeros((1, 1, 18, 40), np.float32)
    bias[0, 0, 7] = -np.inf
    actual = Heads.random(18, 40, 2, 2, 20).dense(library, FULL_BIAS, bias)
    assert (actual[0, 7] == 0).all()
    assert (actual[0, 6] != 0).all()


def test_scores_too_large_for_the_exponential(here: KernelLibrary) -> None:
    heads = Heads.random(20, 300, 1, 1, 64)
    heads.q *= 300
    expected = attention(*heads.split(), SCALE).swapaxes(1, 2)
    np.testing.assert_allclose(heads.dense(here, DENSE[64]), expected, atol=2e-3)


def spoilt(heads: Heads, part: str) -> Heads:
    """One element of the second head of a query, a key or a value is no number."""
    x = getattr(heads, part).copy()
    x[3, 1, 5] = np.nan
    return replace(heads, **{part: x})


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_what_is_no_number_is_seen(library: KernelLibrary, part: str) -> None:
    """A fault in a network must not become a plausible number, nor reach what does not depend on it."""
    actual = spoilt(Heads.random(20, 40, 2, 2, 72), part).dense(library, DENSE[72])[0]
    assert np.isfinite(actual[:, 0]).all()
    wrong = np.isnan(actual[:, 1]).any(axis=1)
    assert np.array_equal(wrong, np.arange(20) == 3 if part == "q" else np.ones(20, bool))


def test_how_units_are_shared_changes_no_bit(here: KernelLibrary) -> None:
    heads = Heads.random(70, 270, 2, 2, 64, batch=2)
    whole = heads.dense(here, DENSE[64], chunk=100)
    for chunk in (1, 2, 5):
        assert np.array_equal(heads.dense(here, DENSE[64], chunk=chunk), whole)


# -- products of bytes -------------------------------------------------------------------------------------------------


def relative_error(actual: F32, expected: NDArray[np.float64]) -> float:
    return float(np.sqrt(((actual - expected) ** 2).mean() / (expected**2).mean()))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 77), (49, 49), (33, 300)])
def test_bytes_come_close(integer: KernelLibrary, n: int, m: int) -> None:
    """Eight bits for everything cost about one part in a hundred."""
    heads, bias = Heads.random(n, m, 4, 2, 40, batch=2), numbers(1, 4, n, m, seed=5)
    expected = attention(*heads.split(), SCALE, bias).swapaxes(1, 2)
    assert relative_error(heads.dense(integer, INT8[40], bias), expected) < 0.03


def test_values_of_any_size(integer: KernelLibrary) -> None:
    """A value's own size must not coarsen others; a large weight of a tiny value, or of none at all, still counts."""
    heads, bias = Heads.random(20, 40, 2, 2, 40), np.zeros((1, 1, 20, 40), np.float32)
    heads.v[3], heads.v[4], heads.v[5] = 0, heads.v[4] * 1e-4, heads.v[5] * 50
    bias[..., 3:5], bias[..., 5] = 3, -12
    expected = attention(*heads.split(), SCALE, bias).swapaxes(1, 2)
    assert relative_error(heads.dense(integer, INT8[40], bias), expected) < 0.03


def test_equal_weights_give_the_mean(integer: KernelLibrary) -> None:
    """With values that are integers nothing is lost, whatever the instruction set does about signs and padding."""
    rng = np.random.default_rng(0)
    for m in (1, 33, 290):
        heads, bias = Heads.random(3, m, 2, 2, 40), np.zeros((1, 1, 3, m), np.float32)
        heads.q[:] = 0
        heads.v = rng.integers(-126, 127, heads.v.shape).astype(np.float32)
        heads.v[..., 0] = 127
        mean = heads.v.mean(axis=0, dtype=np.float64)
        actual = heads.dense(integer, INT8[40], bias)[0]
        np.testing.assert_allclose(actual, np.broadcast_to(mean, actual.shape), rtol=2e-4, atol=1e-3)


def test_bytes_without_bias_and_with_masked_keys(integer_here: KernelLibrary) -> None:
    heads = Heads.random(197, 197, 3, 3, 64)
    expected = attention(*heads.split(), SCALE).swapaxes(1, 2)
    assert relative_error(heads.dense(integer_here, INT8[64]), expected) < 0.03
    bias = np.zeros((1, 1, 1, 197), np.float32)
    bias[..., 20:150] = -np.inf
    expected = attention(*heads.split(), SCALE, bias).swapaxes(1, 2)
    spec = DenseAttentionSpec(64, SCALE, "keys", int8=True)
    assert relative_error(heads.dense(integer_here, spec, bias), expected) < 0.03
    bias[:] = np.finfo(np.float32).min
    assert (heads.dense(integer_here, spec, bias) == 0).all()


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_what_is_no_number_is_seen_in_bytes_too(integer: KernelLibrary, part: str) -> None:
    heads, bias = spoilt(Heads.random(20, 40, 2, 2, 40), part), np.zeros((1, 1, 20, 40), np.float32)
    actual = heads.dense(integer, INT8[40], bias)[0]
    assert np.isfinite(actual[:, 0]).all()
    wrong = np.isnan(actual[:, 1]).any(axis=1)
    assert np.array_equal(wrong, np.arange(20) == 3 if part == "q" else np.ones(20, bool))


def test_how_units_of_bytes_are_shared_changes_no_bit(integer_here: KernelLibrary) -> None:
    heads = Heads.random(70, 270, 2, 2, 64, batch=2)
    whole = heads.dense(integer_here, INT8[64], chunk=100)
    for chunk in (1, 2, 5):
        assert np.array_equal(heads.dense(integer_here, INT8[64], chunk=chunk), whole)


# -- many sequences in one batch ---------------------------------------------------------------------------------------


def ragged(
    library: KernelLibrary, spec: RaggedAttentionSpec, heads: Heads, lengths: list[int], table: F32 | None = None,
    chunk: int = 3, tile: int = TILE_TOKENS, extra: list[tuple[int, int]] | None = None,
) -> F32:  # fmt: skip
    """(n, heads, d); `tile`: tokens from one tile to the next; `extra`: more tiles."""
    count, d = heads.q.shape[1:]
    starts = np.cumsum([0, *lengths]).astype(np.int32)
    tiles = [(s, first) for s in range(len(lengths)) for first in range(starts[s], starts[s + 1], tile)]
    tiles += extra or []
    x, ld, offsets = in_columns(heads.q, heads.k, heads.v)
    ldo = round_up(count * d, 16)
    out = guarded((len(x), ldo), np.float32, 7)
    buffers: list[NDArray[Any]] = [x, x, x, copied(starts), copied(np.array(tiles, np.int32))]
    buffers += [copied(table)] if table is not None else []
    kv_heads = heads.k.shape[1]
    scalars = [len(tiles), len(lengths), count // kv_heads, ld, ld, ld, ldo, *offsets]
    if spec.int8:
        pack = AttentionPackSpec(d, ragged=True)
        packed = guarded((len(x) // SPLIT_KEYS + len(lengths), kv_heads, pack.layout.block_bytes), np.uint8)
        options, units = [kv_heads, ld, ld, *offsets[1:]], len(lengths) * kv_heads
        sources = [x, x, copied(starts), packed]
        library.run(pack.name, sources, options, units, chunk=chunk, scratch_bytes=pack.scratch_bytes())
        buffers[1:3] = [packed]
        scalars = [len(tiles), len(lengths), count // kv_heads, ld, ldo, offsets[0], kv_heads]
    scalars += [table.shape[1] // 2, table.shape[1]] if table is not None else []
    scratch = spec.scratch_bytes()
    library.run(spec.name, [*buffers, out], scalars, len(tiles) * count, chunk=chunk, scratch_bytes=scratch)
    assert (out[:, count * d :] == 7).all()
    return out[:, : count * d].reshape(-1, count, d)


def expected_ragged(spec: RaggedAttentionSpec, heads: Heads, lengths: list[int], table: F32 | None = None) -> Any:
    rows, start = [], 0
    for length in lengths:
        distance = np.arange(length) - np.arange(length)[:, None]
        seen = np.abs(distance) <= (spec.window or length)
        if spec.causal:
            seen &= distance <= 0
        reach = table.shape[1] // 2 if table is not None else 0
        bias = table[:, np.clip(distance, -reach, reach) + reach] if table is not None else 0.0
        q, k, v = (x[start : start + length].swapaxes(0, 1) for x in (heads.q, heads.k, heads.v))
        rows.append(attention(q, k, v, SCALE, bias, seen).swapaxes(0, 1))
        start += length
    return np.concatenate(rows)


def check_ragged(library: KernelLibrary, spec: RaggedAttentionSpec) -> None:
    lengths = [1, 40, 0, 300, 17]
    heads = Heads.random(sum(lengths), sum(lengths), 2, 1, spec.head_dim)
    table = numbers(2, 2 * 20 + 1, seed=9) if spec.distance_bias else None
    actual = ragged(library, spec, heads, lengths, table)
    np.testing.assert_allclose(actual, expected_ragged(spec, heads, lengths, table), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("spec", [spec for spec in RAGGED if spec in COMMON], ids=lambda spec: spec.name)
def test_sequences_see_only_themselves(library: KernelLibrary, spec: RaggedAttentionSpec) -> None:
    check_ragged(library, spec)


@pytest.mark.parametrize("spec", [spec for spec in RAGGED if spec not in COMMON], ids=lambda spec: spec.name)
def test_other_ways_to_look(here: KernelLibrary, spec: RaggedAttentionSpec) -> None:
    check_ragged(here, spec)


@pytest.mark.parametrize("spec", RAGGED, ids=lambda spec: spec.name)
def test_neighbours_and_tiles_change_no_bit(here: KernelLibrary, spec: RaggedAttentionSpec) -> None:
    """Else a text's embedding would depend on what else is in its batch."""
    lengths = [23, 280, 9]
    heads = Heads.random(sum(lengths), sum(lengths), 2, 2, spec.head_dim)
    table = numbers(2, 2 * 50 + 1, seed=9) if spec.distance_bias else None
    whole = ragged(here, spec, heads, lengths, table)
    alone = Heads(heads.q[23:303], heads.k[23:303], heads.v[23:303])
    assert np.array_equal(ragged(here, spec, alone, [280], table, chunk=1), whole[23:303])
    assert np.array_equal(ragged(here, spec, heads, lengths, table, chunk=7, tile=13), whole)


def test_one_sequence_gives_the_bits_of_dense_attention(here: KernelLibrary) -> None:
    heads = Heads.random(290, 290, 2, 2, 64)
    assert np.array_equal(ragged(here, RAGGED[-1], heads, [290]), heads.dense(here, DENSE[64])[0])


def test_tiles_outside_of_their_sequence_write_nothing(here: KernelLibrary) -> None:
    """Inputs are checked against bounds only: a caller's mistake must not reach other memory."""
    heads, lengths = Heads.random(60, 60, 2, 2, 64), [20, 40]
    whole = ragged(here, RAGGED[-1], heads, lengths)
    wrong = [(0, 25), (1, 60), (0, 2**31 - 1), (2**31 - 1, 2**31 - 1)]
    assert np.array_equal(ragged(here, RAGGED[-1], heads, lengths, extra=wrong), whole)


def test_bytes_of_many_sequences(integer_here: KernelLibrary) -> None:
    lengths = [1, 40, 0, 300, 17, 256, 257]
    heads = Heads.random(sum(lengths), sum(lengths), 4, 2, 64)
    table = numbers(4, 2 * 20 + 1, seed=9)
    whole = ragged(integer_here, RAGGED_INT8, heads, lengths, table)
    expected = expected_ragged(RAGGED_INT8, heads, lengths, table)
    assert relative_error(whole, expected) < 0.03
    alone = Heads(heads.q[41:341], heads.k[41:341], heads.v[41:341])
    assert np.array_equal(ragged(integer_here, RAGGED_INT8, alone, [300], table, chunk=1), whole[41:341])
