"""Many requests through one engine: `run_many`. Results in order; one that fails takes no other along.

As many are begun as are computed at the same time, and as many again wait behind them, so that there is always one to
take a free place and never more prompts in memory than that. The first one begins alone: what the others' prompts have
in common with its own, a system prompt say, is then computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hearth.chat.answer import Completion
from hearth.chat.answer_stream import AnswerStream
from hearth.errors import HearthError

Result = Completion | Exception


class SomeFailed(HearthError):
    """Some of many requests failed.

    Attributes:
        results: of all, in order: a `Completion`, or the exception of one that failed.
    """

    def __init__(self, results: list[Result]) -> None:
        errors = [(place, one) for place, one in enumerate(results) if isinstance(one, Exception)]
        place, first = errors[0]
        super().__init__(
            f"{len(errors)} of {len(results)} requests failed.",
            why=f"The first is number {place + 1}: {first}",
            hint="`results` of this error has the others' answers; with return_exceptions=True they are returned.",
        )
        self.results = results


def run_many(
    begin: Iterable[Callable[[], AnswerStream]], *, at_once: int, on_done: Callable[[], None] = lambda: None
) -> list[Result]:
    """Runs all to their end.

    Args:
        begin: prepares a request, one after the other. What it raises is the request's own.
        at_once: requests that are begun.
        on_done: called when one has ended.
    """
    results: dict[int, Result] = {}
    running: dict[int, AnswerStream] = {}
    waiting = enumerate(begin)

    def take(place: int, call: Callable[[], bool]) -> None:
        """One more step of a request, or its end."""
        try:
            if not call():
                return
            done = running[place].completion
            assert done is not None
            results[place] = done
        except Exception as error:
            results[place] = error
        running.pop(place, None)
        on_done()

    def start(place: int, make: Callable[[], AnswerStream]) -> bool:
        running[place] = make()
        running[place].begin()
        return False

    limit = 1
    try:
        while True:
            while len(running) < limit and (following := next(waiting, None)) is not None:
                place, make = following
                take(place, lambda place=place, make=make: start(place, make))  # type: ignore[misc]
            if not running:
                return [results[place] for place in range(len(results))]
            first = next(iter(running))
            take(first, running[first].wait)  # which computes the others' tokens too
            limit = at_once
            for place in list(running):
                take(place, running[place].poll)
    finally:
        for stream in running.values():
            stream.close()


def all_or_raise(results: list[Result]) -> list[Completion]:
    """The answers, where there are no others.

    Raises:
        SomeFailed: some have failed. If none has an answer, what the first one raised.
    """
    answers = [result for result in results if isinstance(result, Completion)]
    if len(answers) == len(results):
        return answers
    if not answers and isinstance(results[0], Exception):
        raise results[0]
    raise SomeFailed(results)
