"""Where each parameter of a network comes from: what of a checkpoint it is, and what is done to it on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.types import Checkpoint


@dataclass(frozen=True)
class WeightSource:
    """One parameter as rows of one checkpoint tensor.

    Only whole rows are ever moved, so that quantised blocks (which lie along a row) keep their integers and scales.

    Attributes:
        tensor: the tensor's name in the checkpoint.
        rows: half-open range of its rows (fused projections are split by it); None: all.
        order: row i of the parameter is row `order[i]` of that range (undoing the interleaving of q and k
            heads, choosing the rows of one of several parameters that take turns); None: as they are.
        fold: each row of the tensor counts as so many rows, one after the other.
    """

    tensor: str
    rows: tuple[int, int] | None = None
    order: NDArray[np.int64] | None = None
    fold: int = 1


@dataclass(frozen=True)
class ComputedWeight:
    """One parameter that is computed from whole tensors: transposed, folded with a norm, interpolated.

    Attributes:
        tensors: their names in the checkpoint; none: a constant.
        compute: makes the parameter, f32 in its shape, of the tensors, each f32 in the shape that the file gives it.
    """

    tensors: tuple[str, ...]
    compute: Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class ColumnsSource:
    """A matrix that a checkpoint holds as columns, of some rows of a tensor.

    Attributes:
        tensor: the tensor's name in the checkpoint.
        rows: half-open range of its rows, which of a tensor of three axes are counted through all of its matrices.
        columns: row i is column `columns[i]` of these.
    """

    tensor: str
    rows: tuple[int, int]
    columns: NDArray[np.int64]


@dataclass(frozen=True)
class StackedWeight:
    """One parameter as several matrices of one shape: those of experts, or of heads.

    Attributes:
        parts: where each matrix is; rows of a tensor of three axes are counted through all of its matrices.
    """

    parts: tuple[WeightSource | ColumnsSource, ...]


Source = WeightSource | ComputedWeight | StackedWeight


def tensors_of(source: Source) -> tuple[str, ...]:
    """The tensors of the checkpoint that a parameter is made of."""
    if isinstance(source, StackedWeight):
        return tuple(dict.fromkeys(part.tensor for part in source.parts))
    return (source.tensor,) if isinstance(source, WeightSource) else source.tensors


def tensor_type(checkpoint: Checkpoint, source: Source) -> str:
    """The type of the tensor that a parameter is made of; of what is computed, f32."""
    if isinstance(source, StackedWeight):
        return checkpoint.tensors[source.parts[0].tensor].dtype
    return checkpoint.tensors[source.tensor].dtype if isinstance(source, WeightSource) else "f32"


def plus(source: Source, offset: float) -> Source:
    """A parameter that a file holds without a number that is added to it when it is used, as Gemma's norms are."""
    if offset == 0.0:
        return source
    assert isinstance(source, WeightSource)
    return ComputedWeight((source.tensor,), lambda weight: weight + np.float32(offset))


def times(source: Source, factor: NDArray[np.float32]) -> Source:
    """A parameter that a file holds without what it is multiplied by: one number, or one for each row."""
    assert isinstance(source, WeightSource)
    assert source.rows is None
    assert source.order is None
    return ComputedWeight((source.tensor,), lambda weight: (weight.T * factor).T)


def constant(values: object) -> ComputedWeight:
    """A parameter that is in no file: frequencies, position tables. `values`: whatever numpy makes an array of."""
    return ComputedWeight((), lambda: np.asarray(values, np.float32))
