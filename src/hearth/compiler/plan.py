"""The plan: functions as lists of steps over planned memory (docs/architecture.md, "The plan").

Tables as they will stand in plan.bin (`plan_file.py` writes them), and the expressions over symbols by which sizes are
computed when a function runs. Made from graphs by `extract.py`, or by hand where a single step is to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hearth.bundle.costs import StepCost

ALIGNMENT = 64
ARENA, WEIGHT, STATE, INPUT = range(4)
"""Kinds of buffers."""
CONSTANT, SYMBOL, ADD, MULTIPLY, FLOOR_DIVIDE, MINIMUM, MAXIMUM = range(7)
"""What a scalar does."""
DTYPES = {"float32": 0, "int32": 1, "uint8": 2, "int8": 3, "float16": 4}
"""Numbers of the types that inputs and outputs have."""
ITEM_BYTES = {"float32": 4, "int32": 4, "uint8": 1, "int8": 1, "float16": 2, "int64": 8, "bool": 1}


@dataclass(frozen=True)
class Scalar:
    """A number that a function's sizes determine: a constant (`value`), symbol `a`, or an operation on the earlier
    scalars `a` and `b`. Within the symbols' bounds it lies in [low, high]."""

    op: int
    a: int
    b: int
    value: int
    low: int
    high: int


@dataclass(frozen=True)
class Buffer:
    kind: int
    index: int
    offset: int
    size: int


@dataclass(frozen=True)
class Step:
    kernel: str
    buffers: tuple[int, ...]
    scalars: tuple[int, ...]
    units: int
    grain: int
    label: str
    cost: StepCost


@dataclass(frozen=True)
class PlanInput:
    """An input; `dims`, `low` and `high` are scalars. `checks`: 0 any value, 1 within [low, high], 2 ascending too;
    3 any value, and read where the caller has it."""

    name: str
    dtype: int
    dims: tuple[int, ...]
    checks: int = 0
    low: int = 0
    high: int = 0


@dataclass(frozen=True)
class PlanOutput:
    """An output in the arena; `dims` and `row_stride` (elements between rows of the last axis) are scalars."""

    name: str
    buffer: int
    dtype: int
    dims: tuple[int, ...]
    row_stride: int


@dataclass(frozen=True)
class PlanFunction:
    """`steps`, `inputs`, `outputs`: how many of the plan's are this function's, from where the one before ends."""

    name: str
    door: str
    steps: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Cut:
    """A place before step `step` of function `function` where a layer begins, or the last has ended: what goes on from
    the layers before lies in one arena buffer, f32 [rows][columns] (`rows` a scalar)."""

    function: int
    step: int
    buffer: int
    rows: int
    columns: int


@dataclass
class Plan:
    """What the runtime executes.

    Attributes:
        symbols: bounds by name; the order is that of the file.
        weights: (name, offset, size) in weights.bin.
        states: (name, symbol, bytes of a unit).
        kernels: (name, buffers, scalars).
    """

    symbols: Mapping[str, tuple[int, int]]
    scratch_bytes: int
    arena_bytes: int = 0
    weights: list[tuple[str, int, int]] = field(default_factory=list)
    states: list[tuple[str, str, int]] = field(default_factory=list)
    kernels: list[tuple[str, int, int]] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    inputs: list[PlanInput] = field(default_factory=list)
    outputs: list[PlanOutput] = field(default_factory=list)
    functions: list[PlanFunction] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    _known: dict[Scalar, int] = field(default_factory=dict)

    @property
    def weights_bytes(self) -> int:
        return max((offset + size for _, offset, size in self.weights), default=0)

    def state_bytes(self, symbol: str) -> int:
        """Bytes of one unit of every state that `symbol` counts."""
        return sum(size for _, counted_by, size in self.states if counted_by == symbol)

    def layer_bytes(self, prefix: str) -> int:
        """Bytes of the weights of the largest layer, whose names begin with `prefix` and its number."""
        sizes: dict[str, int] = {}
        for name, _, size in self.weights:
            if name.startswith(prefix):
                number = name[len(prefix) :].partition(".")[0]
                sizes[number] = sizes.get(number, 0) + size
        return max(sizes.values(), default=0)

    # -- expressions
    def constant(self, value: int) -> int:
        return self._scalar(Scalar(CONSTANT, 0, 0, value, value, value))

    def symbol(self, name: str) -> int:
        low, high = self.symbols[name]
        if low == high:
            return self.constant(low)
        return self._scalar(Scalar(SYMBOL, list(self.symbols).index(name), 0, 0, low, high))

    def combine(self, op: int, a: int, b: int) -> int:
        """Operation `op` on two scalars; a constant where both are."""
        x, y = self.scalars[a], self.scalars[b]
        low, high = interval(op, (x.low, x.high), (y.low, y.high))
        if x.op == CONSTANT and y.op == CONSTANT:
            return self.constant(low)
        neutral = {ADD: 0, MULTIPLY: 1, FLOOR_DIVIDE: 1}.get(op)
        if y.op == CONSTANT and y.value == neutral:
            return a
        if x.op == CONSTANT and x.value == neutral and op != FLOOR_DIVIDE:
            return b
        return self._scalar(Scalar(op, a, b, 0, low, high))

    def _scalar(self, scalar: Scalar) -> int:
        if scalar not in self._known:
            self._known[scalar] = len(self.scalars)
            self.scalars.append(scalar)
        return self._known[scalar]

    # -- memory
    def buffer(self, kind: int, index: int = 0, offset: int = 0, size: int = 0) -> int:
        self.buffers.append(Buffer(kind, index, offset, size))
        return len(self.buffers) - 1


def interval(op: int, x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
    """Where the result of an operation lies, given where its operands lie.

    Raises:
        ValueError: a divisor that may be below 1.
    """
    if op == ADD:
        return x[0] + y[0], x[1] + y[1]
    if op == MINIMUM:
        return min(x[0], y[0]), min(x[1], y[1])
    if op == MAXIMUM:
        return max(x[0], y[0]), max(x[1], y[1])
    if op == FLOOR_DIVIDE and y[0] < 1:
        raise ValueError(f"a divisor may be {y[0]}")
    corners = [a * b if op == MULTIPLY else a // b for a in x for b in y]
    return min(corners), max(corners)
