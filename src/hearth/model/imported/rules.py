"""All rules, in the order in which they are tried."""

from __future__ import annotations

from hearth.model.imported import attention, recognise, simplify
from hearth.model.imported.graph import Rule

_TABLES = (simplify.RULES, attention.RULES, recognise.RULES)

_NAMES = dict.fromkeys(name for table in _TABLES for name in table)

RULES: dict[str, list[Rule]] = {name: [rule for table in _TABLES for rule in table.get(name, [])] for name in _NAMES}
