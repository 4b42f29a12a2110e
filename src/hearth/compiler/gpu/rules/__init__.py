"""Which kernels an operation becomes on GPUs: a table, a file for each kind of operation."""

from __future__ import annotations

from hearth.compiler.gpu.rules import embedding, products
from hearth.compiler.gpu.selection import Rule

_KINDS = (embedding, products)

RULES: dict[str, Rule] = {name: rule for kind in _KINDS for name, rule in kind.RULES.items()}
