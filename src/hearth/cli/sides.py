"""Sizes on the command line: of pictures, and those that a graph leaves open."""

from __future__ import annotations

from typing import Any

import click

_MOST = 1 << 14


def sides_of(text: str) -> tuple[int, int] | None:
    """Height and width of `480x640`, or of `224` for a square; None where it is no size."""
    sides = text.lower().split("x")
    if len(sides) <= 2 and all(side.isdecimal() and 0 < int(side) <= _MOST for side in sides):
        return int(sides[0]), int(sides[-1])
    return None


class Sides(click.ParamType[tuple[int, int]]):
    """A size of pictures."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        sides = value if isinstance(value, tuple) else sides_of(str(value))
        if sides is None:
            self.fail(f"'{value}' is no size: HEIGHTxWIDTH, as in 480x640.", param, ctx)
        return sides


class NamedSize(click.ParamType[Any]):
    """`NAME=N` or `NAME=LEAST:MOST`: the name, and a number or both."""

    name = "size"
    forms = "NAME=N or NAME=LEAST:MOST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, _, numbers = str(value).rpartition("=")
        least, _, most = numbers.partition(":")
        if not name or not least.isdecimal() or (":" in numbers and not most.isdecimal()):
            self.fail(f"{value!r} is no {self.forms}.", param, ctx)
        low, high = int(least), int(most or least)
        if not 1 <= low <= high < 1 << 31:
            self.fail(f"{value!r} is no size.", param, ctx)
        return name, (low, high) if most else low


class AnySize(NamedSize):
    """The same, or `HEIGHTxWIDTH` of pictures, whose name is empty."""

    forms = "HxW, NAME=N or NAME=LEAST:MOST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        sides = None if isinstance(value, tuple) else sides_of(str(value))
        return super().convert(value, param, ctx) if sides is None else ("", sides)
