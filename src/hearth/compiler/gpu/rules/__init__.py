"""Which kernels an operation becomes on GPUs: a table, a file for each kind of operation."""

from __future__ import annotations

from hearth.compiler.gpu.selection import Rule

RULES: dict[str, Rule] = {}
