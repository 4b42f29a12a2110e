"""The walk over a function: variables and symbols, and what each operation is asked with."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from hearth.model.evaluate.elementwise import ELEMENTWISE
from hearth.model.evaluate.images import IMAGES
from hearth.model.evaluate.logical import LOGICAL
from hearth.model.evaluate.neural import NEURAL
from hearth.model.evaluate.reductions import REDUCTIONS
from hearth.model.evaluate.shapes import SHAPES
from hearth.model.evaluate.values import Array, Attributes, Operation

_OPERATIONS: dict[str, Operation] = {
    **{f"relax.{name}": f for table in (ELEMENTWISE, SHAPES, REDUCTIONS, NEURAL, IMAGES) for name, f in table.items()},
    **{f"hearth.{name}": f for name, f in LOGICAL.items()},
}

_ARITHMETIC: dict[type, Any] = {
    tirx.Add: operator.add, tirx.Sub: operator.sub, tirx.Mul: operator.mul, tirx.FloorDiv: operator.floordiv,
    tirx.FloorMod: operator.mod, tirx.Max: max, tirx.Min: min, tirx.Div: lambda a, b: int(a / b),
}  # fmt: skip


def evaluate(module: Any, function_name: str, inputs: Mapping[str, Array]) -> list[Array]:
    """Results of a Relax function: those of its tuple, or the one that it has.

    Args:
        module: an IRModule.
        function_name: of a function in it.
        inputs: an array for each of the function's parameters (inputs, weights), by name.

    Raises:
        KeyError: a parameter has no array.
        ValueError: an array does not fit its parameter, or a result is not what the graph says that it is.
        NotImplementedError: an operation that is none of `model/ops.py` and of Relax's tensor operations.
    """
    function = module[function_name]
    walk = _Walk(module)
    for param in function.params:
        array = np.asarray(inputs[param.name])
        walk.match(param.ty, array, f"the input {param.name}")
        walk.variables[param] = array
    result = walk.function(function)
    return result if isinstance(result, list) else [result]


def computes(call: Any) -> bool:
    """Whether a call is of an operation that `evaluate` knows."""
    return isinstance(call, relax.Call) and _name(call) in _OPERATIONS


def evaluate_call(call: Any, operands: Mapping[Any, Array]) -> Any:
    """The result of one call, an array or a list of arrays; `operands` has an array for each variable that it reads."""
    walk = _Walk(None)
    walk.variables.update(operands)
    return walk.call(call, call.ty)


def _name(call: Any) -> str:
    if call.args and isinstance(call.args[0], relax.ExternFunc):
        return str(call.args[0].global_symbol)
    return str(getattr(call.op, "name", call.op))


class _Walk:
    def __init__(self, module: Any) -> None:
        self.module = module
        self.variables: dict[Any, Any] = {}
        self.symbols: dict[Any, int] = {}

    def function(self, function: Any) -> Any:
        for block in function.body.blocks:
            for binding in block.bindings:
                if isinstance(binding, relax.MatchCast):
                    value = self.expression(binding.value)
                    self.match(binding.ty, value, f"what {binding.var.name} is matched with")
                else:
                    value = self.expression(binding.value, binding.var.ty)
                self.variables[binding.var] = value
        return self.expression(function.body.body)

    def match(self, ty: Any, value: Any, what: str) -> None:
        """Binds the symbols of a type to the sizes of a value, and holds the rest of it against them."""
        if isinstance(ty, relax.ShapeType):
            shape, sizes = ty.values, value
        elif isinstance(ty, relax.TensorType):
            if ty.dtype is not None and str(value.dtype) != str(ty.dtype):
                raise ValueError(f"{what} is {value.dtype}, not {ty.dtype}")
            shape, sizes = getattr(ty.shape, "values", None), value.shape
        else:
            return
        if shape is None:
            return
        if len(shape) != len(sizes):
            raise ValueError(f"{what} has the shape {tuple(sizes)}, not {list(shape)}")
        for dim, size in zip(shape, sizes, strict=True):
            if isinstance(dim, tirx.Var) and dim not in self.symbols:
                self.symbols[dim] = int(size)
        for dim, size in zip(shape, sizes, strict=True):
            if self.size(dim) not in (None, int(size)):
                raise ValueError(f"{what} has the shape {tuple(sizes)}, not {list(shape)}")

    def size(self, expr: Any) -> int | None:
        """A symbolic size as a number; None where a symbol in it is bound to nothing."""
        if isinstance(expr, int | tirx.IntImm):
            return int(expr)
        if isinstance(expr, tirx.Var):
            return self.symbols.get(expr)
        if type(expr) in _ARITHMETIC:
            a, b = self.size(expr.a), self.size(expr.b)
            return None if a is None or b is None else int(_ARITHMETIC[type(expr)](a, b))
        if isinstance(expr, tirx.Cast):
            return self.size(expr.value)
        raise NotImplementedError(f"the size {expr}")

    def known(self, expr: Any) -> int:
        size = self.size(expr)
        if size is None:
            raise ValueError(f"the size {expr} follows from no input")
        return size

    def expression(self, expr: Any, ty: Any = None) -> Any:
        """An array; a list for a tuple; a tuple of ints for a shape; a number or a string."""
        if isinstance(expr, tirx.Var) and expr in self.variables:
            return self.variables[expr]
        if isinstance(expr, tvm.ir.expr.GenericConst):
            return expr.value.numpy()
        if isinstance(expr, relax.Tuple):
            return [self.expression(field) for field in expr.fields]
        if isinstance(expr, relax.TupleGetItem):
            return self.expression(expr.tuple_value)[expr.index]
        if isinstance(expr, relax.ShapeExpr):
            return tuple(self.known(dim) for dim in expr.values)
        if isinstance(expr, tvm.ir.expr.StringImm):
            return str(expr.value)
        if isinstance(expr, tirx.FloatImm):
            return float(expr.value)
        if isinstance(expr, relax.Call):
            return self.call(expr, ty if ty is not None else expr.ty)
        return self.known(expr)

    def call(self, call: Any, ty: Any) -> Any:
        if isinstance(call.op, relax.GlobalVar):
            inner = _Walk(self.module)
            callee = self.module[call.op]
            for param, arg in zip(callee.params, call.args, strict=True):
                inner.variables[param] = self.expression(arg)
                inner.match(param.ty, inner.variables[param], f"the argument {param.name}")
            return inner.function(callee)
        name = _name(call)
        if name not in _OPERATIONS:
            raise NotImplementedError(f"the operation {name}")
        ours = name.startswith("hearth.")
        args = call.args[1].fields if ours else call.args
        tensor = isinstance(ty, relax.TensorType)
        dtype = str(ty.dtype) if tensor and ty.dtype is not None else None
        sizes = getattr(ty.shape, "values", ()) if tensor else ()
        attributes = Attributes(call.attrs, dtype, tuple(self.size(dim) for dim in sizes))
        operands = [self.expression(arg) for arg in args]
        with np.errstate(all="ignore"):  # infinities and NaN are results like others
            result = _OPERATIONS[name](attributes, *operands)
            if ours and attributes.unread:
                raise NotImplementedError(f"{name} with {', '.join(sorted(attributes.unread))}")
            return self.as_declared(result, ty, name)

    def as_declared(self, result: Any, ty: Any, name: str) -> Any:
        """The result in the types that the graph gives it, once it is seen to have their shapes."""
        if isinstance(result, list):
            fields = ty.fields if isinstance(ty, relax.TupleType) else [None] * len(result)
            return [self.as_declared(part, field, name) for part, field in zip(result, fields, strict=True)]
        if not isinstance(result, np.ndarray | np.generic):
            return result
        array = np.asarray(result)
        if not isinstance(ty, relax.TensorType):
            return array
        if ty.dtype is not None:
            array = array.astype(str(ty.dtype), copy=False)
        self.match(ty, array, f"the result of {name}")
        return array
