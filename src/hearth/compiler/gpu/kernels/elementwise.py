"""Expressions over elements: one kernel for arithmetic with broadcasting, for slices, transpositions and joins.

An invocation computes one element, or where all that is walked lies in padded rows four neighbouring ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    builtin,
    cast,
    div,
    f32,
    lane,
    mod,
    splat,
    vec,
    vector,
)
from hearth.compiler.views import MapSpec, Term

THREADS = 64
VECTOR = 4


def _wgsl(name: str) -> Callable[..., Expr]:
    return lambda k, lanes, *x: builtin(name, vec("float32", lanes), *x)


def _chosen(k: GpuKernel, lanes: int, condition: Callable[..., Expr], a: Expr, b: Expr, *x: Expr) -> Expr:
    """a where the condition of the elements of x holds, else b."""
    if lanes == 1:
        return tirx.Select(condition(*x), a, b)
    a, b, x = k.let(a, "a"), k.let(b, "b"), tuple(k.let(value, "x") for value in x)
    parts = [tirx.Select(condition(*(lane(v, i) for v in x)), lane(a, i), lane(b, i)) for i in range(lanes)]
    return vector(*parts)


def _flag(compare: Callable[[Expr, Expr], Expr]) -> Callable[..., Expr]:
    return lambda k, lanes, a, b: _chosen(k, lanes, compare, f32(1.0, lanes), f32(0.0, lanes), a, b)


FUNCTIONS: Mapping[str, Callable[..., Expr]] = {
    "copy": lambda k, lanes, x: x,
    "add": lambda k, lanes, a, b: a + b,
    "subtract": lambda k, lanes, a, b: a - b,
    "multiply": lambda k, lanes, a, b: a * b,
    "divide": lambda k, lanes, a, b: a / b,
    "maximum": _wgsl("max"),
    "minimum": _wgsl("min"),
    "negative": lambda k, lanes, x: f32(0.0, lanes) - x,
    **{name: _wgsl(name) for name in ("abs", "sqrt", "floor", "ceil", "round", "trunc", "log")},
    "rsqrt": _wgsl("inverseSqrt"),
    "exp": lambda k, lanes, x: vmath.exp(x, lanes),
    "sigmoid": lambda k, lanes, x: vmath.sigmoid(x, lanes),
    "softplus": lambda k, lanes, x: vmath.softplus(k, x, lanes),
    "tanh": lambda k, lanes, x: vmath.softcap(k, x, 1.0, lanes),
    **{name: lambda k, lanes, x, f=f: f(k, x, lanes) for name, f in vmath.ACTIVATIONS.items()},
    "less": _flag(lambda a, b: a < b),
    "less_equal": _flag(lambda a, b: a <= b),
    "greater": _flag(lambda a, b: a > b),
    "greater_equal": _flag(lambda a, b: a >= b),
    "equal": _flag(tirx.EQ),
    "not_equal": _flag(tirx.NE),
    "where": lambda k, lanes, c, a, b: _chosen(k, lanes, lambda x: tirx.NE(x, f32(0.0)), a, b, c),
}
"""What an expression is made of: (kernel, lanes, values...) -> value. Truth is 1 and 0."""


def functions_of(term: Term) -> set[str]:
    """Names of the functions that an expression is made of."""
    if not isinstance(term, tuple):
        return set()
    return {term[0]}.union(*(functions_of(part) for part in term[1:]))


@dataclass(frozen=True)
class ElementwiseSpec(MapSpec):
    """One expression and how its operands, float32 or int32, are walked."""

    @property
    def lanes(self) -> int:
        return VECTOR if self.padded and self.out == "float32" and set(self.dtypes) <= {"float32"} else 1

    @property
    def name(self) -> str:
        types = "".join(dtype[0] for dtype in (*self.dtypes, self.out))
        return f"map_{self.words}_{''.join(self.walks)}_{types}_{self.axes}{'p' if self.lanes > 1 else ''}"


def elementwise(spec: ElementwiseSpec) -> GpuKernel:
    """Buffers: operands, Y. Scalars: rows, counted over all axes but the last; then those of `views.scalars_of`, for
    the operands and Y. Unit: `THREADS` elements, or `THREADS` vectors of `lanes`; a row has ceil(size / lanes)."""
    k = GpuKernel(spec.name, threads=THREADS)
    lanes = spec.lanes
    memories = [
        k.buffer(f"x{i}", vec(dtype, lanes if walk == "v" else 1))
        for i, (dtype, walk) in enumerate(zip(spec.dtypes, spec.walks, strict=False))
    ]
    out = k.buffer("Y", vec(spec.out, lanes))
    rows, size = k.scalar("rows"), k.scalar("size")
    sizes = [k.scalar(f"size{axis}") for axis in range(1, spec.axes)]
    starts, strides, lasts = [], [], []
    for i, walk in enumerate(spec.walks):
        starts.append(k.scalar(f"start{i}"))
        strides.append([k.scalar(f"stride{i}_{axis}") for axis in range(spec.axes)])
        lasts.append(k.scalar(f"last{i}") if walk == "g" else None)

    each = k.let(div(size + (lanes - 1), lanes), "each")
    index = k.let(k.group * THREADS + k.thread, "index")
    with k.when(index < rows * each):
        row, at = k.let(div(index, each), "row"), k.let(mod(index, each), "at")
        coordinates: list[Expr] = []
        rest = row
        for length in reversed(sizes):
            coordinates.insert(0, k.let(mod(rest, length), "coordinate"))
            rest = k.let(div(rest, length), "rest")
        coordinates.insert(0, rest)
        places = []
        for walk, start, along, last in zip(spec.walks, starts, strides, lasts, strict=True):
            place = start
            for coordinate, step in zip(coordinates, along, strict=False):
                place = place + coordinate * step
            if walk == "v":
                place = div(place, lanes) + at
            places.append(k.let(place if last is None else place + at * last, "place"))
        operands = [
            _load(k, memory, place, lanes if walk == "s" else 1)
            for memory, walk, place in zip(memories, spec.walks, places, strict=False)
        ]
        result = _value(k, spec.term, operands, lanes)
        k.store(out, places[-1], result if spec.out == "float32" else cast(spec.out, result))
    return k


def _load(k: GpuKernel, memory: Memory, place: Expr, lanes: int) -> Expr:
    value = memory.load(place)
    value = k.let(cast("float32", value) if memory.dtype == "int32" else value, "x")
    return value if lanes == 1 else splat(value, lanes)


def _value(k: GpuKernel, term: Term, operands: list[Expr], lanes: int) -> Expr:
    if isinstance(term, int):
        return operands[term]
    if isinstance(term, float):
        return f32(term, lanes)
    name, *parts = term
    return k.let(FUNCTIONS[name](k, lanes, *(_value(k, part, operands, lanes) for part in parts)), "t")
