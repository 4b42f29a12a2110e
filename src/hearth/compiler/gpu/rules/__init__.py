"""Which kernels an operation becomes on GPUs: a table, a file for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hearth.compiler.gpu.rules import (
    adapters,
    elementwise,
    embedding,
    experts,
    joined,
    likeliest,
    mixers,
    moves,
    norms,
    paged_attention,
    products,
    reductions,
)
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph

_KINDS = (
    adapters, elementwise, embedding, experts, joined, likeliest, mixers, moves, norms, paged_attention, products,
    reductions,
)  # fmt: skip

RULES: Mapping[str, Rule] = {name: rule for kind in _KINDS for name, rule in kind.RULES.items()}
"""By the name of the operation, as `passes.rewrite.operation` gives it."""

PREPARATIONS: tuple[Callable[[Graph, GpuSelection], None], ...] = (moves.pad_inputs, paged_attention.make_tables)
"""What a function begins with that several of its operations read."""
