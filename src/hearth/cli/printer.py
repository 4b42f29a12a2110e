"""Writes an answer as it streams: to standard output what the model says, dimmed on standard error what it thinks."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import click

from hearth.cli.terminal import columns, has_color, note, without_controls
from hearth.cli.waiting import Waiting
from hearth.cli.wrap import StreamWrap

if TYPE_CHECKING:
    from hearth.chat.answer import Chunk, Completion

ThinkingMode = Literal["show", "fold", "hide"]
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class AnswerPrinter:
    """Prints one answer after the other.

    Args:
        thinking: None: shown on a terminal, hidden elsewhere.
    """

    def __init__(self, thinking: ThinkingMode | None = None) -> None:
        self._terminal = sys.stdout.isatty()
        self._color = has_color()
        self._wrap: StreamWrap | None = None
        self._mode: ThinkingMode = thinking or ("show" if self._terminal else "hide")
        self._in_thinking = False
        self._words = 0
        self._at_line_start = True

    def print(self, chunks: Iterable[Chunk]) -> None:
        """Prints the chunks as they come, and ends the line even when interrupted. Until the first comes, the prompt is
        read, which a terminal is told."""
        self._in_thinking, self._words, self._at_line_start = False, 0, True
        width = columns(sys.stdout)
        self._wrap = StreamWrap(width) if width else None
        waiting = Waiting("Reading the prompt")
        try:
            for chunk in chunks:
                waiting.end()
                if chunk.kind == "thinking":
                    self._think(chunk.text)
                else:
                    self._answer(chunk.text)
        finally:
            waiting.end()
            self._end_thinking()
            if self._wrap:
                sys.stdout.write(self._wrap.finish())
            if not self._at_line_start:
                click.echo()

    def _answer(self, text: str) -> None:
        self._end_thinking()
        # Written without click, which would take colour codes out of text that is none of ours when piped.
        sys.stdout.write(self._wrap.push(without_controls(text)) if self._wrap else text)
        sys.stdout.flush()
        self._at_line_start = text.endswith("\n")

    def _think(self, text: str) -> None:
        if self._mode == "hide":
            return
        if not self._in_thinking:
            self._in_thinking = True
            self._error(_DIM if self._color else "")
            if self._mode == "fold":
                self._error("thinking ...")
        self._words += len(text.split())
        if self._mode == "show":
            self._error(without_controls(text))

    def _end_thinking(self) -> None:
        if not self._in_thinking:
            return
        self._in_thinking = False
        self._error(f" {self._words} words" if self._mode == "fold" else "")
        self._error((_RESET if self._color else "") + ("\n" if self._mode == "fold" else "\n\n"))

    @staticmethod
    def _error(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def stats_line(done: Completion) -> str:
    """`120 prompt tokens (8 cached), first token after 0.05 s, 240 tok/s; 30 tokens, 45.2 tok/s`, without a speed where
    tokens are too few to tell one, and how many guesses came true where some were made: ` (6 of 8 guesses right)`."""
    usage = done.usage
    guesses = f" ({usage.accepted_tokens} of {usage.drafted_tokens} guesses right)" if usage.drafted_tokens else ""
    cached = f" ({usage.cached_tokens} cached)" if usage.cached_tokens else ""
    prefill = f", {done.prefill_tok_s:.0f} tok/s" if done.prefill_tok_s is not None else ""
    decode = f", {done.decode_tok_s:.1f} tok/s" if done.decode_tok_s is not None else ""
    return (
        f"{usage.prompt_tokens} prompt tokens{cached}, first token after {done.timings.first_token_s:.2f} s{prefill};"
        f" {usage.completion_tokens} tokens{decode}{guesses}"
    )


def tell_ending(done: Completion) -> None:
    """Says on standard error what the user should know about how an answer ended."""
    for notice in done.notices:
        note(notice)
    if done.finish_reason == "length":
        note("The answer was cut at --max-tokens.")


STARTER_BANNER = (
    "The starter model is a demonstration, not an assistant: it knows capitals, elements, small sums,"
    " units, the calendar, opposites and Hearth itself, and is often wrong outside of these."
)
