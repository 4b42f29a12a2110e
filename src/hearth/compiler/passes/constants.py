"""Arrays that stand in a graph become parameters, so that they lie with the weights; equal ones are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax import op

from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, rewrite


def lift_constants(module: Any, parameters: Parameters) -> Any:
    """Every constant that has axes, or is a result, as a parameter; truth as 1.0 and 0.0."""
    variables: dict[Any, dict[str, Any]] = {}

    def lifted(graph: Graph, value: Any, *, single: bool = False) -> Any:
        if not (isinstance(value, tvm.ir.expr.GenericConst) and (single or len(value.ty.shape) > 0)):
            return value
        array = value.value.numpy()
        is_truth = array.dtype == bool
        array = array.astype(np.int32 if array.dtype.kind in "iu" else np.float32)
        name = parameters.add_constant(array)
        known = variables.setdefault(graph, {})
        if name not in known:
            known[name] = graph.add_param(relax.Var(name, relax.TensorType(array.shape, str(array.dtype))))
        return graph.emit(op.astype(known[name], "bool")) if is_truth else known[name]

    def rule(graph: Graph, value: Any) -> Any:
        if isinstance(value, tvm.ir.expr.GenericConst):
            return lifted(graph, value, single=True)
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
