"""Token id to bytes: what each token adds to a text, read from the decoder that `tokenizer.json` declares.

Nearly every generative tokenizer is one of two kinds: byte-level BPE (each character of a token stands for one byte)
and SentencePiece (a metasymbol for the space, `<0x0A>` tokens for single bytes). For both, a text is the concatenation
of its tokens' bytes but for one rule about its first space; so it can be streamed token by token. A decoder of another
kind is left to the `tokenizers` library (`PieceTable.exact` is False then).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tokenizers

_ID_LIMIT = 1 << 32  # of what the library takes
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-in character of each byte, as GPT-2 published it: printable Latin-1 stands for itself, the
    other bytes are numbered from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in set(printable)]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


_BYTE_OF_CHAR = _byte_level_alphabet()


@dataclass(frozen=True)
class DecoderRule:
    """How token strings become bytes.

    Attributes:
        byte_level: characters stand for bytes (GPT-2); then the other fields are unused.
        replace: substitutions within each token, in order (`▁` -> space).
        byte_fallback: `<0x0A>` tokens are single bytes.
        strip_spaces: so many leading spaces of a whole text are dropped (the prefix space that encoding added).
        drop_in_first: this character is dropped from a text's first token (the Metaspace decoder), or None.
    """

    byte_level: bool = False
    replace: tuple[tuple[str, str], ...] = ()
    byte_fallback: bool = False
    strip_spaces: int = 0
    drop_in_first: str | None = None


def decoder_rule(decoder: Any) -> DecoderRule | None:
    """The rule of a `decoder` object of `tokenizer.json`; None where it is of a kind that has no such rule."""
    steps = _flatten(decoder)
    if steps is None:
        return None
    if [step.get("type") for step in steps if step.get("type") != "Fuse"] == ["ByteLevel"]:
        return DecoderRule(byte_level=True)
    rule, fused = DecoderRule(), False
    for step in steps:
        match step:
            case {"type": "Fuse"}:
                fused = True
            case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)} if not fused and old:
                rule = _with(rule, replace=(*rule.replace, (old, new)))
            case {"type": "ByteFallback"} if not fused:
                rule = _with(rule, byte_fallback=True)
            case {"type": "Strip", "content": " ", "start": int(start), "stop": 0} if fused:
                rule = _with(rule, strip_spaces=rule.strip_spaces + start)
            case {"type": "Metaspace", "replacement": str(mark)} if not fused and not rule.replace:
                drops = step.get("prepend_scheme", "always") != "never" and step.get("add_prefix_space", True)
                rule = _with(rule, replace=((mark, " "),), drop_in_first=mark if drops else None)
            case _:
                return None
    return rule


# What happens to a text before it is cut into tokens, and into how much less it may make it.
_SHRINK = {"NFC": 4, "NFD": 1, "Prepend": 1, "ByteLevel": 1, "Metaspace": 1, "Digits": 1}


def shrink_factor(raw: tokenizers.Tokenizer) -> int | None:
    """How many times longer than what a tokenizer's tokens hold a text may be; None where that is not known."""
    factor = 1
    for part in (raw.normalizer, raw.pre_tokenizer):
        for step in _steps(json.loads(part.__getstate__()) if part is not None else {"type": "Prepend"}):
            match step:
                case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)} if len(new) >= len(old):
                    continue
                case {"type": "Split", "behavior": str(behavior)} if behavior != "Removed":
                    continue
                case {"type": str(kind)} if kind in _SHRINK:
                    factor *= _SHRINK[kind]
                case _:
                    return None
    return factor


def _steps(part: Any) -> Iterator[Any]:
    for name in ("normalizers", "pretokenizers"):
        if isinstance(part, dict) and part.get("type") == "Sequence" and name in part:
            for inner in part[name]:
                yield from _steps(inner)
            return
    yield part


def _flatten(decoder: Any) -> list[Mapping[str, Any]] | None:
    if not isinstance(decoder, dict):
        return None
    if decoder.get("type") != "Sequence":
        return [decoder]
    steps: list[Mapping[str, Any]] = []
    for inner in decoder.get("decoders") or []:
        flat = _flatten(inner)
        if flat is None:
            return None
        steps.extend(flat)
    return steps or None


def _with(rule: DecoderRule, **changes: Any) -> DecoderRule:
    return DecoderRule(**{**rule.__dict__, **changes})


@dataclass
class PieceTable:
    """The bytes of every token, looked up as they are needed.

    Attributes:
        exact: False where the decoder has no rule: then only `decode_all` may be used.
        hidden: ids that leave no text (control tokens).
    """

    raw: tokenizers.Tokenizer
    rule: DecoderRule | None
    hidden: frozenset[int] = frozenset()
    _cache: dict[int, bytes] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        return self.rule is not None

    @property
    def strip_spaces(self) -> int:
        return self.rule.strip_spaces if self.rule else 0

    def bytes_of(self, token_id: int, *, first: bool = False) -> bytes:
        """What the token adds to a text, `first` where it is the first one; b"" for an id past the vocabulary (models
        pad their vocabulary to round sizes)."""
        if first and self.rule and self.rule.drop_in_first:
            return self._make(token_id, drop=self.rule.drop_in_first)
        found = self._cache.get(token_id)
        if found is None:
            found = self._cache[token_id] = self._make(token_id)
        return found

    def _make(self, token_id: int, drop: str | None = None) -> bytes:
        rule = self.rule
        if rule is None:
            raise ValueError("this decoder has no per-token rule")
        token = self.raw.id_to_token(token_id) if 0 <= token_id < _ID_LIMIT else None
        if token is None:
            return b""
        if rule.byte_level:
            # A token with a character outside the alphabet (an added token with a space in it) stands for itself.
            values = [_BYTE_OF_CHAR.get(c) for c in token]
            return token.encode() if None in values else bytes(v for v in values if v is not None)
        if drop:
            token = token.replace(drop, "")
        for old, new in rule.replace:
            token = token.replace(old, new)
        if rule.byte_fallback and (single := _BYTE_TOKEN.fullmatch(token)):
            return bytes([int(single[1], 16)])
        return token.encode()

    def decode_all(self, ids: Sequence[int], keep: frozenset[int]) -> str:
        """The library's own decoding, for decoders without a rule."""
        shown = [i for i in ids if 0 <= i < _ID_LIMIT and (i in keep or i not in self.hidden)]
        return self.raw.decode(shown, skip_special_tokens=False)
