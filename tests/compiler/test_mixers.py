"""Kernels of recurrent mixers: against numpy. A failure says that a model of this kind answers wrongly, or that an
answer depends on how its tokens came in batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded

from hearth.compiler.cpu.kernels.causal_conv import BLOCK, CausalConvSpec, causal_conv
from hearth.compiler.cpu.kernels.channel_scan import ChannelScanSpec, channel_scan
from hearth.compiler.cpu.kernels.gated_delta import GatedDeltaSpec, gated_delta
from hearth.compiler.cpu.kernels.gated_norm import GatedNormSpec, gated_norm
from hearth.compiler.cpu.kernels.rwkv import RwkvSpec, rwkv
from hearth.compiler.cpu.kernels.rwkv_mean import NAME, rwkv_mean
from hearth.compiler.cpu.kernels.selective_scan import SelectiveScanSpec, selective_scan

F32 = NDArray[np.float32]
Int32s = NDArray[np.int32]

CONVOLUTIONS = (CausalConvSpec(4, False, "silu"), CausalConvSpec(3, True, ""), CausalConvSpec(2, False, ""))
RULES = (
    GatedDeltaSpec(2, 2, 12, 16),  # keys that are no whole vectors
    GatedDeltaSpec(2, 6, 37, 48),  # a block of two vectors, and one of a single
    GatedDeltaSpec(2, 6, 16, 32, tiled=True),
    GatedDeltaSpec(1, 3, 32, 16, strength=2.0),
    GatedDeltaSpec(2, 2, 37, 48, by_key=True),
)
SCANS = (
    SelectiveScanSpec(4, 2, 48, 7),  # a block of two vectors, and one of a single
    SelectiveScanSpec(3, 1, 16, 12, least=0.3, most=0.9),
)
CHANNEL_SCANS = (ChannelScanSpec(5), ChannelScanSpec(16))
RWKVS = (
    RwkvSpec("adds", 2, 2, 48, 64e-5),  # a block of two vectors, and one of a single
    RwkvSpec("replaces", 3, 3, 48, 64e-5),
    RwkvSpec("replaces", 2, 2, 16, None),
    RwkvSpec("gated", 4, 2, 32, None),
)


@dataclass(frozen=True)
class MeanSpec:
    """RWKV-4's means, of which a layer says no more."""

    name: str = NAME


Spec = GatedDeltaSpec | SelectiveScanSpec | ChannelScanSpec | RwkvSpec | MeanSpec
RECURRENCES: list[Spec] = [*RULES, *SCANS, *CHANNEL_SCANS, *RWKVS, MeanSpec()]
NORMS = (
    GatedNormSpec(1e-6, "silu", False, True),
    GatedNormSpec(1e-5, "silu", True, False),
    GatedNormSpec(1e-5, "sigmoid", False, True),
)
SLOTS = 5


@pytest.fixture(scope="module", params=float_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    kernels = [causal_conv(spec) for spec in CONVOLUTIONS]
    kernels += [gated_delta(spec) for spec in RULES]
    kernels += [selective_scan(spec) for spec in SCANS]
    kernels += [channel_scan(spec) for spec in CHANNEL_SCANS]
    kernels += [rwkv(spec) for spec in RWKVS]
    kernels += [rwkv_mean(), *(gated_norm(spec) for spec in NORMS)]
    return build(kernels, request.param, tmp_path_factory.mktemp("mixers"))


@dataclass
class Batch:
    """Runs of tokens (first, count, slot before) and the slot behind each token."""

    runs: Int32s
    state_to: Int32s


def batch(*runs: tuple[int, int, dict[int, int]]) -> Batch:
    """Args: of each run how many tokens it has, the slot before, and slots behind tokens by their places in it."""
    rows, to, first = [], [], 0
    for count, source, kept in runs:
        rows.append((first, count, source, 0))
        to += [kept.get(i, -1) for i in range(count)]
        first += count
    return Batch(np.array(rows, np.int32), np.array(to, np.int32))


class Conv:
    """A convolution with its weights, run over batches of tokens."""

    channels = BLOCK + 32

    def __init__(self, library: KernelLibrary, spec: CausalConvSpec) -> None:
        rng = np.random.default_rng(3)
        self.library, self.spec = library, spec
        self.weight = rng.standard_normal((spec.taps, self.channels)).astype(np.float32)
        self.bias = rng.standard_normal(self.channels).astype(np.float32)
        self.state = guarded((SLOTS, spec.taps - 1, self.channels), np.float32)

    def run(self, x: F32, about: Batch) -> F32:
        offset = 16
        source = np.full((len(x), offset + self.channels), np.nan, np.float32)
        source[:, offset:] = x
        y = guarded((len(x), self.channels), np.float32)
        bias = [copied(self.bias)] if self.spec.bias else []
        buffers = [
            copied(source),
            copied(self.weight),
            *bias,
            copied(about.runs),
            copied(about.state_to),
            y,
            self.state,
        ]
        blocks = -(-self.channels // BLOCK)
        scalars = [source.shape[1], offset, self.channels, self.channels, blocks]
        self.library.run(self.spec.name, buffers, scalars, len(about.runs) * blocks, chunk=2, scratch_bytes=64)
        return np.array(y)

    def expected(self, x: F32) -> NDArray[np.float64]:
        padded = np.concatenate([np.zeros((self.spec.taps - 1, self.channels)), x.astype(np.float64)])
        y = sum(padded[tap : tap + len(x)] * w for tap, w in enumerate(self.weight))
        y = y + (self.bias if self.spec.bias else 0.0)
        return y / (1 + np.exp(-y)) if self.spec.activation else y


class Rule:
    """A gated delta rule, run over batches of tokens."""

    def __init__(self, library: KernelLibrary, spec: GatedDeltaSpec) -> None:
        rng = np.random.default_rng(4)
        self.library, self.spec = library, spec
        self.decay = -np.exp(rng.standard_normal(spec.value_heads)).astype(np.float32)
        self.bias = rng.standard_normal(spec.value_heads).astype(np.float32)
        self.columns = 2 * spec.key_heads * spec.key_size + spec.value_heads * spec.value_size
        self.state = guarded((SLOTS, spec.state_size), np.float32)

    def draw(self, tokens: int) -> tuple[F32, ...]:
        """Queries, keys and values; a, or the decays of keys; b."""
        rng = np.random.default_rng(tokens)
        a, b = (rng.standard_normal((tokens, self.spec.value_heads)).astype(np.float32) for _ in range(2))
        if self.spec.by_key:
            a = rng.uniform(0.05, 1.0, (tokens, self.spec.value_heads * self.spec.key_size)).astype(np.float32)
        return rng.standard_normal((tokens, self.columns)).astype(np.float32), a, b

    def run(self, drawn: tuple[F32, ...], about: Batch) -> F32:
        qkv, a, b = drawn
        tokens, spec = len(qkv), self.spec
        y = guarded((tokens, spec.value_heads * spec.value_size), np.float32)
        of_heads = () if spec.by_key else (self.decay, self.bias)
        given = (qkv, a, b, *of_heads, about.runs, about.state_to)
        buffers = [*(copied(array) for array in given), y, self.state]
        scalars = [self.columns, a.shape[1], 0, spec.value_heads, 0, spec.value_heads * spec.value_size]
        units, scratch = len(about.runs) * spec.value_heads, spec.scratch_bytes(tokens)
        self.library.run(spec.name, buffers, scalars, units, chunk=1, scratch_bytes=scratch)
        return np.array(y)

    def expected(self, drawn: tuple[F32, ...]) -> NDArray[np.float64]:
        spec = self.spec
        qkv, a, b = (array.astype(np.float64) for array in drawn)
        keys = spec.key_heads * spec.key_size
        q, k = (qkv[:, i * keys : (i + 1) * keys].reshape(-1, spec.key_heads, spec.key_size) for i in (0, 1))
        v = qkv[:, 2 * keys :].reshape(-1, spec.value_heads, spec.value_size)
        q, k = (part / np.sqrt((part**2).sum(2, keepdims=True) + 1e-6) for part in (q, k))
        heads = np.arange(spec.value_heads)
        own = heads % spec.key_heads if spec.tiled else heads // (spec.value_heads // spec.key_heads)
        if spec.by_key:
            decay = a.reshape(-1, spec.value_heads, spec.key_size, 1)
        else:
            decay = np.exp(self.decay * np.log1p(np.exp(a + self.bias)))[:, :, None, None]
        strength = spec.strength / (1 + np.exp(-b))
        state, rows = np.zeros((spec.value_heads, spec.key_size, spec.value_size)), []
        for t in range(len(qkv)):
            state = state * decay[t]
            change = strength[t][:, None] * (v[t] - np.einsum("hkv,hk->hv", state, k[t, own]))
            state = state + k[t, own][:, :, None] * change[:, None, :]
            rows.append(np.einsum("hkv,hk->hv", state, q[t, own]) * spec.key_size**-0.5)
        return np.stack(rows).reshape(len(qkv), -1)


class Scan:
    """A selective scan, run over batches of tokens."""

    def __init__(self, library: KernelLibrary, spec: SelectiveScanSpec) -> None:
        rng = np.random.default_rng(6)
        self.library, self.spec = library, spec
        self.decay = -np.exp(rng.standard_normal(spec.heads)).astype(np.float32)
        self.bias, self.through = rng.standard_normal((2, spec.heads)).astype(np.float32)
        self.inner = spec.heads * spec.columns
        self.state = guarded((SLOTS, spec.state_size), np.float32)

    def draw(self, tokens: int) -> tuple[F32, ...]:
        """x, B and C; steps."""
        rng = np.random.default_rng(tokens)
        width = self.inner + 2 * self.spec.groups * self.spec.state
        xbc = rng.standard_normal((tokens, width)).astype(np.float32)
        return xbc, rng.standard_normal((tokens, self.spec.heads)).astype(np.float32)

    def run(self, drawn: tuple[F32, ...], about: Batch) -> F32:
        xbc, steps = drawn
        y = guarded((len(xbc), self.inner), np.float32)
        given = (xbc, steps, self.decay, self.bias, self.through, about.runs, about.state_to)
        buffers = [*(copied(array) for array in given), y, self.state]
        scalars = [xbc.shape[1], self.spec.heads, 0, self.inner]
        units, scratch = len(about.runs) * self.spec.heads, self.spec.scratch_bytes(len(xbc))
        self.library.run(self.spec.name, buffers, scalars, units, chunk=1, scratch_bytes=scratch)
        return np.array(y)

    def expected(self, drawn: tuple[F32, ...]) -> NDArray[np.float64]:
        spec = self.spec
        xbc, steps = (array.astype(np.float64) for array in drawn)
        x, b, c = np.split(xbc, [self.inner, self.inner + spec.groups * spec.state], axis=1)
        x = x.reshape(-1, spec.heads, spec.columns)
        b, c = (
            np.repeat(part.reshape(-1, spec.groups, spec.state), spec.heads // spec.groups, axis=1) for part in (b, c)
        )
        steps = np.clip(np.log1p(np.exp(steps + self.bias)), spec.least, spec.most)
        state, rows = np.zeros((spec.heads, spec.state, spec.columns)), []
        for t in range(len(x)):
            state = state * np.exp(steps[t] * self.decay)[:, None, None]
            state = state + b[t][:, :, None] * (steps[t][:, None] * x[t])[:, None, :]
            rows.append(np.einsum("hsc,hs->hc", state, c[t]) + self.through[:, None] * x[t])
        return np.stack(rows).reshape(len(x), -1)


class ChannelScan:
    """A selective scan of which each channel has rates of its own, run over batches of tokens."""

    channels = 48

    def __init__(self, library: KernelLibrary, spec: ChannelScanSpec) -> None:
        rng = np.random.default_rng(7)
        self.library, self.spec = library, spec
        self.rates = -np.exp(rng.standard_normal((spec.state, self.channels))).astype(np.float32)
        self.bias, self.through = rng.standard_normal((2, self.channels)).astype(np.float32)
        self.state = guarded((SLOTS, spec.state * self.channels), np.float32)

    def draw(self, tokens: int) -> tuple[F32, ...]:
        """x; steps; B and C, behind three columns of something else."""
        rng = np.random.default_rng(tokens)
        x, steps = rng.standard_normal((2, tokens, self.channels)).astype(np.float32)
        return x, steps, rng.standard_normal((tokens, 3 + 2 * self.spec.state)).astype(np.float32)

    def run(self, drawn: tuple[F32, ...], about: Batch) -> F32:
        x, steps, bc = drawn
        y = guarded((len(x), self.channels), np.float32)
        given = (x, steps, bc, bc, self.rates, self.bias, self.through, about.runs, about.state_to)
        buffers = [*(copied(array) for array in given), y, self.state]
        of_bc = (bc.shape[1], 3, bc.shape[1], 3 + self.spec.state)
        scalars = [self.channels, self.channels, *of_bc, self.channels, self.channels]
        units = len(about.runs) * (self.channels // 16)
        self.library.run(self.spec.name, buffers, scalars, units, chunk=2, scratch_bytes=self.spec.scratch_bytes)
        return np.array(y)

    def expected(self, drawn: tuple[F32, ...]) -> NDArray[np.float64]:
        x, steps, bc = (array.astype(np.float64) for array in drawn)
        b, c = np.split(bc[:, 3:], 2, axis=1)
        steps = np.log1p(np.exp(steps + self.bias))
        state, rows = np.zeros((self.spec.state, self.channels)), []
        for t in range(len(x)):
            state = state * np.exp(steps[t] * self.rates) + b[t][:, None] * (steps[t] * x[t])
            rows.append(c[t] @ state + self.through * x[t])
        return np.stack(rows)


class Rwkv:
    """RWKV's linear attention, run over batches of tokens."""

    def __init__(self, library: KernelLibrary, spec: RwkvSpec) -> None:
        rng = np.random.default_rng(8)
        self.library, self.spec = library, spec
        self.bonus, self.weight, self.bias = rng.standard_normal((3, spec.columns)).astype(np.float32)
        self.state = guarded((SLOTS, spec.state_size), np.float32)

    def draw(self, tokens: int) -> tuple[F32, ...]:
        """r, decay, k, v; what is replaced, and how much of it."""
        rng, spec = np.random.default_rng(tokens), self.spec
        r, erased = rng.standard_normal((2, tokens, spec.columns)).astype(np.float32)
        decay, rate = rng.uniform(0.05, 1.0, (2, tokens, spec.columns)).astype(np.float32)
        k, v = rng.standard_normal((2, tokens, spec.kv_heads * spec.size)).astype(np.float32)
        return r, decay, k, v, *((erased, rate) if spec.kind == "replaces" else ())

    def run(self, drawn: tuple[F32, ...], about: Batch) -> F32:
        spec, tokens = self.spec, len(drawn[0])
        bonus = () if spec.kind == "gated" else (self.bonus,)
        norm = () if spec.epsilon is None else (self.weight, self.bias)
        y = guarded((tokens, spec.columns), np.float32)
        given = (*drawn, *bonus, *norm, about.runs, about.state_to)
        units, scratch = len(about.runs) * spec.heads, spec.scratch_bytes(tokens)
        buffers = [*(copied(array) for array in given), y, self.state]
        self.library.run(spec.name, buffers, [], units, chunk=1, scratch_bytes=scratch)
        return np.array(y)

    def expected(self, drawn: tuple[F32, ...]) -> NDArray[np.float64]:
        spec = self.spec
        r, decay, k, v, *replaced = (array.astype(np.float64).reshape(len(array), -1, spec.size) for array in drawn)
        k, v = (np.repeat(array, spec.heads // spec.kv_heads, axis=1) for array in (k, v))
        state, rows = np.zeros((spec.heads, spec.size, spec.size)), []
        own = (r * k * self.bonus.reshape(spec.heads, -1)).sum(2, keepdims=True) * v
        for t in range(len(r)):
            new = k[t][:, :, None] * v[t][:, None]
            if spec.kind == "adds":
                rows.append(np.einsum("hkv,hk->hv", state, r[t]) + own[t])
            if spec.kind == "gated":
                new = new * (1 - decay[t])[:, :, None]
            if spec.kind == "replaces":
                e, a = replaced[0][t], replaced[1][t]
                e = e / np.sqrt((e * e).sum(1, keepdims=True))
                new = new - (e * a)[:, :, None] * np.einsum("hkv,hk->hv", state, e)[:, None]
            state = state * decay[t][:, :, None] + new
            if spec.kind != "adds":
                rows.append(np.einsum("hkv,hk->hv", state, r[t]) * (spec.size**-0.5 if spec.kind == "gated" else 1.0))
        y = np.stack(rows)
        if spec.epsilon is not None:
            y = y - y.mean(2, keepdims=True)
            y = y / np.sqrt((y * y).mean(2, keepdims=True) + spec.epsilon)
            y = y * self.weight.reshape(spec.heads, -1) + self.bias.reshape(spec.heads, -1)
        return (y + own if spec.kind == "replaces" else y).reshape(len(r), -1)


class Mean:
    """RWKV-4's linear attention, run over batches of tokens."""

    channels = 48

    def __init__(self, library: KernelLibrary, spec: MeanSpec) -> None:
        rng = np.random.default_rng(9)
        self.library, self.spec = library, spec
        self.decay = -np.exp(rng.standard_normal(self.channels)).astype(np.float32)
        self.bonus = rng.standard_normal(self.channels).astype(np.float32)
        self.state = guarded((SLOTS, 3 * self.channels), np.float32)

    def draw(self, tokens: int) -> tuple[F32, ...]:
        """k, of which a weight alone would be more than a number can be; v."""
        rng = np.random.default_rng(tokens)
        k = rng.uniform(-120, 120, (tokens, self.channels)).astype(np.float32)
        return k, rng.standard_normal((tokens, self.channels)).astype(np.float32)

    def run(self, drawn: tuple[F32, ...], about: Batch) -> F32:
        y = guarded(drawn[0].shape, np.float32)
        given = (*drawn, self.decay, self.bonus, about.runs, about.state_to)
        units = len(about.runs) * (self.channels // 16)
        buffers = [*(copied(array) for array in given), y, self.state]
        self.library.run(NAME, buffers, [self.channels], units, chunk=2, scratch_bytes=64)
        return np.array(y)

    def expected(self, drawn: tuple[F32, ...]) -> NDArray[np.float64]:
        k, v = (array.astype(np.float64) for array in drawn)
        top, bottom, rows = np.zeros(self.channels), np.zeros(self.channels), []
        for t in range(len(k)):
            own = np.exp(k[t] + self.bonus)
            rows.append((top + own * v[t]) / (bottom + own))
            top = top * np.exp(self.decay) + np.exp(k[t]) * v[t]
            bottom = bottom * np.exp(self.decay) + np.exp(k[t])
        return np.stack(rows)


def recurrence(library: KernelLibrary, spec: Spec) -> Rule | Scan | ChannelScan | Rwkv | Mean:
    if isinstance(spec, MeanSpec):
        return Mean(library, spec)
    if isinstance(spec, GatedDeltaSpec):
        return Rule(library, spec)
    if isinstance(spec, RwkvSpec):
        return Rwkv(library, spec)
    return Scan(library, spec) if isinstance(spec, SelectiveScanSpec) else ChannelScan(library, spec)


def assert_close(actual: F32, expected: NDArray[np.float64]) -> None:
    assert np.abs(actual - expected).max() <= 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize("spec", CONVOLUTIONS, ids=lambda spec: spec.name)
def test_a_convolution_reads_the_tokens_before(library: KernelLibrary, spec: CausalConvSpec) -> None:
    x = np.random.default_rng(1).standard_normal((11, Conv.channels)).astype(np.float32)
    conv = Conv(library, spec)
    assert_close(conv.run(x, batch((11, -1, {}))), conv.expected(x))


@pytest.mark.parametrize("spec", CONVOLUTIONS, ids=lambda spec: spec.name)
def test_a_convolution_goes_on_from_any_token_with_the_same_bits(library: KernelLibrary, spec: CausalConvSpec) -> None:
    x, other = np.random.default_rng(2).standard_normal((2, 9, Conv.channels)).astype(np.float32)
    conv = Conv(library, spec)
    whole = conv.run(x, batch((9, -1, {0: 4, 5: 1, 8: 2})))
    # Behind token 0 and behind token 5, side by side with another sequence that goes on in the slot it came from.
    conv.run(other[:3], batch((3, -1, {2: 3})))
    parts = conv.run(np.concatenate([x[1:4], other[3:], x[6:]]), batch((3, 4, {}), (6, 3, {5: 3}), (3, 1, {})))
    assert np.array_equal(parts[:3], whole[1:4])
    assert np.array_equal(parts[9:], whole[6:])
    assert np.array_equal(parts[3:9], conv.run(other, batch((9, -1, {})))[3:])


@pytest.mark.parametrize("spec", RECURRENCES, ids=lambda spec: spec.name)
def test_a_recurrence(library: KernelLibrary, spec: Spec) -> None:
    rule = recurrence(library, spec)
    drawn = rule.draw(23)
    assert_close(rule.run(drawn, batch((23, -1, {}))), rule.expected(drawn))


@pytest.mark.parametrize("spec", RECURRENCES, ids=lambda spec: spec.name)
def test_a_recurrence_goes_on_from_any_token_with_the_same_bits(library: KernelLibrary, spec: Spec) -> None:
    rule = recurrence(library, spec)
    drawn, other = rule.draw(9), rule.draw(10)
    whole = rule.run(drawn, batch((9, -1, {0: 4, 5: 1, 8: 2})))
    rule.run(tuple(array[:3] for array in other), batch((3, -1, {2: 3})))
    mixed = tuple(np.concatenate([x[1:4], y[3:], x[6:]]) for x, y in zip(drawn, other, strict=True))
    parts = rule.run(mixed, batch((3, 4, {}), (7, 3, {6: 3}), (3, 1, {})))
    assert np.array_equal(parts[:3], whole[1:4])
    assert np.array_equal(parts[10:], whole[6:])
    assert np.array_equal(parts[3:10], rule.run(other, batch((10, -1, {})))[3:])
    for at in range(9):  # token by token, in one slot
        one = rule.run(tuple(array[at : at + 1] for array in drawn), batch((1, 0 if at else -1, {0: 0})))
        assert np.array_equal(one[0], whole[at])


def test_what_is_forgotten_entirely_or_not_at_all(library: KernelLibrary) -> None:
    """Steps of softplus far on either side: decays of 0 and 1."""
    rule = Rule(library, RULES[0])
    qkv, a, b = rule.draw(6)
    a = np.where(np.arange(6)[:, None] % 2, np.float32(90.0), np.float32(-90.0)) + 0 * a
    assert_close(rule.run((qkv, a, b), batch((6, -1, {}))), rule.expected((qkv, a, b)))


@pytest.mark.parametrize("spec", NORMS, ids=lambda spec: spec.name)
def test_norm_and_gate(library: KernelLibrary, spec: GatedNormSpec) -> None:
    rng = np.random.default_rng(5)
    parts, size, rows, offset = 3, 48, 5, 16
    x = rng.standard_normal((rows, parts * size)).astype(np.float32)
    z = rng.standard_normal((rows, offset + parts * size)).astype(np.float32)
    weight = rng.standard_normal(size if spec.shared else parts * size).astype(np.float32)
    y = guarded(x.shape, np.float32)
    scalars = [parts, size, x.shape[1], z.shape[1], offset, x.shape[1]]
    library.run(spec.name, [copied(x), copied(z), copied(weight), y], scalars, rows, chunk=2, scratch_bytes=64)
    gate = z[:, offset:].astype(np.float64)
    gate = (gate if spec.activation == "silu" else 1.0) / (1 + np.exp(-gate))
    value = (x * gate if spec.before else x.astype(np.float64)).reshape(rows, parts, size)
    value = value / np.sqrt((value**2).mean(2, keepdims=True) + spec.epsilon) * weight.reshape(-1, size)
    value = value.reshape(rows, -1)
    assert_close(np.array(y), value if spec.before else value * gate)
