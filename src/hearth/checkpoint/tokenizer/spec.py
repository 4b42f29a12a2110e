"""What a tokenizer.json is made of: the document around a model, and its entries; and what a made one comes with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Added = tuple[int, str, bool]
"""A token that was added to a vocabulary: id, text, special."""


@dataclass(frozen=True)
class Converted:
    """A tokenizer.json made from older files, and what these say where no tokenizer_config.json does."""

    json: str
    special: Mapping[str, str] = field(default_factory=dict)
    add_bos: bool = False
    ends: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()


def to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def document(
    model: Mapping[str, Any],
    *,
    added_tokens: Iterable[Mapping[str, Any]],
    normalizer: Mapping[str, Any] | None = None,
    pre_tokenizer: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole tokenizer.json around a model. Source of the format: the `tokenizers` library, version "1.0"."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added_tokens),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def added_token(
    token_id: int, content: str, *, special: bool, lstrip: bool = False, rstrip: bool = False
) -> dict[str, Any]:
    """One entry of `added_tokens`: matched in the text as it came, before any normalisation."""
    return {
        "id": token_id,
        "content": content,
        "single_word": False,
        "lstrip": lstrip,
        "rstrip": rstrip,
        "normalized": False,
        "special": special,
    }


def sequence(kind: str, key: str, steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    """None, the one step, or a `Sequence` of steps; `key` is what that component calls its list."""
    if len(steps) < 2:
        return steps[0] if steps else None
    return {"type": kind, key: steps}
