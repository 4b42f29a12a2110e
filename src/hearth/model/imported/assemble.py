"""From the operations of a graph to a `Network`: what the outputs depend on stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.calls import arguments, live_bindings, operands, operation
from hearth.model.imported.chain import ChainOf, is_chain
from hearth.model.imported.graph import Graph, replaced
from hearth.model.imported.inputs import MOST_AXES
from hearth.model.network import Dtype, Function, Input, Network, Role

FUNCTION = "main"
_ROLES: tuple[tuple[str, int, int, Role], ...] = (
    ("hearth.linear", 1, 2, "body"),
    ("hearth.conv2d", 1, 4, "body"),
    ("hearth.conv2d_transpose", 1, 4, "body"),
    ("take", 0, 2, "head"),
)
"""Operation, which operand of it is a weight, how many axes that has, and its role."""

Converted = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Variables of inputs and outputs, by name."""


def network_of(g: Graph, convert: Callable[[], Converted]) -> Network:
    """The network of what `convert` emits. Parameters are the known values that are left and no integers."""
    builder = g.builder
    with builder.function(FUNCTION):
        with builder.dataflow():
            inputs, outputs = convert()
            result = builder.emit_output(relax.Tuple([_result(g, name, var) for name, var in outputs.items()]))
        builder.emit_func_output(result, params=[*inputs.values(), *g.known])
    module = builder.finalize()
    function = module[FUNCTION]
    bindings = {binding.var: binding.value for binding in live_bindings(function)}
    read = dict.fromkeys(var for value in bindings.values() for var in operands(value))
    named = _named(g, [var for var in g.known if var in read], set(inputs))
    bodies = {var: Input(name, _dtype(var), *_bounds(g, var, bindings)) for name, var in inputs.items()}
    about: dict[str, Any] = {
        "symbols": dict(g.bounds),
        "shapes": {param.name: tuple(int(dim) for dim in g.shape(var)) for var, param in named.items()},
        "sources": {param.name: g.source_of(var) for var, param in named.items()},
        "roles": {named[var].name: role for var, role in _roles(g, bindings).items()},
    }
    if is_chain(bindings):
        results = dict(zip(outputs, bindings.pop(function.body.body).fields, strict=True))
        made, functions, chain = ChainOf(g, inputs, bodies, results, bindings, named).functions()
        whole = tvm.IRModule(made)
        return Network(functions=functions, build=lambda: whole, chain=chain, **about)
    block = relax.DataflowBlock([relax.VarBinding(var, replaced(value, named)) for var, value in bindings.items()])
    body = relax.SeqExpr([block], function.body.body)
    whole = relax.Function([*inputs.values(), *named.values()], body, function.ret_ty, True, function.attrs)
    module.update_func(module.get_global_var(FUNCTION), whole.with_attr("num_input", len(inputs)))
    return Network((Function(FUNCTION, tuple(bodies.values()), tuple(outputs)),), build=lambda: module, **about)


def _result(g: Graph, name: str, var: Any) -> Any:
    """An output: f32 or i32."""
    if var in g.known:
        array = g.known[var].read()
        var = g.builder.emit(relax.const(array, str(array.dtype)))
    if g.rank(var) > MOST_AXES:
        raise Unsupported(f"The output {name[:200]!r} has {g.rank(var)} axes.", why="There may be 8.")
    dtype = str(var.ty.dtype)
    if dtype in ("float32", "int32"):
        return var
    if dtype not in ("bool", "int8", "uint8", "int64"):
        raise Unsupported(f"The output {name[:200]!r} is of the type {dtype}.")
    return g.builder.emit(op.astype(var, "int32"))


def _dtype(var: Any) -> Dtype:
    dtype: Dtype = str(var.ty.dtype)  # type: ignore[assignment]
    return dtype


def _bounds(g: Graph, var: Any, bindings: Mapping[Any, Any]) -> tuple[int | None, int | None]:
    """The values that an input may have, where they are indices of the rows of a table."""
    same = {var}
    high: int | None = None
    if str(var.ty.dtype) == "float32":
        return None, None
    for made, value in bindings.items():
        name = operation(value)
        if name in ("reshape", "astype", "expand_dims", "permute_dims", "broadcast_to") and value.args[0] in same:
            same.add(made)
        elif name == "take" and value.args[1] in same and value.args[0] in g.known:
            rows = g.shape(value.args[0])[int(value.attrs.axis or 0)]
            high = rows - 1 if high is None else min(high, rows - 1)
    return (None, None) if high is None else (0, high)


def _roles(g: Graph, bindings: Mapping[Any, Any]) -> dict[Any, Role]:
    roles: dict[Any, Role] = {}
    for value in bindings.values():
        for name, place, rank, role in _ROLES:
            if operation(value) != name:
                continue
            matrix = (arguments(value) if name.startswith("hearth.") else value.args)[place]
            if matrix in g.known and g.rank(matrix) == rank:
                roles[matrix] = role
    return roles


def _named(g: Graph, known: list[Any], taken: set[str]) -> dict[Any, Any]:
    """A parameter for each known value that is left, by the name of what it was made of."""
    found: dict[Any, Any] = {}
    for var in known:
        base = re.sub(r"[^A-Za-z0-9_]+", ".", g.name(var)).strip(".") or "value"
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}.{count}"
        taken.add(name)
        found[var] = relax.Var(name, var.ty)
    return found
