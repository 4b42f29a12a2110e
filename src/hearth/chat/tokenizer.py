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
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tokenizers

from hearth.chat.alternatives import any_of
from hearth.chat.pieces import DecoderRule, PieceTable, decoder_rule, shrink_factor
from hearth.chat.prompt import Prompt
from hearth.chat.stream import TextStream
from hearth.chat.twin import Twin
from hearth.chat.utf8 import check_text
from hearth.checkpoint.tokenizer.guard import encode, guarded, load_tokenizer
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile, HearthError, UsageError

# Some publishers mark tokens of this shape as ordinary; no text needs them as one token.
_CONTROL_SHAPE = re.compile(r"<\|[^|>]*\|>|<｜[^｜>]*｜>")


@dataclass(frozen=True)
class Encoded:
    """Texts as an encoder reads them, a number or a place for each token.

    Attributes:
        ids: tokens.
        types: 1 for those of the second of two texts, where the tokenizer tells them apart.
        spans: which characters of its text a token is; None for what the tokenizer put around it.
    """

    ids: list[int]
    types: list[int]
    spans: list[tuple[int, int] | None]

    def add(self, ids: list[int], types: list[int], spans: list[tuple[int, int] | None]) -> None:
        self.ids.extend(ids)
        self.types.extend(types)
        self.spans.extend(spans)


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
        rule = decoder_rule(_decoder_of(self._raw))
        self.control_ids = frozenset(self.control.values()) | self._ends_without_text(rule)
        self._pieces = PieceTable(self._raw, rule, self.control_ids)
        self._lock = threading.Lock()

    def _ends_without_text(self, rule: DecoderRule | None) -> frozenset[int]:
        """The ends of an answer but those that are white space, which elsewhere is text (RWKV's empty line)."""
        pieces = PieceTable(self._raw, rule)
        return frozenset(i for i in self.eos_ids if rule is None or not pieces.bytes_of(i).isspace())

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

    def encode_whole(
        self, text: str | Prompt, second: str | None = None, *, most: int | None = None, doubled: bool = False
    ) -> Encoded:
        """A text, or a pair of texts, with all that the model expects around them, as encoders read it.

        Args:
            text: may write control tokens only where it is a `Prompt` that says so.
            second: the other text of a pair.
            most: the last text is cut so that there are at most so many tokens.
            doubled: where the tokenizer does not say what stands between two texts, it is the end of one twice
                (RoBERTa), else once (BERT).

        Raises:
            UsageError: what stands around the texts, or the first of a pair, leaves no room.
        """
        first = text if isinstance(text, Prompt) else Prompt(text, literal=((0, len(text)),))
        parts = [self._tokens(first)]
        if second is not None:
            parts.append(self._tokens(Prompt(second, literal=((0, len(second)),))))
        around = self._layout(len(parts), doubled)
        fixed = sum(len(ids) for ids, _ in around) + sum(len(part) for part in parts[:-1])
        if most is not None:
            if fixed > most:
                raise UsageError(
                    f"The first text of a pair and what stands around it are {fixed:,} tokens; {most:,} fit."
                    if second is not None
                    else f"What stands around a text is {fixed:,} tokens; {most:,} fit."
                )
            parts[-1] = parts[-1][: most - fixed]
        whole = Encoded([], [], [])
        for (ids, types), part, number in zip(around, [*parts, []], range(len(parts) + 1), strict=True):
            whole.add(ids, types, [None] * len(ids))
            whole.add(
                [i for i, _ in part],
                [number] * len(part) if self._is_typed else [0] * len(part),
                [span for _, span in part],
            )
        return whole

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

    def _tokens(self, prompt: Prompt) -> list[tuple[int, tuple[int, int] | None]]:
        """Token ids of a text without anything around it, and the characters that each is; None where control tokens
        that the text may write move them."""
        check_text(prompt.text, "The text")
        touched = [plain for _, plain in prompt.matches(self.control_pattern)]
        if touched and not all(touched):
            return [(token_id, None) for token_id in self._encode(prompt, add_special=False)]
        with self._lock:
            raw, id_of = (self._twin.raw, self._twin.id_of) if touched else (self._raw, {})
        with guarded(self._fault("this text cannot be encoded")):
            found = raw.encode_batch([prompt.text], add_special_tokens=False)[0]
        return [(id_of.get(i, i), span) for i, span in zip(found.ids, found.offsets, strict=True)]

    def _layout(self, texts: int, doubled: bool) -> list[tuple[list[int], list[int]]]:
        """Ids and types of what stands before, between and after one or two texts."""
        if self.spec.added_by_json:
            return self._layouts[texts - 1]
        before = [self.bos_id] if self.spec.add_bos and self.bos_id is not None else []
        after = [self.spec.eos_ids[0]] if self.spec.add_eos and self.spec.eos_ids else []
        groups = [before, after] if texts == 1 else [before, after * 2 if doubled else after, after]
        last = 0 if doubled else texts - 1
        return [(ids, [last if place == texts else 0] * len(ids)) for place, ids in enumerate(groups)]

    @cached_property
    def _layouts(self) -> list[list[tuple[list[int], list[int]]]]:
        """The same, as tokenizer.json says."""
        layouts = []
        for second in (None, "a"):
            with guarded(self._fault("two texts cannot be encoded")):
                found = self._raw.encode("a", second)
            groups: list[tuple[list[int], list[int]]] = [([], []) for _ in range(2 if second is None else 3)]
            place = 0
            for token_id, type_id, text in zip(found.ids, found.type_ids, found.sequence_ids, strict=True):
                if text is not None:
                    place = text + 1
                else:
                    groups[place][0].append(token_id)
                    groups[place][1].append(type_id)
            layouts.append(groups)
        return layouts

    @cached_property
    def _is_typed(self) -> bool:
        """Whether tokens of the second of two texts have a type of their own."""
        return self.spec.added_by_json is False or 1 in self._raw.encode("a", "a").type_ids

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
