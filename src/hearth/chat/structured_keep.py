"""What of a JSON schema an answer can be kept to: `kept_schema`.

llguidance refuses a schema as a whole for one keyword that it lacks. Much of that can be said in other words, and what
cannot may be left out where the caller did not insist (`strict`): the answer then keeps to the rest, and the caller is
told what it may not keep to. The rules that do so, a keyword each, are in `structured_rules.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher

from hearth.chat.grammar import LIMITS, sentence
from hearth.chat.schema_walk import Schema, mapped
from hearth.chat.structured_finite import without_endless
from hearth.chat.structured_rules import RULES, Gap, Rewrite
from hearth.chat.structured_schema import blame
from hearth.errors import UsageError

_MAX_LOOSENED = 8
_MAX_TOLD = 8


@dataclass(frozen=True)
class Kept:
    """A schema in words that a grammar can be made of.

    Attributes:
        schema: what it accepts is valid for the original, but for the gaps.
        gaps: what could not be said, each with its place.
    """

    schema: Mapping[str, Any]
    gaps: tuple[Gap, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """The gaps in words; at most one text."""
        return notices_of(self.gaps)


def notices_of(gaps: Sequence[Gap]) -> tuple[str, ...]:
    """Gaps in words; at most one text."""
    if not gaps:
        return ()
    told = "; ".join(map(str, gaps[:_MAX_TOLD]))
    more = f"; and {len(gaps) - _MAX_TOLD} more" if len(gaps) > _MAX_TOLD else ""
    return (f"Not enforced: {told}{more}.",)


def check_strict(gaps: Sequence[Gap]) -> None:
    """Raises UsageError, which names the first of them, where a strict schema has gaps."""
    if gaps:
        raise UsageError(
            f"{gaps[0].place} cannot be enforced, and the schema is strict:",
            why=f"{gaps[0].why}.",
            hint='Without "strict" what cannot be enforced is told and the rest kept.',
        )


def kept_schema(schema: Schema, where: str, *, strict: bool) -> Kept:
    """What of a checked schema can be kept to.

    Args:
        where: names the schema in messages.
        strict: whether something that cannot be kept to is an error.

    Raises:
        UsageError: nothing can be valid, or `strict`; names the place.
    """
    text = json.dumps(schema)
    try:
        kept, gaps = _kept(text)
    except UsageError as error:
        raise UsageError(f"{where}{error.what}", why=error.why) from error
    gaps = tuple(Gap(f"{where}{gap.place}", gap.why) for gap in gaps)
    if strict:
        check_strict(gaps)
    return Kept(kept, gaps)


@lru_cache(maxsize=256)  # agents send the same tools with every request
def _kept(text: str) -> tuple[Mapping[str, Any], tuple[Gap, ...]]:
    """Places are relative to the schema."""
    schema: Schema = json.loads(text)
    rewrite = Rewrite(schema, _fault_of)
    kept = without_endless(_rewritten(schema, "", rewrite), "")
    for _ in range(_MAX_LOOSENED):
        fault = _fault_of(kept)
        if not fault:
            break
        place, fault = blame(kept, "", _fault_of)
        if fault.startswith("Unsatisfiable"):
            raise UsageError(f"{place} can never be met:", why=fault)
        rewrite.gaps.append(Gap(place, fault.rstrip(".").replace("\n", " ")))
        kept = _loosened(kept, "", place)
    return (kept if isinstance(kept, Mapping) else {}), tuple(rewrite.gaps)


def _rewritten(schema: Schema, place: str, rewrite: Rewrite) -> Schema:
    """Inner schemas first."""
    if isinstance(schema, bool):
        return schema
    result: Schema = mapped(schema, place, lambda inner, at: _rewritten(inner, at, rewrite))
    for rule in RULES:
        if isinstance(result, bool):
            break
        result = rule(dict(result), place, rewrite)
    return result


def _loosened(schema: Schema, where: str, place: str) -> Schema:
    """The schema with nothing but its type left of one inside of it."""
    if where == place:
        return {"type": schema["type"]} if isinstance(schema, Mapping) and "type" in schema else {}
    if isinstance(schema, bool) or not place.startswith(where):
        return schema
    return mapped(schema, where, lambda inner, at: _loosened(inner, at, place))


@lru_cache(maxsize=1024)
def _fault_of_text(text: str) -> str:
    fault = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(text), None, limits=LIMITS)
    return "" if not fault or fault.startswith("WARNING") else sentence(fault)


def _fault_of(schema: Schema) -> str:
    """What keeps a schema from being compiled; "" if nothing."""
    if isinstance(schema, bool):
        return "" if schema else "Unsatisfiable schema: no value is valid."
    return _fault_of_text(json.dumps(schema))
