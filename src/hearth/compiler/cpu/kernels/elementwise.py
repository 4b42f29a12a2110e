"""Expressions over elements: one kernel for arithmetic with broadcasting, for slices, transpositions and joins.

An operand is a block of memory that is walked with one stride for each axis; 0 where it is broadcast. Axes that all
operands walk alike are one axis to the kernel, so most calls have a row axis and the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import curves, vmath
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    bitcast,
    broadcast,
    cast,
    const,
    f32,
    i64,
    llvm,
    vec,
)
from hearth.compiler.views import MapSpec, Term, Walk

LANES = 16


def _unary(name: str) -> Callable[[Kernel, int, Expr], Expr]:
    return lambda k, lanes, x: llvm(f"llvm.{name}", vec("float32", lanes), x)


def _activation(function: Callable[[Kernel, Expr, int], Expr]) -> Callable[[Kernel, int, Expr], Expr]:
    return lambda k, lanes, x: function(k, x, lanes)


def _of_two(function: Callable[[Kernel, Expr, Expr, int], Expr]) -> Callable[[Kernel, int, Expr, Expr], Expr]:
    return lambda k, lanes, a, b: function(k, a, b, lanes)


def _chosen(condition: Expr, a: Expr, b: Expr, lanes: int) -> Expr:
    """a or b, as their bits: of x + y or x TVM makes x + (y or 0), and its 0 is no float."""
    bits = tirx.Select(condition, bitcast("int32", a, lanes), bitcast("int32", b, lanes))
    return bitcast("float32", bits, lanes)


def _flag(compare: Callable[[Expr, Expr], Expr]) -> Callable[[Kernel, int, Expr, Expr], Expr]:
    return lambda k, lanes, a, b: tirx.Select(compare(a, b), f32(1.0, lanes), f32(0.0, lanes))


def _flag_of_bits(compare: Callable[[Expr, Expr], Expr]) -> Callable[[Kernel, int, Expr], Expr]:
    """Compares the bits of a number without its sign with those of infinity, beyond which there is only NaN: of
    comparisons of floats compilers believe that a number equals itself."""

    def function(k: Kernel, lanes: int, x: Expr) -> Expr:
        size = tirx.bitwise_and(bitcast("int32", x, lanes), const("int32", 0x7FFFFFFF, lanes))
        return tirx.Select(compare(size, const("int32", 0x7F800000, lanes)), f32(1.0, lanes), f32(0.0, lanes))

    return function


FUNCTIONS: Mapping[str, Callable[..., Expr]] = {
    "copy": lambda k, lanes, x: x,
    "add": lambda k, lanes, a, b: a + b,
    "subtract": lambda k, lanes, a, b: a - b,
    "multiply": lambda k, lanes, a, b: a * b,
    "divide": lambda k, lanes, a, b: a / b,
    "maximum": lambda k, lanes, a, b: tirx.max(a, b),
    "minimum": lambda k, lanes, a, b: tirx.min(a, b),
    "negative": lambda k, lanes, x: f32(0.0, lanes) - x,
    "abs": _unary("fabs"),
    "sqrt": _unary("sqrt"),
    "floor": _unary("floor"),
    "ceil": _unary("ceil"),
    "round": _unary("rint"),
    "trunc": _unary("trunc"),
    "rsqrt": lambda k, lanes, x: f32(1.0, lanes) / llvm("llvm.sqrt", vec("float32", lanes), x),
    "exp": lambda k, lanes, x: vmath.exp(k, x, lanes),
    **{
        name: _activation(function)
        for name, function in (
            ("log", vmath.log),
            ("sin", vmath.sin),
            ("cos", vmath.cos),
            ("erf", vmath.erf),
            ("softplus", vmath.softplus),
        )
    },
    **{name: _activation(function) for name, function in (vmath.ACTIVATIONS | curves.UNARY).items()},
    **{name: _of_two(function) for name, function in curves.BINARY.items()},
    "isnan": _flag_of_bits(lambda size, infinity: size > infinity),
    "isinf": _flag_of_bits(tirx.EQ),
    "less": _flag(lambda a, b: a < b),
    "less_equal": _flag(lambda a, b: a <= b),
    "greater": _flag(lambda a, b: a > b),
    "greater_equal": _flag(lambda a, b: a >= b),
    "equal": _flag(lambda a, b: tirx.EQ(a, b)),
    "not_equal": _flag(lambda a, b: tirx.NE(a, b)),
    "where": lambda k, lanes, c, a, b: _chosen(tirx.NE(c, f32(0.0, lanes)), a, b, lanes),
}
"""What an expression is made of: (kernel, lanes, values...) -> value. Truth is 1 and 0."""


@dataclass(frozen=True)
class ElementwiseSpec(MapSpec):
    """One expression and how its operands are walked, a row at a time."""

    @property
    def name(self) -> str:
        types = "".join({"float32": "f", "int32": "i", "uint8": "u", "int8": "b"}[dtype] for dtype in self.dtypes)
        how = f"{''.join(self.walks)}_{types}_{self.axes}{'p' if self.padded else ''}"
        how += "" if self.out == "float32" else f"_{self.out}"
        return f"map_{self.words}_{how}"


def elementwise(spec: ElementwiseSpec) -> Kernel:
    """Buffers: operands, Y. Scalars: size of the last axis; sizes of the axes before it but the first; for each
    operand, and last for Y, where it begins, its stride along each axis before the last, and where its walk is "g"
    along the last one: all in elements. Unit: row, counted over all axes but the last."""
    k = Kernel(spec.name)
    memories = [k.buffer(f"x{i}", dtype) for i, dtype in enumerate(spec.dtypes)]
    memories.append(k.buffer("Y", spec.out))
    size = k.scalar("size")
    sizes = [k.scalar(f"size{axis}") for axis in range(1, spec.axes)]
    starts, strides, lasts = [], [], []
    for i, walk in enumerate(spec.walks):
        starts.append(k.scalar(f"start{i}"))
        strides.append([k.scalar(f"stride{i}_{axis}") for axis in range(spec.axes)])
        lasts.append(k.scalar(f"last{i}") if walk == "g" else None)

    with k.loop(k.begin, k.end) as unit:
        coordinates: list[Expr] = []
        rest: Expr = unit
        for length in reversed(sizes):
            coordinates.insert(0, k.opaque(tirx.floormod(rest, length), "at"))
            rest = k.opaque(tirx.floordiv(rest, length), "rest")
        coordinates.insert(0, rest)
        places = []
        for start, each in zip(starts, strides, strict=True):
            place: Expr = start
            for coordinate, along in zip(coordinates, each, strict=False):
                place = place + coordinate * along
            places.append(k.let(place, "place"))

        def element(at: Expr, lanes: int, places: list[Expr] = places) -> None:
            values = [
                _load(memory, walk, place, at, last, lanes)
                for memory, walk, place, last in zip(memories[:-1], spec.walks, places, lasts, strict=False)
            ]
            result = k.let(_value(k, spec.term, [k.let(v, "x") for v in values], lanes), "y")
            to = places[-1] + (at if lasts[-1] is None else at * lasts[-1])
            k.store(memories[-1], to, result if spec.out == "float32" else cast(spec.out, result, lanes))

        done: Expr = i64(0)
        if "g" not in spec.walks:
            vectors = k.let(tirx.floordiv(size + (LANES - 1 if spec.padded else 0), i64(LANES)), "vectors")
            with k.loop(0, vectors) as v:
                element(v * LANES, LANES)
            done = vectors * LANES
        if not spec.padded:
            with k.loop(done, size) as at:
                element(at, 1)
    return k


def _load(memory: Memory, walk: Walk, place: Expr, at: Expr, last: Expr | None, lanes: int) -> Expr:
    if walk == "s":
        value = memory.load(place)
        return broadcast(value if memory.dtype == "float32" else cast("float32", value), lanes)
    value = memory.load(place + (at if last is None else at * last), lanes)
    return value if memory.dtype == "float32" else cast("float32", value, lanes)


def _value(k: Kernel, term: Term, operands: list[Expr], lanes: int) -> Expr:
    if isinstance(term, int):
        return operands[term]
    if isinstance(term, float):
        return f32(term, lanes)
    name, *parts = term
    values = [_value(k, part, operands, lanes) for part in parts]
    return FUNCTIONS[name](k, lanes, *(k.let(v, "t") if isinstance(p, tuple | list) else v
                                       for v, p in zip(values, parts, strict=True)))  # fmt: skip
