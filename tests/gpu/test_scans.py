"""Kernels of selective scans against numpy in float64: several sequences in a batch, states read, left and passed on.

Whatever a batch is cut into, a token has the same bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.channel_scan import CHANNELS, ChannelRates, ChannelScanSpec, channel_scan
from hearth.compiler.gpu.kernels.selective_scan import SelectiveScanSpec, selective_scan
from hearth.compiler.gpu.kernels.state_columns import COLUMNS

from .adapter import run_kernel
from .products import assert_close, padded
from .token_runs import BATCH, F64, SLOTS, Run, arrays, cuts, walked

F32 = NDArray[np.float32]


class Scan:
    """The numbers of a layer of Mamba 2. Steps are columns 3 on of a matrix."""

    def __init__(self, spec: SelectiveScanSpec, tokens: int = 80) -> None:
        rng, self.spec = np.random.default_rng(spec.state), spec
        self.inner = spec.heads * spec.columns
        self.xbc = rng.normal(size=(tokens, self.inner + 2 * spec.groups * spec.state)).astype(np.float32)
        self.steps = rng.normal(size=(tokens, 3 + spec.heads)).astype(np.float32)
        # From heads that forget all but at once to heads that keep nearly everything.
        decay, bias = -np.geomspace(0.01, 8, spec.heads), np.linspace(-6, 3, spec.heads)
        self.gates = np.concatenate([decay, bias, rng.normal(size=spec.heads)]).astype(np.float32)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def state_size(self) -> int:
        return self.spec.state_size

    def with_tokens(self, tokens: int) -> Scan:
        return Scan(self.spec, tokens)

    def run(self, batch: list[Run], state: F32, first: int = 0) -> tuple[F32, F32]:
        """Rows, and the states afterwards, of the tokens from `first` on."""
        s, (runs, state_to) = self.spec, arrays(batch)
        there = slice(first, first + len(state_to))
        xbc, steps = padded(self.xbc[there]), padded(self.steps[there])
        y = np.full((len(xbc), self.inner), np.nan, np.float32)
        operands = [xbc, steps, self.gates, runs, state_to, y, state]
        scalars = [xbc.shape[1], steps.shape[1], 3, self.inner]
        *_, y, state = run_kernel(selective_scan(s), operands, scalars, len(runs) * s.heads * s.blocks)
        return y, state

    def states(self) -> F64:
        """(slots, head, row, column)."""
        s = self.spec
        return (
            np.random.default_rng(2)
            .normal(size=(SLOTS, s.heads, s.state, s.columns))
            .astype(np.float32)
            .astype(np.float64)
        )

    def expected(self, batch: list[Run], state: F64) -> tuple[F64, F64]:
        """Rows as the paper has them, and the sizes of what is summed up for them. state: as `states`."""
        s = self.spec
        x, b, c = np.split(self.xbc.astype(np.float64), [self.inner, self.inner + s.groups * s.state], axis=1)
        x = x.reshape(-1, s.heads, s.columns)
        b, c = (part.reshape(-1, s.groups, s.state).repeat(s.heads // s.groups, axis=1) for part in (b, c))
        decay, bias, through = np.split(self.gates.astype(np.float64), 3)
        steps = np.clip(np.log1p(np.exp(self.steps[:, 3:] + bias)), s.least, s.most)
        rows, sizes = [], []
        for t, own in walked(batch, state):
            own *= np.exp(steps[t] * decay)[:, None, None]
            own += b[t][:, :, None] * (steps[t][:, None] * x[t])[:, None, :]
            past = through[:, None] * x[t]
            rows.append((np.einsum("hrc,hr->hc", own, c[t]) + past).reshape(-1))
            sizes.append((np.einsum("hrc,hr->hc", abs(own), abs(c[t])) + abs(past)).reshape(-1))
        return np.stack(rows), np.stack(sizes)

    def as_kept(self, state: F64) -> F32:
        """States as kernels keep them: by blocks of columns."""
        s = self.spec
        blocks = state.reshape(len(state), s.heads, s.state, s.blocks, COLUMNS).swapaxes(2, 3)
        return np.ascontiguousarray(blocks, np.float32).reshape(len(state), -1)


class ChannelScan:
    """The numbers of a layer of Mamba 1. B and C are columns 3 on of one matrix."""

    def __init__(self, spec: ChannelScanSpec, channels: int, tokens: int = 80) -> None:
        rng, self.spec, self.channels = np.random.default_rng(spec.state), spec, channels
        self.x, self.steps = rng.normal(size=(2, tokens, channels)).astype(np.float32)
        self.bc = rng.normal(size=(tokens, 3 + 2 * spec.state)).astype(np.float32)
        # From numbers that are forgotten all but at once to numbers that are kept nearly whole.
        self.decay = -np.geomspace(0.01, 8, spec.state * channels, dtype=np.float32).reshape(-1, channels)
        self.bias = np.linspace(3, -6, channels, dtype=np.float32)
        self.through = rng.normal(size=channels).astype(np.float32)

    @property
    def name(self) -> str:
        return f"{self.spec.name}-{self.channels}"

    @property
    def state_size(self) -> int:
        return self.spec.state * self.channels

    def with_tokens(self, tokens: int) -> ChannelScan:
        return ChannelScan(self.spec, self.channels, tokens)

    def run(self, batch: list[Run], state: F32, first: int = 0) -> tuple[F32, F32]:
        """Rows, and the states afterwards, of the tokens from `first` on."""
        runs, state_to = arrays(batch)
        there, size, channels = slice(first, first + len(state_to)), self.spec.state, self.channels
        packed = ChannelRates(size, channels).pack([self.decay, self.bias, self.through])
        bc = padded(self.bc[there])
        operands = [self.x[there], bc, bc, packed.view(np.float32), runs, state_to, state, self.steps[there]]
        scalars = [channels, bc.shape[1], 3, bc.shape[1], 3 + size, channels, channels]
        units = len(runs) * -(-channels // CHANNELS)
        *_, state, y = run_kernel(channel_scan(self.spec), operands, scalars, units)
        return y, state

    def states(self) -> F64:
        """(slots, row, channel)."""
        shape = (SLOTS, self.spec.state, self.channels)
        return np.random.default_rng(2).normal(size=shape).astype(np.float32).astype(np.float64)

    def expected(self, batch: list[Run], state: F64) -> tuple[F64, F64]:
        """Rows as the paper has them, and the sizes of what is summed up for them. state: as `states`."""
        b, c = np.split(self.bc[:, 3:].astype(np.float64), 2, axis=1)
        steps = np.log1p(np.exp(self.steps.astype(np.float64) + self.bias))
        rows, sizes = [], []
        for t, own in walked(batch, state):
            own *= np.exp(steps[t] * self.decay)
            own += b[t][:, None] * (steps[t] * self.x[t])
            past = self.through * self.x[t].astype(np.float64)
            rows.append(c[t] @ own + past)
            sizes.append(abs(c[t]) @ abs(own) + abs(past))
        return np.stack(rows), np.stack(sizes)

    def as_kept(self, state: F64) -> F32:
        return state.astype(np.float32).reshape(len(state), -1)


def assert_sums(found: F32, expected: tuple[F64, F64], tolerance: float) -> None:
    """Within `tolerance`, relative to the sizes of what is summed up, whose signs may leave little of it."""
    wanted, sizes = expected
    assert np.all(np.isfinite(found)), "numbers that are none"
    error = np.abs(found - wanted) / sizes.max(axis=1, keepdims=True)
    assert error.max() <= tolerance, f"{error.max():.2e} at {np.argwhere(error == error.max())[0]}"


SCANS = [
    Scan(SelectiveScanSpec(4, 2, 48, 7)),
    Scan(SelectiveScanSpec(3, 1, 16, 100, least=0.3, most=0.9)),
    Scan(SelectiveScanSpec(2, 1, 64, 128)),
    Scan(SelectiveScanSpec(2, 2, 32, 256)),
    Scan(SelectiveScanSpec(1, 1, 16, 521)),
]
CHANNEL_SCANS = [
    ChannelScan(ChannelScanSpec(5), 48),
    ChannelScan(ChannelScanSpec(16), 176),
    ChannelScan(ChannelScanSpec(100), 64),
]


@pytest.mark.parametrize("scan", [*SCANS, *CHANNEL_SCANS], ids=lambda scan: scan.name)
def test_a_selective_scan(scan: Scan | ChannelScan) -> None:
    state = scan.states()
    kept, wanted_state = scan.as_kept(state), state.copy()
    wanted = scan.expected(BATCH, wanted_state)
    y, left = scan.run(BATCH, kept)
    assert_sums(y, wanted, 5e-6)  # errors of what fades follow each other for 70 tokens
    assert_close(left, scan.as_kept(wanted_state), 1e-5)


@pytest.mark.parametrize("pieces", [*cuts(300), [256, 44], [31, 34, 235]], ids=str)
@pytest.mark.parametrize("scan", [*SCANS[:2], *CHANNEL_SCANS[1:]], ids=lambda scan: scan.name)
def test_a_token_has_the_same_bits_however_its_sequence_is_cut(scan: Scan | ChannelScan, pieces: list[int]) -> None:
    """Also where more tokens follow each other than a workgroup prepares at once."""
    scan = scan.with_tokens(300)
    zeros = np.zeros((SLOTS, scan.state_size), np.float32)
    wanted, _ = scan.run([Run(300, -1, {})], zeros)
    state, rows, source = zeros, list[F32](), -1
    for first, end in pairwise(np.cumsum([0, *pieces])):
        y, state = scan.run([Run(end - first, source, {end - first - 1: 2})], state, first)
        rows.append(y)
        source = 2
    np.testing.assert_array_equal(np.concatenate(rows), wanted)


def test_what_a_head_all_but_keeps_is_kept_over_many_tokens() -> None:
    """A decay so near to 1 that errors of its logarithm would be seen."""
    scan = SCANS[0].with_tokens(300)
    scan.gates[:8] = [-16.0] * 4 + [-9.0, -10.0, -11.0, -12.0]
    state = scan.states()
    wanted = scan.expected([Run(300, 0, {})], state.copy())
    y, _ = scan.run([Run(300, 0, {})], scan.as_kept(state))
    assert_sums(y, wanted, 2e-5)
