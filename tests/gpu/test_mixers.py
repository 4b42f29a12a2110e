"""Kernels of recurrent mixers against numpy in float64: several sequences in a batch, states read, left and passed on.

Whatever a batch is cut into, a token has the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.causal_conv import CHANNELS, CausalConvSpec, causal_conv
from hearth.compiler.gpu.kernels.gated_delta import GatedDeltaSpec, gated_delta
from hearth.compiler.gpu.kernels.gated_norm import GatedNormSpec, gated_norm
from hearth.compiler.gpu.kernels.state_columns import COLUMNS

from .adapter import run_kernel
from .products import assert_close, padded
from .token_runs import BATCH, F64, SLOTS, Run, arrays, cuts, walked

F32 = NDArray[np.float32]


def sigmoid(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


def silu(x: F64) -> F64:
    return x * sigmoid(x)


# -- causal_conv


@dataclass
class Conv:
    """A convolution's numbers; the input lies behind `offset` other columns."""

    spec: CausalConvSpec
    channels: int
    tokens: int
    offset: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.channels)
        self.x = rng.normal(size=(self.tokens, self.offset + self.channels)).astype(np.float32)
        self.w = rng.normal(size=(self.spec.taps, self.channels)).astype(np.float32)
        self.bias = rng.normal(size=self.channels).astype(np.float32)

    def run(self, batch: list[Run], state: F32, first: int = 0) -> tuple[F32, F32]:
        """Rows, and the states afterwards, of the tokens from `first` on."""
        runs, state_to = arrays(batch)
        x = padded(self.x[first : first + len(state_to)])
        y = np.full((len(x), self.channels), np.nan, np.float32)
        operands = [x, self.w, *([self.bias] if self.spec.bias else []), runs, state_to, y, state]
        scalars = [x.shape[1], self.offset, self.channels, self.channels]
        units = len(runs) * -(-self.channels // CHANNELS)
        *_, y, state = run_kernel(causal_conv(self.spec), operands, scalars, units)
        return y, state

    def expected(self, batch: list[Run], state: F64) -> F64:
        rows = []
        for token, own in walked(batch, state):
            window = np.concatenate([own.reshape(-1, self.channels), self.x[token : token + 1, self.offset :]])
            row = (window * self.w).sum(axis=0) + (self.bias if self.spec.bias else 0.0)
            rows.append(silu(row) if self.spec.activation else row)
            own[:] = window[1:].reshape(own.shape)
        return np.stack(rows)


CONVS = [
    Conv(CausalConvSpec(4, False, "silu"), 176, 80, 32),
    Conv(CausalConvSpec(3, True, ""), 64, 80),
    Conv(CausalConvSpec(2, False, "silu"), 16, 80),
    Conv(CausalConvSpec(64, True, "silu"), 80, 80),
]


@pytest.mark.parametrize("conv", CONVS, ids=lambda conv: f"{conv.spec.name}-{conv.channels}")
def test_convolutions_over_tokens(conv: Conv) -> None:
    shape = (SLOTS, (conv.spec.taps - 1) * conv.channels)
    state = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    wanted_state = state.astype(np.float64)
    wanted = conv.expected(BATCH, wanted_state)
    y, left = conv.run(BATCH, state)
    assert_close(y, wanted, 2e-6)
    np.testing.assert_array_equal(left, wanted_state)  # inputs, as they were


@pytest.mark.parametrize("pieces", cuts(70), ids=len)
def test_a_convolved_token_has_the_same_bits_however_its_sequence_is_cut(pieces: list[int]) -> None:
    conv = CONVS[0]
    zeros = np.zeros((SLOTS, 3 * conv.channels), np.float32)
    wanted, _ = conv.run([Run(70, -1, {})], zeros)
    state, rows, source = zeros, list[F32](), -1
    for first, end in pairwise(np.cumsum([0, *pieces])):
        y, state = conv.run([Run(end - first, source, {end - first - 1: 2})], state, first)
        rows.append(y)
        source = 2
    np.testing.assert_array_equal(np.concatenate(rows), wanted)


# -- gated_delta


@dataclass
class Delta:
    """The numbers of a layer. a and b are columns 3 on of one matrix; decays of keys are in one of their own."""

    spec: GatedDeltaSpec
    tokens: int = 80

    def __post_init__(self) -> None:
        rng, s = np.random.default_rng(self.spec.key_size), self.spec
        columns = 2 * s.key_heads * s.key_size + s.value_heads * s.value_size
        self.qkv = rng.normal(size=(self.tokens, columns)).astype(np.float32)
        self.ab = rng.normal(size=(self.tokens, 3 + 2 * s.value_heads)).astype(np.float32)
        # From heads that forget all but at once to heads that keep nearly everything.
        decay, bias = -np.geomspace(0.01, 8, s.value_heads), np.linspace(-6, 3, s.value_heads)
        self.gates = np.concatenate([decay, bias]).astype(np.float32)
        self.by_key = rng.uniform(0.05, 1.0, (self.tokens, s.value_heads * s.key_size)).astype(np.float32)

    def run(self, batch: list[Run], state: F32, first: int = 0) -> tuple[F32, F32]:
        """Rows, and the states afterwards, of the tokens from `first` on."""
        s, (runs, state_to) = self.spec, arrays(batch)
        there = slice(first, first + len(state_to))
        qkv, ab, heads = padded(self.qkv[there]), padded(self.ab[there]), s.value_heads
        y = np.full((len(qkv), heads * s.value_size), np.nan, np.float32)
        a, at_a = (padded(self.by_key[there]), 0) if s.by_key else (ab, 3)
        scalars = [qkv.shape[1], a.shape[1], at_a, ab.shape[1], 3 + heads, y.shape[1]]
        units = len(runs) * heads * s.blocks
        operands = [qkv, a, ab, *([] if s.by_key else [self.gates]), runs, state_to, y, state]
        *_, y, state = run_kernel(gated_delta(s), operands, scalars, units)
        return y, state

    def expected(self, batch: list[Run], state: F64) -> F64:
        """As the paper has it. state: (slots, value head, key, value)."""
        s, heads = self.spec, self.spec.value_heads
        keys = s.key_heads * s.key_size
        q, k, v = (
            part.astype(np.float64).reshape(len(self.qkv), -1, size)
            for part, size in zip(
                np.split(self.qkv, [keys, 2 * keys], axis=1), (s.key_size, s.key_size, s.value_size), strict=True
            )
        )
        q, k = (x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-6) for x in (q, k))
        share = heads // s.key_heads
        q, k = ((np.tile(x, (1, share, 1)) if s.tiled else x.repeat(share, axis=1)) for x in (q, k))
        a, b = self.ab[:, 3 : 3 + heads].astype(np.float64), self.ab[:, 3 + heads :].astype(np.float64)
        decay = np.exp(self.gates[:heads] * np.log1p(np.exp(a + self.gates[heads:])))[:, :, None, None]
        decay = self.by_key.reshape(-1, heads, s.key_size, 1).astype(np.float64) if s.by_key else decay
        strength = s.strength * sigmoid(b)
        rows = []
        for t, own in walked(batch, state):
            own *= decay[t]
            change = strength[t, :, None] * (v[t] - np.einsum("hkv,hk->hv", own, k[t]))
            own += k[t][:, :, None] * change[:, None, :]
            rows.append(np.einsum("hkv,hk->hv", own, q[t]).reshape(-1) * s.key_size**-0.5)
        return np.stack(rows)

    def as_kept(self, state: F64) -> F32:
        """(slots, value head, key, value) as kernels keep it: by blocks of values."""
        s = self.spec
        blocks = state.reshape(len(state), s.value_heads, s.key_size, s.blocks, COLUMNS).swapaxes(2, 3)
        return np.ascontiguousarray(blocks, np.float32).reshape(len(state), -1)


DELTAS = [
    Delta(GatedDeltaSpec(2, 4, 16, 16)),
    Delta(GatedDeltaSpec(2, 6, 17, 48, tiled=True)),
    Delta(GatedDeltaSpec(3, 3, 100, 32, strength=2.0)),
    Delta(GatedDeltaSpec(1, 2, 128, 128)),
    Delta(GatedDeltaSpec(1, 1, 521, 16)),
    Delta(GatedDeltaSpec(2, 2, 37, 48, by_key=True)),
    Delta(GatedDeltaSpec(1, 1, 128, 128, by_key=True)),
]


@pytest.mark.parametrize("delta", DELTAS, ids=lambda delta: delta.spec.name)
def test_the_gated_delta_rule(delta: Delta) -> None:
    s = delta.spec
    wanted_state = np.random.default_rng(2).normal(size=(SLOTS, s.value_heads, s.key_size, s.value_size)) * 0.2
    kept = delta.as_kept(wanted_state)
    wanted_state = wanted_state.astype(np.float32).astype(np.float64)
    wanted = delta.expected(BATCH, wanted_state)
    y, left = delta.run(BATCH, kept)
    assert_close(y, wanted, 1e-5)
    assert_close(left, delta.as_kept(wanted_state), 1e-5)


@pytest.mark.parametrize("pieces", [*cuts(300), [256, 44], [255, 45]], ids=str)
@pytest.mark.parametrize("delta", [*DELTAS[1:3], DELTAS[5]], ids=lambda delta: delta.spec.name)
def test_a_token_has_the_same_bits_however_its_sequence_is_cut(delta: Delta, pieces: list[int]) -> None:
    """Also where more tokens follow each other than a workgroup prepares at once."""
    delta = replace(delta, tokens=300)
    zeros = np.zeros((SLOTS, delta.spec.state_size), np.float32)
    wanted, _ = delta.run([Run(300, -1, {})], zeros)
    state, rows, source = zeros, list[F32](), -1
    for first, end in pairwise(np.cumsum([0, *pieces])):
        y, state = delta.run([Run(end - first, source, {end - first - 1: 2})], state, first)
        rows.append(y)
        source = 2
    np.testing.assert_array_equal(np.concatenate(rows), wanted)


def test_what_a_head_all_but_keeps_is_kept_over_many_tokens() -> None:
    """A decay so near to 1 that errors of its logarithm would be seen."""
    delta = replace(DELTAS[0], tokens=300)
    delta.gates[:] = [-16.0] * 4 + [-9.0, -10.0, -11.0, -12.0]
    state = np.random.default_rng(3).normal(size=(SLOTS, 4, 16, 16))
    kept = delta.as_kept(state)
    wanted = delta.expected([Run(300, 0, {})], state.astype(np.float32).astype(np.float64))
    y, _ = delta.run([Run(300, 0, {})], kept)
    assert_close(y, wanted, 2e-5)


@pytest.mark.parametrize("delta", [DELTAS[0], DELTAS[1], DELTAS[3]], ids=lambda delta: delta.spec.name)
def test_the_rule_and_the_norm_behind_it_in_one_step_have_the_bits_of_two(delta: Delta) -> None:
    s, columns = delta.spec, delta.spec.value_heads * delta.spec.value_size
    norm = GatedNormSpec(1e-6, "silu", before=False, shared=True)
    rng = np.random.default_rng(4)
    z, weight = rng.normal(size=(80, 16 + columns)).astype(np.float32), rng.normal(size=s.value_size).astype(np.float32)
    kept = delta.as_kept(rng.normal(size=(SLOTS, s.value_heads, s.key_size, s.value_size)) * 0.2)
    y, wanted_state = delta.run(BATCH, kept)
    scalars = [s.value_heads, s.value_size, columns, 16 + columns, 16, columns]
    operands = [y, z, weight, np.full_like(y, np.nan)]
    *_, wanted = run_kernel(gated_norm(norm), operands, scalars, 80 * s.value_heads)
    runs, state_to = arrays(BATCH)
    qkv, ab, gates = padded(delta.qkv), padded(delta.ab), np.concatenate([delta.gates, weight])
    scalars = [qkv.shape[1], ab.shape[1], 3, ab.shape[1], 3 + s.value_heads, columns, 16 + columns, 16]
    operands = [qkv, ab, gates, runs, state_to, z, np.full_like(y, np.nan), kept]
    kernel = gated_delta(replace(s, norm=norm))
    *_, found, state = run_kernel(kernel, operands, scalars, len(runs) * s.value_heads)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(state, wanted_state)


# -- gated_norm


@pytest.mark.parametrize("activation", ["silu", "sigmoid"])
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("parts", "size", "shared"), [(3, 16, True), (2, 528, False), (1, 80, True)])
def test_norms_with_a_gate(parts: int, size: int, shared: bool, before: bool, activation: str) -> None:
    rng, columns = np.random.default_rng(size), parts * size
    x, z = rng.normal(size=(5, columns)).astype(np.float32), rng.normal(size=(5, 32 + columns)).astype(np.float32) * 3
    weight = np.linspace(0.5, 2, size if shared else columns, dtype=np.float32)
    kernel = gated_norm(GatedNormSpec(1e-5, activation, before, shared))
    scalars = [parts, size, columns, 32 + columns, 32, columns]
    *_, y = run_kernel(kernel, [x, z, weight, np.full_like(x, np.nan)], scalars, 5 * parts)
    gate: Any = {"silu": silu, "sigmoid": sigmoid}[activation](z[:, 32:].astype(np.float64))
    exact = (x * gate if before else x.astype(np.float64)).reshape(5, parts, size)
    exact = exact / np.sqrt((exact * exact).mean(axis=-1, keepdims=True) + 1e-5)
    exact = exact.reshape(5, columns) * (np.tile(weight, parts) if shared else weight)
    assert_close(y, exact if before else exact * gate, 5e-6)
