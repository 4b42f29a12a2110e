"""From selected graphs to a plan: every call of a function becomes a step, every result a place in an arena.

Places are chosen with the upper bounds of the symbolic sizes, so that a plan never allocates; results whose lifetimes
do not meet share memory. Functions run one at a time, so they share the arenas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, tirx

from hearth.compiler.memory_plan import Lifetime, assign_offsets, choose_arenas
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import arguments, attribute, dtype_of, is_op, operands
from hearth.compiler.plan import (
    ADD,
    ALIGNMENT,
    ARENA,
    DTYPES,
    FLOOR_DIVIDE,
    INPUT,
    ITEM_BYTES,
    MAXIMUM,
    MINIMUM,
    MULTIPLY,
    STATE,
    WEIGHT,
    Buffer,
    Cut,
    Plan,
    PlanFunction,
    PlanInput,
    PlanOutput,
    Step,
)
from hearth.compiler.symbolic import equal_sizes
from hearth.compiler.work import Work, step_cost
from hearth.model.network import Bound, Function, Input, Network
from hearth.quant.formats import LANES, round_up

_OPERATIONS = {
    tirx.Add: ADD,
    tirx.Mul: MULTIPLY,
    tirx.FloorDiv: FLOOR_DIVIDE,
    tirx.Min: MINIMUM,
    tirx.Max: MAXIMUM,
}


@dataclass(frozen=True)
class MemoryRules:
    """What a device wants of memory.

    Attributes:
        alignment: of places in arenas, in bytes.
        separate: no step may read and write the same arena.
    """

    alignment: int = ALIGNMENT
    separate: bool = False


def extract_plan(
    module: Any,
    plan: Plan,
    network: Network,
    parameters: Parameters,
    results: Mapping[str, Sequence[Any]],
    rules: MemoryRules = MemoryRules(),
) -> None:
    """Fills `plan` from the selected module, which has some of the network's functions. Weights that the plan has
    already, as that of another device does, stay where they are.

    Args:
        results: by function, the types of its results in logical shapes.
    """
    plan.states = [(state.name, state.symbol, state.unit_bytes) for state in network.states]
    shared = _Shared(plan, network, parameters, rules)
    present = {var.name_hint for var in module.get_global_vars()}
    for function in network.functions:
        if function.name in present:
            _Extractor(module[function.name], function, shared).run(results[function.name])


def scalar_of(plan: Plan, expr: Any) -> int:
    """A symbolic size as a scalar of the plan.

    Raises:
        NotImplementedError: it is made of operations that a plan does not have.
    """
    if isinstance(expr, int | tirx.IntImm):
        return plan.constant(int(expr))
    if isinstance(expr, tirx.Var):
        return plan.symbol(expr.name)
    if isinstance(expr, tirx.Sub):
        minus = plan.combine(MULTIPLY, scalar_of(plan, expr.b), plan.constant(-1))
        return plan.combine(ADD, scalar_of(plan, expr.a), minus)
    for kind, op in _OPERATIONS.items():
        if isinstance(expr, kind):
            return plan.combine(op, scalar_of(plan, expr.a), scalar_of(plan, expr.b))
    raise NotImplementedError(f"no plan for the size {expr}")


class _Shared:
    """What the functions of a plan have in common: weights and states, which each may use under the same name."""

    def __init__(self, plan: Plan, network: Network, parameters: Parameters, rules: MemoryRules) -> None:
        self.plan, self.network, self.parameters, self.rules = plan, network, parameters, rules
        self.states = {state.name: state for state in network.states}
        self._numbers = {name: number for number, (name, _, _) in enumerate(plan.weights)}
        self._weights: dict[tuple[str, int, int], int] = {}
        self._state_buffers: dict[str, int] = {}
        self.arenas: dict[int, int] = {}  # bytes of each

    def state(self, name: str) -> int:
        if name not in self._state_buffers:
            index = list(self.states).index(name)
            self._state_buffers[name] = self.plan.buffer(STATE, index)
        return self._state_buffers[name]

    def weight(self, name: str, offset: int = 0, size: int = 0) -> int:
        """The buffer of a weight, or of `size` bytes of it."""
        whole = self.parameters.packed[name].size_bytes
        part = (name, offset, size or whole)
        if name not in self._numbers:
            self._numbers[name] = len(self.plan.weights)
            self.plan.weights.append((name, round_up(self.plan.weights_bytes, ALIGNMENT), whole))
        if part not in self._weights:
            self._weights[part] = self.plan.buffer(WEIGHT, self._numbers[name], *part[1:])
        return self._weights[part]


class _Extractor:
    """One function."""

    def __init__(self, graph: Any, function: Function, shared: _Shared) -> None:
        self.graph, self.function, self.shared, self.plan = graph, function, shared, shared.plan
        self.places: dict[Any, Any] = {}  # variable -> buffer id, or a list of them
        self.lifetimes: dict[int, Lifetime] = {}  # arena buffer id -> when it is in use
        self.layers: dict[int, tuple[int, int]] = {}  # number of a layer -> its first and last step
        self.written: dict[int, list[int]] = {}  # step -> what it writes
        self.reads_weights: list[int] = []  # steps
        self.conflicts: list[tuple[int, int]] = []  # arena buffer ids: what a step reads, what it writes
        self.shapes: dict[int, tuple[int, int]] = {}  # arena buffer id -> rows (a scalar), columns
        self.first_read: dict[int, int] = {}  # arena buffer id -> the first step that reads it, and leaves it as it is
        self.first_step = len(self.plan.steps)
        (block,) = graph.body.blocks
        used = {v for binding in block.bindings for v in operands(binding.value)}
        variables = {var.name: var for var in graph.params}
        for declared in function.inputs:
            self.places[variables[declared.name]] = self.plan.buffer(INPUT, len(self.plan.inputs))
            self.plan.inputs.append(self.declare(declared, variables[declared.name]))
        named = {declared.name for declared in function.inputs}
        for var in graph.params:
            if var.name in named or var not in used:  # those unused were merged with others by a pass
                continue
            place = shared.state if var.name in shared.states else shared.weight
            self.places[var] = place(var.name)

    def declare(self, declared: Input, var: Any) -> PlanInput:
        dims = tuple(scalar_of(self.plan, dim) for dim in var.ty.shape)
        if declared.low is None or declared.high is None:
            return PlanInput(declared.name, DTYPES[declared.dtype], dims, 3 if declared.lent else 0)
        checks = 2 if declared.ascending else 1
        return PlanInput(
            declared.name, DTYPES[declared.dtype], dims, checks, self.bound(declared.low), self.bound(declared.high)
        )

    def bound(self, bound: Bound) -> int:
        if isinstance(bound, int):
            return self.plan.constant(bound)
        symbol, more = bound
        return self.plan.combine(ADD, self.plan.symbol(symbol), self.plan.constant(more))

    def size_bytes(self, ty: Any) -> int:
        size = ITEM_BYTES[dtype_of(ty)]
        for dim in ty.shape:
            size *= self.plan.scalars[scalar_of(self.plan, dim)].high
        return size

    def place(self, ty: Any, step: int) -> int:
        number = self.plan.buffer(ARENA, size=self.size_bytes(ty))
        if self.function.layers and len(ty.shape) == 2 and dtype_of(ty) == "float32":
            rows, columns = (scalar_of(self.plan, dim) for dim in ty.shape)
            self.shapes[number] = rows, self.plan.scalars[columns].high
        self.lifetimes[number] = Lifetime(
            round_up(self.plan.buffers[number].size, self.shared.rules.alignment), step, step
        )
        return number

    def resolve(self, value: Any) -> Any:
        """Buffer id (or ids) of an operand."""
        if isinstance(value, relax.Tuple):
            return [self.resolve(f) for f in value.fields]
        if isinstance(value, relax.TupleGetItem):
            return self.resolve(value.tuple_value)[value.index]
        return self.places[value]

    def run(self, results: Sequence[Any]) -> None:
        (block,) = self.graph.body.blocks
        for binding in block.bindings:
            if is_op(binding.value, "hearth.kernel"):
                self.places[binding.var] = self.step(binding.value)
            else:
                self.places[binding.var] = self.resolve(binding.value)
        self.finish(self.graph.body.body, results)

    def step(self, call: Any) -> Any:
        """Adds the step that a call is; the places of its results."""
        number = len(self.plan.steps)
        *tensors, sizes = arguments(call)
        earlier = json.loads(str(attribute(call, "earlier", "[]")))
        self.note_layer([v for i, v in enumerate(tensors) if i not in earlier], number)
        parts = {int(i): part for i, part in json.loads(str(attribute(call, "parts", "{}"))).items()}
        buffers = [
            self.shared.weight(v.name, *parts[i]) if i in parts else self.resolve(v) for i, v in enumerate(tensors)
        ]
        out = call.ty_args[0]
        types = list(out.fields) if hasattr(out, "fields") else [out]
        # What works in place adds to its last operands, which are the results too.
        in_place = bool(attribute(call, "in_place", False))
        made = [] if in_place else [self.place(ty, number) for ty in types]
        results = buffers[-len(types) :] if in_place else made
        self.written[number] = results
        if any(isinstance(v, relax.Var) and v.name in self.shared.parameters.packed for v in tensors):
            self.reads_weights.append(number)
        for buffer in buffers:
            if buffer in self.lifetimes:
                self.lifetimes[buffer].last = number
        reads = buffers[: -len(types)] if in_place else buffers
        self.conflicts += [(r, w) for r in reads for w in results if r in self.lifetimes]
        for buffer in reads:
            self.first_read.setdefault(buffer, number)
        # Results stand behind the operands, but for those that the kernel takes last (pages that it writes).
        written = int(attribute(call, "written", 0))
        before = len(buffers) - written
        units, grain, *scalars = sizes.values
        kernel, work = str(attribute(call, "kernel")), Work.from_text(str(attribute(call, "work")))
        self.plan.steps.append(
            Step(
                kernel,
                (*buffers[:before], *made, *buffers[before:]),
                tuple(scalar_of(self.plan, s) for s in scalars),
                scalar_of(self.plan, units),
                int(grain),
                work.role,
                step_cost(
                    work, kernel, tensors, types, self.shared.parameters, self.shared.states, self.function, parts
                ),
            )
        )
        return results if hasattr(out, "fields") else results[0]

    def note_layer(self, tensors: Sequence[Any], step: int) -> None:
        """The step belongs to the layer whose parameters or states it reads."""
        prefix = self.function.layers
        names = [v.name for v in tensors if isinstance(v, relax.Var)] if prefix else []
        for number in {int(n[len(prefix) :].partition(".")[0]) for n in names if n.startswith(prefix)}:
            first, _ = self.layers.get(number, (step, step))
            self.layers[number] = (first, step)

    def cuts(self) -> list[Cut]:
        """One before each layer, and one behind the last: of what lives across such a place all but one buffer, what
        the layers have computed, was made before the first layer, or is of no use to a model that runs in parts: then
        the layer's last step has written that one."""
        if not self.layers:
            return []
        begin = min(first for first, _ in self.layers.values())
        places = []
        for number in sorted(self.layers):
            behind = self.layers[number][1] + 1
            # Up to whoever reads the next parameter, steps may be of the layer that read none: of experts, the last.
            end = next((step for step in self.reads_weights if step >= behind), len(self.plan.steps))
            for step in range(behind, end + 1):
                living = self.living(begin, step)
                if len(living) == 1:
                    places.append((step, living[0]))
                    break
            else:
                (buffer,) = (b for b in self.written[behind - 1] if b in self.living(begin, behind))
                places.append((behind, buffer))
        # What the first layer begins with has the shape of what it ends with. Its first reader is of that layer, be it
        # one that needs none of the layer's parameters.
        wanted = self.shapes[places[0][1]]
        buffer = next(
            b for b, life in self.lifetimes.items() if life.first < begin <= life.last and self.shapes.get(b) == wanted
        )
        places.insert(0, (self.first_read[buffer], buffer))
        function = len(self.plan.functions)
        return [Cut(function, step, buffer, *self.shapes[buffer]) for step, buffer in places]

    def living(self, begin: int, step: int) -> list[int]:
        """What is made from step `begin` on, and lives on at `step`."""
        return [b for b, life in self.lifetimes.items() if begin <= life.first < step <= life.last]

    def finish(self, body: Any, results: Sequence[Any]) -> None:
        plan = self.plan
        values = list(body.fields) if isinstance(body, relax.Tuple) else [body]
        bodies = [self.resolve(value) for value in values]
        buffers = bodies[0] if len(bodies) == 1 and isinstance(bodies[0], list) else bodies
        types = self.types_of(body)
        for number in buffers:
            self.lifetimes[number].last = len(plan.steps)
        arenas = choose_arenas(self.lifetimes, self.conflicts if self.shared.rules.separate else [])
        for arena in sorted(set(arenas.values())):
            offsets, size = assign_offsets({n: life for n, life in self.lifetimes.items() if arenas[n] == arena})
            self.shared.arenas[arena] = max(self.shared.arenas.get(arena, 0), size)
            for number, offset in offsets.items():
                plan.buffers[number] = Buffer(ARENA, arena, offset, plan.buffers[number].size)
        plan.arena_bytes = sum(self.shared.arenas.values())
        for name, number, physical, logical in zip(self.function.outputs, buffers, types, results, strict=True):
            dims = tuple(scalar_of(plan, dim) for dim in logical.shape)
            stride = dims[-1] if len(dims) == 1 else scalar_of(plan, _row_stride(physical, logical))
            plan.outputs.append(PlanOutput(name, number, DTYPES[dtype_of(physical)], dims, stride))
        plan.cuts += self.cuts()
        counts = (len(plan.steps) - self.first_step, len(self.function.inputs), len(self.function.outputs))
        plan.functions.append(PlanFunction(self.function.name, self.function.door, *counts))

    def types_of(self, body: Any) -> list[Any]:
        ty = body.ty
        return list(ty.fields) if hasattr(ty, "fields") else [ty]


def _row_stride(physical: Any, logical: Any) -> Any:
    """Elements from one row of a result to the next: what has taken another shape where it lay has the old one's type,
    but rows of floats are padded to whole vectors, and those of integers never. Rows of prepared pixels are as long as
    they are, in both types."""
    if not len(logical.shape):
        return 1
    size = logical.shape[-1]
    if dtype_of(physical) not in ("float32", "float16") or equal_sizes(physical.shape[-1], size):
        return size
    return tirx.floordiv(size + (LANES - 1), tirx.IntImm("int64", LANES)) * LANES
