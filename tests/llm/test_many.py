"""Many requests in one call: answers in order, computed together, and one that fails takes no other along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM, Completion, SomeFailed
from hearth.engine.batch import Batch
from hearth.errors import ContextFull, UsageError

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Norway", "Peru", "Egypt", "Kenya", "Chile", "Ghana"]
QUESTIONS = [f"What is the capital of {country}?" for country in COUNTRIES]


@pytest.fixture(scope="module")
def llm(cache: Path) -> Iterator[LLM]:
    with LLM("starter", threads=2) as llm:
        yield llm


def test_many_are_answered_in_order_as_each_would_be_alone_and_together(
    llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [llm.chat(question, temperature=0).text for question in QUESTIONS]
    sizes: list[int] = []
    run = Batch.run

    def watched(batch: Batch, session: Any, *wanted: Any) -> Any:
        sizes.append(batch._num_seqs)
        return run(batch, session, *wanted)

    monkeypatch.setattr(Batch, "run", watched)
    with pytest.raises(UsageError, match="a list of conversations, not one text"):
        llm.chat_many("Hello")  # its letters would be asked
    done = llm.chat_many(([{"role": "user", "content": question}] for question in QUESTIONS), temperature=0)
    assert [one.text for one in done] == alone
    assert max(sizes) > 4, "several at the same time, though nobody said max_seqs"
    assert llm.engine.num_running == llm.engine.num_waiting == 0


def test_what_the_prompts_have_in_common_is_computed_once(llm: LLM) -> None:
    system = {"role": "system", "content": "Answer as a ship's cook would, and never mention the weather. " * 4}
    done = llm.chat_many([[system, {"role": "user", "content": question}] for question in QUESTIONS], max_tokens=5)
    assert all(one.usage.cached_tokens >= 64 for one in done[1:])


def test_many_texts_are_carried_on(llm: LLM) -> None:
    prompts = ["Once upon a time", "The capital of", "One two three"]
    alone = [llm.generate(prompt, temperature=0, max_tokens=12).text for prompt in prompts]
    assert [one.text for one in llm.generate(prompts, temperature=0, max_tokens=12)] == alone
    assert llm.generate([]) == []
    assert llm.chat_many([]) == []


def test_one_that_fails_is_told_when_all_others_have_their_answers(llm: LLM) -> None:
    questions = [QUESTIONS[0], "word " * 700, QUESTIONS[1]]
    with pytest.raises(SomeFailed, match=r"1 of 3 requests failed\. The first is number 2: .*context") as caught:
        llm.chat_many(questions, temperature=0)
    first, failed, last = caught.value.results
    assert isinstance(first, Completion)
    assert isinstance(last, Completion)
    assert ("Paris" in first.text, "Rome" in last.text) == (True, True)
    assert isinstance(failed, ContextFull)
    returned = llm.chat_many(questions, temperature=0, return_exceptions=True)
    assert [type(one) for one in returned] == [Completion, ContextFull, Completion]


def test_a_mistake_that_all_share_is_raised_as_it_is(llm: LLM) -> None:
    with pytest.raises(UsageError, match="temperature is -1"):
        llm.chat_many(QUESTIONS, temperature=-1)
    with pytest.raises(UsageError, match="neither with stream"):
        llm.generate(["a", "b"], stream=True)  # type: ignore[call-overload]


def test_an_interrupt_ends_all_of_them(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    run = Batch.run

    def interrupted(batch: Batch, session: Any, *wanted: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return run(batch, session, *wanted)

    monkeypatch.setattr(Batch, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        llm.chat_many(QUESTIONS, temperature=0)
    monkeypatch.undo()
    assert llm.engine.num_running == llm.engine.num_waiting == 0
    assert "Paris" in llm.chat(QUESTIONS[0], temperature=0).text


def test_progress_is_shown_only_where_it_is_asked_for(llm: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    llm.chat_many(QUESTIONS[:2])
    assert capsys.readouterr() == ("", "")
    llm.chat_many(QUESTIONS[:2], progress=True)
    assert capsys.readouterr().out == ""
