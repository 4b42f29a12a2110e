"""Arrays that stand in a graph become parameters, so that they lie with the weights; equal ones are one."""

from __future__ import annotations

import hashlib
from typing import Any

import tvm
from tvm import relax

from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, rewrite


def lift_constants(module: Any, parameters: Parameters) -> Any:
    """Every constant of more than one float as a parameter `constants.HASH`."""
    variables: dict[Any, dict[str, Any]] = {}

    def lifted(graph: Graph, value: Any) -> Any:
        if not (isinstance(value, tvm.ir.expr.GenericConst) and len(value.ty.shape) > 0):
            return value
        array = value.value.numpy()
        if array.dtype.kind != "f":
            return value
        name = f"constants.{hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()[:12]}"
        known = variables.setdefault(graph, {})
        if name not in known:
            parameters.add_constant(name, array)
            known[name] = graph.add_param(relax.Var(name, relax.TensorType(array.shape, "float32")))
        return known[name]

    def rule(graph: Graph, value: Any) -> Any:
        if not isinstance(value, relax.Call):
            return None
        args = [
            relax.Tuple([lifted(graph, f) for f in arg.fields]) if isinstance(arg, relax.Tuple) else lifted(graph, arg)
            for arg in value.args
        ]
        if all(a.same_as(b) for a, b in zip(args, value.args, strict=True)):
            return None
        return relax.Call(value.op, args, value.attrs, value.ty_args)

    return rewrite(module, rule)
