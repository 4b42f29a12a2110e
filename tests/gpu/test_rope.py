"""Rotation and append to the pages, against numpy in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.append import HEADS as HEADS_OF_GROUP
from hearth.compiler.gpu.kernels.append import AppendSpec, append
from hearth.compiler.gpu.kernels.tokens import THREADS, TokenTablesSpec, token_tables
from hearth.compiler.paged_attention import Readying
from hearth.compiler.rope_table import RopeTableSpec
from hearth.model.text.config import QkNorm
from hearth.model.text.kv_cache import KvDtype

from .adapter import run_kernel
from .kv_pages import KvPages


def _table(spec: RopeTableSpec, positions: np.ndarray, inv_freq: np.ndarray) -> np.ndarray:
    tokens, half = len(positions), len(inv_freq)
    table = np.full((tokens, 2, half), np.nan, np.float32)
    made = token_tables(TokenTablesSpec((spec,), places=False))
    *_, table = run_kernel(made, [positions, inv_freq, table], [tokens, 1, half], -(-tokens * half // THREADS))
    return table


@pytest.mark.parametrize("base", [1e4, 5e5])
def test_angles_are_exact_far_out(base: float) -> None:
    """Beyond 200,000 tokens, where the functions that shaders have are wrong."""
    inv_freq = (1 / base ** (np.arange(0, 64, 2) / 64)).astype(np.float32)
    positions = np.r_[0:9, 1000:1020, 131_060:131_080, 200_000:200_020, 1_048_575].astype(np.int32)[:, None]
    table = _table(RopeTableSpec(1.25), positions, inv_freq)
    angles = (positions.astype(np.float32) * inv_freq).astype(np.float64)
    np.testing.assert_allclose(table[:, 0], 1.25 * np.cos(angles), atol=3e-7)
    np.testing.assert_allclose(table[:, 1], 1.25 * np.sin(angles), atol=3e-7)


def test_parts_of_a_head_turn_by_positions_of_their_own() -> None:
    streams = (0,) * 2 + (1,) * 3 + (2,) * 3
    inv_freq = np.linspace(1, 0.01, 8, dtype=np.float32)
    positions = np.random.default_rng(0).integers(0, 5000, (7, 3)).astype(np.int32)
    table = _table(RopeTableSpec(1.0, streams, 3), positions, inv_freq)
    angles = (positions[:, list(streams)].astype(np.float32) * inv_freq).astype(np.float64)
    np.testing.assert_allclose(table[:, 0], np.cos(angles), atol=3e-7)
    np.testing.assert_allclose(table[:, 1], np.sin(angles), atol=3e-7)


def test_places_and_all_rotations_come_of_one_step() -> None:
    """A model whose layers turn by two tables, where tokens see later ones."""
    rng = np.random.default_rng(4)
    positions, sequences = rng.integers(0, 48, 70).astype(np.int32), rng.integers(0, 4, 70).astype(np.int32)
    seen = positions + rng.integers(0, 3, 70).astype(np.int32)
    frequencies = [rng.uniform(0, 1, half).astype(np.float32) for half in (8, 3)]
    places, table = np.zeros((70, 4), np.int32), np.full((70, 22), np.nan, np.float32)
    made = token_tables(TokenTablesSpec((RopeTableSpec(1.0), RopeTableSpec(2.0)), ahead=True))
    buffers = [positions, sequences, _TABLE, seen, *frequencies, places, table]
    *_, places, table = run_kernel(made, buffers, [70, 3, 8, 3], -(-70 * 11 // THREADS))
    page = _TABLE[sequences, positions // 16]
    np.testing.assert_array_equal(places, np.stack([page * 16 + positions % 16, positions, seen, sequences], axis=1))
    near, far = ((positions[:, None].astype(np.float32) * f).astype(np.float64) for f in frequencies)
    expected = np.concatenate([np.cos(near), np.sin(near), 2 * np.cos(far), 2 * np.sin(far)], axis=1)
    np.testing.assert_allclose(table, expected, atol=6e-7)


@dataclass(frozen=True)
class Head:
    """Heads of a model, and how they are made ready."""

    group: int
    head_dim: int
    kv_heads: int = 2
    rotary: int | None = None
    norm: QkNorm | None = None
    kv_dtype: KvDtype = "float16"
    merged: bool = True
    about: bool = False  # sinks and slopes stand behind queries
    temperature: tuple[float, int, int] | None = None
    value_norm: bool = False

    @property
    def hp(self) -> int:
        return -(-self.head_dim // 16) * 16

    def spec(self, heads: Literal["qkv", "q", "kv"]) -> AppendSpec:
        about = self.about and heads != "kv"
        how = Readying(self.rotary is not None, self.norm, 1e-5, 0.125, self.temperature, self.value_norm)
        return AppendSpec(heads, self.hp, how, self.kv_dtype, about, about)


HEADS = [
    Head(1, 64, rotary=64),
    Head(4, 20, rotary=20, norm="head", kv_dtype="float32"),
    Head(2, 80, kv_heads=3, rotary=40, norm="full"),
    Head(7, 32, kv_heads=1, kv_dtype="float32"),
    Head(3, 128, rotary=128, kv_dtype="int8"),
    Head(1, 48, rotary=48, norm="head", kv_dtype="int8"),
    Head(2, 64, rotary=64, norm="head", merged=False),
    Head(2, 96, rotary=64, kv_dtype="int8", merged=False),
    Head(3, 20, rotary=20, kv_dtype="int8", about=True),
    Head(2, 64, rotary=64, norm="head", merged=False, about=True),
    Head(3, 40, rotary=20, norm="head_layer", kv_dtype="int8"),
    Head(2, 20, norm="head_layer", kv_dtype="float32", merged=False),
    Head(4, 64, rotary=64, norm="rotated_head"),
    Head(1, 24, rotary=16, norm="rotated_head", kv_dtype="float32", merged=False, temperature=(0.3, 7, 0)),
    Head(2, 64, rotary=64, kv_dtype="int8", temperature=(0.1, 4, 1)),
    Head(2, 48, rotary=48, norm="head", kv_dtype="float32", value_norm=True),
    Head(2, 20, rotary=20, norm="full", kv_dtype="int8", value_norm=True, merged=False),
]
# (sequence, first position, end): a lone even and a lone odd token, chunks that begin and end in the middle of pages.
BATCH = [(0, 6, 7), (2, 3, 21), (1, 33, 34), (3, 16, 18)]
_TABLE = np.array([[7, 1, -1], [3, 0, 5], [2, 8, -1], [4, 6, -1]], np.int32)


def _expected(x: np.ndarray, head: Head, weight: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Heads (token, head, head_dim) in float64, normed and rotated."""
    if head.norm == "head":
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * weight
    elif head.norm == "full":
        x = x / np.sqrt((x * x).mean(axis=(1, 2), keepdims=True) + 1e-5) * weight.reshape(x.shape[1:])
    elif head.norm == "head_layer":
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * weight[:, : head.head_dim]
    if head.rotary is None:
        return x
    half = head.rotary // 2
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    c, s = cos[:, None], sin[:, None]
    x = np.concatenate([a * c - b * s, b * c + a * s, rest], axis=-1)
    if head.norm == "rotated_head":
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * weight
    return x


def _padded(x: np.ndarray, head: Head) -> np.ndarray:
    return np.pad(x, [(0, 0), (0, 0), (0, head.hp - head.head_dim)])


def _turned(x: np.ndarray, head: Head) -> np.ndarray:
    """Padded, and with int8 multiplied by Hadamard matrices."""
    x = _padded(x, head)
    if head.kv_dtype != "int8":
        return x
    size = 32 if head.hp % 32 == 0 else 16
    bits = np.arange(size)[:, None] & np.arange(size)[None]
    signs = (-1.0) ** np.array([[int(i).bit_count() for i in row] for row in bits])
    return (x.reshape(*x.shape[:2], -1, size) @ signs).reshape(x.shape)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_heads_are_normed_rotated_and_appended(head: Head) -> None:
    rng = np.random.default_rng(1)
    positions = np.concatenate([np.arange(first, end) for _, first, end in BATCH]).astype(np.int32)
    sequences = np.concatenate([np.full(end - first, s) for s, first, end in BATCH]).astype(np.int32)
    tokens, heads = len(positions), head.group * head.kv_heads
    widths = np.array([heads, head.kv_heads, head.kv_heads]) * head.head_dim
    x = rng.standard_normal((tokens, widths.sum() + 3)).astype(np.float32) * 3
    x[0] *= 1e5  # beyond what f16 holds
    off = [0, int(widths[0]), int(widths[0] + widths[1])]
    q, k, v = (
        x[:, o : o + w].reshape(tokens, -1, head.head_dim).astype(np.float64) for o, w in zip(off, widths, strict=True)
    )
    half = (head.rotary or 0) // 2
    angles = positions[:, None] / 100 ** np.linspace(0, 1, max(half, 1))[:half]
    table = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    one = (head.head_dim, head.head_dim)
    shapes = {"head": one, "rotated_head": one, "full": tuple(widths[:2])}
    shapes["head_layer"] = ((heads, head.hp), (head.kv_heads, head.hp))
    shape = shapes.get(head.norm or "", (0, 0))
    q_norm, k_norm = (rng.uniform(0.5, 1.5, size).astype(np.float32) for size in shape)

    places = np.zeros((tokens, 4), np.int32)
    made = token_tables(TokenTablesSpec(()))
    *_, places = run_kernel(made, [positions, sequences, _TABLE, places], [tokens, 3], 1)
    pages = [KvPages(kind, head.kv_dtype, 9, head.kv_heads, head.hp) for kind in "kv"]
    for p in pages:
        if p.groups:
            p.scales()[...] = 3  # those of other tokens stay, though two share a word
    before = [np.array(p.numbers()) for p in pages]
    q_out = np.full((head.kv_heads, tokens, head.group, head.hp + 4 * head.about), np.nan, np.float32)
    sinks, slopes = rng.standard_normal((2, heads)).astype(np.float32)
    tables = [table] if half else []

    def run(which: Literal["qkv", "q", "kv"], sources: list[np.ndarray], norms: list[np.ndarray], offsets: list[int]):
        spec = head.spec(which)
        has_q, appends = which != "kv", which != "q"
        buffers = [*sources, *tables, *(norms if head.norm else []), *([sinks, slopes] if spec.sinks else [])]
        buffers += [places] if appends or head.temperature else []
        buffers += [q_out] if has_q else []
        buffers += [p.memory for p in pages] if appends else []
        scalars = [
            tokens,
            heads,
            head.kv_heads,
            head.head_dim,
            half,
            2 * half,
            0,
            sources[0].shape[1],
            sources[-1].shape[1],
            *offsets,
        ]
        total = tokens * (heads * has_q + 2 * head.kv_heads * appends)
        results = run_kernel(append(spec), buffers, scalars, -(-total // HEADS_OF_GROUP))
        if appends:
            for p, memory in zip(pages, results[-2:], strict=True):
                p.memory = memory
        return results

    if head.merged:
        q_out = run("qkv", [x], [q_norm, k_norm], off)[-3]
    else:
        kv = [np.ascontiguousarray(x[:, o : o + w]) for o, w in zip(off[1:], widths[1:], strict=True)]
        q_out = run("q", [x], [q_norm], [off[0], 0, 0])[-1]
        run("kv", kv, [k_norm], [0, 0, 0])

    cos, sin = table[:, 0].astype(np.float64), table[:, 1].astype(np.float64)
    scale = 0.125 / ((32 if head.hp % 32 == 0 else 16) if head.kv_dtype == "int8" else 1)
    wanted_q = _turned(_expected(q, head, q_norm, cos, sin), head) * scale
    if head.temperature:
        rate, length, offset = head.temperature
        wanted_q = wanted_q * (1 + rate * np.log(1 + (positions + offset) // length))[:, None, None]
    wanted_q = wanted_q.reshape(tokens, head.kv_heads, head.group, head.hp).transpose(1, 0, 2, 3)
    q_out, behind = np.split(q_out, [head.hp], axis=-1)
    if head.about:
        for i, own in enumerate((sinks, slopes)):
            np.testing.assert_array_equal(behind[..., i].swapaxes(0, 1).reshape(tokens, -1), np.tile(own, (tokens, 1)))
    largest = np.abs(wanted_q).max(axis=(2, 3), keepdims=True)
    assert (np.abs(q_out - wanted_q) <= 1e-6 * largest).all()

    if head.value_norm:
        v = v / np.sqrt((v * v).mean(axis=-1, keepdims=True) + 1e-5)
    wanted = [_turned(_expected(k, head, k_norm, cos, sin), head), _padded(v, head)]
    written = np.zeros((9, 16), bool)
    for token, (position, sequence) in enumerate(zip(positions, sequences, strict=True)):
        page, slot = _TABLE[sequence, position // 16], position % 16
        written[page, slot] = True
        for p, values in zip(pages, wanted, strict=True):
            _assert_holds(p, page, slot, values[token])
    for p, old in zip(pages, before, strict=True):
        untouched = p.numbers().swapaxes(1, 2)[~written].reshape(-1)
        np.testing.assert_array_equal(untouched.view(np.uint8), old.swapaxes(1, 2)[~written].reshape(-1).view(np.uint8))
        if p.groups:
            assert (p.scales().swapaxes(1, 2)[~written] == 3).all()


def _assert_holds(pages: KvPages, page: int, slot: int, values: np.ndarray) -> None:
    """A token's values, as near as their format comes."""
    if pages.dtype == "float32":
        tolerance = 1e-6 * np.abs(values).max() + 1e-9
    elif pages.dtype == "float16":
        values = values.clip(-65504, 65504)
        tolerance = np.abs(values) * 2**-10 + 1e-6 * np.abs(values).max()
    else:
        scales = pages.scales()[page, :, slot].astype(np.float64)
        largest = np.abs(values.reshape(*scales.shape, -1)).max(axis=-1)
        np.testing.assert_allclose(scales, (largest / 127).clip(0, 65504), rtol=2**-10)
        values = values.clip(*(sign * 127 * scales.max(axis=-1, keepdims=True) for sign in (-1, 1)))
        tolerance = scales.repeat(pages.hp // scales.shape[-1], axis=-1) * 0.52 + 1e-6 * np.abs(values).max()
    assert (np.abs(pages.read(page, slot) - values) <= tolerance).all()
