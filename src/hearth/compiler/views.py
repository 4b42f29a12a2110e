"""How maps of elements walk memory: operands as blocks with a stride along each axis of the result.

Shared by the rules of all devices. Truth is 1.0 and 0.0, computed integers are i32; rows of integers are not padded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tvm import relax

from hearth.compiler.passes.rewrite import Graph, dtype_of
from hearth.compiler.physical import fixed, in_name, like, sizes, strides, tensor
from hearth.compiler.symbolic import equal_sizes
from hearth.errors import Unsupported

Term = Any
"""An expression: the number of an operand (int), a constant (float), or (name, term...)."""

Walk = Literal["v", "s", "g"]
"""How the last axis of an operand is walked: next to each other, not at all, or with a stride of its own."""

Size = Any
"""A number or a symbolic size."""


@dataclass(frozen=True)
class View:
    """A block of memory as a map walks it.

    Attributes:
        var: None where it is a new result.
        start: where it begins, in elements.
        along: its stride along each axis of the result; 0: broadcast.
        padded: its rows begin and end where padded rows of the memory do.
    """

    var: Any | None
    start: Size
    along: tuple[Size, ...]
    dtype: str = "float32"
    padded: bool = True

    @property
    def walk(self) -> Walk:
        last = self.along[-1] if self.along else 1
        return "v" if isinstance(last, int) and last == 1 else "s" if isinstance(last, int) and last == 0 else "g"


@dataclass(frozen=True)
class MapSpec:
    """One expression and how its operands are walked.

    Attributes:
        term: of the element.
        walks: of each operand along the last axis, then of the result ("v" or "g").
        dtypes: of each operand; values are f32 in the expression.
        axes: axes before the last one, after those that are walked alike were joined.
        padded: rows of all that is walked as "v" have room up to whole vectors, and nothing is walked as "g".
        out: of the result: float32, or int32 for whole numbers.
    """

    term: Term
    walks: tuple[Walk, ...]
    dtypes: tuple[str, ...]
    axes: int
    padded: bool
    out: str = "float32"

    @property
    def words(self) -> str:
        """The expression as a part of the kernel's name."""
        words = "_".join(in_words(self.term))
        return words if len(words) <= 60 else f"{words[:40]}_{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def element_type(ty: Any) -> str:
    """What the elements of an operand are in memory: truth is 1.0 and 0.0, computed integers are i32."""
    dtype = dtype_of(ty)
    if dtype in ("float32", "int32", "uint8", "int8"):
        return dtype
    if dtype == "bool":
        return "float32"
    if dtype == "int64":
        return "int32"
    raise Unsupported(f"Arrays of {dtype} cannot be compiled yet.")


def is_dense(var: Any) -> bool:
    """Whether the rows of an operand are not padded."""
    return element_type(var.ty) != "float32"


def steps_of(var: Any) -> list[Size]:
    """Strides of an operand."""
    return strides(var.ty.shape, dense=is_dense(var))


def broadcast_view(var: Any, shape: Sequence[Size]) -> View:
    """All of `var`, broadcast to `shape`."""
    steps = [
        0 if isinstance(size, int) and size == 1 else step
        for size, step in zip(sizes(var.ty.shape), steps_of(var), strict=True)
    ]
    along = (0,) * (len(shape) - len(steps)) + tuple(steps)
    return View(var, 0, along, element_type(var.ty), not is_dense(var))


def whole(shape: Sequence[Size], dtype: str = "float32") -> View:
    """All of a new result."""
    dense = dtype != "float32"
    return View(None, 0, tuple(strides(shape, dense=dense)), dtype, padded=not dense)


def whole_of(value: Any) -> View:
    """All of the new result that an operation has."""
    return whole(list(value.ty.shape), element_type(value.ty))


def result_of(value: Any) -> Any:
    """The physical type of what is computed element by element: rows of integers are not padded."""
    return tensor(*value.ty.shape, dtype=element_type(value.ty)) if is_dense(value) else like(value)


def join_axes(shape: Sequence[Size], along: Sequence[Sequence[Size]]) -> tuple[list[Size], list[list[Size]]]:
    """Axes before the last without those of size 1, and with those as one that every operand walks as one."""
    if not shape:
        return [1], [[1] for _ in along]
    axes = [axis for axis, size in enumerate(shape[:-1]) if not (isinstance(size, int) and size == 1)]
    joined: list[Size] = [shape[-1]]
    merged: list[list[Size]] = [[steps[-1]] for steps in along]
    for axis in reversed(axes):
        if len(joined) > 1 and all(
            equal_sizes(steps[axis], to[0] * joined[0]) for steps, to in zip(along, merged, strict=True)
        ):
            joined[0] = shape[axis] * joined[0]
            continue
        joined.insert(0, shape[axis])
        for steps, to in zip(along, merged, strict=True):
            to.insert(0, steps[axis])
    return joined, merged


def scalars_of(views: Sequence[View], joined: Sequence[Size], along: Sequence[Sequence[Size]]) -> list[Size]:
    """The scalars by which a kernel walks: size of the last axis; sizes of the axes before it but the first; for each
    view where it begins, its stride along each axis before the last, and where its walk is "g" along the last one.

    Args:
        joined, along: as `join_axes` gives them.
    """
    scalars = [joined[-1], *joined[1:-1]]
    for view, steps in zip(views, along, strict=True):
        scalars += [view.start, *steps[:-1], *([steps[-1]] if view.walk == "g" else [])]
    return scalars


def split(graph: Graph, value: Any, copied: Callable[..., Any]) -> Any:
    """What takes the place of a split: each part copied to a result of its own.

    Args:
        copied: (var, start, strides, result, padded=) -> the call that copies, of the device.
    """
    x, axis = value.args[0], int(value.attrs.axis) % len(value.args[0].ty.shape)
    steps, parts, begin = steps_of(x), [], 0
    for ty in value.ty.fields:
        part = relax.Var("part", ty)
        inner = axis != len(ty.shape) - 1
        parts.append(graph.emit(copied(x, begin * steps[axis], steps, part, padded=inner)))
        begin += fixed(ty.shape[axis])
    return relax.Tuple(parts)


def nodes(term: Term) -> int:
    """Operations of an expression."""
    return 1 + sum(nodes(part) for part in term[1:]) if isinstance(term, tuple) else 0


def in_words(term: Term) -> list[str]:
    """An expression as parts of a kernel's name."""
    if isinstance(term, int):
        return [f"x{term}"]
    if isinstance(term, float):
        return [in_name(term)]
    return [str(term[0]), *(word for part in term[1:] for word in in_words(part))]
