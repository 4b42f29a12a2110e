"""The fields that clients send and Hearth does not have: what becomes of them. The tables are in `field_tables.py`.

A request is written by somebody else's program, often a newer one. So a field that cannot change the answer must not
end the request, and one that would must not be dropped silently. What a schema does not know is sorted here:

- null means absent, whatever the name;
- a field under another server's name is read as ours where both mean the same (`Renamed`);
- a field known to change the answer is refused by name, but for the values that ask for nothing (`Refused`);
- a field known to change nothing is dropped (`Ignored`), and so is any other one: with a warning (`warning`).

`hearth serve --strict-fields` refuses what would be dropped with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic_core import PydanticCustomError

from hearth.server.warning import told, warn

MAX_UNKNOWN: Final = 100
"""Unknown fields of one object; more are a fault by themselves."""

FAULT: Final = "fields"
"""Type of the validation error that carries (name, why) of each field that is refused, as `refused` of its context."""


@dataclass(frozen=True)
class Refused:
    """Would change the answer in a way that Hearth has not.

    Attributes:
        why: what to do instead, or why there is no such thing; for the client.
        neutral: values besides null that ask for nothing.
    """

    why: str
    neutral: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Ignored:
    """Changes nothing about an answer of this server.

    Attributes:
        quiet: values that ask for what is done anyway, so that there is nothing to tell; None: all.
    """

    quiet: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Renamed:
    """Another server's name of a field.

    Attributes:
        to: its name here.
    """

    to: str


Rule = Refused | Ignored | Renamed


@dataclass(frozen=True)
class FieldRules:
    """The rules of one kind of object.

    Attributes:
        rules: by the name of a field that its schema does not have.
        absent: field of the schema -> values that mean as little as null.
        place: what the object is part of, for warnings: "messages[].".
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    absent: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    place: str = ""

    def __or__(self, rules: Mapping[str, Rule]) -> FieldRules:
        """These rules and others, which win."""
        return replace(self, rules={**self.rules, **rules})


def sorted_out(given: Mapping[str, Any], known: Collection[str], rules: FieldRules) -> Mapping[str, Any]:
    """The fields that a schema shall check: known ones that are not absent, under their names here.

    Raises:
        PydanticCustomError: of type `FAULT`: some are refused. Or there are too many unknown ones.
    """
    if all(name in known and value is not None and name not in rules.absent for name, value in given.items()):
        return given
    kept: dict[str, Any] = {}
    refused: list[tuple[str, str]] = []
    unknown: list[str] = []
    renamed: dict[str, str] = {}
    for name, value in given.items():
        if value is None or one_of(value, rules.absent.get(name, ())):
            continue
        if name in known:
            kept[name] = value
            continue
        match rules.rules.get(name):
            case Renamed(to):
                renamed[name] = to
            case Refused(why, neutral):
                if not one_of(value, neutral):
                    refused.append((name, why))
            case Ignored(quiet) if quiet is None or one_of(value, quiet):
                pass
            case _:
                unknown.append(name)
    for name, to in renamed.items():
        value = given[name]
        if one_of(value, rules.absent.get(to, ())):
            continue
        if to in kept and not one_of(value, (kept[to],)):
            refused.append((name, f"it differs from {to}, which is the same."))
        elif to not in kept:
            kept[to] = value
            _note_rename(to, name)
    if len(unknown) > MAX_UNKNOWN:
        raise PydanticCustomError("too_many", "has more than {limit} unknown fields", {"limit": MAX_UNKNOWN})
    current = told()
    if current is not None and current.strict:
        refused += [(name, "") for name in unknown]
        unknown = []
    if refused:
        raise PydanticCustomError(FAULT, "has fields that are not supported", {"refused": refused})
    for name in unknown:
        warn("ignored", rules.place + name)
    return kept


def one_of(value: Any, values: Collection[Any]) -> bool:
    """Whether a value is among others, `true` and 1 told apart, 1 and 1.0 not."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


def _note_rename(to: str, name: str) -> None:
    current = told()
    if current is not None:
        current.renamed[to] = name
