"""Rewriting of functions by rules anchored at one operation: what every pass of this folder is made of.

A rule sees one binding and, through the `Graph`, where its operands come from. It returns None ("not mine") or the
expression to take its place; what that made useless is removed afterwards. Operands may be old variables or results of
`graph.emit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import tvm
from tvm import relax

from hearth.model.calls import arguments as arguments
from hearth.model.calls import live_bindings
from hearth.model.calls import operands as operands
from hearth.model.calls import operation as operation

Rule = Callable[["Graph", Any], Any]


class Graph:
    """The function under rewriting: definitions and use counts of its old variables, and the new body so far."""

    def __init__(self, function: Any) -> None:
        self.function = function
        (block,) = self.function.body.blocks
        self.bindings = [(b.var, b.value) for b in block.bindings]
        self.definitions: dict[Any, Any] = dict(self.bindings)
        self.uses: Counter[Any] = Counter()
        for _, value in self.bindings:
            self.uses.update(operands(value))
        self.builder = relax.BlockBuilder()
        self.params: list[Any] = list(self.function.params)
        self._new: dict[Any, Any] = {}

    def value(self, var: Any) -> Any:
        """What an old variable is bound to; None for parameters and new variables."""
        return self.definitions.get(var)

    def only_use(self, var: Any) -> bool:
        return self.uses[var] == 1

    def emit(self, value: Any) -> Any:
        return self.builder.emit(self.mapped(value))

    def add_param(self, var: Any) -> Any:
        self.params.append(var)
        return var

    def mapped(self, value: Any) -> Any:
        """`value` with old variables replaced by their new ones."""
        if isinstance(value, relax.Var):
            return self._new.get(value, value)
        if isinstance(value, relax.Tuple):
            return relax.Tuple([self.mapped(f) for f in value.fields])
        if isinstance(value, relax.TupleGetItem):
            return relax.TupleGetItem(self.mapped(value.tuple_value), value.index)
        if isinstance(value, relax.Call):
            return relax.Call(value.op, [self.mapped(a) for a in value.args], value.attrs, value.ty_args)
        return value

    def bind(self, var: Any, new: Any) -> None:
        self._new[var] = new

    def origin(self, var: Any) -> Any:
        """What an old variable has become: a parameter of the function, or what made it."""
        found = self.mapped(var)
        while isinstance(found, relax.Var) and found not in self.params:
            found = self.builder.lookup_binding(found)
        return found


def rewrite(module: Any, rule: Rule, begin: Callable[[Graph], None] | None = None) -> Any:
    """`module` with `rule` tried at every binding of every function, in order; dead bindings are dropped.

    Args:
        begin: called with each function's graph first, to emit what its rules stand on.
    """
    functions = {}
    for var, function in module.functions.items():
        is_graph = isinstance(function, relax.Function)
        name = var.name_hint
        functions[name] = _rewrite_function(name, function, rule, begin) if is_graph else function
    return tvm.IRModule(functions)


def _rewrite_function(name: str, function: Any, rule: Rule, begin: Callable[[Graph], None] | None) -> Any:
    graph = Graph(function)
    builder = graph.builder
    with builder.function(name, attrs={"num_input": function.attrs["num_input"]}):
        with builder.dataflow():
            if begin is not None:
                begin(graph)
            for var, value in graph.bindings:
                replaced = rule(graph, value)
                graph.bind(var, graph.emit(value if replaced is None else replaced))
            result = builder.emit_output(graph.mapped(function.body.body))
        builder.emit_func_output(result, params=graph.params)
    module = builder.finalize()
    (made,) = module.get_global_vars()
    return _without_dead_bindings(module[made])


def _without_dead_bindings(function: Any) -> Any:
    body = relax.SeqExpr([relax.DataflowBlock(live_bindings(function))], function.body.body)
    return relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)


def is_op(value: Any, name: str) -> bool:
    """Whether `value` is a call of Relax's `relax.<name>`, or of ours when the name begins with `hearth.`."""
    return operation(value) == name


def with_arguments(value: Any, args: Sequence[Any]) -> Any:
    """One of our operations with other operands."""
    return relax.Call(value.op, [value.args[0], relax.Tuple(list(args))], value.attrs, value.ty_args)


def attribute(value: Any, name: str, default: Any = None) -> Any:
    """An attribute of one of our operations."""
    return value.attrs[name] if value.attrs is not None and name in value.attrs else default


def attributes(value: Any) -> dict[str, Any]:
    """All attributes of one of our operations."""
    return {key: value.attrs[key] for key in value.attrs.keys()}  # noqa: SIM118 - a TVM map iterates over items


def scalar(value: Any) -> float | None:
    """A constant's value when it is one number."""
    if isinstance(value, tvm.ir.expr.GenericConst) and len(value.ty.shape) == 0:
        return float(value.value.numpy())
    return None


def dtype_of(ty: Any) -> str:
    """The element type of a tensor type, such as `float32`."""
    return str(ty.dtype.dtype) if hasattr(ty.dtype, "dtype") else str(ty.dtype)
