"""One `LLM`, many threads: a web framework, `asyncio.to_thread`, a pool."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth import LLM
from hearth.errors import UsageError

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Norway", "Peru", "Egypt", "Kenya"]


def question(country: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"What is the capital of {country}?"}]


@pytest.fixture
def llm(cache: Path) -> Iterator[LLM]:
    with LLM("starter", threads=2, max_seqs=4) as llm:
        yield llm


def test_six_threads_ask_everything_at_once_and_each_gets_its_own_answers(llm: LLM) -> None:
    alone = {country: llm.chat(question(country), temperature=0) for country in COUNTRIES}
    assert len({done.text for done in alone.values()}) > 4
    logits, vector = llm.logits([1, 2, 3]), llm.embed("Hello")
    seeded = llm.generate("Once", temperature=1.0, seed=5, max_tokens=40).token_ids
    ids = llm.tokenize("Hello there")
    before = llm.stats.requests

    def ask(thread: int) -> None:
        for place in range(len(COUNTRIES)):
            country = COUNTRIES[(place + thread) % len(COUNTRIES)]
            if (place + thread) % 2:
                done = llm.chat(question(country), temperature=0)
                assert (done.text, done.finish_reason) == (alone[country].text, alone[country].finish_reason)
            else:
                stream = llm.chat(question(country), temperature=0, stream=True)
                assert "".join(chunk.text for chunk in stream) == alone[country].text
            match (place + thread) % 4:
                case 0:
                    np.testing.assert_array_equal(llm.logits([1, 2, 3]), logits)
                case 1:
                    np.testing.assert_array_equal(llm.embed("Hello"), vector)
                case 2:
                    assert llm.generate("Once", temperature=1.0, seed=5, max_tokens=40).token_ids == seeded
                case _:
                    assert llm.tokenize("Hello there") == ids
                    assert llm.detokenize(ids) == "Hello there"
                    next(llm.chat(question(country), stream=True))  # left at once

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    gc.collect()
    assert llm.stats.requests >= before + 6 * len(COUNTRIES)
    assert llm.engine.num_running == llm.engine.num_waiting == 0


def test_one_stream_may_be_read_by_several_threads_and_each_chunk_goes_to_one(llm: LLM) -> None:
    settings: dict[str, Any] = {"temperature": 0, "max_tokens": 60, "ignore_eos": True}
    whole = llm.generate("Once upon a time", **settings).text
    stream = llm.generate("Once upon a time", stream=True, **settings)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: [chunk.text for chunk in stream], range(4)))
    assert sorted("".join(text for part in parts for text in part)) == sorted(whole)
    assert stream.completion is not None
    assert stream.completion.text == whole


def test_a_stream_closed_from_another_thread_ends_and_keeps_what_came(llm: LLM) -> None:
    stream = llm.generate("Once", stream=True, max_tokens=400, ignore_eos=True, temperature=0)
    first = next(stream)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(lambda: "".join(chunk.text for chunk in stream))
        stream.close()
        text = first.text + rest.result(timeout=60)
    assert stream.completion is not None
    assert stream.completion.finish_reason in ("cancelled", "length", "context")
    assert stream.completion.text == text
    assert stream.completion.usage.prompt_tokens > 0


def test_closing_the_model_tells_every_thread_and_crashes_none(cache: Path) -> None:
    llm = LLM("starter", threads=2, max_seqs=2)
    running = threading.Barrier(6)

    def ask(thread: int) -> str:
        try:
            for turn in range(10_000):
                if turn == 1:
                    running.wait()
                if thread == 0:
                    llm.embed("Hello")
                elif thread % 2:
                    llm.chat(question(COUNTRIES[thread]), temperature=0)
                else:
                    for _ in llm.generate("Once", stream=True, max_tokens=100, ignore_eos=True):
                        pass
        except UsageError as error:
            return error.what
        return "never told"

    with ThreadPoolExecutor(5) as pool:
        told = pool.map(ask, range(5))
        running.wait()
        llm.close()
        assert set(told) == {"This LLM was closed, perhaps by its `with` block."}
    llm.close()


def test_what_is_asked_after_the_with_block_says_that_it_has_closed_the_model(cache: Path) -> None:
    with LLM("starter", threads=1) as llm:
        stream = llm.chat(question("France"), stream=True)
        next(stream)
    for ask in (
        lambda: llm.chat(question("France")),
        lambda: llm.generate("Once"),
        lambda: llm.embed("Hello"),
        lambda: llm.logits([1]),
        lambda: list(stream),
    ):
        with pytest.raises(UsageError, match=r"This LLM was closed, perhaps by its `with` block\. Ask it within"):
            ask()


def test_coroutines_may_ask_in_threads(llm: LLM) -> None:
    alone = [llm.chat(question(country), temperature=0).text for country in COUNTRIES]

    async def ask() -> list[str]:
        done = [asyncio.to_thread(llm.chat, question(country), temperature=0) for country in COUNTRIES]
        return [one.text for one in await asyncio.gather(*done)]

    assert asyncio.run(ask()) == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_forked_after_loading_is_told_so_and_ends(llm: LLM) -> None:
    """Dropping the model there must not wait for threads that do not exist."""
    expected = llm.chat(question("France"), temperature=0).text
    child = os.fork()
    if child == 0:
        try:
            llm.chat(question("France"))
        except UsageError as error:
            told = "forked" in error.what and "spawn" in error.hint
            llm.close()
            del llm
            gc.collect()
            os._exit(42 if told else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert llm.chat(question("France"), temperature=0).text == expected
