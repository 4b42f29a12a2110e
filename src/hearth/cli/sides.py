"""A size of pictures on the command line."""

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
