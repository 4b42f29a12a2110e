"""Sums and maxima over all invocations of a workgroup by way of its subgroups: what `meeting.py` does with workgroup
memory alone.

Nothing is assumed that WGSL does not promise: not how large subgroups are, nor whether all of one are, nor which
invocations make one, nor that a subgroup has a number. Invocations count themselves. Of each subgroup the first notes
its result at that invocation's place in the workgroup, the others note what changes nothing; each subgroup then reads
all places, its invocations in turn, and so all of them know the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import Features
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, builtin, cast, f32, i32, u32

SUBGROUPS = Features(subgroups=True)


@dataclass(frozen=True)
class _Kind:
    """How results are made: WGSL's function over a subgroup, and of two numbers; what changes nothing."""

    function: str
    dtype: str
    neutral: float

    def of_two(self, a: Expr, b: Expr) -> Expr:
        if self.function == "subgroupAdd":
            return a + b
        return tirx.max(a, b) if self.function == "subgroupMax" else tirx.min(a, b)

    @property
    def start(self) -> Expr:
        return f32(self.neutral) if self.dtype == "float32" else i32(int(self.neutral))


SUM = _Kind("subgroupAdd", "float32", 0.0)
MAXIMUM = _Kind("subgroupMax", "float32", -3.4e38)
FIRST = _Kind("subgroupMin", "int32", 2**31 - 1)
"""The smallest of whole numbers, such as places."""


class Places:
    """Where an invocation stands in its subgroup: `own` of `count`, those that are there."""

    def __init__(self, k: GpuKernel) -> None:
        self.k = k
        self.own = k.let(cast("int32", builtin("subgroupExclusiveAdd", "uint32", u32(1))), "own")
        self.count = k.let(cast("int32", builtin("subgroupAdd", "uint32", u32(1))), "count")


class SubgroupMeeting:
    """Results over a workgroup, of up to `at_once` values of an invocation between two barriers."""

    def __init__(self, places: Places, kind: _Kind, at_once: int = 1) -> None:
        """Declares the memory."""
        self.k, self.kind, self._places, self._at_once = places.k, kind, places, at_once
        self._memory = self.k.workgroup(self.k.threads * at_once, kind.dtype, "of_subgroups")

    def of(self, values: Sequence[Expr]) -> list[Expr]:
        """The results, for every invocation; all have to be here, and past a barrier since the last time."""
        k, results = self.k, list[Expr]()
        for first in range(0, len(values), self._at_once):
            together = values[first : first + self._at_once]
            if first:
                k.barrier()
            for i, value in enumerate(together):
                whole = k.let(builtin(self.kind.function, self.kind.dtype, value), "whole")
                noted = tirx.Select(tirx.EQ(self._places.own, 0), whole, self.kind.start)
                k.store(self._memory, i * k.threads + k.thread, noted)
            k.barrier()
            results += [self._whole(i) for i in range(len(together))]
        return results

    def _whole(self, number: int) -> Expr:
        k, kind = self.k, self.kind
        seen = k.register(kind.dtype, kind.start)
        with k.loop(self._places.own, i32(k.threads), self._places.count) as i:
            seen.set(kind.of_two(seen.get(), self._memory.load(i + number * k.threads)))
        return k.let(builtin(kind.function, kind.dtype, seen.get()), "of_all")
