"""RWKV's linear attention against numpy in float64: several sequences in a batch, states read, left and passed on.

Whatever a batch is cut into, a token has the same bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.rwkv import COPIED, RwkvSpec, rwkv, rwkv_inputs
from hearth.compiler.gpu.kernels.rwkv_mean import CHANNELS, rwkv_mean

from .adapter import run_kernel
from .products import assert_close
from .token_runs import BATCH, F64, SLOTS, Run, arrays, cuts, walked

F32 = NDArray[np.float32]
SPECS = [
    RwkvSpec("adds", 3, 3, 64, 64e-5),
    RwkvSpec("replaces", 2, 2, 64, 64e-5),
    RwkvSpec("replaces", 3, 3, 48, None),
    RwkvSpec("replaces", 1, 1, 128, 1e-5),
    RwkvSpec("gated", 4, 2, 16, None),
]


class Layer:
    """The numbers of a layer, joined as the kernel reads them."""

    def __init__(self, spec: RwkvSpec, tokens: int = 80) -> None:
        rng, self.spec = np.random.default_rng(spec.size), spec
        self.parts = [rng.normal(size=(tokens, width)).astype(np.float32) for width in spec.widths]
        # From channels that forget all but at once to channels that keep nearly everything.
        self.parts[1] = (
            rng.permuted(np.geomspace(1e-3, 0.999, self.parts[1].size)).reshape(tokens, -1).astype(np.float32)
        )
        if spec.kind == "replaces":
            self.parts[5] = rng.uniform(size=self.parts[5].shape).astype(np.float32)
        self.gates = rng.normal(size=(3 if spec.epsilon else 1, spec.columns)).astype(np.float32)

    def run(self, batch: list[Run], state: F32, first: int = 0) -> tuple[F32, F32]:
        """Rows, and the states afterwards, of the tokens from `first` on."""
        s, (runs, state_to) = self.spec, arrays(batch)
        there = slice(first, first + len(state_to))
        x = np.concatenate([part[there] for part in self.parts], axis=1)
        y = np.full((len(x), s.columns), np.nan, np.float32)
        gates = [] if s.kind == "gated" else [self.gates]
        *_, y, state = run_kernel(rwkv(s), [x, *gates, runs, state_to, y, state], [], len(runs) * s.heads)
        return y, state

    def states(self) -> F64:
        """(slots, head, key, value)."""
        s = self.spec
        drawn = np.random.default_rng(2).normal(size=(SLOTS, s.heads, s.size, s.size))
        return drawn.astype(np.float32).astype(np.float64)

    def expected(self, batch: list[Run], state: F64) -> F64:
        """Rows as the papers have them. state: as `states`."""
        s, rows = self.spec, []
        r, w, k, v, *replaced = (part.astype(np.float64).reshape(len(part), -1, s.size) for part in self.parts)
        k, v = (part.repeat(s.heads // s.kv_heads, axis=1) for part in (k, v))
        bonus, *norm = self.gates.astype(np.float64).reshape(-1, s.heads, s.size)
        for t, own in walked(batch, state):
            past = (r[t] * k[t] * bonus).sum(1, keepdims=True) * v[t]
            new = k[t][:, :, None] * v[t][:, None]
            if s.kind == "adds":
                out = np.einsum("hkv,hk->hv", own, r[t]) + past
            if s.kind == "gated":
                new *= (1 - w[t])[:, :, None]
            if s.kind == "replaces":
                e, a = replaced[0][t], replaced[1][t]
                e = e / np.sqrt((e * e).sum(1, keepdims=True))
                new = new - (e * a)[:, :, None] * np.einsum("hkv,hk->hv", own, e)[:, None]
            own *= w[t][:, :, None]
            own += new
            if s.kind != "adds":
                out = np.einsum("hkv,hk->hv", own, r[t]) * (s.size**-0.5 if s.kind == "gated" else 1.0)
            if s.epsilon:
                out = out - out.mean(1, keepdims=True)
                out = out / np.sqrt((out * out).mean(1, keepdims=True) + s.epsilon) * norm[0] + norm[1]
            rows.append(out + past if s.kind == "replaces" else out)
        return np.stack(rows).reshape(len(rows), -1)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_layer(spec: RwkvSpec) -> None:
    layer = Layer(spec)
    state = layer.states()
    kept = state.astype(np.float32).reshape(SLOTS, -1)
    wanted = layer.expected(BATCH, state)
    y, left = layer.run(BATCH, kept)
    assert_close(y, wanted, 1e-4)
    assert_close(left, state.reshape(SLOTS, -1), 1e-4)


@pytest.mark.parametrize("pieces", cuts(40), ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_token_has_the_same_bits_however_its_sequence_is_cut(spec: RwkvSpec, pieces: list[int]) -> None:
    layer = Layer(spec, 40)
    zeros = np.zeros((SLOTS, spec.state_size), np.float32)
    wanted, _ = layer.run([Run(40, -1, {})], zeros)
    state, rows, source = zeros, list[F32](), -1
    for first, end in pairwise(np.cumsum([0, *pieces])):
        y, state = layer.run([Run(end - first, source, {end - first - 1: 2})], state, first)
        rows.append(y)
        source = 2
    np.testing.assert_array_equal(np.concatenate(rows), wanted)


def test_what_tokens_bring_is_put_in_one_row() -> None:
    widths, rows = (48, 16, 32), 5
    parts = [np.random.default_rng(i).normal(size=(rows, width)).astype(np.float32) for i, width in enumerate(widths)]
    joined = np.full((rows, sum(widths)), np.nan, np.float32)
    units = -(-joined.size // 4 // COPIED)
    *_, joined = run_kernel(rwkv_inputs(widths), [*parts, joined], [rows], units)
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis=1))


def means(k: F32, v: F32, rates: F32, batch: list[Run], state: F32) -> tuple[F32, F32]:
    runs, state_to = arrays(batch)
    y, channels = np.full_like(k, np.nan), k.shape[1]
    units = len(runs) * -(-channels // CHANNELS)
    *_, y, state = run_kernel(rwkv_mean(), [k, v, rates, runs, state_to, y, state], [channels], units)
    return y, state


@pytest.mark.parametrize("pieces", cuts(40), ids=str)
def test_means_of_channels(pieces: list[int]) -> None:
    """Of RWKV-4, with keys of which a weight alone would be more than a number can be."""
    rng, channels = np.random.default_rng(7), 80
    k = rng.uniform(-120, 120, (40, channels)).astype(np.float32)
    v = rng.normal(size=(40, channels)).astype(np.float32)
    decay, bonus = -np.geomspace(0.01, 8, channels), rng.normal(size=channels)
    rates = np.stack([decay, bonus]).astype(np.float32)
    top, bottom, wanted = np.zeros(channels), np.zeros(channels), []
    for one, value in zip(k.astype(np.float64), v.astype(np.float64), strict=True):
        own, weight = np.exp(one + rates[1]), np.exp(one)
        wanted.append((top + own * value) / (bottom + own))
        top, bottom = top * np.exp(rates[0]) + weight * value, bottom * np.exp(rates[0]) + weight
    state = np.zeros((SLOTS, 3 * channels), np.float32)
    whole, _ = means(k, v, rates, [Run(40, -1, {})], state)
    assert_close(whole, np.stack(wanted), 1e-4)
    rows, source = list[F32](), -1
    for first, end in pairwise(np.cumsum([0, *pieces])):
        y, state = means(k[first:end], v[first:end], rates, [Run(end - first, source, {end - first - 1: 2})], state)
        rows.append(y)
        source = 2
    np.testing.assert_array_equal(np.concatenate(rows), whole)
