"""Writes small plans for tests, by struct.pack from docs/architecture.md: on purpose apart from compiler/plan.py, so
that an error in the one does not hide in the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ONE, NUM_TOKENS, NUM_SEQS, NUM_LOGIT_ROWS, NUM_ITEMS, BLOCK_TABLE_STRIDE, NUM_PAGES, NUM_MERGES = range(8)
ARENA, WEIGHT, KV, INPUT = range(4)
TOKEN_IDS, POSITIONS, TOKEN_SEQ, ITEMS, BLOCK_TABLE, LOGIT_ROWS, MERGES = range(7)

# Field names of the header in file order, with their struct codes: for tests that damage each of them.
HEADER_FIELDS = [
    ("magic", "8s"),
    ("version", "I"),
    ("header_size", "I"),
    ("file_size", "Q"),
    ("num_strings_bytes", "I"),
    ("num_scalars", "I"),
    ("num_buffers", "I"),
    ("num_weights", "I"),
    ("num_kv", "I"),
    ("num_kernels", "I"),
    ("num_steps", "I"),
    ("num_args", "I"),
    ("num_outputs", "I"),
    ("num_meta", "I"),
    ("arena_bytes", "Q"),
    ("scratch_bytes", "Q"),
    ("weights_bytes", "Q"),
    ("max_tokens", "I"),
    ("max_seqs", "I"),
    ("max_logit_rows", "I"),
    ("tile_tokens", "I"),
    ("page_tokens", "I"),
    ("vocab_size", "I"),
    ("hidden_size", "I"),
    ("max_position", "I"),
    ("split_tokens", "I"),
    ("max_partials", "I"),
]
HEADER = struct.Struct("<" + "".join(code for _, code in HEADER_FIELDS))


@dataclass
class PlanWriter:
    """Collects tables; `add` methods answer the new record's index. Fields are plain so that tests can damage them."""

    arena_bytes: int = 0
    scratch_bytes: int = 64
    weights_bytes: int = 0
    limits: dict[str, int] = field(
        default_factory=lambda: {
            "max_tokens": 16,
            "max_seqs": 4,
            "max_logit_rows": 4,
            "tile_tokens": 4,
            "page_tokens": 8,
            "vocab_size": 100,
            "hidden_size": 8,
            "max_position": 64,
            "split_tokens": 64,
            "max_partials": 8,
        }
    )
    strings: bytearray = field(default_factory=bytearray)
    scalars: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    buffers: list[tuple[int, int, int, int]] = field(default_factory=list)
    weights: list[tuple[int, int, int, int]] = field(default_factory=list)
    kv: list[tuple[int, int, int]] = field(default_factory=list)
    kernels: list[tuple[int, int, int, int]] = field(default_factory=list)
    steps: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    args: list[int] = field(default_factory=list)
    outputs: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    header_changes: dict[str, Any] = field(default_factory=dict)

    def string(self, text: str) -> int:
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def scalar(self, symbol: int, mul: int = 1, add: int = 0, div: int = 1) -> int:
        return _append(self.scalars, (symbol, 0, mul, add, div))

    def constant(self, value: int) -> int:
        return self.scalar(ONE, value)

    def arena(self, size: int) -> int:
        """A new buffer at the end of the arena."""
        offset = self.arena_bytes
        self.arena_bytes += (size + 63) // 64 * 64
        return _append(self.buffers, (ARENA, 0, offset, size))

    def weight(self, name: str, size: int) -> int:
        """A new weight at the end of weights.bin, and a buffer of all of it."""
        offset = self.weights_bytes
        self.weights_bytes += (size + 63) // 64 * 64
        index = _append(self.weights, (self.string(name), 0, offset, size))
        return _append(self.buffers, (WEIGHT, index, 0, size))

    def kv_region(self, name: str, bytes_per_page: int) -> int:
        index = _append(self.kv, (self.string(name), 0, bytes_per_page))
        return _append(self.buffers, (KV, index, 0, 0))

    def input(self, which: int) -> int:
        return _append(self.buffers, (INPUT, which, 0, 0))

    def kernel(self, name: str, num_buffers: int, num_scalars: int) -> int:
        return _append(self.kernels, (self.string(name), num_buffers, num_scalars, 0))

    def step(
        self,
        kernel: int,
        buffers: Sequence[int],
        scalars: Sequence[int],
        *,
        units: int,
        grain: int = 1,
        label: str = "s",
    ) -> int:
        first = len(self.args)
        self.args += [*buffers, *scalars]
        return _append(self.steps, (kernel, first, units, grain, self.string(label), 0))

    def output(self, name: str, buffer: int, rows: int, row_stride: int, cols: int, dtype: int = 0) -> int:
        return _append(self.outputs, (self.string(name), buffer, rows, row_stride, cols, dtype))

    def to_bytes(self) -> bytes:
        tables = _pad(bytes(self.strings))
        tables += b"".join(struct.pack("<IIqqq", *record) for record in self.scalars)
        tables += b"".join(struct.pack("<IIQQ", *record) for record in self.buffers)
        tables += b"".join(struct.pack("<IIQQ", *record) for record in self.weights)
        tables += b"".join(struct.pack("<IIQ", *record) for record in self.kv)
        tables += b"".join(struct.pack("<4I", *record) for record in self.kernels)
        tables += b"".join(struct.pack("<6I", *record) for record in self.steps)
        tables += _pad(struct.pack(f"<{len(self.args)}I", *self.args))
        tables += b"".join(struct.pack("<6I", *record) for record in self.outputs)
        values: dict[str, Any] = {
            "magic": b"HRTHPLAN",
            "version": 2,
            "header_size": 192,
            "file_size": 192 + len(tables),
            "num_strings_bytes": len(self.strings),
            "num_scalars": len(self.scalars),
            "num_buffers": len(self.buffers),
            "num_weights": len(self.weights),
            "num_kv": len(self.kv),
            "num_kernels": len(self.kernels),
            "num_steps": len(self.steps),
            "num_args": len(self.args),
            "num_outputs": len(self.outputs),
            "num_meta": 0,
            "arena_bytes": self.arena_bytes,
            "scratch_bytes": self.scratch_bytes,
            "weights_bytes": self.weights_bytes,
            **self.limits,
            **self.header_changes,
        }
        header = HEADER.pack(*(values[name] for name, _ in HEADER_FIELDS))
        return header.ljust(192, b"\0") + tables

    def write(self, folder: Path, weights: bytes) -> None:
        (folder / "plan.bin").write_bytes(self.to_bytes())
        (folder / "weights.bin").write_bytes(weights.ljust(self.weights_bytes, b"\0"))


def _append(table: list[Any], record: Any) -> int:
    table.append(record)
    return len(table) - 1


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
