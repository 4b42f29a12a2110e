"""What an adapter's file says, whatever its form: `Adapter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import STORED_TYPES, to_f32
from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.types import TensorInfo
from hearth.errors import CorruptFile, Unsupported

AdapterKind = Literal["safetensors", "gguf"]
"""Whose names its matrices have: those of a Hugging Face model, or of a GGUF file."""

MOST_RANKS = 256
"""Of one adapter."""

_FLOATS = ("f32", "f16", "bf16", "f64")
MERGE = "Merge it into its model (peft: merge_and_unload) and open that."


@dataclass(frozen=True)
class LowRank:
    """What is added to one matrix [rows, columns]: scale B A.

    Attributes:
        load: reads A, f32 (rank, columns), and B, f32 (rows, rank).
    """

    rank: int
    rows: int
    columns: int
    scale: float
    load: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Adapter:
    """An adapter's file, opened.

    Attributes:
        path: of the file with its weights.
        kind: whose names the matrices have.
        base: the model it was made for, as it says; "": it does not.
        architecture: of that, as a GGUF file says it; "": it does not.
        matrices: by the name of the tensor of the base model that each is added to.
    """

    path: Path
    kind: AdapterKind
    base: str
    architecture: str
    matrices: Mapping[str, LowRank]

    @property
    def name(self) -> str:
        """What messages call it: all that peft wrote has a file of one name, in a folder of its own."""
        return self.path.parent.name if self.kind == "safetensors" else self.path.name

    @property
    def rank(self) -> int:
        """The largest of all."""
        return max(each.rank for each in self.matrices.values())


def low_rank(
    path: Path, tensor: str, a: TensorInfo, b: TensorInfo, scale: float, stored: Callable[[str], NDArray[np.uint8]]
) -> LowRank:
    """What the tensors A and B of a file add to a matrix.

    Args:
        tensor: the matrix, for errors.
        stored: the bytes of a tensor.

    Raises:
        CorruptFile: they do not belong together, or the scale is no number.
        Unsupported: a rank above `MOST_RANKS`, or numbers of a type that adapters do not have.
    """
    where = f"{path.name}: the adapter of {tensor[:200]!r}"
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or 0 in (*a.shape, *b.shape):
        raise CorruptFile(
            f"{where} has A {list(a.shape)} and B {list(b.shape)}.",
            why="They must be [rank, columns] and [rows, rank].",
            hint=PULL_AGAIN,
        )
    for info in (a, b):
        if info.dtype not in _FLOATS:
            raise Unsupported(f"{where} has numbers of the type {info.dtype}.", why=f"Known: {', '.join(_FLOATS)}.")
    rank = a.shape[0]
    if rank > MOST_RANKS:
        raise Unsupported(f"{where} has the rank {rank}, and at most {MOST_RANKS} is supported.", hint=MERGE)
    if not np.isfinite(scale):
        raise CorruptFile(f"{where} has a scale that is no finite number.", hint=PULL_AGAIN)

    def load() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        arrays = [_numbers(stored(info.name), info) for info in (a, b)]
        if not all(np.isfinite(each).all() for each in arrays):
            raise CorruptFile(f"{where} has numbers that are not finite.", hint=PULL_AGAIN)
        return arrays[0], arrays[1]

    return LowRank(rank, b.shape[0], a.shape[1], scale, load)


def _numbers(data: NDArray[np.uint8], info: TensorInfo) -> NDArray[np.float32]:
    # A copy: the bytes may begin anywhere in their file.
    stored: NDArray[Any] = np.frombuffer(data.tobytes(), STORED_TYPES[info.dtype]).reshape(info.shape)
    return to_f32(stored, info.dtype)


def nothing_in(path: Path) -> CorruptFile:
    """An adapter without matrices."""
    return CorruptFile(f"{path.name} holds no adapter: it has no matrices A and B.", hint=PULL_AGAIN)
