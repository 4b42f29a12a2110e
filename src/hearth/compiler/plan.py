"""The plan: `forward` as a list of steps over planned memory, and its binary form (docs/architecture.md).

`extract_plan` walks the selected graph once: every call becomes a step, every result a place in the arena. Places are
chosen with the upper bounds of the symbolic sizes, so that a plan never allocates; results whose lifetimes do not meet
share memory (best fit, largest gaps last).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tvm import relax, tirx

from hearth.bundle.costs import StepCost
from hearth.compiler.memory_plan import Lifetime, assign_offsets
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import arguments, attribute, is_op, operands
from hearth.compiler.work import Work, step_cost
from hearth.model.text.decoder import INPUTS
from hearth.quant.formats import round_up

PLAN_VERSION = 2
ALIGNMENT = 64
SYMBOLS = {"one": 0, "n": 1, "s": 2, "r": 3, "items": 4, "stride": 5, "pages": 6, "merges": 7}
_ITEM_BYTES = {"float32": 4, "int32": 4, "int8": 1, "float16": 2}
_ARENA, _WEIGHT, _KV, _INPUT = range(4)


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one forward: tokens, sequences, rows of logits, partial results of attention (a token's in one
    split); and the longest position."""

    max_tokens: int = 512
    max_seqs: int = 64
    max_logit_rows: int = 64
    max_partials: int = 512
    max_position: int = 1 << 20

    def bound(self, symbol: str) -> int:
        return {"n": self.max_tokens, "s": self.max_seqs, "r": self.max_logit_rows}[symbol]


@dataclass(frozen=True)
class Scalar:
    """floor((symbol * mul + add) / div)."""

    symbol: str
    mul: int
    add: int
    div: int = 1


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
class Output:
    name: str
    buffer: int
    rows: int
    row_stride: int
    cols: int
    dtype: int


@dataclass
class Plan:
    """What the runtime executes. `weights`: (name, offset, size) in weights.bin."""

    limits: Limits
    tile_tokens: int
    split_tokens: int
    page_tokens: int
    vocab_size: int
    hidden_size: int
    scratch_bytes: int
    arena_bytes: int = 0
    weights: list[tuple[str, int, int]] = field(default_factory=list)
    kv: list[tuple[str, int]] = field(default_factory=list)
    kernels: list[tuple[str, int, int]] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    @property
    def weights_bytes(self) -> int:
        return max((offset + size for _, offset, size in self.weights), default=0)

    @property
    def kv_bytes_per_token(self) -> int:
        return sum(size for _, size in self.kv) // self.page_tokens

    def to_bytes(self) -> bytes:
        return _encode(self)


def affine(expr: Any) -> Scalar:
    """A symbolic size as the plan can evaluate it: a number, a symbol, or a symbol times a number."""
    if isinstance(expr, int | tirx.IntImm):
        return Scalar("one", 0, int(expr))
    if isinstance(expr, tirx.Var):
        return Scalar(expr.name, 1, 0)
    if isinstance(expr, tirx.Mul):
        a, b = affine(expr.a), affine(expr.b)
        symbol, number = (a, b) if a.symbol != "one" else (b, a)
        if number.symbol == "one" and symbol.add == 0:
            return Scalar(symbol.symbol, symbol.mul * number.add, 0)
    raise NotImplementedError(f"no plan for the size {expr}")


class _Extractor:
    def __init__(self, module: Any, plan: Plan, parameters: Parameters, kv_bytes: Mapping[str, int]) -> None:
        self.plan = plan
        self.function = module["forward"]
        self.parameters, self.kv_bytes = parameters, kv_bytes
        self.places: dict[Any, Any] = {}  # variable -> buffer id, or a list of them
        self.lifetimes: dict[int, Lifetime] = {}  # arena buffer id -> when it is in use
        self.scalar_ids: dict[Scalar, int] = {}
        (block,) = self.function.body.blocks
        used = {v for binding in block.bindings for v in operands(binding.value)}
        offset = 0
        for var in self.function.params:
            name = var.name
            if var not in used:  # merged with others by a pass
                continue
            if name in INPUTS:
                self.places[var] = self.buffer(Buffer(_INPUT, INPUTS.index(name), 0, 0))
            elif name in kv_bytes:
                plan.kv.append((name, kv_bytes[name]))
                self.places[var] = self.buffer(Buffer(_KV, len(plan.kv) - 1, 0, 0))
            else:
                size = parameters.packed[name].size_bytes
                plan.weights.append((name, offset, size))
                self.places[var] = self.buffer(Buffer(_WEIGHT, len(plan.weights) - 1, 0, size))
                offset = round_up(offset + size, ALIGNMENT)

    def buffer(self, buffer: Buffer) -> int:
        self.plan.buffers.append(buffer)
        return len(self.plan.buffers) - 1

    def scalar(self, expr: Any) -> int:
        value = affine(expr)
        if value not in self.scalar_ids:
            self.scalar_ids[value] = len(self.plan.scalars)
            self.plan.scalars.append(value)
        return self.scalar_ids[value]

    def size_bytes(self, ty: Any) -> int:
        size = _ITEM_BYTES[str(ty.dtype.dtype) if hasattr(ty.dtype, "dtype") else str(ty.dtype)]
        for dim in ty.shape:
            a = affine(dim)
            bound = 1 if a.symbol == "one" else self.plan.limits.bound(a.symbol)
            size *= bound * a.mul + a.add
        return size

    def place(self, ty: Any, step: int) -> int:
        number = self.buffer(Buffer(_ARENA, 0, 0, self.size_bytes(ty)))
        self.lifetimes[number] = Lifetime(round_up(self.plan.buffers[number].size, ALIGNMENT), step, step)
        return number

    def resolve(self, value: Any) -> Any:
        """Buffer id (or ids) of an operand."""
        if isinstance(value, relax.Tuple):
            return [self.resolve(f) for f in value.fields]
        if isinstance(value, relax.TupleGetItem):
            return self.resolve(value.tuple_value)[value.index]
        return self.places[value]

    def run(self) -> None:
        (block,) = self.function.body.blocks
        for binding in block.bindings:
            value = binding.value
            if not is_op(value, "hearth.kernel"):
                self.places[binding.var] = self.resolve(value)
                continue
            step = len(self.plan.steps)
            *tensors, numbers = arguments(value)
            buffers = [self.resolve(v) for v in tensors]
            out = value.ty_args[0]
            types = list(out.fields) if hasattr(out, "fields") else [out]
            # What works in place adds to its last operand, which is the result too.
            in_place = bool(attribute(value, "in_place", False))
            results = [] if in_place else [self.place(ty, step) for ty in types]
            self.places[binding.var] = buffers[-1] if in_place else results if hasattr(out, "fields") else results[0]
            for number in buffers:
                if number in self.lifetimes:
                    self.lifetimes[number].last = step
            units, grain, *scalars = numbers.values
            kernel = str(attribute(value, "kernel"))
            work = Work.from_text(str(attribute(value, "work")))
            # KV pages stand before the result in a kernel's parameters only for those that write them: see
            # `_attention`.
            ordered = _order(kernel, buffers, results)
            self.plan.steps.append(
                Step(
                    kernel,
                    tuple(ordered),
                    tuple(self.scalar(s) for s in scalars),
                    self.scalar(units),
                    int(grain),
                    work.role,
                    step_cost(work, kernel, tensors, types, self.parameters, self.kv_bytes),
                )
            )
        self.finish(self.resolve(self.function.body.body))

    def finish(self, outputs: list[int]) -> None:
        plan = self.plan
        end = len(plan.steps)
        for number in outputs:
            self.lifetimes[number].last = end
        offsets, plan.arena_bytes = assign_offsets(self.lifetimes)
        for number, offset in offsets.items():
            old = plan.buffers[number]
            plan.buffers[number] = Buffer(_ARENA, 0, offset, old.size)
        logits, best, hidden = outputs
        n, r = tirx.Var("n", "int64"), tirx.Var("r", "int64")
        plan.outputs = [
            Output("logits", logits, self.scalar(r), round_up(plan.vocab_size, 16), plan.vocab_size, 0),
            Output("argmax", best, self.scalar(r), 1, 1, 1),
            Output("hidden", hidden, self.scalar(n), round_up(plan.hidden_size, 16), plan.hidden_size, 0),
        ]


def _order(kernel: str, operands: list[int], results: list[int]) -> list[int]:
    """Buffers as the kernel takes them: operands, then results; but `rope_append` has its result before the KV
    pages."""
    if kernel.startswith("rope_append"):
        return [*operands[:-2], *results, *operands[-2:]]
    return [*operands, *results]


def extract_plan(module: Any, plan: Plan, parameters: Parameters, kv_bytes: Mapping[str, int]) -> Plan:
    """Fills `plan` from the selected module.

    Args:
        kv_bytes: bytes of one page of each KV parameter.
    """
    _Extractor(module, plan, parameters, kv_bytes).run()
    return plan


def _encode(plan: Plan) -> bytes:
    strings = bytearray(b"\0")
    seen: dict[str, int] = {"": 0}

    def text(s: str) -> int:
        if s not in seen:
            seen[s] = len(strings)
            strings.extend(s.encode() + b"\0")
        return seen[s]

    kernel_ids = {name: i for i, (name, _, _) in enumerate(plan.kernels)}
    args: list[int] = []
    steps = bytearray()
    for step in plan.steps:
        steps += struct.pack("<6I", kernel_ids[step.kernel], len(args), step.units, step.grain, text(step.label), 0)
        args += [*step.buffers, *step.scalars]
    scalars = b"".join(struct.pack("<2I3q", SYMBOLS[s.symbol], 0, s.mul, s.add, s.div) for s in plan.scalars)
    buffers = b"".join(struct.pack("<2I2Q", b.kind, b.index, b.offset, b.size) for b in plan.buffers)
    weights = b"".join(struct.pack("<2I2Q", text(name), 0, offset, size) for name, offset, size in plan.weights)
    kv = b"".join(struct.pack("<2IQ", text(name), 0, size) for name, size in plan.kv)
    kernels = b"".join(struct.pack("<4I", text(name), nb, ns, 0) for name, nb, ns in plan.kernels)
    outputs = b"".join(
        struct.pack("<6I", text(o.name), o.buffer, o.rows, o.row_stride, o.cols, o.dtype) for o in plan.outputs
    )
    tables = [
        bytes(strings),
        scalars,
        buffers,
        weights,
        kv,
        kernels,
        bytes(steps),
        struct.pack(f"<{len(args)}I", *args),
        outputs,
    ]
    body = b"".join(table + bytes(-len(table) % 8) for table in tables)
    counts = (len(strings), len(plan.scalars), len(plan.buffers), len(plan.weights), len(plan.kv), len(plan.kernels),
              len(plan.steps), len(args), len(plan.outputs), 0)  # fmt: skip
    limits = plan.limits
    header = struct.pack(
        "<8s2IQ10I3Q10I", b"HRTHPLAN", PLAN_VERSION, 192, 192 + len(body), *counts,
        plan.arena_bytes, plan.scratch_bytes, plan.weights_bytes,
        limits.max_tokens, limits.max_seqs, limits.max_logit_rows, plan.tile_tokens, plan.page_tokens,
        plan.vocab_size, plan.hidden_size, limits.max_position, plan.split_tokens, limits.max_partials,
    )  # fmt: skip
    return header.ljust(192, b"\0") + body
