"""Physical shapes, and calls of kernels in a graph: what the selection rules of every device are made of.

A rule takes a logical operation and answers with calls `hearth.kernel(buffers..., units, grain, scalars)`. Operands are
variables of the graph before selection, so their types are logical; results have physical types: the last axis of an
activation is padded to whole vectors of `LANES` elements (docs/architecture.md, "Padded feature axes").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax, tirx

from hearth.compiler.passes.rewrite import Graph, is_op
from hearth.compiler.work import Work
from hearth.errors import Unsupported
from hearth.model.ops import hearth_op
from hearth.quant.formats import LANES, round_up


def in_name(value: float) -> str:
    """A number as a part of a kernel's name, which is an identifier of C and of WGSL."""
    return repr(value).replace(".", "p").replace("-", "m").replace("+", "")


def stride(columns: Any) -> Any:
    """Row stride of an activation of so many columns, in elements."""
    if isinstance(columns, int):
        return round_up(columns, LANES)
    return tirx.floordiv(columns + (LANES - 1), tirx.IntImm("int64", LANES)) * LANES


def is_padded(columns: Any) -> bool:
    """Whether rows of so many columns are always whole vectors, so that there is nothing between them."""
    return isinstance(columns, int) and columns % LANES == 0


def last_size(var: Any) -> Any:
    """Columns of an activation, before padding: a number, or an open size."""
    return sizes(var.ty.shape)[-1] if len(var.ty.shape) else 1


def width(var: Any) -> int:
    """Columns of an activation where these must be fixed.

    Raises:
        Unsupported: they are not.
    """
    return fixed(last_size(var))


def fixed(size: Any) -> int:
    """A size that must be a number.

    Raises:
        Unsupported: it is open.
    """
    if isinstance(size, int | tirx.IntImm):
        return int(size)
    raise Unsupported(
        f"An axis has the open size {size}, and what is computed of it needs a fixed one.",
        hint="Fix the size: --size NAME=N, or sizes= in Python.",
    )


def whole(size: int, what: str) -> None:
    """Raises Unsupported where a size is not made of whole vectors, for kernels that have no columns beside these."""
    if size % LANES:
        raise Unsupported(f"The {what} are {size}, no multiple of {LANES}, which no published model has had so far.")


def product(factors: Sequence[Any]) -> Any:
    """Sizes multiplied: an int where all are."""
    count: Any = 1
    for size in sizes(factors):
        count = size if isinstance(count, int) and count == 1 else count * size
    return count


def rows(var: Any) -> Any:
    """How many rows an activation has: all axes but the last, as one size of the graph."""
    count = product(list(var.ty.shape)[:-1])
    return tirx.IntImm("int64", count) if isinstance(count, int) else count


def sizes(shape: Sequence[Any]) -> list[Any]:
    """A shape with numbers where it has numbers."""
    return [int(dim) if isinstance(dim, tirx.IntImm) else dim for dim in shape]


def strides(shape: Sequence[Any], *, dense: bool = False) -> list[Any]:
    """Elements from one place of an activation of this shape to the next along each axis; `dense`: rows that are not
    padded, as inputs and integers have them."""
    known = sizes(shape)
    found: list[Any] = [1] * len(known)
    for axis in range(len(known) - 2, -1, -1):
        last = axis == len(known) - 2
        found[axis] = (known[-1] if dense else stride(known[-1])) if last else found[axis + 1] * known[axis + 1]
    return found


def columns_of(graph: Graph, var: Any) -> tuple[Any, int, int]:
    """(buffer, first column, row stride): where q, k or v lies, alone or as a part of a merged product."""
    value = graph.value(var)
    if isinstance(value, relax.TupleGetItem):
        split = graph.value(value.tuple_value)
        if is_op(split, "split"):
            starts = [0, *(int(i) for i in split.attrs.indices_or_sections)]
            return split.args[0], starts[value.index], stride(last_size(split.args[0]))
    return var, 0, stride(last_size(var))


def tensor(*shape: Any, dtype: str = "float32") -> Any:
    return relax.TensorType(shape, dtype)


def like(var: Any, columns: int | None = None, dtype: str = "float32") -> Any:
    """The physical type of an activation with the rows of `var`, and `columns` columns (None: as many)."""
    return tensor(*list(var.ty.shape)[:-1], stride(last_size(var) if columns is None else columns), dtype=dtype)


def call(
    kernel: str,
    buffers: Sequence[Any],
    out: Any,
    units: Any,
    scalars: Sequence[Any],
    grain: int = 1,
    *,
    work: Work,
    in_place: bool = False,
    written: int = 0,
    parts: Mapping[int, tuple[int, int]] | None = None,
    earlier: Sequence[int] = (),
) -> Any:
    """One step: `kernel` over [0, units), `grain` units at a time.

    Args:
        in_place: its results are its last operands.
        written: how many of the last operands are written too, and stand behind the results in the kernel's parameters.
        parts: by the number of an operand that is a weight: (offset, size) in bytes of what the kernel is given of it.
        earlier: numbers of operands that are weights of the layer before the one that the step belongs to.
    """
    attributes: dict[str, Any] = {"kernel": kernel, "in_place": in_place, "written": written, "work": work.to_text()}
    if parts:
        attributes["parts"] = json.dumps(parts)
    if earlier:
        attributes["earlier"] = json.dumps(list(earlier))
    numbers = [tirx.IntImm("int64", x) if isinstance(x, int) else x for x in (units, grain, *scalars)]
    operands = [*buffers, relax.ShapeExpr(numbers)]
    return hearth_op("kernel", operands, out, **attributes)
