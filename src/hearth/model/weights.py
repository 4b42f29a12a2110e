"""Where each parameter of a network comes from: what of a checkpoint it is, and what is done to it on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WeightSource:
    """One parameter as rows of one checkpoint tensor.

    Only whole rows are ever moved, so that quantised blocks (which lie along a row) keep their integers and scales.

    Attributes:
        tensor: the tensor's name in the checkpoint.
        rows: half-open range of its rows (fused projections are split by it); None: all.
        permutation: row i of the parameter is row `permutation[i]` of that range (undoing llama.cpp's interleaving
            of q and k heads); None: as they are.
    """

    tensor: str
    rows: tuple[int, int] | None = None
    permutation: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ComputedWeight:
    """One parameter that is computed from whole tensors: transposed, folded with a norm, interpolated.

    Attributes:
        tensors: their names in the checkpoint; none: a constant.
        compute: makes the parameter, f32 in its shape, of the tensors, each f32 in the shape that the file gives it.
    """

    tensors: tuple[str, ...]
    compute: Callable[..., NDArray[np.float32]]


Source = WeightSource | ComputedWeight


def constant(values: object) -> ComputedWeight:
    """A parameter that is in no file: frequencies, position tables. `values`: whatever numpy makes an array of."""
    return ComputedWeight((), lambda: np.asarray(values, np.float32))
