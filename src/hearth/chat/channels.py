"""Splits an answer that comes as messages to several channels (gpt-oss; OpenAI's Harmony response format).

    <|channel|>analysis<|message|>They want the time.<|end|>
    <|start|>assistant<|channel|>commentary<|message|>I look it up.<|end|>
    <|start|>assistant<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{"zone": "UTC"}<|call|>

What goes to `analysis` is thought, what goes to `final` is said. What goes to `commentary` is said before a call. A
message to a recipient is a call: it stays as the model wrote it, from its `<|start|>` on, for the reader of calls.
Source: the guide to the format (github.com/openai/harmony, docs/format.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hearth.chat.thinking import CHANNELS, Kind, Part, Splitter, ThinkingSplitter, tags_for, texts_of

_START, _MESSAGE, _END, _CHANNEL = "<|start|>", "<|message|>", "<|end|>", "<|channel|>"
_TURN = "<|start|>assistant"
_OPENING = (_CHANNEL, "to=")  # how a message to somebody begins, after its role
_HEADER = re.compile(rf"{re.escape(_CHANNEL)}(?P<channel>\w+)")
_RECIPIENT = re.compile(r"\bto=\S")
_LONGEST_HEADER = 400  # characters; what is longer is none


def splitter_for(prompt_end: str, template_source: str, *, calls: bool, aloud: bool) -> Splitter:
    """What tells thinking from answer after a template's prompt.

    Args:
        prompt_end: the end of the prompt.
        calls: whether somebody reads calls out of the answer.
        aloud: what the model says before a call is part of the answer.
    """
    if any(tags.open in template_source for tags in CHANNELS):
        return ChannelSplitter(opened=not prompt_end.endswith(_TURN), calls=calls, aloud=aloud)
    return ThinkingSplitter(prompt_end, tags_for(template_source))


class ChannelSplitter:
    """Sorts the messages of one answer into thinking and answer as they stream; a `Splitter`.

    Args:
        opened: the answer goes on with a message that has begun, instead of beginning one.
        calls: messages to recipients are part of the answer; else they are thoughts.
        aloud: so is what goes to `commentary`.
    """

    def __init__(self, *, opened: bool = False, calls: bool = False, aloud: bool = False) -> None:
        self._calls = calls
        self._thoughts = ("analysis",) if aloud else ("analysis", "commentary")
        self._held = ""
        self._kind: Kind | None = "answer" if opened else None  # of the message that stands open
        self._raw = False  # it is a call
        self._first = True  # no message has begun yet
        self._begun = opened  # something of this message has been given out: its white space counts
        self._given: set[Kind] = {"answer"} if opened else set()  # kinds of which something has been given out

    @property
    def tag_texts(self) -> tuple[str, ...]:
        """What it looks for: tokens that write it must be in the text that it is given."""
        return texts_of(CHANNELS)

    @property
    def thinking(self) -> bool:
        """Whether the answer stands among thoughts now."""
        return self._kind == "thinking"

    def push(self, text: str) -> list[Part]:
        """The parts that this text settles, in order."""
        self._held += text
        return list(self._settled(final=False))

    def leave(self) -> None:
        """What comes now is said, whatever the channel."""
        self._kind = "answer"

    def finish(self) -> list[Part]:
        """What was held back. Of a message that has no channel yet there is nothing to give."""
        return list(self._settled(final=True))

    def _settled(self, *, final: bool) -> Iterator[Part]:
        while True:
            if self._kind is None and not self._read_header(final=final):
                return
            kind = self._kind or "answer"
            text, ended = self._body(final=final)
            if text:
                yield Part(kind, text)
            if not ended:
                return
            self._kind = None

    def _read_header(self, *, final: bool) -> bool:
        """Reads up to the text of a message, and sets its kind; False while that is open."""
        header = self._held.lstrip()
        at = header.find(_MESSAGE)
        opening = (_START,) if not self._first else (*_OPENING, _START)
        begins = any(header.startswith(text) or text.startswith(header) for text in opening)
        if at < 0 and begins and len(header) < _LONGEST_HEADER:
            if final:
                self._held = ""
            return False
        if at < 0 or not begins:  # no message: what is said as it is
            self._kind, self._raw = "answer", False
        else:
            self._held = header[at + len(_MESSAGE) :]
            self._set_kind(header[:at])
        self._first = self._begun = False
        return True

    def _set_kind(self, header: str) -> None:
        channel = _HEADER.search(header)
        self._raw = _RECIPIENT.search(header) is not None
        if self._raw:
            self._kind = "answer" if self._calls else "thinking"
        else:
            self._kind = "thinking" if channel is not None and channel["channel"] in self._thoughts else "answer"
        if self._raw and self._calls:
            rest = header.removeprefix(_TURN)
            self._held = _TURN + ("" if rest[:1] in ("<", " ") else " ") + rest + _MESSAGE + self._held
            self._begun = True

    def _body(self, *, final: bool) -> tuple[str, bool]:
        """Takes what is settled of a message from the text held, and whether its end stood there."""
        text = self._held if self._begun else self._held.lstrip()
        at = text.find(_END)
        ended = at >= 0
        settled = at if ended else len(text) if final else len(text) - _tail_of(text)
        # White space waits too: before the end it is dropped.
        taken = text[:settled].rstrip() if not self._raw or ended else text[:settled]
        self._held = text[at + len(_END) :] if ended else "" if final else text[len(taken) :]
        kind = self._kind or "answer"
        if taken and not self._begun and kind in self._given:
            taken = "\n\n" + taken
        if taken:
            self._begun = True
            self._given.add(kind)
        return taken, ended


def _tail_of(text: str) -> int:
    """Length of the longest end of a text that the end of a message begins with."""
    return next((n for n in range(min(len(text), len(_END) - 1), 0, -1) if _END.startswith(text[-n:])), 0)
