"""What operations are evaluated on, and how their attributes are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Attributes:
    """The attributes of one call as plain Python values: numbers, strings, tuples of them; None where there is none.

    Attributes:
        result_dtype, result_shape: of the result, where the graph says so; a size is None where it does not.
        unread: names that nothing has asked for yet. Of our own operations all must be: one that is passed over would
            give another result than it says.
    """

    def __init__(self, attrs: Any, dtype: str | None, shape: tuple[int | None, ...]) -> None:
        self._attrs = attrs
        self.result_dtype = dtype
        self.result_shape = shape
        self.unread = set(attrs.keys()) if hasattr(attrs, "keys") else set()

    def __getattr__(self, name: str) -> Any:
        self.unread.discard(name)
        attrs = self._attrs
        if attrs is None:
            return None
        return plain(attrs.get(name) if hasattr(attrs, "keys") else getattr(attrs, name, None))


def plain(value: Any) -> Any:
    """A number, string, list or map of TVM's as Python has them."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "value") and isinstance(value.value, bool | int | float | str):
        return value.value
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "__iter__"):
        return tuple(plain(item) for item in value)
    return str(value)


Operation = Callable[..., Any]
"""Called with the attributes and the evaluated operands: arrays, tuples of ints for shapes, numbers, lists of these."""


def wide(x: Array) -> Array:
    """Floats as f64, anything else as it is."""
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the front; None stands for all."""
    if axis is None:
        return tuple(range(rank))
    return tuple(int(a) % rank for a in (axis if isinstance(axis, tuple) else (axis,)))
