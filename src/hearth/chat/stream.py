"""Tokens in, text out, as they come: never half a character, never a character that may still change.

The concatenation of everything a `TextStream` returns is what `Tokenizer.decode` gives for all the ids at once;
`decode` is in fact this stream, run to its end.
"""

from __future__ import annotations

import codecs

from hearth.chat.pieces import PieceTable

_REPLACEMENT = "�"


class TextStream:
    """Incremental detokenizer of one answer.

    Bytes that do not make a character yet (at most three of them: UTF-8 has up to four a character) wait for the next
    token; bytes that never can become U+FFFD at once.

    Args:
        keep: control tokens to write out nevertheless (the tags around a thinking block).
        continues: the text carries on from a prompt, so the first token's leading space belongs to it. Otherwise the
            space that SentencePiece puts before a text's first word is dropped.
    """

    def __init__(self, pieces: PieceTable, *, keep: frozenset[int] = frozenset(), continues: bool = False) -> None:
        self._pieces = pieces
        self._keep = keep
        self._first = not continues
        self._to_strip = 0 if continues else pieces.strip_spaces
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._ids: list[int] = []  # only for decoders without a rule
        self._sent = ""

    def push(self, token_id: int) -> str:
        """The text that this token settles; often a word, "" where it must wait or where the token has no text."""
        if token_id in self._pieces.hidden and token_id not in self._keep:
            return ""
        if not self._pieces.exact:
            self._ids.append(token_id)
            return self._emit_settled(self._pieces.decode_all(self._ids, self._keep).rstrip(_REPLACEMENT))
        data = self._pieces.bytes_of(token_id, first=self._first)
        self._first = False
        return self._strip(self._utf8.decode(data))

    def finish(self) -> str:
        """What was held back. Nothing may be pushed afterwards."""
        if not self._pieces.exact:
            return self._emit_settled(self._pieces.decode_all(self._ids, self._keep))
        return self._strip(self._utf8.decode(b"", final=True))

    def _strip(self, text: str) -> str:
        while self._to_strip and text:
            if text[0] != " ":
                self._to_strip = 0
            else:
                text, self._to_strip = text[1:], self._to_strip - 1
        return text

    def _emit_settled(self, whole: str) -> str:
        # A decoder that rewrites what it said before (WordPiece clean-up) cannot be streamed exactly; what was shown
        # stays, only additions follow. No generative model we know of has one.
        if not whole.startswith(self._sent):
            return ""
        new, self._sent = whole[len(self._sent) :], whole
        return new
