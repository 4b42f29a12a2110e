"""A network that grows operation by operation while a graph of strangers is read.

Constants are folded as soon as they can be, and each new operation is first shown to rules (`simplify.py`,
`recognise.py`) which may put something better in its place: so a graph is never built in the form that its exporter
took it apart to. What nothing reads in the end is left out. Needs TVM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, sym, tirx

from hearth.errors import Unsupported
from hearth.model.calls import operands, operation
from hearth.model.evaluate import computes, evaluate_call
from hearth.model.ops import first_rows
from hearth.model.weights import ComputedWeight, Source, WeightSource, constant, tensors_of

Array = NDArray[Any]
Rule = Callable[["Graph", Any], Any]
"""Called with the graph and a call; the variable that holds its result, or None: not mine."""

_MAX_FOLDED_BYTES = 1 << 30
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Known:
    """A value that does not depend on the inputs.

    Attributes:
        read: makes it.
        source: where it is in the checkpoint; None: it was computed while the graph was read.
    """

    read: Callable[[], Array]
    source: Source | None = None


class Graph:
    """The operations so far.

    Attributes:
        definitions: the call (or element of a tuple) behind each variable.
        order: how many variables were there before it.
        bounds: of the symbols: the least and largest size of each.
        uses: how often the source's graph reads a variable, where that is not once.
        given: the type that the source gives a constant, whose integers are all i32 here.
    """

    def __init__(self, rules: Mapping[str, Sequence[Rule]], symbols: Mapping[str, tuple[int, int]]) -> None:
        self.builder = relax.BlockBuilder()
        self.rules = rules
        self.definitions: dict[Any, Any] = {}
        self.order: dict[Any, int] = {}
        self.uses: dict[Any, int] = {}
        self.known: dict[Any, Known] = {}
        self.given: dict[Any, np.dtype[Any]] = {}
        self.symbols = {name: tirx.Var(name, "int64") for name in symbols}
        self.bounds = dict(symbols)
        self.analyzer = sym.Analyzer()
        for name, (low, high) in symbols.items():
            self.analyzer.bind(self.symbols[name], tvm.ir.Range(low, high + 1))
        self._names: set[str] = set()
        self._base: dict[Any, str] = {}

    # Values that do not depend on the inputs

    def constant(self, array: Any, name: str = "constant") -> Any:
        """A variable for an array: floats as f32, integers as i32 (the largest i64 stands for "to the end")."""
        given = np.asarray(array)
        array = _of_our_types(given)
        var = self._variable(name, array.shape, str(array.dtype))
        self.known[var] = Known(lambda: array)
        self.given[var] = given.dtype
        return var

    def parameter(
        self, tensor: str, shape: tuple[int, ...], dtype: str, read: Callable[[], Array], name: str = ""
    ) -> Any:
        """A variable for a tensor of the checkpoint, by that or another name. Only floats stay there; anything else is
        small."""
        if dtype not in ("f32", "f16", "bf16") or math.prod(shape) <= 1:
            return self.constant(read(), name or tensor)
        var = self._variable(name or tensor, shape, "float32")
        # Rows are what is packed as it stands; anything of more axes is computed, if only by leaving it as it is.
        source: Source = WeightSource(tensor) if len(shape) <= 2 else ComputedWeight((tensor,), lambda array: array)
        self.known[var] = Known(lambda: read().astype(np.float32, copy=False), source)
        return var

    def derived(self, var: Any, shape: Sequence[int], change: Callable[[Array], Array], name: str = "") -> Any:
        """What `change` makes of a known value, when it is needed."""
        known = self.known[var]
        if known.source is None:
            return self.constant(change(known.read()), name or self.name(var))
        new = self._variable(name or self.name(var), shape, "float32")
        self.known[new] = Known(lambda: change(known.read()), _changed(known.source, change))
        return new

    def value(self, var: Any) -> Array | None:
        """The array behind a variable or constant, where it depends on no input."""
        if isinstance(var, tvm.ir.expr.GenericConst):
            array: Array = var.value.numpy()
            return array
        known = self.known.get(var)
        return None if known is None else known.read()

    def scalar(self, var: Any) -> float | None:
        """The number behind a variable, where it is a single known one."""
        if isinstance(var, tirx.IntImm | tirx.FloatImm):
            return float(var.value)
        if not isinstance(var, tvm.ir.expr.GenericConst) and var not in self.known:
            return None
        if any(dim != 1 for dim in self.shape(var)):
            return None
        value = self.value(var)
        return None if value is None else float(value.reshape(-1)[0])

    # Sizes

    def shape(self, var: Any) -> list[Any]:
        """Sizes: ints, and expressions of symbols."""
        shape = getattr(var.ty.shape, "values", None)
        if shape is None:
            raise Unsupported("The size of a value cannot be told before the graph runs.")
        return [int(dim) if isinstance(dim, tirx.IntImm) else dim for dim in shape]

    def rank(self, var: Any) -> int:
        return len(self.shape(var))

    def simplified(self, size: Any) -> Any:
        if isinstance(size, int | np.integer):
            return int(size)
        size = self.analyzer.simplify(size)
        return int(size) if isinstance(size, tirx.IntImm) else size

    def require_small(self, *sizes: Any) -> None:
        """Raises Unsupported where an array of these sizes, which is made while the graph is read, would fill the
        memory."""
        if math.prod(int(size) for size in sizes) * 8 > _MAX_FOLDED_BYTES:
            raise Unsupported(f"a constant of {' x '.join(str(size) for size in sizes)} is more than Hearth computes")

    def sizes(self, values: Sequence[Any]) -> Any:
        """A shape of sizes that a file gives. TVM does not look at what it is given, and would crash.

        Raises:
            Unsupported: one of them is no size.
        """
        for size in values:
            number = size if isinstance(size, int | np.integer) and not isinstance(size, bool) else None
            if number is None and not (isinstance(size, tvm.ir.Expr) and str(size.ty) == "int64"):
                raise Unsupported(f"it has {str(size)[:50]!r} in the place of a size")
            if number is not None and not 0 <= number < 1 << 40:
                raise Unsupported(f"it has a size of {number}")
        return relax.ShapeExpr([self.simplified(size) for size in values])

    def same(self, a: Any, b: Any) -> bool:
        """Whether two sizes are always equal."""
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        return bool(self.analyzer.can_prove_equal(a, b))

    def limit(self, size: Any, most: int) -> bool:
        """Lowers the bound of the one symbol of a size so that it is at most this: what a table of so many rows is read
        by. False where the size is no multiple of a symbol plus a number, or always more."""
        for name, symbol in self.symbols.items():
            linear = sym.detect_linear_equation(size, [symbol])
            if len(linear) != 2 or not all(isinstance(part, tirx.IntImm) for part in linear):
                continue
            factor, more = (int(part) for part in linear)
            low, high = self.bounds[name]
            largest = (most - more) // factor if factor > 0 else 0
            if largest < low:
                return False
            self.bounds[name] = (low, min(high, largest))
            self.analyzer.bind(symbol, tvm.ir.Range(low, self.bounds[name][1] + 1), True)
            return True
        return False

    def same_shape(self, a: Sequence[Any], b: Sequence[Any]) -> bool:
        return len(a) == len(b) and all(self.same(x, y) for x, y in zip(a, b, strict=True))

    def first_rows(self, x: Any, count: Any, name: str) -> Any:
        """The first rows of x, as many as `count` i32 (1,) says when the graph runs: a size of its own, from 0 on."""
        rows = self.shape(x)[0]
        most = rows if isinstance(rows, int) else int(self.analyzer.const_int_bound(rows).max_value)
        name = self._fresh(name)
        self.symbols[name] = symbol = tirx.Var(name, "int64")
        self.bounds[name] = (0, most)
        self.analyzer.bind(symbol, tvm.ir.Range(0, most + 1))
        return self.emit(first_rows(x, count, symbol))

    # Operations

    def emit(self, value: Any) -> Any:
        """The variable of a call's result (a list of them for several): folded, replaced by a rule, or new."""
        value = self.builder.normalize(value)
        name = operation(value)
        reads = operands(value)
        # Free are the variables of operands, and symbols.
        known = name and all(var in self.known for var in relax.analysis.free_vars(value))
        if known and _is_static(value.ty) and computes(value):
            return self._folded(value, reads)
        for rule in self.rules.get(name, ()):
            found = rule(self, value)
            if found is not None:
                return found
        var = self.builder.emit(self._inlined(value))
        self.definitions[var] = value
        self.order[var] = len(self.order)
        if isinstance(value.ty, relax.TupleType):
            return [self.emit(relax.TupleGetItem(var, i)) for i in range(len(value.ty.fields))]
        return var

    def behind(self, var: Any, name: str) -> Any:
        """The call of this operation that made a variable, or None."""
        value = self.definitions.get(var)
        return value if value is not None and operation(value) == name else None

    def once(self, var: Any) -> bool:
        """Whether only one operation of the source reads a variable: then what it does may move into its maker."""
        return self.uses.get(var, 1) == 1

    def _folded(self, value: Any, reads: list[Any]) -> Any:
        if _bytes_of(value.ty) > _MAX_FOLDED_BYTES:
            raise Unsupported(f"A constant of {_bytes_of(value.ty):,} bytes is more than Hearth computes.")
        found = evaluate_call(value, {var: self.known[var].read() for var in reads})
        name = self.name(reads[0]) if reads else "constant"
        return [self.constant(part, name) for part in found] if isinstance(found, list) else self.constant(found, name)

    def _inlined(self, value: Any) -> Any:
        """A call with known integers and single numbers in the place of their variables."""
        if isinstance(value, tirx.Var) and value in self.known:
            if str(value.ty.dtype) == "float32" and self.shape(value):
                return value
            array = self.known[value].read()
            return relax.const(array, str(array.dtype))
        if isinstance(value, relax.Tuple):
            return relax.Tuple([self._inlined(field) for field in value.fields])
        if isinstance(value, relax.Call):
            return relax.Call(value.op, [self._inlined(arg) for arg in value.args], value.attrs, value.ty_args)
        return value

    def _variable(self, name: str, shape: Sequence[Any], dtype: str) -> Any:
        unique = self._fresh(name)
        var = relax.Var(unique, relax.TensorType(list(shape), dtype))
        self._base[var] = name
        return var

    def _fresh(self, name: str) -> str:
        """The name, or where it is taken one that is made of it."""
        unique, count = name, 1
        while unique in self._names or unique in self.symbols:
            count += 1
            unique = f"{name}.{count}"
        self._names.add(unique)
        return unique

    def name(self, var: Any) -> str:
        """What a known value is called, or what it was made of."""
        return self._base[var]

    def reserve(self, name: str, shape: Sequence[Any], dtype: str) -> Any:
        """The variable of an input."""
        if name in self._names:
            raise Unsupported(f"The graph has two inputs of the name {name[:200]!r}.")
        return self._variable(name, shape, dtype)

    def source_of(self, var: Any) -> Source:
        """Where a known value comes from."""
        known = self.known[var]
        return known.source if known.source is not None else constant(known.read())


def replaced(value: Any, others: Mapping[Any, Any]) -> Any:
    """An expression with other variables."""
    if isinstance(value, tirx.Var):
        return others.get(value, value)
    if isinstance(value, relax.Tuple):
        return relax.Tuple([replaced(field, others) for field in value.fields])
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(replaced(value.tuple_value, others), value.index)
    if isinstance(value, relax.Call):
        return relax.Call(value.op, [replaced(arg, others) for arg in value.args], value.attrs, value.ty_args)
    return value


def _changed(source: Source, change: Callable[[Array], Array]) -> ComputedWeight:
    if not isinstance(source, ComputedWeight):
        return ComputedWeight(tensors_of(source), change)
    before = source.compute
    return ComputedWeight(source.tensors, lambda *tensors: change(before(*tensors)))


def _of_our_types(array: Array) -> Array:
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # of f64, what f32 does not hold is infinite
            return array.astype(np.float32, copy=False)
    if array.dtype.kind in "iu" and array.dtype != np.int32:
        return np.clip(array, _INT32.min, _INT32.max).astype(np.int32)
    return array


def _is_static(ty: Any) -> bool:
    if isinstance(ty, relax.TupleType):
        return all(_is_static(field) for field in ty.fields)
    shape = getattr(getattr(ty, "shape", None), "values", None)
    return shape is not None and all(isinstance(dim, tirx.IntImm) for dim in shape)


def _bytes_of(ty: Any) -> int:
    if isinstance(ty, relax.TupleType):
        return sum(_bytes_of(field) for field in ty.fields)
    return math.prod(int(dim) for dim in ty.shape.values) * 8
