"""Text to token ids and back, for one model.

Control tokens are a model's punctuation: `<|im_end|>` ends a turn. A text that came from a user, a file or a web page
must not be able to write them, or it could end its own turn and speak as somebody else. So `encode` reads control
tokens in a text as plain characters unless it is told otherwise, and `encode_prompt` reads them only where the chat
template wrote them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import tokenizers

from hearth.chat.alternatives import any_of
from hearth.chat.pieces import PieceTable, decoder_rule, shrink_factor
from hearth.chat.prompt import Prompt
from hearth.chat.stream import TextStream
from hearth.chat.twin import Twin
from hearth.chat.utf8 import check_text
from hearth.checkpoint.tokenizer.guard import encode, guarded, load_tokenizer
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile, HearthError, UsageError

# Some publishers mark tokens of this shape as ordinary; no text needs them as one token.
_CONTROL_SHAPE = re.compile(r"<\|[^|>]*\|>|<｜[^｜>]*｜>")


class Tokenizer:
    """A model's tokenizer.

    Attributes:
        spec: where it came from.
        bos_id, eos_ids: beginning of a text; ends of an answer.
        control: text -> id of the tokens that a text may not write: those declared special, the named ones of
            `spec.special`, the ends of an answer, and all of the shape `<|...|>`.

    Raises:
        CorruptFile: `spec.json` is not a tokenizer.
    """

    def __init__(self, spec: TokenizerSpec) -> None:
        self.spec = spec
        self.bos_id = spec.bos_id
        self.eos_ids = frozenset(spec.eos_ids)
        self._raw = load_tokenizer(spec.json, "tokenizer.json")
        added = self._raw.get_added_tokens_decoder()
        named = set(spec.special.values())
        self.control: dict[str, int] = {
            token.content: token_id
            for token_id, token in added.items()
            if token.special
            or token_id in self.eos_ids
            or token_id == self.bos_id
            or token.content in named
            or _CONTROL_SHAPE.fullmatch(token.content)
        }
        self.control_ids = frozenset(self.control.values()) | self.eos_ids
        self._pieces = PieceTable(self._raw, decoder_rule(_decoder_of(self._raw)), self.control_ids)
        self._lock = threading.Lock()

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included. A model's own vocabulary may be padded past it."""
        return int(self._raw.get_vocab_size(with_added_tokens=True))

    @property
    def vocabulary(self) -> dict[str, int]:
        """All tokens, added ones included, as the library spells them, and their ids."""
        return dict(self._raw.get_vocab(with_added_tokens=True))

    @cached_property
    def control_pattern(self) -> re.Pattern[str]:
        """Matches the text of any control token, the longest first; never matches where there are none."""
        return any_of(self.control)

    @cached_property
    def longest(self) -> int | None:
        """The most characters of a text that one token holds; None where there is no such number: some tokenizers drop
        white space, or make one token of any number of unknown characters."""
        rule = decoder_rule(_decoder_of(self._raw))
        if rule is None or not (rule.byte_level or rule.byte_fallback):
            return None
        shrinks = shrink_factor(self._raw)
        return shrinks and shrinks * max(map(len, self.vocabulary), default=1)

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the model expects BOS at the beginning of a text."""
        return self.bos_id is not None and self.encode("")[:1] == [self.bos_id]

    def encode(self, text: str | Prompt, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of a text.

        Args:
            text: a `Prompt` says itself where it may write control tokens.
            add_special: put the tokens around it that the model expects (BOS, for some EOS).
            parse_special: let the text write control tokens. Only for text you trust as you trust your program.
        """
        marked = text
        if not isinstance(marked, Prompt):
            marked = Prompt(marked) if parse_special else Prompt(marked, literal=((0, len(marked)),))
        ids = self._encode(marked, add_special=add_special and self.spec.added_by_json)
        if add_special and not self.spec.added_by_json:
            if self.spec.add_bos and self.bos_id is not None:
                ids.insert(0, self.bos_id)
            if self.spec.add_eos and self.spec.eos_ids:
                ids.append(self.spec.eos_ids[0])
        return ids

    def encode_prompt(self, prompt: Prompt, *, ensure_bos: bool = False) -> list[int]:
        """Token ids of a rendered chat.

        Args:
            ensure_bos: put BOS first if the model expects it and the template did not write it. A model's own template
                writes it where it was trained with it, so for that nothing is added.
        """
        ids = self._encode(prompt, add_special=False)
        if ensure_bos and self.adds_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            ids.insert(0, self.bos_id)
        return ids

    def encode_inner(self, text: str) -> list[int]:
        """Token ids of a text that follows on another: without the space that SentencePiece puts before a beginning."""
        before, whole = (self._ids(self._raw, t, add_special=False) for t in ("\n", "\n" + text))
        if whole[: len(before)] == before:
            return whole[len(before) :]
        return self._ids(self._raw, text, add_special=False)

    def decode(self, ids: Iterable[int], *, skip_special: bool = True, continues: bool = False) -> str:
        """The text of some ids. Bytes that are no UTF-8 become U+FFFD.

        Args:
            skip_special: leave control tokens out.
            continues: keep the space before the first word; see `TextStream`.
        """
        stream = self.stream(keep=frozenset() if skip_special else self.control_ids, continues=continues)
        return "".join([*map(stream.push, ids), stream.finish()])

    def stream(self, *, keep: frozenset[int] = frozenset(), continues: bool = False) -> TextStream:
        """An incremental detokenizer for one answer."""
        return TextStream(self._pieces, keep=keep, continues=continues)

    def token_text(self, token_id: int) -> str:
        """One token by itself, control tokens written out; for logprobs."""
        return self.decode([token_id], skip_special=False, continues=True)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one token adds to a text."""
        if self._pieces.exact:
            return self._pieces.bytes_of(token_id)
        return self.token_text(token_id).encode()

    def id_of(self, token: str) -> int | None:
        """The id of a token by its exact text, or None."""
        found: int | None = self._raw.token_to_id(token)
        return found

    def ids_of(self, tokens: Iterable[str]) -> frozenset[int]:
        return frozenset(i for i in map(self.id_of, tokens) if i is not None)

    def _encode(self, prompt: Prompt, *, add_special: bool) -> list[int]:
        check_text(prompt.text, "The text")
        written: list[re.Match[str]] = []
        any_plain = False
        for match, plain in prompt.matches(self.control_pattern):
            any_plain |= plain
            if not plain:
                written.append(match)
        if not any_plain:
            # The common case: the text writes no control token, or may write all that it does.
            return self._ids(self._raw, prompt.text, add_special=add_special)
        with self._lock:
            twin = self._twin
        pieces, end = [], 0
        for match in written:
            pieces += [prompt.text[end : match.start()], twin.stand_in[match[0]]]
            end = match.end()
        ids = self._ids(twin.raw, "".join([*pieces, prompt.text[end:]]), add_special=False)
        before, after = self._around if add_special else ([], [])
        return [*before, *(twin.id_of.get(i, i) for i in ids), *after]

    def _ids(self, raw: tokenizers.Tokenizer, text: str, *, add_special: bool) -> list[int]:
        """What the library makes of a text. In a batch of one, since only batches let other threads run meanwhile."""
        with guarded(self._fault("this text cannot be encoded")):
            return list(raw.encode_batch_fast([text], add_special_tokens=add_special)[0].ids)

    def _fault(self, what: str) -> Callable[[str], HearthError]:
        """The error for a text that the library gives up on, or for a tokenizer that takes none."""

        def error(why: str) -> HearthError:
            if self._works:
                return UsageError(f"With this model's tokenizer {what}:", why=why)
            return CorruptFile("The tokenizer is damaged:", why=why)

        return error

    @property
    def _works(self) -> bool:
        try:
            return bool(encode(self._raw, "a", add_special=True))
        except UsageError:
            return False

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What the tokenizer itself puts before and after a text."""
        plain, whole = (self._ids(self._raw, "a", add_special=flag) for flag in (False, True))
        starts = (n for n in range(len(whole) - len(plain) + 1) if whole[n : n + len(plain)] == plain)
        begin = next(starts, len(whole))
        return whole[:begin], whole[begin + len(plain) :]

    @cached_property
    def _twin(self) -> Twin:
        with guarded(self._fault("control tokens cannot be told from text")):
            return Twin(self._raw, self.spec.json, self.control)


def _decoder_of(raw: tokenizers.Tokenizer) -> Any:
    """The decoder as JSON, from the library's own serialisation, which fills in the defaults of older files."""
    if raw.decoder is None:
        return None
    return json.loads(raw.decoder.__getstate__())
