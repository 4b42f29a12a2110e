"""The sampling settings that a user gives, the model's authors recommend, or Hearth assumes, in this order.

One place for Python and the command line, so that both have the same defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hearth.engine import SamplingParams
from hearth.errors import UsageError, did_you_mean

ASSUMED: Mapping[str, float] = {"temperature": 0.7, "top_p": 0.95}
"""Where the authors recommend nothing. Mild: little is lost on models of any size."""

OF_TEXT = frozenset({"stop", "repetition_stop", "adapter"})
"""Settings that end an answer by what it says, and the adapter that it is computed with: none of sampling's."""

KEYS = frozenset(f.name for f in fields(SamplingParams)) | OF_TEXT


def sampling_params(published: Mapping[str, float], given: Mapping[str, Any]) -> SamplingParams:
    """Settings of one request.

    Args:
        published: what the authors recommend; `ASSUMED` counts only if that is nothing.
        given: by the user; None stands for "not given".

    Raises:
        UsageError: an unknown setting, or a value out of range.
    """
    unknown = sorted(set(given) - KEYS)
    if unknown:
        close = difflib.get_close_matches(unknown[0], KEYS, 1)
        hint = did_you_mean(map(repr, close)) or f"Known: {', '.join(sorted(KEYS))}."
        raise UsageError(f"There is no sampling setting {unknown[0]!r}.", hint=hint)
    explicit = {name: value for name, value in given.items() if value is not None and name not in OF_TEXT}
    return SamplingParams(**{**(usable(published) or ASSUMED), **explicit})


def usable(published: Mapping[str, float]) -> dict[str, float]:
    """The recommendations that a request would accept: a strange one must not make every request fail."""
    result: dict[str, float] = {}
    for name, value in published.items():
        try:
            SamplingParams(**{name: value})  # type: ignore[arg-type] # one setting at a time; it checks the type
        except (UsageError, TypeError):
            continue
        result[name] = value
    return result
