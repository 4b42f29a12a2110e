"""Which kernel computes an operation: a file for each kind of operation, beside the kernels that it chooses from."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.compiler.cpu.rules import (
    adapters,
    contractions,
    convolution,
    dense_attention,
    elementwise,
    embedding,
    experts,
    maps,
    mixers,
    moves,
    norms,
    paged_attention,
    picks,
    pictures,
    products,
    ragged_attention,
    ragged_pool,
    recurrent,
    reductions,
    rotary,
    suppression,
)
from hearth.compiler.cpu.selection import Rule

_KINDS = (
    adapters, contractions, convolution, dense_attention, elementwise, embedding, experts, maps, mixers, moves, norms,
    paged_attention, picks, pictures, products, ragged_attention, ragged_pool, recurrent, reductions, rotary,
    suppression,
)  # fmt: skip

RULES: Mapping[str, Rule] = {name: rule for kind in _KINDS for name, rule in kind.RULES.items()}
"""By the name of the operation, as `passes.rewrite.operation` gives it."""
