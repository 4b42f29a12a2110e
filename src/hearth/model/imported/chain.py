"""A graph whose sizes depend on values, as functions that run one after another.

How many boxes a detector finds is known when it has found them. A plan's sizes are known before it runs, and may be any
within bounds: so a function ends where something is counted, and what comes behind is another function, of which the
count is a size like any other open one. It takes what it reads of the one before, of what was counted as many rows as
there are (`Chain.cuts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.calls import arguments, operands, operation
from hearth.model.imported.graph import Graph, replaced
from hearth.model.imported.inputs import MOST_AXES
from hearth.model.network import Chain, Dtype, Function, Input

_CUT = "hearth.first_rows"


@dataclass
class Stage:
    """A function of the chain.

    Attributes:
        bindings: what it computes, in order.
        reads: what earlier ones or the caller give.
        gives: what it answers, by name.
    """

    bindings: dict[Any, Any] = field(default_factory=dict)
    reads: dict[Any, None] = field(default_factory=dict)
    gives: dict[str, Any] = field(default_factory=dict)


def is_chain(bindings: Mapping[Any, Any]) -> bool:
    """Whether sizes of a graph depend on values."""
    return any(operation(value) == _CUT for value in bindings.values())


class ChainOf:
    """Divides a graph.

    Args:
        inputs: of the graph, by name; `bodies` says what there is to know of them.
        outputs: variables of its results, by name.
        bindings: all operations.
        named: the parameter of each known value that is read.
    """

    def __init__(
        self, g: Graph, inputs: Mapping[str, Any], bodies: Mapping[Any, Input], outputs: Mapping[str, Any],
        bindings: Mapping[Any, Any], named: Mapping[Any, Any],
    ) -> None:  # fmt: skip
        self.g, self.inputs, self.bodies, self.outputs = g, inputs, bodies, outputs
        self.bindings, self.named = bindings, named
        self.cuts = {var: arguments(value) for var, value in bindings.items() if operation(value) == _CUT}
        self.sources = {str(var.ty.shape.values[0].name): var for var in self.cuts}
        self.levels = self._levels()
        self.stages = [Stage() for _ in range(max(self.levels.values()) + 1)]
        self.names = {var: name for name, var in inputs.items()}
        self._divide()

    def _levels(self) -> dict[Any, int]:
        """How many counts come before each variable, at most."""
        levels = dict.fromkeys(self.inputs.values(), 0)
        for var, value in self.bindings.items():
            if var in self.cuts:
                levels[var] = 1 + max(levels[each] for each in self.cuts[var])
                continue
            before = [levels[each] for each in operands(value) if each in levels]
            levels[var] = max(before + [levels[self.sources[name]] for name in self._counted(var, value)], default=0)
        return levels

    def _counted(self, var: Any, value: Any) -> list[str]:
        """Sizes that are counts, of all that an operation mentions."""
        sizes = _sizes(var.ty)
        for arg in getattr(value, "args", ()):
            sizes += arg.values if isinstance(arg, relax.ShapeExpr) else [arg] * isinstance(arg.ty, tvm.ir.PrimType)
        return self._of_counts(sizes)

    def _of_counts(self, sizes: Sequence[Any]) -> list[str]:
        found = [each.name for size in sizes for each in tirx.analysis.undefined_vars(size)]
        return [name for name in dict.fromkeys(found) if name in self.sources]

    def _divide(self) -> None:
        for var, value in self.bindings.items():
            if var in self.cuts:
                for each in self.cuts[var]:
                    self._given(each, self.levels[var])
                self._name(var, str(var.ty.shape.values[0].name))
                continue
            stage = self.stages[self.levels[var]]
            stage.bindings[var] = value
            for each in operands(value):
                self._read(each, self.levels[var])
            for name in self._counted(var, value):  # a size is told by an input that has it
                self._read(self.sources[name], self.levels[var])
        for name, var in self.outputs.items():
            self.stages[self.levels[var]].gives[name] = var
            self._read(var, self.levels[var])

    def _read(self, var: Any, level: int) -> None:
        """Notes that a function reads a variable that it does not compute."""
        if var in self.named or var in self.stages[level].bindings:
            return
        self.stages[level].reads[var] = None
        if var not in self.cuts:
            self._given(var, level)
        for name in self._of_counts(_sizes(var.ty)):
            self.stages[level].reads[self.sources[name]] = None

    def _given(self, var: Any, level: int) -> None:
        """Lets the function that computes a variable answer it, for one of a higher level."""
        if var in self.inputs.values() or var in self.named or var in self.cuts or self.levels[var] == level:
            return
        self._name(var, f"between.{len(self.names)}")
        self.stages[self.levels[var]].gives[self.names[var]] = var

    def _name(self, var: Any, name: str) -> None:
        if var not in self.names:
            taken = {*self.names.values(), *self.outputs}
            self.names[var] = name if name not in taken else f"{name}.between"

    def functions(self) -> tuple[dict[str, Any], tuple[Function, ...], Chain]:
        """The Relax functions by name, what they are, and how they belong together."""
        made, declared = {}, []
        for level, stage in enumerate(self.stages):
            name = "main" if level == 0 else f"main_{level}"
            reads = list(self.inputs.values()) if level == 0 else list(stage.reads)
            for var in reads:
                if self.g.rank(var) > MOST_AXES:
                    raise Unsupported("What is read behind a count has more than 8 axes.")
            made[name] = self._function(name, stage, reads)
            inputs = (self.bodies.get(var) or Input(self.names[var], _passed(var)) for var in reads)
            declared.append(Function(name, tuple(inputs), tuple(stage.gives)))
        cuts = {self.names[var]: (self.names[x], self.names[count]) for var, (x, count) in self.cuts.items()}
        return made, tuple(declared), Chain(cuts, tuple(self.outputs))

    def _function(self, name: str, stage: Stage, reads: Sequence[Any]) -> Any:
        used = {each for value in stage.bindings.values() for each in operands(value) if each in self.named}
        parameters = {var: relax.Var(self.named[var].name, var.ty) for var in self.named if var in used}
        params = {var: relax.Var(self.names[var], _type(var)) for var in reads}
        builder = relax.BlockBuilder()
        others: dict[Any, Any] = dict(parameters)
        with builder.function(name, [*params.values(), *parameters.values()]):
            with builder.dataflow():
                for var, param in params.items():
                    same = param.ty.dtype == var.ty.dtype
                    others[var] = param if same else builder.emit(op.astype(param, str(var.ty.dtype)))
                for var, value in stage.bindings.items():
                    others[var] = builder.emit(replaced(value, others))
                results = [self._result(builder, var, others[var]) for var in stage.gives.values()]
                result = builder.emit_output(relax.Tuple(results))
            builder.emit_func_output(result)
        return builder.finalize()[name].with_attr("num_input", len(params))

    def _result(self, builder: Any, var: Any, value: Any) -> Any:
        return value if str(var.ty.dtype) == _passed(var) else builder.emit(op.astype(value, _passed(var)))


def _sizes(ty: Any) -> list[Any]:
    """Those of a tensor, or of all of a tuple."""
    return [size for field in ty.fields for size in _sizes(field)] if isinstance(ty, relax.TupleType) else [*ty.shape]


def _passed(var: Any) -> Dtype:
    """How a value goes from function to function: f32 or i32."""
    return "float32" if str(var.ty.dtype) == "float32" else "int32"


def _type(var: Any) -> Any:
    return relax.TensorType(list(var.ty.shape), _passed(var))
