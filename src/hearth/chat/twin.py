"""A tokenizer in which texts cannot write control tokens.

In it `<|im_end|>` is ten ordinary characters; where a template really wrote the token, a stand-in is put that no text
can guess. One call to the library then treats both as it should, with the spaces and normalisation around them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import tokenizers

from hearth.checkpoint.tokenizer.guard import load_tokenizer


class Twin:
    """The twin of one tokenizer.

    Args:
        raw: the tokenizer.
        source: its tokenizer.json.
        control: text -> id of the tokens that a text may not write.

    Attributes:
        raw: what encodes; adds nothing around a text.
        stand_in: for each control token's text what is written in its place.
        id_of: the ids of `raw` that the tokenizer itself has under others.
    """

    def __init__(self, raw: tokenizers.Tokenizer, source: str, control: Mapping[str, int]) -> None:
        secret = secrets.token_hex(8)
        self.stand_in = {text: f"\U000f0000{secret}{token_id:x}\U000f0001" for text, token_id in control.items()}
        added = raw.get_added_tokens_decoder()
        self.raw = _sharing(raw, added, self.stand_in)
        self.id_of = self._renumbered(added)
        if not self._holds(control):
            self.raw = load_tokenizer(_renamed(source, self.stand_in), "tokenizer.json")
            self.id_of = self._renumbered(added)

    def _renumbered(self, added: Mapping[int, Any]) -> dict[int, int]:
        """The library numbers added tokens anew where the model's vocabulary lacks them, whatever they had before."""
        names = {token_id: self.stand_in.get(token.content, token.content) for token_id, token in added.items()}
        renumbered = {self.raw.token_to_id(name): token_id for token_id, name in names.items()}
        return {new: old for new, old in renumbered.items() if new is not None and new != old}

    def _holds(self, control: Mapping[str, int]) -> bool:
        """Whether no control token comes out of its own characters, and no new id is that of another token."""
        model = self.raw.model
        if type(model).__name__ != "BPE" or any(model.id_to_token(new) is not None for new in self.id_of):
            return False  # in other models what surrounds a text may change what becomes of it
        texts = list(control)
        whole = [found.ids for found in self.raw.encode_batch_fast(texts, add_special_tokens=False)]
        found = [
            any(token.id == control[text] for token in model.tokenize(text)) and not self._is_split(text)
            for text in texts
        ]
        return not any(found) and not any(control[text] in ids for text, ids in zip(texts, whole, strict=True))

    def _is_split(self, text: str) -> bool:
        """Whether the pre-tokenizer takes a text apart wherever it stands, so that the model never sees it whole."""
        normalizer, pre_tokenizer = self.raw.normalizer, self.raw.pre_tokenizer
        if pre_tokenizer is None or (normalizer is not None and normalizer.normalize_str(text) != text):
            return False
        for beside in ("", "a", " ", ".", "\n"):
            begin, end = len(beside), len(beside) + len(text)
            pieces = pre_tokenizer.pre_tokenize_str(f"{beside}{text}{beside}")
            if any(first <= begin and end <= last for _, (first, last) in pieces):
                return False
        return True


def _sharing(raw: tokenizers.Tokenizer, added: Mapping[int, Any], stand_in: Mapping[str, str]) -> tokenizers.Tokenizer:
    """A tokenizer around the very model of another, with other added tokens: made in milliseconds."""
    twin = tokenizers.Tokenizer(raw.model)
    if raw.normalizer is not None:
        twin.normalizer = raw.normalizer
    if raw.pre_tokenizer is not None:
        twin.pre_tokenizer = raw.pre_tokenizer
    twin.add_tokens(
        [
            tokenizers.AddedToken(
                stand_in.get(token.content, token.content),
                single_word=token.single_word,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                # A stand-in must be found before a normalizer changes it.
                normalized=token.normalized and token.content not in stand_in,
                special=token.special,
            )
            for _, token in sorted(added.items())
        ]
    )
    return twin


def _renamed(source: str, stand_in: Mapping[str, str]) -> str:
    """A tokenizer.json with its control tokens renamed, for models that would find them among ordinary characters."""
    data = json.loads(source)
    for token in data.get("added_tokens") or []:
        if token["content"] in stand_in:
            token["content"] = stand_in[token["content"]]
            token["normalized"] = False
    data["post_processor"] = None
    model = data["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {stand_in.get(text, text): i for text, i in model["vocab"].items()}
    elif isinstance(model.get("vocab"), list):
        model["vocab"] = [[stand_in.get(text, text), score] for text, score in model["vocab"]]
    if model.get("merges"):  # a rule that builds a control token out of ordinary ones would name a missing token
        model["merges"] = [m for m in model["merges"] if not _builds(m, stand_in)]
    if model.get("unk_token") in stand_in:
        model["unk_token"] = stand_in[model["unk_token"]]
    return json.dumps(data, ensure_ascii=False)


def _builds(merge: str | list[str], names: Mapping[str, str]) -> bool:
    left, _, right = merge.partition(" ") if isinstance(merge, str) else (merge[0], "", merge[1])
    return any(text in names for text in (left, right, left + right))
