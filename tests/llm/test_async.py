"""`AsyncLLM`: many coroutines, one model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from tests.waiting import slow_steps

from hearth import LLM, AsyncLLM, Completion
from hearth.errors import ContextFull, ModelNotFound, UsageError

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Norway", "Peru", "Egypt", "Kenya"]
QUESTIONS = [f"What is the capital of {country}?" for country in COUNTRIES]


def with_llm(use: Callable[[AsyncLLM], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncLLM("starter", threads=2) as llm:
            await use(llm)

    asyncio.run(asyncio.wait_for(run(), 240))


def test_many_coroutines_get_the_answers_that_they_would_get_alone(starter: LLM) -> None:
    alone = [starter.chat(question, temperature=0).text for question in QUESTIONS]
    vector = starter.embed("Hello")

    async def use(llm: AsyncLLM) -> None:
        done, embedded = await asyncio.gather(
            asyncio.gather(*(llm.chat(question, temperature=0) for question in QUESTIONS)), llm.embed("Hello")
        )
        assert [one.text for one in done] == alone
        np.testing.assert_array_equal(embedded, vector)
        text = ""
        stream = llm.chat(QUESTIONS[0], temperature=0, stream=True)
        async for chunk in stream:
            text += chunk.text
        assert text == alone[0]
        assert stream.completion is not None
        assert stream.completion.usage.prompt_tokens > 0
        assert (await llm.generate("Once", max_tokens=5, ignore_eos=True)).usage.completion_tokens == 5
        assert llm.detokenize(llm.tokenize("Hello")) == "Hello"
        many = await llm.chat_many([*QUESTIONS[:2], "word " * 700], temperature=0, return_exceptions=True)
        assert [one.text if isinstance(one, Completion) else type(one) for one in many] == [*alone[:2], ContextFull]

    with_llm(use)


def test_a_coroutine_that_is_cancelled_takes_its_request_with_it(starter: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, lambda: 0.01)

    async def use(llm: AsyncLLM) -> None:
        engine = llm._open_llm().engine
        task = asyncio.create_task(llm.generate("Once", max_tokens=450, ignore_eos=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.3)
        stream = llm.generate("Once", stream=True, max_tokens=450, ignore_eos=True)
        async with stream:
            async for _ in stream:
                break
        assert stream.completion is not None
        assert stream.completion.finish_reason == "cancelled"
        assert await llm._call(lambda _: engine.num_running + engine.num_waiting) == 0

    with_llm(use)


def test_closing_ends_what_runs_with_an_error_and_says_so_afterwards(starter: LLM) -> None:
    async def run() -> None:
        llm = await AsyncLLM("starter", threads=1).open()
        running = [asyncio.create_task(llm.generate("Once", max_tokens=450, ignore_eos=True)) for _ in range(3)]
        stream = llm.generate("Once", stream=True, max_tokens=450, ignore_eos=True)
        await anext(stream)
        await llm.close()
        for result in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(result, UsageError)
            assert "This LLM was closed" in result.what
        with pytest.raises(UsageError, match="This LLM was closed"):
            async for _ in stream:
                pass
        with pytest.raises(UsageError, match="This LLM was closed"):
            await llm.chat("Hello")
        await llm.close()

    asyncio.run(asyncio.wait_for(run(), 240))


def test_what_is_not_open_or_not_there_says_so(cache: Path, tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(UsageError, match="async with"):
            await AsyncLLM("starter").chat("Hello")
        with pytest.raises(ModelNotFound):
            await AsyncLLM(tmp_path / "none", offline=True).open()

    asyncio.run(run())
