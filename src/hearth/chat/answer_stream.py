"""One answer as it is written, for whoever asked: `AnswerStream`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from hearth.chat.answer import AnswerBuilder
from hearth.chat.completion import Chunk, Completion
from hearth.engine import Generation


class AnswerStream(Iterator[Chunk]):
    """Iterates over the chunks of one answer. Leaving the loop, or `close`, cancels what is not computed yet.

    Any thread may read it or close it; of several that read, each chunk goes to one.

    Args:
        generation: the engine's events.
        builder: makes the answer out of them.
        on_end: called once with the completion.

    Attributes:
        completion: the whole answer; None until the stream has ended or was closed.
    """

    def __init__(
        self, generation: Generation, builder: AnswerBuilder, *, on_end: Callable[[Completion], None] | None = None
    ) -> None:
        self.completion: Completion | None = None
        self._generation = generation
        self._builder = builder
        self._on_end = on_end
        self._ready: list[Chunk] = []
        self._reading = threading.RLock()  # reentrant: a signal handler may close what its thread reads

    def __next__(self) -> Chunk:
        with self._reading:
            while not self._ready:
                if self.completion is not None:
                    raise StopIteration
                self._advance()
            return self._ready.pop(0)

    def read(self) -> Completion:
        """Runs to the end and returns the whole answer."""
        for _ in self:
            pass
        assert self.completion is not None
        return self.completion

    def begin(self) -> None:
        """Queues the request if that is still to be done: it is computed with others from now on."""
        self._generation.begin()

    def wait(self) -> bool:
        """Waits for the next token, whose text `__next__` will give; whether the answer is whole."""
        with self._reading:
            if self.completion is None:
                self._advance()
            return self.completion is not None

    def poll(self) -> bool:
        """Takes in what has been computed, without waiting; whether the answer is whole."""
        with self._reading:
            while self.completion is None and self._generation.has_news:
                self._advance()
            return self.completion is not None

    def close(self) -> None:
        """Cancels what is not computed yet; what has come stays in `completion`."""
        self._generation.close()  # whoever is reading it comes to its end
        with self._reading:
            if self.completion is None:
                self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self) -> None:
        try:
            event = next(self._generation, None)
            if event is not None:
                self._ready += self._builder.push(event)
        except BaseException:
            self._end()
            raise
        if event is None or self._builder.completion is not None:
            self._end()

    def _end(self) -> None:
        self._generation.close()
        self._ready += self._builder.cancel()
        if self._generation.usage is not None:
            self._builder.account(self._generation.usage)
        self.completion = self._builder.completion
        if self._on_end is not None and self.completion is not None:
            self._on_end(self.completion)
