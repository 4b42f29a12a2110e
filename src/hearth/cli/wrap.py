"""Breaks the lines of a streamed answer between words, for a terminal that would break them anywhere."""

from __future__ import annotations

from hearth.cli.terminal import cells

_FENCES = ("```", "~~~")
_LONGEST_WORD = 256  # held back until it ends


class StreamWrap:
    """Text in pieces, out again with line breaks where a word would not fit any more.

    Code between fences and the rows of tables keep their lines. Chinese and the like break after any character.

    Args:
        width: columns of the terminal.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._line = ""  # of the text, as far as it has come
        self._word = ""  # not written yet
        self._spaces = ""  # before the word
        self._column = 0
        self._in_code = False

    def push(self, text: str) -> str:
        """What can be written now; the last word may be held back until it has ended."""
        return "".join(map(self._char, text))

    def finish(self) -> str:
        """What was held back."""
        return self._take_word() + self._take_spaces()

    def _char(self, char: str) -> str:
        if char == "\n":
            out = self._take_word() + "\n"
            if self._line.lstrip().startswith(_FENCES):
                self._in_code = not self._in_code
            self._line, self._spaces, self._column = "", "", 0
            return out
        self._line += char
        if self._in_code or self._line.lstrip()[:1] == "|" or self._line.lstrip().startswith(_FENCES):
            return self._take_word() + self._take_spaces() + char
        if char in " \t":
            out = self._take_word()
            self._spaces += char
            return out
        if cells(char) > 1:
            out = self._take_word()
            self._word = char
            return out + self._take_word()
        self._word += char
        return self._take_word() if len(self._word) > _LONGEST_WORD else ""

    def _take_word(self) -> str:
        if not self._word:
            return ""
        word, size = self._word, cells(self._word)
        self._word = ""
        if self._column and self._column + len(self._spaces) + size > self._width:
            self._spaces = ""
            self._column = size % self._width  # the terminal itself breaks a word that is longer than its line
            return "\n" + word
        spaces = self._take_spaces()
        self._column = (self._column + size) % self._width if size > self._width else self._column + size
        return spaces + word

    def _take_spaces(self) -> str:
        spaces, self._spaces = self._spaces, ""
        self._column += len(spaces)
        return spaces
