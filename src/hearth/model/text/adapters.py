"""Room for adapters (LoRA) in a decoder: to a product y = W x a row may have s B (A x) added, of an adapter of its own.

A *unit* is room for `RANKS` ranks of one adapter, beside every matrix that adapters may change; an adapter of a higher
rank takes several, one after another. Units are states of the compiled model (`layers.3.q.adapter`), so they are
written while it is open, and how many there are is said when a session is made. A batch says which tokens are whose.

A unit of a matrix [N, K] holds, in bytes, f16 or f32, padded with zeros:

    A       [K, to a multiple of 16][16 ranks]
    B       [N / 16, rounded up][16 ranks][16 rows], times the adapter's scale
    scale   f32 [16 ranks], of bytes alone: what the product of an A and a B of the rank is worth

The layout is the same on all devices. An adapter's numbers are as exact as the weights that they stand beside: with
weights of 8 bits and fewer they are bytes, since what is read of eight adapters would else be half of what is read of
the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.model.text.config import DecoderConfig
from hearth.model.text.parameters import is_predictors, parameter_role, parameter_shapes

RANKS = 16
MOST_UNITS = 16
"""Of one adapter, which so has at most 256 ranks."""

ADAPTERS = "adapters"
"""The symbol that counts units, of all matrices together."""
ADAPTER_ITEMS = "adapter_items"
"""Symbol and input of a model with room for adapters: i32 (adapter_items, 4), for each run of tokens of one adapter its
first token, how many it has (`ITEM_TOKENS` at most), the adapter's first unit and how many that has. Tokens of none are
in no item."""
ADAPTER_UNITS = "adapter_units"
"""The constant symbol that says how many units an adapter may have."""
ITEM_TOKENS = 16
"""As `runtime/csrc/batch.c` cuts them: enough to read an adapter's numbers seldom, few enough to share prompts among
threads."""

AdapterDtype = Literal["int8", "float16", "float32"]
ITEM_BYTES: dict[AdapterDtype, int] = {"int8": 1, "float16": 2, "float32": 4}
SCALE_BYTES = 4 * RANKS
"""Of a unit of bytes, behind all others."""


@dataclass(frozen=True)
class AdapterRoom:
    """Which parameters adapters may change.

    Attributes:
        targets: last names of these (`q`, `down`), in every layer that has them; ascending.
        dtype: of their numbers.
    """

    targets: tuple[str, ...]
    dtype: AdapterDtype


def adapter_state(parameter: str) -> str:
    """The state with the units of a parameter."""
    return f"{parameter}.adapter"


def adaptable(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """The matrices [N, K] that can have room for adapters, by name: of layers, and none that are a stack."""
    return {
        name: (shape[0], shape[1])
        for name, shape in parameter_shapes(config).items()
        if name.startswith("layers.") and len(shape) == 2 and parameter_role(name) == "body"
        if not is_predictors(name, config)
    }


def adapted(config: DecoderConfig, room: AdapterRoom | None) -> dict[str, tuple[int, int]]:
    """Those of them that have."""
    if room is None:
        return {}
    return {name: shape for name, shape in adaptable(config).items() if name.rpartition(".")[2] in room.targets}


def numbers_of_a(k: int) -> int:
    """How many numbers the A of a unit has, of a matrix [N, K]."""
    return -(-k // 16) * 16 * RANKS


def unit_numbers(shape: tuple[int, int], dtype: AdapterDtype) -> int:
    """How many elements a unit has, of a matrix [N, K]; of bytes with those of its scale."""
    n, k = shape
    return numbers_of_a(k) + -(-n // 16) * 16 * RANKS + (SCALE_BYTES if dtype == "int8" else 0)


def unit_bytes(shape: tuple[int, int], dtype: AdapterDtype) -> int:
    """Bytes of a unit, of a matrix [N, K]."""
    return ITEM_BYTES[dtype] * unit_numbers(shape, dtype)


def dtype_of_units(size_bytes: int, shape: tuple[int, int]) -> AdapterDtype:
    """Of the numbers of a unit that takes so many bytes, of a matrix [N, K]."""
    return next(dtype for dtype in ITEM_BYTES if unit_bytes(shape, dtype) == size_bytes)


def pack_units(
    a: NDArray[np.float32], b: NDArray[np.float32], shape: tuple[int, int], dtype: AdapterDtype
) -> NDArray[Any]:
    """The units of an adapter beside one matrix: (units, elements of a unit).

    Args:
        a: (rank, K); b: (N, rank), times the scale.
        shape: (N, K) of the matrix.
    """
    n, k = shape
    rank = a.shape[0]
    assert a.shape == (rank, k)
    assert b.shape == (n, rank)
    units = -(-rank // RANKS)
    scale = np.zeros(units * RANKS, np.float32)
    if dtype == "float16":
        a, b = _balanced(a, b)
    elif dtype == "int8":
        a, b, scale[:rank] = _in_bytes(a, b)
    of_a = np.zeros((units, -(-k // 16) * 16, RANKS), np.float32)
    of_b = np.zeros((units, -(-n // 16), RANKS, 16), np.float32)
    for unit in range(units):
        some = slice(unit * RANKS, min((unit + 1) * RANKS, rank))
        count = some.stop - some.start
        of_a[unit, :k, :count] = a[some].T
        rows = np.zeros((of_b.shape[1] * 16, count), np.float32)
        rows[:n] = b[:, some]
        of_b[unit, :, :count] = rows.reshape(-1, 16, count).transpose(0, 2, 1)
    both = np.concatenate([of_a.reshape(units, -1), of_b.reshape(units, -1)], axis=1).astype(dtype)
    if dtype == "int8":
        both = np.concatenate([both, scale.reshape(units, RANKS).view(np.int8)], axis=1)
    return both


def _in_bytes(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A and B as whole numbers up to 127, and for each rank what the product of two of these is worth."""
    largest_a, largest_b = np.abs(a).max(axis=1, initial=0.0) / 127, np.abs(b).max(axis=0, initial=0.0) / 127
    step_a, step_b = (np.where(each > 0, each, np.float32(1)).astype(np.float32) for each in (largest_a, largest_b))
    return np.rint(a / step_a[:, None]), np.rint(b / step_b), step_a * step_b


def _balanced(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A and B with about the same largest number, by a power of two that the one gives to the other: B of a trained
    adapter is so small that f16 would round it as what it has below its least normal number."""
    most_a, most_b = float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0))
    if not (most_a > 0.0 and most_b > 0.0):
        return a, b
    shift = round((np.log2(most_a) - np.log2(most_b)) / 2)
    return np.ldexp(a, -shift), np.ldexp(b, shift)
