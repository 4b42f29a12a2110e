"""The tokens that the engine draws become an answer: thinking apart, stop strings cut, the account right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from hearth.chat.answer import AnswerBuilder, Chunk, Completion, Timings, Totals, Usage
from hearth.chat.answer_stream import AnswerStream
from hearth.chat.stop import StopStrings
from hearth.chat.thinking import ThinkingSplitter
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import DEFAULT_FORMAT, checked_tools
from hearth.engine import Generation, TokenEvent
from hearth.engine import Usage as EngineUsage
from hearth.errors import HearthError

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


# -- log-probabilities and calls on the chunks -------------------------------------------------------------------------


def build(**options: Any) -> AnswerBuilder:
    return AnswerBuilder(TOKENIZER, **{"end_ids": frozenset({END}), **options})


def answered(times: list[float]) -> Completion:
    """An answer of tokens that were computed at these times."""
    one = build()
    for at in times[:-1]:
        one.push(TokenEvent(id=0, token=TOKENIZER.encode("a")[0], computed_s=at))
    one.push(TokenEvent(id=0, token=END, finish_reason="stop", computed_s=times[-1]))
    assert one.completion is not None
    return one.completion


def test_speed_is_told_from_when_tokens_were_computed_not_from_when_they_were_read() -> None:
    begin = time.perf_counter()
    first = [begin + 0.5] * 3  # in one step
    done = answered(first + [begin + 0.5 + 0.25 * n for n in range(1, 41)])
    assert done.decode_tok_s == pytest.approx(4.0)
    assert done.timings.first_token_s == pytest.approx(0.5, abs=0.4)


def test_a_few_tokens_tell_no_speed() -> None:
    assert answered([1.0] * 30).decode_tok_s is None, "a single step"
    assert answered([1.0 + 0.1 * n for n in range(20)]).decode_tok_s is None, "19 tokens after the first"
    assert answered([1.0 + 0.1 * n for n in range(21)]).decode_tok_s == pytest.approx(10.0)
    short = Completion("", "", (), "stop", Usage(prompt_tokens=25, cached_tokens=10), Timings(first_token_s=0.1))
    assert short.prefill_tok_s is None, "15 of its prompt were computed"


def told(builder: AnswerBuilder, text: str) -> list[Chunk]:
    """The chunks of an answer whose tokens all have a log-probability."""
    ids = [*TOKENIZER.encode(text, parse_special=True), END]
    chunks: list[Chunk] = []
    for i, token in enumerate(ids):
        reason: Any = "stop" if token == END else None
        chunks += builder.push(TokenEvent(id=0, token=token, logprob=-float(i), finish_reason=reason))
    return chunks


@pytest.mark.parametrize(
    "text", ["one two", "<think>hm</think> yes", "日本語", "", "one STOP two", "ends in ST", "tail<|im_start|>"]
)
def test_the_chunks_bring_every_log_probability_once(text: str) -> None:
    """Also those of tokens without a text of their own: parts of characters, tags, what a stop string cuts."""
    builder = build(stops=StopStrings(["STOP"]), splitter=ThinkingSplitter())
    chunks = told(builder, text)
    done = builder.completion
    assert done is not None
    assert tuple(p for chunk in chunks for p in chunk.logprobs) == (done.logprobs or ())
    assert [p.token_id for p in done.logprobs or ()] == list(done.token_ids)
    assert all(chunk.text for chunk in chunks[:-1])
    assert "".join(chunk.text for chunk in chunks if chunk.kind == "answer") == done.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one two", "one two"),
        ("<think>hm</think>", ""),
        ("<think>hm</think> yes, indeed", "yes, indeed"),
        ("<think>hm</think>\n\nyes", "yes"),
        ("<think>never closed", ""),
        ("<thin air", "<thin air"),
    ],
)
def test_the_tokens_of_the_answer_are_told_from_those_of_thoughts_and_tags(text: str, said: str) -> None:
    for prompt_end, drawn in (("", text), ("<think>\n", text.removeprefix("<think>"))):
        if prompt_end and drawn == text:
            continue
        builder = build(splitter=ThinkingSplitter(prompt_end))
        chunks = told(builder, drawn)
        done = builder.completion
        assert done is not None
        for tokens in (done.logprobs or (), [p for chunk in chunks for p in chunk.logprobs]):
            assert "".join(p.text for p in tokens if p.said).strip() == said


TOOLS = checked_tools([{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}])
CALLS = """Well.
<tool_call>
{"name": "add", "arguments": {"a": 1, "s": "STOP }"}}
</tool_call>
<tool_call>
{"name": "add", "arguments": {}}
</tool_call>"""


def test_calls_come_in_pieces_that_make_json_and_end_the_answer_as_such() -> None:
    builder = build(stops=StopStrings(["STOP"]), tools=DEFAULT_FORMAT.parser(TOOLS))
    chunks = told(builder, CALLS)
    done = builder.completion
    assert done is not None
    assert (done.finish_reason, done.stop) == ("tool_calls", None), "a stop string in an argument does not count"
    assert [json.loads(call.arguments) for call in done.tool_calls] == [{"a": 1, "s": "STOP }"}, {}]
    assert len({call.id for call in done.tool_calls}) == 2
    assert done.text.strip() == "Well."
    for index, call in enumerate(done.tool_calls):
        deltas = [c.tool for c in chunks if c.tool is not None and c.tool.index == index]
        assert (deltas[0].id, deltas[0].name, deltas[0].arguments) == (call.id, "add", "")
        assert "".join(delta.arguments for delta in deltas) == call.arguments
        assert not any(delta.id or delta.name for delta in deltas[1:])
    assert tuple(p for chunk in chunks for p in chunk.logprobs) == done.logprobs


def test_a_call_that_was_cut_is_no_reason_to_stop() -> None:
    builder = build(tools=DEFAULT_FORMAT.parser(TOOLS))
    for token in TOKENIZER.encode(CALLS[: CALLS.index("STOP")]):
        builder.push(TokenEvent(id=0, token=token))
    builder.push(TokenEvent(id=0, token=TOKENIZER.encode("x")[0], finish_reason="length"))
    assert builder.completion is not None
    assert builder.completion.finish_reason == "length"
    assert builder.completion.tool_calls[0].arguments.startswith('{"a": 1')


def test_a_failed_request_raises_and_keeps_what_was_said() -> None:
    builder = build()
    for token in TOKENIZER.encode("half"):
        builder.push(TokenEvent(id=0, token=token))
    with pytest.raises(HearthError, match="broken"):
        builder.push(TokenEvent(id=0, finish_reason="error", error=HearthError("broken")))
    assert builder.completion is not None
    assert builder.completion.text == "half"


def test_the_account_of_an_answer_that_a_stop_string_ended_comes_later() -> None:
    builder = build(stops=StopStrings(["b"]))
    for token in TOKENIZER.encode("abc"):
        builder.push(TokenEvent(id=0, token=token))
    assert builder.completion is not None
    assert builder.completion.usage.prompt_tokens == 0
    assert builder.push(TokenEvent(id=0, finish_reason="cancelled", usage=EngineUsage(10, 4, 6, 0, 0))) == []
    assert (builder.completion.finish_reason, builder.completion.usage.prompt_tokens) == ("stop", 10)
    assert builder.cancel() == []
