"""What selection rules for GPUs share: the kernels chosen so far, and which of several kernels runs for how many rows.

A rule (`rules/`) answers with calls `hearth.kernel` as those of CPUs do (`compiler/physical.py`); a call's units are
workgroups. Shapes of activations are the same: rows padded to whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import GpuKernel
from hearth.compiler.gpu.kernels.tile import TILE_ROWS
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph

FEW_ROWS, MOST_FEW_ROWS = 4, TILE_ROWS // 2
"""So many rows are multiplied by one workgroup as weights pass by; more of them up to the second number, tile after
tile, are still done sooner so than by tiles that would be more than half empty."""


@dataclass
class GpuSelection:
    """What the pass needs to know, and the kernels it chose by name.

    Attributes:
        symbols: bounds of the symbolic sizes.
        kernels: by name, the variants of each: the first needs nothing but the core.
        kept: what rules make once for several readers, by keys of their own.
    """

    parameters: Parameters
    symbols: Mapping[str, tuple[int, int]]
    kernels: dict[str, list[GpuKernel]] = field(default_factory=dict)
    kept: dict[Any, Any] = field(default_factory=dict)

    def use(self, name: str, make: Callable[[], Sequence[GpuKernel]]) -> str:
        """The kernel `name`, made by `make` where it is not there yet: its variants, that of the core first."""
        if name not in self.kernels:
            variants = list(make())
            first = variants[0]
            assert first.features.name == "core", name
            arguments = {(kernel.name, kernel.num_buffers, kernel.num_scalars) for kernel in variants}
            assert arguments == {(name, first.num_buffers, first.num_scalars)}, name
            assert len({kernel.features for kernel in variants}) == len(variants), name
            self.kernels[name] = variants
        return name


Rule = Callable[[Graph, Any, GpuSelection], Any]
"""(graph, operation, selection) -> what takes the operation's place; None: not mine."""


def at_most(rows: Any, limit: int) -> Any:
    """1 where there are at most `limit` rows, else 0: times its units, a step is left out where it is not meant."""
    if isinstance(rows, int | tirx.IntImm):
        return int(int(rows) <= limit)
    return tirx.max(tirx.min(_i64(limit + 1) - rows, _i64(1)), _i64(0))


def more_than(rows: Any, limit: int) -> Any:
    """1 where there are more than `limit` rows, else 0."""
    if isinstance(rows, int | tirx.IntImm):
        return int(int(rows) > limit)
    return tirx.max(tirx.min(rows - _i64(limit), _i64(1)), _i64(0))


def one() -> Any:
    """1 as a size."""
    return _i64(1)


def ceil_div(size: Any, by: int) -> Any:
    """size / by, rounded up."""
    if isinstance(size, int | tirx.IntImm):
        return -(-int(size) // by)
    return tirx.floordiv(size + _i64(by - 1), _i64(by))


def _i64(value: int) -> Any:
    return tirx.IntImm("int64", value)
