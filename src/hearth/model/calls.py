"""How calls in a Relax graph are read: which operation, which operands, which are needed. Needs TVM."""

from __future__ import annotations

from typing import Any

from tvm import relax


def operation(value: Any) -> str:
    """The name of the operation that `value` is a call of: Relax's without `relax.`, ours with `hearth.`; "": none."""
    if not isinstance(value, relax.Call):
        return ""
    if value.args and isinstance(value.args[0], relax.ExternFunc):
        return str(value.args[0].global_symbol)
    return str(getattr(value.op, "name", "")).removeprefix("relax.")


def arguments(value: Any) -> list[Any]:
    """Operands of one of our operations."""
    return list(value.args[1].fields)


def operands(value: Any) -> list[Any]:
    """Variables that an expression reads, once for each time; symbols of sizes are none."""
    if isinstance(value, relax.Var):
        return [value] if isinstance(value.ty, relax.TensorType | relax.TupleType) else []
    if isinstance(value, relax.Tuple):
        return [var for field in value.fields for var in operands(field)]
    if isinstance(value, relax.TupleGetItem):
        return operands(value.tuple_value)
    if isinstance(value, relax.Call):
        return [var for arg in value.args for var in operands(arg)]
    return []


def live_bindings(function: Any) -> list[Any]:
    """Bindings of a function of one block that its result depends on. One walk from the end: TVM's own pass takes the
    square of the number of bindings, most of the compiler's time for a model of hundreds of layers."""
    (block,) = function.body.blocks
    read = set(operands(function.body.body))
    kept = []
    for binding in reversed(block.bindings):
        if binding.var in read:
            kept.append(binding)
            read.update(operands(binding.value))
    return kept[::-1]
