"""Which tokens of a Hugging Face folder have names, and whether they are put around a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.guard import encode
from hearth.errors import CorruptFile, UsageError

# Tokens that a post-processor may put around a text; published ones put one or two.
_MAX_ADDED = 64
_MAX_TOKENS = 1024
# Kinds of post-processors whose purpose is to put tokens around a text.
_TEMPLATES = frozenset({"TemplateProcessing", "BertProcessing", "RobertaProcessing"})
_NAMED_LISTS = ("extra_special_tokens", "model_specific_special_tokens")
_LISTS = ("additional_special_tokens", "extra_special_tokens")


def named_tokens(*sources: Mapping[str, Any]) -> dict[str, str]:
    """The tokens that a chat template may name: `bos_token`, `eos_token`, ... and those of a family's own, such as
    `image_token`.

    Args:
        sources: objects of tokenizer_config.json and special_tokens_map.json; an earlier one wins.
    """
    found: dict[str, str] = {}
    for source in sources:
        named = [source, *(source[key] for key in _NAMED_LISTS if isinstance(source.get(key), dict))]
        for name, value in (item for table in named for item in table.items()):
            text = _content(value)
            if text is not None and name.endswith("_token") and name.isidentifier() and len(found) < _MAX_TOKENS:
                found.setdefault(name, text)
    return found


def additional_tokens(*sources: Mapping[str, Any]) -> tuple[str, ...]:
    """The special tokens that are only listed: `additional_special_tokens`, which transformers 5 calls
    `extra_special_tokens`. The first source that has some counts."""
    for source in sources:
        for key in _LISTS:
            values = source.get(key)
            texts = [_content(value) for value in values[:_MAX_TOKENS]] if isinstance(values, list) else []
            if found := tuple(dict.fromkeys(text for text in texts if text)):
                return found
    return ()


def _content(value: Any) -> str | None:
    """The text of a token that is written as it is or as a serialised AddedToken."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def post_processor_decides(tokenizer: Tokenizer) -> bool:
    """Whether tokenizer.json itself says which tokens stand around a text, be it none.

    Then its word counts, whatever tokenizer_config.json says (transformers 5 and llama.cpp's converter do the same).
    """
    if tokenizer.post_processor is None:
        return False
    state = json.loads(tokenizer.post_processor.__getstate__())
    return any(part.get("type") in _TEMPLATES for part in state.get("processors", [state]))


def num_added(tokenizer: Tokenizer, source: str) -> int:
    """How many tokens the post-processor puts around a text. `source` is for messages.

    Raises:
        CorruptFile: absurdly many, or it cannot do it at all.
    """
    try:
        plain, whole = (encode(tokenizer, "a", add_special=flag) for flag in (False, True))
    except UsageError as error:  # of the file's making, not of this text's
        raise CorruptFile(f"The tokenizer in {source} is damaged.", why=error.why, hint=PULL_AGAIN) from None
    if len(whole) - len(plain) > _MAX_ADDED:
        raise CorruptFile(
            f"The tokenizer in {source} puts {len(whole) - len(plain):,} tokens around each text.",
            why=f"At most {_MAX_ADDED} are plausible.",
            hint=PULL_AGAIN,
        )
    return len(whole) - len(plain)
