"""A vocabulary held against the rows of the model's embedding: a token without a row can be neither read nor written.

Fine-tunes with a trimmed or a forgotten embedding have such tokens. One that is only looked for in a text (an added
token) is treated as plain text; where ordinary tokens have no row, the files do not belong together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tokenizers import Tokenizer

from hearth.checkpoint.tokenizer.spec import to_json
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile

_SHOWN = 3


def fit_to_rows(spec: TokenizerSpec, tokenizer: Tokenizer, rows: int, source: str) -> TokenizerSpec:
    """The tokenizer with nothing in it that the model has no row for.

    Args:
        spec: what was read.
        tokenizer: its `json`, loaded.
        rows: of the embedding.
        source: for messages.

    Raises:
        CorruptFile: ordinary tokens have no row, or the only tokens that end an answer have none.
    """
    notices: list[str] = []
    ends = tuple(number for number in spec.eos_ids if number < rows)
    if spec.eos_ids and not ends:
        raise CorruptFile(
            f"{source}: no token that ends an answer is in the model's vocabulary.",
            why=f"Named: {_listed(spec.eos_ids)}; the embedding has {rows:,} rows.",
            hint="Correct eos_token_id in config.json and generation_config.json, or take the original model's files.",
        )
    if len(ends) < len(spec.eos_ids):
        lost = _listed(number for number in spec.eos_ids if number >= rows)
        notices.append(f"{source} names {lost} as end of an answer, but the model has only {rows:,} tokens.")
    text = spec.json
    if max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0) >= rows:
        text, dropped = _without_tokens_beyond(text, rows, source)
        if missed := [token for token in dropped if _is_missed(token, spec)]:
            shown = ", ".join(repr(token["content"][:40]) for token in missed[:_SHOWN])
            notices.append(
                f"{source} has {len(missed)} added token{'s' * (len(missed) > 1)} beyond the {rows:,} rows of the "
                f"embedding ({shown}{', ...' * (len(missed) > _SHOWN)}): in a text, plain characters are read."
            )
    bos = spec.bos_id if spec.bos_id is None or spec.bos_id < rows else None
    return replace(
        spec,
        json=text,
        bos_id=bos,
        eos_ids=ends,
        add_bos=spec.add_bos and bos is not None,
        notices=(*spec.notices, *notices),
    )


def _is_missed(token: dict[str, Any], spec: TokenizerSpec) -> bool:
    """Would anybody have read the token? A special one is written by a chat template or by nobody: Gemma 3 without
    eyes has one for pictures."""
    templates = (spec.chat_template or "", *spec.named_templates.values())
    return not token.get("special") or any(token["content"] in template for template in templates)


def _without_tokens_beyond(text: str, rows: int, source: str) -> tuple[str, list[dict[str, Any]]]:
    """The text of a tokenizer.json without the added tokens whose id is `rows` or more, and these."""
    document = json.loads(text)
    model = document["model"]
    vocab: Any = model["vocab"]
    added = [token for token in document.get("added_tokens") or [] if token["id"] >= rows]
    beyond = {token["content"] for token in added}
    entries = vocab.items() if isinstance(vocab, dict) else ((entry[0], i) for i, entry in enumerate(vocab))
    ordinary = next(((name, number) for name, number in entries if number >= rows and name not in beyond), None)
    if ordinary:
        raise CorruptFile(
            f"The tokenizer in {source} has tokens that the model has no rows for.",
            why=f"Its token {ordinary[1]:,} is {ordinary[0][:40]!r}; the embedding has {rows:,} rows, so the two are "
            "not of one model.",
            hint="Take the tokenizer from the repository that the weights are from.",
        )
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] < rows]
    if isinstance(vocab, dict):
        model["vocab"] = {name: number for name, number in vocab.items() if number < rows}
    else:
        model["vocab"] = vocab[:rows]
    if model.get("merges"):  # one that builds such a token names it
        model["merges"] = [merge for merge in model["merges"] if not _builds(merge, beyond)]
    return to_json(document), added


def _builds(merge: str | list[str], tokens: set[str]) -> bool:
    left, _, right = merge.partition(" ") if isinstance(merge, str) else (merge[0], "", merge[1])
    return bool(tokens & {left, right, left + right})


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(f"{number:,}" for number in list(numbers)[:_SHOWN])
