"""Splits an answer into what the model thinks and what it says.

Reasoning models write their thoughts first, between two tags. Only a block at the very beginning of an answer counts:
an answer may well speak *about* these tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["answer", "thinking"]


@dataclass(frozen=True)
class Tags:
    """The two strings around a thinking block, as a family writes them.

    Attributes:
        answers: pairs of strings of which one may stand around what follows on the block.
        tokens: control tokens within the two strings, where one is more than a token.
        unthought: what stands before an answer that comes without a block; "": nothing.
        preludes: control tokens that may stand before what is said.
        fork: how the closing string begins where something else may begin so as well: a call.
    """

    open: str
    close: str
    answers: tuple[tuple[str, str], ...] = ()
    tokens: tuple[str, ...] = ()
    unthought: str = ""
    preludes: tuple[str, ...] = ()
    fork: str = ""


# Known families: DeepSeek R1, Qwen 3, SmolLM 3, QwQ, Granite 3.3 and 4 (`<response>`), Hunyuan (`<answer>`) and many
# more; Magistral; Seed; Gemma 4; Command; Apertus; MiniMax M3; Hunyuan 3; others.
TAGS = (
    Tags("<think>", "</think>", answers=(("<response>", "</response>"), ("<answer>", "</answer>"))),
    Tags("[THINK]", "[/THINK]"),
    Tags("<seed:think>", "</seed:think>"),
    Tags("<|channel>thought", "<channel|>", tokens=("<|channel>",)),
    Tags("<|START_THINKING|>", "<|END_THINKING|>", preludes=("<|START_RESPONSE|>", "<|START_TEXT|>")),
    Tags("<|inner_prefix|>", "<|inner_suffix|>"),
    Tags("<mm:think>", "</mm:think>"),
    Tags("<think:opensource>", "</think:opensource>"),
    Tags("<thinking>", "</thinking>"),
    Tags("<thought>", "</thought>"),
)
# Blocks between words instead of tags count only for templates that ask for them: Granite 3.2.
SPELLED = (Tags("Here is my thought process:", "Here is my response:"),)
# So do messages to several channels, which are thoughts up to the one to the user: gpt-oss (Harmony).
# What is said before a call (`commentary`) stands among them.
CHANNELS = tuple(
    Tags(
        f"<|channel|>{channel}<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        tokens=("<|channel|>", "<|message|>", "<|end|>", "<|start|>"),
        unthought="<|channel|>final<|message|>",
        fork="<|end|><|start|>assistant<|channel|>",
    )
    for channel in ("analysis", "commentary")
)


def texts_of(tags: tuple[Tags, ...]) -> tuple[str, ...]:
    """All that is written around blocks, and the control tokens that it is made of."""
    return tuple(text for one in tags for text in (one.open, one.close, *one.tokens))


ALL_TAGS = texts_of(TAGS)


def tags_for(template_source: str) -> tuple[Tags, ...]:
    """The tags that an answer to this template's prompt may hold."""
    return (*TAGS, *(tags for tags in (*SPELLED, *CHANNELS) if tags.open in template_source))


@dataclass(frozen=True)
class Part:
    """A piece of an answer."""

    kind: Kind
    text: str


class Splitter(Protocol):
    """Tells thinking from answer in the text of one answer as it streams."""

    @property
    def tag_texts(self) -> tuple[str, ...]:
        """What it looks for: tokens that write it must be in the text that it is given."""

    @property
    def thinking(self) -> bool:
        """Whether the answer stands among thoughts now."""

    def push(self, text: str) -> list[Part]:
        """The parts that this text settles, in order."""

    def leave(self) -> None:
        """The thinking ends here: what has been given out last was no thought any more."""

    def finish(self) -> list[Part]:
        """What was held back, at the end of the answer."""


class ThinkingSplitter:
    """Sorts the text of one answer into thinking and answer as it streams; a `Splitter`.

    Args:
        prompt_end: the end of the prompt; where the template opened the block itself, the answer begins inside it.
        tags: those that count.
    """

    def __init__(self, prompt_end: str = "", tags: tuple[Tags, ...] = TAGS) -> None:
        self._tags = tags
        opened = [tags for tags in self._tags if prompt_end.rstrip().endswith(tags.open)]
        self._inside: Tags | None = opened[0] if opened else None
        self._at_start = not opened  # a block may still open
        self._skip_space = bool(opened)  # line ends beside the tags belong to neither part
        self._held = ""
        closed = next((tags for tags in self._tags if prompt_end.rstrip().endswith(tags.close)), None)
        self._around = closed.answers if closed else ()  # what may stand around the answer that comes now
        self._closer: str | None = None  # what ends the answer that has begun so

    @property
    def tag_texts(self) -> tuple[str, ...]:
        """What it looks for: tokens that write it must be in the text that it is given."""
        return texts_of(self._tags)

    @property
    def thinking(self) -> bool:
        """Whether the answer stands inside a block now."""
        return self._inside is not None

    def push(self, text: str) -> list[Part]:
        """The parts that this text settles, in order."""
        self._held += text
        return list(self._settled(final=False))

    def leave(self) -> None:
        """The block ends here, without its tag: what has been given out last was no thought any more."""
        self._inside = None
        self._skip_space = False

    def finish(self) -> list[Part]:
        """What was held back. A block that never closed stays thinking."""
        return list(self._settled(final=True))

    def _settled(self, *, final: bool) -> Iterator[Part]:
        if self._at_start and not self._try_to_open(final=final):
            return
        if self._inside is not None:
            thought = self._until_close(self._inside, final=final)
            if thought:
                yield Part("thinking", thought)
            if self._inside is not None:
                return
        if self._around and not self._try_around(final=final):
            return
        if self._closer is not None:
            answer, closed = self._until(self._closer, final=final)
            if answer:
                yield Part("answer", answer)
            if not closed:
                return
            self._closer, self._skip_space = None, False
        answer = self._without_leading_space()
        if answer:
            self._held = ""
            yield Part("answer", answer)

    def _try_around(self, *, final: bool) -> bool:
        """Decides whether the answer after a block stands between two strings of its own; False while that is open."""
        text = self._held.lstrip()
        begun = next((pair for pair in self._around if text.startswith(pair[0])), None)
        if begun is None and not final and any(pair[0].startswith(text) for pair in self._around):
            return False
        self._around = ()
        if begun is not None:
            self._closer = begun[1]
            self._held, self._skip_space = text[len(begun[0]) :], True
        return True

    def _try_to_open(self, *, final: bool) -> bool:
        """Decides whether the answer begins with a block; False while that is open."""
        begin = self._held.lstrip()
        for tags in self._tags:
            if begin.startswith(tags.open):
                self._inside, self._held, self._skip_space = tags, begin[len(tags.open) :], True
                self._at_start = False
                return True
            if tags.unthought and begin.startswith(tags.unthought):
                self._held, self._skip_space = begin[len(tags.unthought) :], True
                self._at_start = False
                return True
        if not final and any(text.startswith(begin) for tags in self._tags for text in (tags.open, tags.unthought)):
            return False
        self._at_start = False
        return True

    def _until_close(self, tags: Tags, *, final: bool) -> str:
        """Takes settled thinking from the text held, and leaves the block where its closing tag stands."""
        thought, closed = self._until(tags.close, final=final)
        if closed:
            self._inside, self._around = None, tags.answers
        return thought

    def _until(self, closer: str, *, final: bool) -> tuple[str, bool]:
        """Takes what is settled before a closing tag from the text held, and whether that tag stood there."""
        text = self._without_leading_space()
        at = text.find(closer)
        if at >= 0:
            self._held, self._skip_space = text[at + len(closer) :], True
            return text[:at].rstrip(), True
        # White space waits too: before the closing tag it is dropped.
        settled = len(text) if final else len(text) - _tail_of(text, closer)
        taken = text[:settled].rstrip()
        self._held = "" if final else text[len(taken) :]
        return taken, False

    def _without_leading_space(self) -> str:
        text = self._held.lstrip() if self._skip_space else self._held
        if text:
            self._skip_space = False
        self._held = text
        return text


def _tail_of(text: str, tag: str) -> int:
    """Length of the longest end of `text` that `tag` begins with."""
    return next((n for n in range(min(len(text), len(tag) - 1), 0, -1) if tag.startswith(text[-n:])), 0)
