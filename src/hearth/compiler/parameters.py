"""Which bytes each parameter of the compiled function will be: sources, arrangement and format of every packed weight.

Passes that merge weights (q, k, v; gate and up) record here what the merged one is made of; the last step of the
compiler packs what is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from hearth.model.network import Network
from hearth.model.weights import Source, StackedWeight, constant
from hearth.quant.formats import FORMATS, LANES, Format, round_up
from hearth.quant.weights import Arrangement, weight_rows


class Packing(Protocol):
    """Memory in an order that one kind of kernel reads, made of whole arrays."""

    @property
    def size_bytes(self) -> int: ...

    def pack(self, parts: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
        """All its bytes, of its parts: matrices `(rows, columns)`, vectors."""


@dataclass(frozen=True)
class Packed:
    """One parameter of the plan.

    Attributes:
        parts: names of decoder parameters (`model/text/parameters.py`) whose rows it holds.
        rows: rows of each part.
        k: columns of a matrix that is packed for products or lookups; None: the parameter is plain f32 memory.
        fmt: number format of a matrix.
        rotated: vectors of its columns that are rotated together (`quant/rotation.py`), as activations are; 1: none.
        stack: so many matrices of these rows, each packed for itself, one after another (experts).
        arrange: how parts become one weight.
        columns: of plain memory the size of the last axis, whose rows are padded to whole vectors; None: a vector.
        packing: what makes it, where that is none of these.
    """

    name: str
    parts: tuple[str, ...]
    rows: tuple[int, ...]
    k: int | None
    fmt: Format
    arrange: Arrangement = "dense"
    columns: int | None = None
    packing: Packing | None = None
    rotated: int = 1
    stack: int = 1

    @property
    def n(self) -> int:
        """Rows of the packed weight (of each of a stack) before its padding to 16."""
        return weight_rows(self.rows, self.arrange)

    @property
    def blocks(self) -> int:
        """Column blocks in a row."""
        assert self.k is not None
        return round_up(self.k, self.fmt.column_multiple) // self.fmt.block_columns

    @property
    def size_bytes(self) -> int:
        if self.packing is not None:
            return self.packing.size_bytes
        if self.k is None:
            return 4 * (round_up(self.n, LANES) if self.columns is None else self.n * round_up(self.columns, LANES))
        return self.stack * self.fmt.packed_size(self.n, self.k)


@dataclass
class Parameters:
    """All parameters by name: those of the network, the merged ones that passes add, and arrays of its graphs.

    `constants` says where the last are from, as `Network.sources` does of the others.
    """

    formats: Mapping[str, Format]
    packed: dict[str, Packed] = field(default_factory=dict)
    constants: dict[str, Source] = field(default_factory=dict)

    def declare(self, network: Network, rotated: Mapping[str, int]) -> None:
        """One `Packed` for each parameter of a network.

        Args:
            rotated: of those that are rotated, `Packed.rotated`.
        """
        for name, shape in network.shapes.items():
            fmt = self.formats.get(name, FORMATS["f32"])
            if isinstance(network.sources.get(name), StackedWeight):
                count, rows, columns = shape
                packed = Packed(name, (name,), (rows,), columns, fmt, stack=count)
            elif network.role(name) != "exact":  # of a convolution too: its rows are (kernel height, width, channels)
                packed = Packed(
                    name, (name,), (shape[0],), prod(shape[1:]), fmt, rotated=rotated.get(name, 1)
                )  # fmt: skip
            elif len(shape) > 1:
                packed = Packed(name, (name,), (prod(shape[:-1]),), None, FORMATS["f32"], columns=shape[-1])
            else:
                packed = Packed(name, (name,), (prod(shape),), None, FORMATS["f32"])
            self.packed[name] = packed

    def add_constant(self, array: NDArray[Any]) -> str:
        """An array that stood in a graph, as a parameter of the name that is answered; equal ones are one.

        f32, whose rows are padded, or i32, whose bits lie there as if they were.
        """
        what = f"{array.dtype} {array.shape}".encode() + array.tobytes()
        name = f"constants.{hashlib.sha256(what).hexdigest()[:12]}"
        columns = array.shape[-1] if array.ndim > 1 and array.dtype == np.float32 else None
        self.packed[name] = Packed(
            name, (name,), (array.size // (columns or 1),), None, FORMATS["f32"], columns=columns
        )
        self.constants[name] = constant(array.reshape(-1).view(np.float32) if array.dtype == np.int32 else array)
        return name

    def merge(self, variables: list[Any], suffix: str, arrange: Arrangement) -> Any:
        """The variable of a new parameter made of these ones, which have one format (or are vectors)."""
        packed = [self.packed[v.name] for v in variables]
        parts = tuple(part for p in packed for part in p.parts)
        rows = tuple(row for p in packed for row in p.rows)
        # Layers have names of their own in checkpoints, but in graphs of strangers names need not be paths.
        stems = (packed[0].name.rpartition(".")[0], packed[0].name, "_".join(p.name for p in packed))
        for name in (f"{stem}.{suffix}" for stem in stems if stem):
            merged = replace(packed[0], name=name, parts=parts, rows=rows, arrange=arrange)
            if self.packed.setdefault(name, merged) == merged:
                break
        else:
            raise AssertionError(f"another parameter is named {name}")
        shape = (merged.n,) if merged.k is None else (merged.n, merged.k)
        if merged.stack > 1:
            shape = (merged.stack, *shape)
        return relax.Var(name, relax.TensorType(shape, "float32"))

    def arrange(self, variables: list[Any], packing: Packing, suffix: str) -> Any:
        """The variable of a new parameter that `packing` makes of these ones."""
        packed = [self.packed[v.name] for v in variables]
        name = f"{packed[0].name}.{suffix}"
        parts = tuple(part for p in packed for part in p.parts)
        self.packed[name] = Packed(name, parts, packed[0].rows, None, packed[0].fmt, packing=packing)
        return relax.Var(name, relax.TensorType((round_up(packing.size_bytes, 4) // 4,), "float32"))

    def same_format(self, variables: list[Any]) -> bool:
        packed = [self.packed[v.name] for v in variables]
        return len({(each.fmt.kernel_layout, each.rotated) for each in packed}) == 1
