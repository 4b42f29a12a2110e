"""What a program gives to a method, checked by its name: what is of another type is told in words, and not by a
TypeError from somewhere inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hearth.errors import UsageError

_NO_LIST = (str, bytes, bytearray, Mapping)


def whole_number(name: str, value: Any, least: int) -> int:
    """A whole number. Raises UsageError for what is none, or below `least`."""
    if not _is_whole(value) or value < least:
        raise UsageError(f"{name} is {value!r}, but must be a whole number, {least} or more.")
    return int(value)


def share(name: str, value: Any) -> float:
    """A number from 0 to 1. Raises UsageError for anything else."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise UsageError(f"{name} is {value!r}, but must be from 0 to 1.")
    return float(value)


def text(name: str, value: Any) -> str:
    """A text. Raises UsageError for anything else."""
    if not isinstance(value, str):
        raise UsageError(f"{name} is {_shown(value)}, but must be a text.")
    return value


def texts(name: str, value: Any, example: str) -> list[str]:
    """Several texts. Raises UsageError for a single one, or for anything else.

    Args:
        example: the call as it is meant.
    """
    if isinstance(value, str):
        raise UsageError(f"{name} is one text.", hint=f"Give a list: {example}.")
    return [text(f"{name}[{i}]", each) for i, each in enumerate(_listed(name, value, "a list of texts"))]


def texts_or_ids(name: str, value: Any) -> list[str | list[int]]:
    """Several texts or lists of token ids, in any mixture; a single text is one of these. Raises UsageError."""
    if isinstance(value, str):
        return [value]
    found: list[str | list[int]] = []
    for i, each in enumerate(_listed(name, value, "a text, or a list of texts or token ids")):
        ids = list(each) if isinstance(each, Iterable) and not isinstance(each, _NO_LIST) else []
        if not isinstance(each, str) and not (ids and all(map(_is_whole, ids))):
            raise UsageError(f"{name}[{i}] is {_shown(each)}, but must be a text, or its token ids.")
        found.append(each if isinstance(each, str) else [int(token) for token in ids])
    return found


def _listed(name: str, value: Any, what: str) -> list[Any]:
    if isinstance(value, _NO_LIST) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {_shown(value)}, but must be {what}.")
    return list(value)


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A value in a few words: arrays and long lists are not written out."""
    is_short = value is None or isinstance(value, int | float)
    return repr(value) if is_short else f"of the type {type(value).__name__}"
