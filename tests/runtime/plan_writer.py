"""Writes small plans for tests, by struct.pack from docs/architecture.md: on purpose apart from compiler/plan.py, so
that an error in the one does not hide in the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONSTANT, SYMBOL, ADD, MULTIPLY, FLOOR_DIVIDE, MINIMUM, MAXIMUM = range(7)
ARENA, WEIGHT, STATE, INPUT = range(4)
F32, I32, U8, I8, F16 = range(5)
UNCHECKED, IN_RANGE, ASCENDING, LENT = range(4)

# Field names of the header in file order, with their struct codes: for tests that damage each of them.
HEADER_FIELDS = [
    ("magic", "8s"),
    ("version", "I"),
    ("header_size", "I"),
    ("file_size", "Q"),
    ("num_strings_bytes", "I"),
    ("num_symbols", "I"),
    ("num_scalars", "I"),
    ("num_buffers", "I"),
    ("num_weights", "I"),
    ("num_states", "I"),
    ("num_kernels", "I"),
    ("num_steps", "I"),
    ("num_args", "I"),
    ("num_dims", "I"),
    ("num_inputs", "I"),
    ("num_outputs", "I"),
    ("num_functions", "I"),
    ("num_cuts", "I"),
    ("arena_bytes", "Q"),
    ("scratch_bytes", "Q"),
    ("weights_bytes", "Q"),
    ("zeros", "24s"),
]
HEADER = struct.Struct("<" + "".join(code for _, code in HEADER_FIELDS))
assert HEADER.size == 128


@dataclass
class PlanWriter:
    """Collects tables; methods answer the new record's index. Steps, inputs and outputs belong to the function that was
    begun last. Fields are plain so that tests can damage them."""

    arena_bytes: int = 0
    scratch_bytes: int = 64
    weights_bytes: int = 0
    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    symbols: list[tuple[int, int, int, int]] = field(default_factory=list)
    scalars: list[tuple[int, int, int, int, int, int, int]] = field(default_factory=list)
    buffers: list[tuple[int, int, int, int]] = field(default_factory=list)
    weights: list[tuple[int, int, int, int]] = field(default_factory=list)
    states: list[tuple[int, int, int]] = field(default_factory=list)
    kernels: list[tuple[int, int, int, int]] = field(default_factory=list)
    steps: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    args: list[int] = field(default_factory=list)
    dims: list[int] = field(default_factory=list)
    inputs: list[tuple[int, int, int, int, int, int, int, int]] = field(default_factory=list)
    outputs: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    functions: list[tuple[int, int, int, int, int, int, int, int]] = field(default_factory=list)
    cuts: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    header_changes: dict[str, Any] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    """Symbols by name, to their scalar."""

    def string(self, text: str | bytes) -> int:
        offset = len(self.strings)
        self.strings += (text if isinstance(text, bytes) else text.encode()) + b"\0"
        return offset

    def symbol(self, name: str, low: int, high: int) -> int:
        """Answers the scalar that is the symbol, not its index."""
        index = _append(self.symbols, (self.string(name), 0, low, high))
        self.named[name] = _append(self.scalars, (SYMBOL, index, 0, 0, 0, low, high))
        return self.named[name]

    def constant(self, value: int) -> int:
        return _append(self.scalars, (CONSTANT, 0, 0, 0, value, value, value))

    def operation(self, op: int, a: int, b: int) -> int:
        """A scalar made of two others. Extremes lie where each operand is lowest or highest."""
        apply = {
            ADD: int.__add__,
            MULTIPLY: int.__mul__,
            FLOOR_DIVIDE: int.__floordiv__,
            MINIMUM: min,
            MAXIMUM: max,
        }[op]
        values = [apply(x, y) for x in self.scalars[a][5:] for y in self.scalars[b][5:]]
        return _append(self.scalars, (op, a, b, 0, 0, min(values), max(values)))

    def times(self, scalar: int, factor: int) -> int:
        return self.operation(MULTIPLY, scalar, self.constant(factor))

    def plus(self, scalar: int, number: int) -> int:
        return self.operation(ADD, scalar, self.constant(number))

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

    def state(self, name: str, symbol: str, unit_bytes: int) -> int:
        """A new region and a buffer of it."""
        index = _append(self.states, (self.string(name), self.scalars[self.named[symbol]][1], unit_bytes))
        return _append(self.buffers, (STATE, index, 0, 0))

    def kernel(self, name: str, num_buffers: int, num_scalars: int) -> int:
        return _append(self.kernels, (self.string(name), num_buffers, num_scalars, 0))

    def function(self, name: str, door: str = "") -> int:
        first = (len(self.steps), 0, len(self.inputs), 0, len(self.outputs), 0)
        return _append(self.functions, (self.string(name), self.string(door), *first))

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
        self._count(3)
        return _append(self.steps, (kernel, first, units, grain, self.string(label), 0))

    def input(
        self, name: str, dims: Sequence[int], dtype: int = I32, checks: int = UNCHECKED, low: int = 0, high: int = 0
    ) -> int:
        """A new input of the function, and a buffer of it. `low` and `high` are scalars."""
        first = len(self.dims)
        self.dims += dims
        self._count(5)
        index = _append(self.inputs, (self.string(name), dtype, first, len(dims), checks, low, high, 0))
        return _append(self.buffers, (INPUT, index, 0, 0))

    def output(
        self, name: str, buffer: int, dims: Sequence[int], row_stride: int | None = None, dtype: int = F32
    ) -> int:
        first = len(self.dims)
        self.dims += dims
        self._count(7)
        stride = dims[-1] if row_stride is None else row_stride
        return _append(self.outputs, (self.string(name), buffer, dtype, first, len(dims), stride))

    def _count(self, position: int) -> None:
        record = list(self.functions[-1])
        record[position] += 1
        self.functions[-1] = tuple(record)  # type: ignore[assignment]  # as long as before

    def to_bytes(self) -> bytes:
        tables = _pad(bytes(self.strings))
        tables += b"".join(struct.pack("<IIqq", *record) for record in self.symbols)
        tables += b"".join(struct.pack("<4Iqqq", *record) for record in self.scalars)
        tables += b"".join(struct.pack("<IIQQ", *record) for record in self.buffers)
        tables += b"".join(struct.pack("<IIQQ", *record) for record in self.weights)
        tables += b"".join(struct.pack("<IIQ", *record) for record in self.states)
        tables += b"".join(struct.pack("<4I", *record) for record in self.kernels)
        tables += b"".join(struct.pack("<6I", *record) for record in self.steps)
        tables += _pad(struct.pack(f"<{len(self.args)}I", *self.args))
        tables += _pad(struct.pack(f"<{len(self.dims)}I", *self.dims))
        tables += b"".join(struct.pack("<8I", *record) for record in self.inputs)
        tables += b"".join(struct.pack("<6I", *record) for record in self.outputs)
        tables += b"".join(struct.pack("<8I", *record) for record in self.functions)
        tables += b"".join(struct.pack("<6I", *record) for record in self.cuts)
        values: dict[str, Any] = {
            "magic": b"HRTHPLAN",
            "version": 4,
            "header_size": 128,
            "file_size": 128 + len(tables),
            "num_strings_bytes": len(self.strings),
            "num_symbols": len(self.symbols),
            "num_scalars": len(self.scalars),
            "num_buffers": len(self.buffers),
            "num_weights": len(self.weights),
            "num_states": len(self.states),
            "num_kernels": len(self.kernels),
            "num_steps": len(self.steps),
            "num_args": len(self.args),
            "num_dims": len(self.dims),
            "num_inputs": len(self.inputs),
            "num_outputs": len(self.outputs),
            "num_functions": len(self.functions),
            "num_cuts": len(self.cuts),
            "arena_bytes": self.arena_bytes,
            "scratch_bytes": self.scratch_bytes,
            "weights_bytes": self.weights_bytes,
            "zeros": b"",
            **self.header_changes,
        }
        return HEADER.pack(*(values[name] for name, _ in HEADER_FIELDS)) + tables

    def write(self, folder: Path, weights: bytes) -> None:
        (folder / "plan.bin").write_bytes(self.to_bytes())
        (folder / "weights.bin").write_bytes(weights.ljust(self.weights_bytes, b"\0"))


@dataclass
class TextPlan(PlanWriter):
    """A plan whose first function has the door "text", with all symbols and inputs that this asks for; a step takes
    `buffer[name]` of an input and `named[name]` of a symbol."""

    vocab_size: int = 100
    max_position: int = 64
    limits: dict[str, int] = field(
        default_factory=lambda: {
            "tokens": 16,
            "sequences": 4,
            "logit_rows": 4,
            "merges": 8,
            "page_tokens": 8,
            "tile_tokens": 4,
            "split_tokens": 64,
        }
    )
    buffer: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.limits
        stride = -(-self.max_position // n["page_tokens"])
        for name, low, high in (
            ("tokens", 1, n["tokens"]),
            ("sequences", 1, n["sequences"]),
            ("logit_rows", 0, n["logit_rows"]),
            ("items", 1, n["tokens"] + n["merges"]),
            ("merges", 0, n["merges"]),
            ("block_table_stride", 1, stride),
            ("pages", 1, 2**31 - 1),
            *((name, n[name], n[name]) for name in ("page_tokens", "tile_tokens", "split_tokens")),
        ):
            self.symbol(name, low, high)
        self.function("forward", "text")
        zero, eight, four = self.constant(0), self.constant(8), self.constant(4)
        counts = {"token_ids": self.vocab_size, "positions": self.max_position}
        for name, *dims in (
            ("token_ids", "tokens"),
            ("positions", "tokens"),
            ("token_seq", "tokens"),
            ("items", "items", eight),
            ("block_table", "sequences", "block_table_stride"),
            ("logit_rows", "logit_rows"),
            ("merges", "merges", four),
        ):
            checks = (IN_RANGE, zero, self.constant(counts[name] - 1)) if name in counts else ()
            axes = [self.named[dim] if isinstance(dim, str) else dim for dim in dims]
            self.buffer[name] = self.input(name, axes, I32, *checks)


def _append(table: list[Any], record: Any) -> int:
    table.append(record)
    return len(table) - 1


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
