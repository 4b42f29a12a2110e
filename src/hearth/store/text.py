"""What may stand in the store: text that SQLite and UTF-8 can hold, short enough, and titles made of it."""

from __future__ import annotations

import re

from hearth.errors import UsageError

MAX_CONTENT = 8_000_000
"""Characters of one message, its thinking, or an attachment."""
MAX_TITLE = 200
MAX_NAME = 255

_TITLE_LENGTH = 60
_WIDE_TITLE_LENGTH = 30  # of characters that take the room of two
# At the beginning of a line, a fence, and around words; not inside of words.
_MARKUP = re.compile(r"^\s*(?:#{1,6}|[>*+-]|\d+[.)])\s+|^\s*```.*$|(?<!\w)[`*_]{1,3}(?=\w)|(?<=\w)[`*_]{1,3}(?!\w)")
# Of Markdown, what is left out where a piece of it is shown on a line: fences, the marks of headings, lists, quotes and
# tables, rules, the targets of links, and what stands around emphasis, code and formulas.
_SIGNS = re.compile(
    r"""^[ \t]*(?:`{3,}|~{3,}).*$
    | ^[ \t]*(?:[#>]+|[*+-]|\d+[.)])[ \t]+
    | ^[ \t]*(?:[-*_][ \t]*){3,}$ | ^[ \t|:-]*-[ \t|:-]*$
    | \|[ \t]?
    | !?\[(?=[^\]\n]{0,200}\]\() | (?<=\w)\]\([^)\s]{0,200}\)
    | (?<!\w)[`*_~$]{1,3}(?=\S) | (?<=\S)[`*_~$]{1,3}(?!\w)""",
    re.VERBOSE | re.MULTILINE,
)
_SENTENCE = re.compile(r"[.!?](?=\s)|[。！？]")


def clean(text: str, what: str, *, limit: int = MAX_CONTENT) -> str:
    """The text without what cannot be stored: halves of surrogate pairs, which a page's JSON may hold, and NUL.

    Raises:
        UsageError: it is too long.
    """
    if len(text) > limit:
        raise UsageError(f"{what} has {len(text):,} characters, but at most {limit:,} can be kept.")
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if text.isascii():
        return text
    # A pair of halves that belong together becomes the character they stand for.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def plain(markdown: str) -> str:
    """The words of a text, for a line that shows a piece of it."""
    text = _SIGNS.sub(lambda sign: " " if "|" in sign[0] else "", markdown)
    return text.strip()


def title_of(content: str) -> str:
    """A conversation's title: the first words of its first message, cut at the end of a sentence or of a word."""
    lines = (_MARKUP.sub("", line).strip() for line in content[:4000].splitlines())
    line = " ".join(next((line for line in lines if line), "").split())
    wide = sum(ord(c) >= 0x1100 for c in line[:_TITLE_LENGTH]) > _WIDE_TITLE_LENGTH // 2
    room = _WIDE_TITLE_LENGTH if wide else _TITLE_LENGTH
    end = _SENTENCE.search(line)
    if end and end.start() < room and line[end.end() :].strip():
        # "!" and "?" say something in a title, a full stop does not.
        return line[: end.start()] + ("" if end.group() in ".。" else end.group())
    if len(line) <= room:
        return line.rstrip(".。")
    cut = line[:room]
    if not wide and " " in cut[room // 2 :]:
        cut = cut[: cut.rindex(" ")]
    return cut.rstrip(" ,;:.，、；：") + "…"
