"""Sets of tokens as bit masks, and what the tokens of one vocabulary write.

A grammar speaks of text. Where the text that an answer shows is not just what its tokens write one after the other (a
space that is dropped at its beginning, the tags around a thinking block), these sets say which tokens amount to what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hearth.chat.thinking import CHANNELS, TAGS, texts_of
from hearth.chat.tokenizer import Tokenizer

Mask = NDArray[np.int32]
"""int32 (ceil(size / 32),): bit t % 32 of word t // 32 stands for token t."""

_LONGEST = 32


@dataclass(frozen=True)
class Twins:
    """Tokens that show less than they write, and for each a token that writes just that.

    Attributes:
        all: the tokens, with those that have no twin.
        nothing: of these, the ones that show nothing.
        twin_of: token -> its twin.
    """

    all: Mask
    nothing: Mask
    twin_of: dict[int, int]

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        count = len(self.twin_of)
        return np.fromiter(self.twin_of, np.int64, count), np.fromiter(self.twin_of.values(), np.int64, count)

    def rewrite(self, mask: Mask) -> None:
        """Lets each token come where its twin may, and none without one."""
        tokens, twins = self._pairs
        allowed = (mask[twins >> 5] >> (twins & 31).astype(np.int32)) & 1 == 1
        mask &= ~self.all
        set_bits(mask, tokens[allowed])


class TokenTable:
    """What the tokens of one model write.

    Args:
        tokenizer: the model's.
        vocab_size: columns of its logits.

    Attributes:
        size: tokens, padding included.
        num_words: of a mask here; vocab_words: of the model's.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self.tokenizer = tokenizer
        self.size = max(vocab_size, tokenizer.vocab_size)
        self.num_words = (self.size + 31) // 32
        self.vocab_words = (vocab_size + 31) // 32
        self._found: dict[bytes, Mask] = {}

    def prepare(self) -> None:
        """Computes what every answer needs, 0.1 s for a large vocabulary: now, not in the middle of an answer."""
        for _ in (self.texts, self.any, self.as_first):
            pass

    @cached_property
    def texts(self) -> list[bytes]:
        """What each token adds to a text; control tokens nothing."""
        tokenizer = self.tokenizer
        hidden = tokenizer.control_ids | tokenizer.eos_ids
        return [b"" if i in hidden else tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]

    @cached_property
    def by_text(self) -> dict[bytes, int]:
        """A token for each text that is one."""
        return {text: i for i, text in enumerate(self.texts) if text}

    @cached_property
    def any(self) -> Mask:
        """Every token of the tokenizer."""
        return self.mask_of(range(self.tokenizer.vocab_size))

    @cached_property
    def after_space(self) -> Twins:
        """Tokens that begin with white space, where that is dropped."""
        return self._twins([text.lstrip() for text in self.texts])

    @cached_property
    def as_first(self) -> Twins:
        """Tokens that lose the space before them at the beginning of a text (SentencePiece)."""
        spaced = [i for i, text in enumerate(self.texts) if text[:1] == b" "]
        shown = list(self.texts)
        if any(self.first_text(i) != shown[i] for i in spaced[:10]):  # a tokenizer does so or does not
            for i in spaced:
                shown[i] = self.first_text(i)
        return self._twins(shown)

    def first_text(self, token: int) -> bytes:
        """What a token writes at the beginning of a text."""
        text = self.tokenizer.decode([token], skip_special=True)
        return text.encode() if "\N{REPLACEMENT CHARACTER}" not in text else self.texts[token]

    def mask_of(self, ids: Iterable[int]) -> Mask:
        mask = np.zeros(self.num_words, np.int32)
        set_bits(mask, np.fromiter(ids, np.int64))
        return mask

    def towards(self, rest: bytes) -> Mask:
        """Tokens that go on towards `rest`, an end of an opening tag, or past it. The caller's to change."""
        texts = self._cached(b"+" + rest, lambda text: text != b"" and (rest.startswith(text) or text.startswith(rest)))
        return texts.copy()

    def opening(self, text: bytes) -> Mask:
        """Tokens that begin with a text or a part of its beginning, after white space or not."""
        return self._cached(
            b"^" + text, lambda one: (s := one.lstrip()) != b"" and (s.startswith(text) or text.startswith(s))
        )

    def past(self, rest: bytes) -> Mask:
        """Tokens that go past `rest`, an end of a closing tag, with more than white space."""
        return self._cached(b"-" + rest, lambda text: text.startswith(rest) and text[len(rest) :].strip() != b"")

    def text(self, token: int) -> bytes:
        return self.texts[token] if token < len(self.texts) else b""

    @cached_property
    def tag_texts(self) -> dict[int, bytes]:
        """The tags around thinking that are tokens."""
        ids = {tag: self.tokenizer.id_of(tag) for tag in texts_of((*TAGS, *CHANNELS))}
        return {i: tag.encode() for tag, i in ids.items() if i is not None}

    def spell(self, data: bytes) -> list[int]:
        """Some tokens that write these bytes, long ones first; what no token writes is left out."""
        ids, at = [], 0
        while at < len(data):
            longest = range(min(len(data), at + _LONGEST), at, -1)
            end = next((end for end in longest if data[at:end] in self.by_text), None)
            if end is not None:
                ids.append(self.by_text[data[at:end]])
            at = end or at + 1
        return ids

    def _cached(self, key: bytes, fits: Callable[[bytes], bool]) -> Mask:
        """There are few tags, and few pieces of each."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self.mask_of(i for i, text in enumerate(self.texts) if fits(text))
        return found

    def _twins(self, shown: list[bytes]) -> Twins:
        texts = self.texts
        changed = [i for i, text in enumerate(texts) if text != shown[i]]
        twins = {i: self.by_text[shown[i]] for i in changed if shown[i] in self.by_text}
        return Twins(self.mask_of(changed), self.mask_of(i for i in changed if not shown[i]), twins)


class Vocabulary:
    """A model's tokens as llguidance wants to know them: what its `TokenizerWrapper` takes.

    The bytes are those that `TextStream` writes, and special is what it does not write: a grammar sees the very text
    that an answer shows. (From `tokenizer.json` llguidance would take every added token of the shape `<...>` for a
    special one, such as `<think>` and `<tool_call>`, which many models have as text.)
    """

    def __init__(self, table: TokenTable, end_id: int) -> None:
        tokenizer = table.tokenizer
        names = {i: text for text, i in tokenizer.control.items()}
        self._table = table
        self.eos_token_id = end_id
        self.bos_token_id = tokenizer.bos_id
        self.special_token_ids = sorted(tokenizer.control_ids | tokenizer.eos_ids)
        self.tokens = list(table.texts) + [b""] * (table.size - len(table.texts))
        for i in self.special_token_ids:
            self.tokens[i] = (names.get(i) or tokenizer.token_text(i)).encode()

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens that the model's own tokenizer writes a text with, somewhere in the middle of another."""
        data = text.encode() if isinstance(text, str) else bytes(text)
        table = self._table
        ids = table.tokenizer.encode_inner(data.decode("utf-8", "replace"))
        return ids if b"".join(table.text(i) for i in ids) == data else table.spell(data)


def set_bits(mask: Mask, tokens: NDArray[np.int64]) -> None:
    """Adds tokens to a mask."""
    words = mask.view(np.uint32)
    np.bitwise_or.at(words, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))


def set_bit(mask: Mask, token: int) -> None:
    mask.view(np.uint32)[token >> 5] |= np.uint32(1 << (token & 31))


def has_bit(mask: Mask, token: int) -> bool:
    return bool((int(mask[token >> 5]) >> (token & 31)) & 1)
