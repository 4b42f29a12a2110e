"""Reads calls out of a stream of text: what all families have in common.

A family's reader is written as if the whole answer were there, one character after the other (`yield` waits for the
next). Here stands what streaming asks for: text is passed on at once unless it may begin a call; what only looked like
a call is given back as text, and read again from its second character on.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Generator, Sequence

from hearth.chat.tools.jsonscan import SPACE, JsonScanner
from hearth.chat.tools.types import Tool, ToolCallDelta, new_call_id

END = ""  # what a reader gets after the last character
Chars = Generator[None, str, str]  # a step of a reader: takes characters, returns the one that it did not use


class NotACall(Exception):
    """What was read is no call; it goes back to the text."""


class CallReader(ABC):
    """Tells calls from text in one answer; a `ToolParser`.

    Args:
        tools: only these can be called.
        markers: texts that begin a call wherever they stand.
        starts: texts that begin a call at the beginning of a line.
    """

    def __init__(self, tools: Sequence[Tool], markers: Sequence[str], starts: Sequence[str] = ()) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self._markers = tuple(markers)
        self._starts = tuple(starts)
        self._out: list[str | ToolCallDelta] = []
        self._input: deque[str] = deque()
        self._held = ""  # read, but not passed on: may belong to a call
        self._calls = 0
        self._in_call = False  # the call that is read now has been announced
        self._line_start = True  # nothing but blanks has been passed on since the last line end
        self._after_call = False  # no text since the last call
        self._steps = self._run()
        next(self._steps)

    def push(self, text: str) -> list[str | ToolCallDelta]:
        """What this text settles: pieces of text, never empty, and pieces of calls, in order."""
        self._input.extend(text)
        while self._input:
            self._steps.send(self._input.popleft())
        return self._taken()

    def finish(self) -> list[str | ToolCallDelta]:
        """What was held back, at the end of the answer."""
        while True:
            self._steps.send(self._input.popleft() if self._input else END)
            if not self._input and not self._held:
                return self._taken()

    @abstractmethod
    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """Reads what follows a marker: one or more calls, and the first character that is no part of them.

        Raises:
            NotACall: it is something else.
        """

    # For families' readers.

    def space(self, char: str = " ") -> Chars:
        """Skips white space, from `char` on; returns the first other character."""
        while char != END and char in SPACE:
            char = yield from self.next()
        return char

    def next(self) -> Chars:
        """One character, which is held until it is clear what it belongs to."""
        char = yield
        self._held += char
        return char

    def literal(self, texts: Collection[str], char: str) -> Chars:
        """Reads one of some texts, whose first character is `char`; returns it."""
        text = char
        while text not in texts:
            if char == END or not any(t.startswith(text) for t in texts):
                raise NotACall
            char = yield from self.next()
            text += char
        return text

    def maybe(self, texts: Collection[str], char: str) -> Chars:
        """Reads one of some texts, if it begins with `char`, and returns it; "" where something else comes, which is
        read again after the calls, or where the answer was cut within it."""
        text = char
        while char != END and any(t.startswith(text) for t in texts):
            if text in texts:
                return text
            char = yield from self.next()
            text += char
        if char == END:
            self._held = ""
        return ""

    def value(self, char: str) -> Generator[None, str, tuple[str, str]]:
        """Reads a JSON value that begins with `char`; returns its text and the character after it."""
        scanner, text = JsonScanner(), ""
        while char != END and scanner.push(char):
            text += char
            char = yield from self.next()
            if scanner.done:
                return text, char
        scanner.finish()
        if not scanner.done:
            raise NotACall
        return text, char

    def closing(self, texts: Collection[str], char: str) -> Chars:
        """Skips one of some texts, if it begins with `char`; then, or if none comes, the calls are over."""
        text = char
        while char != END and any(t.startswith(text) for t in texts):
            if text in texts:
                self._held = ""
                return END
            char = yield from self.next()
            text += char
        if char == END:  # the answer was cut within it
            self._held = ""
        return char

    def arguments(self, char: str) -> Chars:
        """Reads an object that begins with `char` and passes it on as the call's arguments as it comes."""
        scanner = JsonScanner()
        while char != END and scanner.push(char):
            self.pass_on(char)
            if scanner.done:
                return (yield from self.next())
            char = yield from self.next()
        raise NotACall

    def announce(self, name: str) -> None:
        """From here on it is a call."""
        self._out.append(ToolCallDelta(self._calls, new_call_id(), name))
        self._held, self._in_call = "", True
        self._line_start = False

    def pass_on(self, text: str) -> None:
        """A piece of the call's arguments."""
        self._held = ""
        last = self._out[-1] if self._out else None
        if isinstance(last, ToolCallDelta) and not last.id:
            self._out[-1] = ToolCallDelta(self._calls, arguments=last.arguments + text)
        elif text:
            self._out.append(ToolCallDelta(self._calls, arguments=text))

    def settle(self, next_char: str = "") -> None:
        """The call is complete; `next_char` is what has been read after it."""
        self._held = next_char
        self._calls += 1
        self._in_call = False
        self._after_call = True

    def hold(self, text: str) -> None:
        """This, and nothing before it, has been read and not passed on."""
        self._held = text

    def drop(self) -> None:
        """What has been read since the call is punctuation."""
        self._held = ""

    # The loop around them.

    def _run(self) -> Generator[None, str, None]:
        while True:
            marker = yield from self._text()
            try:
                yield from self.read_calls(marker)
            except NotACall:
                self._give_back(marker)
            else:  # what was read past the calls is read again
                self._input.extendleft(reversed(self._held))
                self._held = ""

    def _text(self) -> Chars:
        """Passes text on until a marker has come; returns that."""
        begun = ""  # of a marker: the end of what is held, without the white space before it
        while True:
            char = yield from self.next()
            if char == END:
                if not (self._after_call and self._held.isspace()):
                    self._say(self._held)
                self._held = begun = ""
                continue
            begun = (begun + char).lstrip(SPACE)
            if self._known(begun, len(self._held) - len(begun), whole=True):
                return begun
            if begun and self._known(begun, len(self._held) - len(begun)):
                continue
            # White space before a call belongs to it, so it is held as well.
            begun = self._begun()
            blanks = self._held[: len(self._held) - len(begun)]
            settled = len(blanks.rstrip(SPACE))
            self._say(self._held[:settled])
            self._held = self._held[settled:]

    def _begun(self) -> str:
        """The longest end of what is held that may become the beginning of a call; "" where there is none."""
        reach = max(map(len, self._markers + self._starts), default=0)
        first = max(len(self._held) - reach, 0)
        return next((self._held[at:] for at in range(first, len(self._held)) if self._known(self._held[at:], at)), "")

    def _known(self, begun: str, at: int, *, whole: bool = False) -> bool:
        """Whether a text at a place in what is held is the beginning of a call, or all of one's first part."""
        texts = self._markers
        if self._starts:
            before = self._held[:at].rstrip(" \t\r")
            if before.endswith("\n") or (not before and self._line_start):
                texts += self._starts
        return begun in texts if whole else any(text.startswith(begun) for text in texts)

    def _give_back(self, marker: str) -> None:
        """What was taken for a call is text; a true one may begin within it."""
        held, self._held = self._held, ""
        if self._in_call:  # it broke off within its arguments: what has been passed on stays, the rest is text
            self._calls += 1
            self._in_call = False
            self._after_call = True
            self._input.extendleft(reversed(held))
            return
        first = held.find(marker) + 1 or 1
        self._say(held[:first])
        self._input.extendleft(reversed(held[first:]))

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._out and isinstance(self._out[-1], str):
            self._out[-1] += text
        else:
            self._out.append(text)
        last = text.rpartition("\n")
        self._line_start = not last[2].strip() and (bool(last[1]) or self._line_start)
        if not text.isspace():
            self._after_call = False

    def _taken(self) -> list[str | ToolCallDelta]:
        taken, self._out = self._out, []
        return taken


def in_string(text: str) -> str:
    """Text as it stands within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def raw_name(text: str) -> str:
    """A name from the text of a JSON string; "" where it is no plain string. No tool's name needs escapes."""
    return text[1:-1] if len(text) > 2 and text[0] == '"' and "\\" not in text else ""


def decoded_object(text: str) -> str | None:
    """The JSON object in the text of a JSON string or object, as text; an empty one for null; else None."""
    try:
        value = json.loads(text)
        if isinstance(value, str):
            text, value = value, json.loads(value)
    except (ValueError, RecursionError):
        return None
    if value is None:
        return "{}"
    return text if isinstance(value, dict) else None
