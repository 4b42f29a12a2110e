"""Which bytes each parameter of the compiled function will be: sources, arrangement and format of every packed weight.

Passes that merge weights (q, k, v; gate and up) record here what the merged one is made of; the last step of the
compiler packs what is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tvm import relax

from hearth.quant.formats import FORMATS, Format, round_up
from hearth.quant.weights import Arrangement, weight_rows


@dataclass(frozen=True)
class Packed:
    """One parameter of the plan.

    Attributes:
        parts: names of decoder parameters (`model/text/parameters.py`) whose rows it holds.
        rows: rows of each part; `k`: columns (None for a vector).
        arrange: how parts become one weight.
        fmt: number format; vectors are f32.
    """

    name: str
    parts: tuple[str, ...]
    rows: tuple[int, ...]
    k: int | None
    fmt: Format
    arrange: Arrangement = "dense"

    @property
    def n(self) -> int:
        """Rows of the packed weight before its padding to 16."""
        return weight_rows(self.rows, self.arrange)

    @property
    def blocks(self) -> int:
        """Column blocks in a row."""
        assert self.k is not None
        return round_up(self.k, self.fmt.column_multiple) // self.fmt.block_columns

    @property
    def size_bytes(self) -> int:
        if self.k is None:
            return 4 * round_up(self.n, 16)
        return self.fmt.packed_size(self.n, self.k)


@dataclass
class Parameters:
    """All parameters by name: those of the decoder, and the merged ones that passes add."""

    formats: dict[str, Format]
    packed: dict[str, Packed] = field(default_factory=dict)

    def declare(self, module: Any, weights: set[str]) -> None:
        """One `Packed` for each parameter of `forward` that is in `weights`."""
        for var in module["forward"].params:
            name = var.name
            if name in weights:
                shape = [int(d) for d in var.ty.shape]
                k = shape[1] if len(shape) == 2 else None
                self.packed[name] = Packed(name, (name,), (shape[0],), k, self.formats.get(name, FORMATS["f32"]))

    def merge(self, variables: list[Any], suffix: str, arrange: Arrangement) -> Any:
        """The variable of a new parameter made of these ones, which have one format (or are vectors)."""
        packed = [self.packed[v.name] for v in variables]
        stem = packed[0].name.rpartition(".")[0]
        name = f"{stem}.{suffix}"
        parts = tuple(part for p in packed for part in p.parts)
        rows = tuple(row for p in packed for row in p.rows)
        self.packed[name] = Packed(name, parts, rows, packed[0].k, packed[0].fmt, arrange)
        merged = self.packed[name]
        shape = (merged.n,) if merged.k is None else (merged.n, merged.k)
        return relax.Var(name, relax.TensorType(shape, "float32"))

    def same_format(self, variables: list[Any]) -> bool:
        return len({self.packed[v.name].fmt.kernel_layout for v in variables}) == 1
