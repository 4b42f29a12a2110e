"""Runs a reader over pieces of text, and checks the rules that hold for whatever it says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

from hearth.chat.tools import ToolFormat, ToolParser

from .families import TOOLS


def pieces(text: str, cuts: Iterable[int]) -> list[str]:
    """The text, cut at some places."""
    at = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in pairwise(at)]


def raw(tool_format: ToolFormat, parts: Iterable[str]) -> list[str | tuple[str, str]]:
    """Texts, and calls as (name, text of the arguments)."""
    parser: ToolParser = tool_format.parser(TOOLS)
    said = [piece for part in parts for piece in parser.push(part)] + parser.finish()
    result: list[str | tuple[str, str]] = []
    calls = 0
    for piece in said:
        if isinstance(piece, str):
            assert piece
            if result and isinstance(result[-1], str):
                result[-1] += piece
            else:
                result.append(piece)
        elif piece.name:
            assert (piece.index, piece.arguments) == (calls, "")
            assert piece.id.startswith("call_")
            calls += 1
            result.append((piece.name, ""))
        else:
            last = result[-1]
            assert not isinstance(last, str)
            assert (piece.index, piece.id) == (calls - 1, "")
            assert piece.arguments
            result[-1] = (last[0], last[1] + piece.arguments)
    return result


def read(tool_format: ToolFormat, parts: Iterable[str]) -> list[str | tuple[str, object]]:
    """The same with the arguments as values."""
    return [piece if isinstance(piece, str) else (piece[0], json.loads(piece[1])) for piece in raw(tool_format, parts)]
