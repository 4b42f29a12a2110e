"""What a program asks for when it opens a model, checked before anything is read, downloaded or compiled."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

from hearth.arguments import whole_number
from hearth.checkpoint.embedding import Pooling
from hearth.errors import UsageError
from hearth.model.text.kv_cache import KvFormat
from hearth.quant.mixed import MIXTURES
from hearth.quant.policy import BODY_FORMATS, USER_FORMATS, Precision
from hearth.speculate import SPECULATE

# Argument -> what it can be besides None, which leaves it to Hearth where that is its default.
_CHOICES: dict[str, Collection[str]] = {
    "quant": BODY_FORMATS,
    "head": USER_FORMATS,
    "kv": get_args(KvFormat),
    "precision": get_args(Precision),
    "context_overflow": ("error", "slide"),
    "speculate": SPECULATE,
    "pooling": get_args(Pooling),
}
_NEVER_NONE = ("precision", "context_overflow", "speculate")
# Argument -> the least of a whole number, or None.
_LEAST = {"context": 2, "threads": 1, "max_seqs": 1, "kv_bytes": 1}


def check_opening(*, mixtures: bool = False, **asked: Any) -> None:
    """Checks the arguments of `LLM`, `Embedder` and `Vision` that are one of a few words, or numbers.

    Args:
        mixtures: `quant` may be a mixture of formats, chosen by calibration.

    Raises:
        UsageError: one is none of these; the message names it.
    """
    for name, value in asked.items():
        if value is None and name not in _NEVER_NONE:
            continue
        choices = (*_CHOICES.get(name, ()), *(MIXTURES if mixtures and name == "quant" else ()))
        if choices and value not in choices:
            raise UsageError(f"{name} is {value!r}, but must be {_alternatives(choices)}.")
        if name in _LEAST:
            whole_number(name, value, _LEAST[name])
        if name == "size":
            _check_size(value)


def _check_size(size: Any) -> None:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise UsageError(f"size is {size!r}, but must be height and width, as in (480, 640).")
    for name, side in zip(("height", "width"), size, strict=True):
        whole_number(f"The {name} of size", side, 1)


def _alternatives(known: Collection[str]) -> str:
    *others, last = map(repr, known)
    return f"{', '.join(others)} or {last}"
