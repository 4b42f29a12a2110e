"""Runs: the tokens that each sequence brings to a batch, which kernels with a state walk in order."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory

RUN_FIELDS = 4
"""first token, count, slot with the state before them (-1: none, zeros), 0"""


@dataclass(frozen=True)
class Run:
    """One sequence's tokens, `first` on, and the slot with the state before them. What is made of these is uniform."""

    first: Expr
    count: Expr
    source: Expr

    @classmethod
    def load(cls, k: GpuKernel, runs: Memory, number: Expr) -> Run:
        at = k.let(number * RUN_FIELDS, "run")
        return cls(*(k.let(runs.load(at + i), name) for i, name in enumerate(("first", "count", "from_slot"))))
