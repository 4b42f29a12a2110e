"""Integers with a scale for each group of columns of a row, and what of ours holds them as they are.

A number is worth `integer * scale`, zero points taken off. Our formats have an f16 scale for each 32 columns; scales of
wider groups are repeated. The integers decide which: of 4 bits `q4`, of 5 `q5_0`, of 8 `q8`. So weights of 4 bits with
zero points of their own, which lie in [-15, 15], are exact with 5: a product of scale and zero point has no f16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.quantised.weight import Stored, Weight

GROUP = 32
"""Columns that share a scale in our formats."""
# The narrowest format first: its smallest and largest integer, and what is added to be stored.
_FORMATS: tuple[tuple[str, int, int, int], ...] = (("q4", -8, 7, 8), ("q5_0", -16, 15, 16), ("q8", -128, 127, 0))

Integers = Callable[[int, int], NDArray[np.integer[Any]]]
"""Integers of rows `[begin, end)`, zero points taken off: `(rows, columns)`."""
Scales = Callable[[int, int], NDArray[np.float32]]
"""Their scales: `(rows, groups)`."""


def group_order(stored: Stored, name: str, columns: int, groups: int) -> NDArray[Any] | None:
    """The group of each column as a tensor says it, where there is one and groups are not one after another.

    Raises:
        CorruptFile: it names groups that are not there.
    """
    if name not in stored.tensors:
        return None
    order = stored.array(name, "i32", "i64")
    fits = order.shape == (columns,) and int(order.min()) >= 0 and int(order.max()) < groups
    stored.require(fits, name, f"A group below {groups} is expected for each of {columns} columns.")
    in_turn = np.arange(columns) // -(-columns // groups)
    return None if np.array_equal(order, in_turn) else order


def grouped_integers(
    stored: Stored,
    name: str,
    shape: tuple[int, ...],
    integers: Integers,
    scales: Scales,
    *,
    lowest: int,
    highest: int,
    group: int,
    exact: bool,
    order: NDArray[np.integer[Any]] | None = None,
    published: str,
    parts: tuple[str, ...],
) -> Weight:
    """A weight of such integers.

    Args:
        shape: `(..., rows, columns)`.
        lowest, highest: between which the integers are, zero points taken off.
        group: columns of a group.
        exact: the scales are f16 numbers.
        order: the group of each column, where groups are not one after another.
    """
    columns = shape[-1]
    fmt = next((row for row in _FORMATS if row[1] <= lowest and highest <= row[2]), None)
    # One group for the whole row may end anywhere.
    if not exact or order is not None or fmt is None or (group % GROUP and group < columns):
        places = np.arange(columns) // group if order is None else order

        def read_floats(begin: int, end: int) -> NDArray[np.float32]:
            return integers(begin, end).astype(np.float32) * scales(begin, end)[:, places]

        return stored.weight(name, shape, "f32", read_floats, published, parts)
    dtype, _, _, offset = fmt
    repeated = np.arange(-(-columns // GROUP)) * GROUP // group

    def read(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        values = integers(begin, end)
        q = values.astype(np.int8) if not offset else (values + offset).astype(np.uint8)
        return {"q": q, "scale": scales(begin, end)[:, repeated].astype(np.float16)}

    return stored.weight(name, shape, dtype, read, published, parts)
