"""The tokens that the engine draws become an answer: thinking apart, stop strings cut, the account right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from hearth.chat.answer import AnswerBuilder, AnswerStream, Completion, Totals
from hearth.chat.stop import StopStrings
from hearth.chat.thinking import ThinkingSplitter
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import Generation, TokenEvent
from hearth.engine import Usage as EngineUsage

from .samples import byte_level, make_spec

TOKENIZER = Tokenizer(make_spec(byte_level()))
END = TOKENIZER.control["<|im_end|>"]


class Script(Iterator[TokenEvent]):
    """What an engine would tell, written down beforehand."""

    def __init__(self, events: list[TokenEvent | BaseException]) -> None:
        self._events = iter(events)
        self.usage = EngineUsage(10, 4, 6, 0, 0)
        self.closed = False

    def __next__(self) -> TokenEvent:
        event = next(self._events)
        if isinstance(event, BaseException):
            raise event
        return event

    def close(self) -> None:
        self.closed = True


def events(text: str, last: dict[str, Any] | None = None) -> list[TokenEvent | BaseException]:
    ids = [*TOKENIZER.encode(text, parse_special=True), END]
    told: list[TokenEvent | BaseException] = [TokenEvent(id=0, token=i) for i in ids[:-1]]
    return [*told, TokenEvent(id=0, token=END, **(last or {"finish_reason": "stop"}))]


def stream(
    script: Script, *, stops: tuple[str, ...] = (), thinking: bool = True, tokenizer: Tokenizer | None = TOKENIZER
) -> AnswerStream:
    builder = AnswerBuilder(
        tokenizer,
        end_ids=frozenset({END}),
        stops=StopStrings(stops),
        splitter=ThinkingSplitter() if thinking else None,
    )
    return AnswerStream(cast(Generation, script), builder)


def read(text: str, **options: Any) -> Completion:
    return stream(Script(events(text)), **options).read()


def test_thinking_and_answer_are_told_apart() -> None:
    done = read("<think>\nhm, 7 < 8\n</think>\n\nSeven.")
    assert (done.thinking, done.text, done.finish_reason) == ("hm, 7 < 8", "Seven.", "stop")


def test_thinking_tags_that_are_control_tokens_are_seen() -> None:
    raw = byte_level()
    raw.add_special_tokens(["[THINK]", "[/THINK]"])
    tokenizer = Tokenizer(make_spec(raw))
    ids = tokenizer.encode("[THINK]hm[/THINK]Yes", parse_special=True)
    script = Script([*(TokenEvent(id=0, token=i) for i in ids), TokenEvent(id=0, token=END, finish_reason="stop")])
    done = stream(script, tokenizer=tokenizer).read()
    assert (done.thinking, done.text) == ("hm", "Yes")


def test_a_stop_string_ends_the_answer_but_not_the_thinking() -> None:
    script = Script(events("<think>first STOP</think>then one STOP two"))
    done = stream(script, stops=("STOP",)).read()
    assert (done.thinking, done.text, done.stop) == ("first STOP", "then one ", "STOP")
    assert done.finish_reason == "stop"
    assert script.closed, "the engine does not go on"


def test_the_end_token_is_counted_but_not_part_of_the_answer() -> None:
    done = read("abc", thinking=False)
    assert END not in done.token_ids
    assert done.usage.completion_tokens == len(done.token_ids) + 1
    assert (done.usage.prompt_tokens, done.usage.cached_tokens) == (10, 4)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "length", "context_full": True}, "context"),
        ({"finish_reason": "cancelled"}, "cancelled"),
    ],
)
def test_why_it_ended(last: dict[str, Any], reason: str) -> None:
    assert stream(Script(events("abc", last))).read().finish_reason == reason


def test_a_window_that_slid_is_said_aloud() -> None:
    script = Script([TokenEvent(id=0, slid=128), *events("abc")])
    done = stream(script).read()
    assert "128" in done.notices[0]
    assert done.text == "abc"


def test_an_interrupt_leaves_what_has_come() -> None:
    script = Script([*events("half")[:-1], KeyboardInterrupt()])
    answer = stream(script, thinking=False)
    with pytest.raises(KeyboardInterrupt):
        list(answer)
    assert answer.completion is not None
    assert (answer.completion.text, answer.completion.finish_reason) == ("half", "cancelled")
    assert script.closed


def test_held_back_text_is_not_lost_at_the_end() -> None:
    assert read("one <th").text == "one <th"
    assert read("<th").text == "<th"
    assert read("ST", stops=("STOP",)).text == "ST"


def test_without_a_tokenizer_only_ids_are_collected() -> None:
    done = stream(Script(events("abc")), tokenizer=None, thinking=False).read()
    assert (done.text, done.token_ids) == ("", tuple(TOKENIZER.encode("abc")))


def test_totals_add_up() -> None:
    totals = Totals()
    for _ in range(3):
        totals.add(read("abc"))
    assert (totals.requests, totals.prompt_tokens, totals.cached_tokens) == (3, 30, 12)
