"""Several models share the memory they are given: opened when asked for, closed when unused, never under a user."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM
from hearth.errors import HearthError, ModelNotFound, NotEnoughMemory, UsageError
from hearth.server.models import ModelCard, Models, ModelSettings, OpenModel, model_id
from hearth.worker import Closing, ModelBroken


@pytest.fixture(scope="module")
def bundles(starter: LLM, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three models on disk: the starter under three names."""
    folder = tmp_path_factory.mktemp("models")
    return [str(shutil.copytree(starter.info.bundle, folder / name)) for name in ("one", "two", "three")]


def with_models(names: list[str], use: Callable[[Models], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def run() -> None:
        models = Models(names, ModelSettings(threads=1, offline=True, **{"max_seqs": 2, **settings}))
        try:
            async with asyncio.timeout(60):
                await use(models)
        finally:
            await models.close(0.0)
        assert not any(card.loaded for card in models.cards())

    asyncio.run(run())


def loaded(models: Models) -> list[str]:
    return [card.id for card in models.cards() if card.loaded]


async def say(opened: OpenModel, max_tokens: int = 5) -> str:
    prepared = opened.llm.prepare_text("Once", max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    return "".join([chunk.text async for chunks in opened.worker.stream(prepared) for chunk in chunks])


def size_of_one(names: list[str]) -> int:
    sizes: list[int] = []

    async def use(models: Models) -> None:
        async with models.use(None):
            sizes.append(models.cards()[0].size_bytes or 0)

    with_models(names[:1], use)
    return sizes[0]


def test_a_model_is_opened_when_it_is_first_asked_for(bundles: list[str]) -> None:
    async def use(models: Models) -> None:
        assert models.cards()[0] == ModelCard("one", models.cards()[0].created)
        async with models.use("two") as opened:
            assert loaded(models) == ["two"]
            assert opened.name == "two"
            text = await say(opened)
        async with models.use(None) as first:
            assert first.name == "one"
            assert await say(first) == text
        card = models.cards()[1]
        assert card.loaded
        assert card.context == 512
        assert card.size_bytes is not None
        assert card.size_bytes > first.llm.info.weights_bytes
        assert card.template is not None
        assert (card.running, card.waiting) == (0, 0)

    with_models(bundles, use)


def test_those_who_wait_for_a_model_share_one_load(bundles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened_names: list[str] = []
    original = LLM.__init__

    def counted(self: LLM, model: str, **options: Any) -> None:
        opened_names.append(model)
        original(self, model, **options)

    monkeypatch.setattr(LLM, "__init__", counted)

    async def use(models: Models) -> None:
        async def one() -> OpenModel:
            async with models.use("one") as opened:
                await say(opened)
                return opened

        impatient = asyncio.create_task(one())
        others = [asyncio.create_task(one()) for _ in range(5)]
        await asyncio.sleep(0)
        impatient.cancel()
        assert len(set(map(id, await asyncio.gather(*others)))) == 1
        assert opened_names == [bundles[0]]

    with_models(bundles, use)


def test_the_longest_unused_model_makes_room_and_one_in_use_never_does(bundles: list[str]) -> None:
    size = size_of_one(bundles)

    async def use(models: Models) -> None:
        for name in ("one", "two", "one", "three"):
            async with models.use(name) as opened:
                await say(opened, 2)
        assert loaded(models) == ["one", "three"]
        async with models.use("one"), models.use("three") as three:
            with pytest.raises(NotEnoughMemory, match="two") as told:
                async with models.use("two"):
                    pass
            assert "one" in told.value.why
            assert await say(three)
        async with models.use("two"):
            assert loaded(models) == ["one", "two"], "one was let go last"

    with_models(bundles, use, memory_bytes=int(2.5 * size))


def test_a_model_that_can_never_fit_says_so(bundles: list[str]) -> None:
    async def use(models: Models) -> None:
        with pytest.raises(NotEnoughMemory, match="one takes") as told:
            await models.load("one")
        assert "--memory" in told.value.hint

    with_models(bundles, use, memory_bytes=1 << 20)


def test_little_memory_means_fewer_pages_and_the_same_answers(bundles: list[str], starter: LLM) -> None:
    budget = size_of_one(bundles) - starter.session.info.kv_bytes_per_page * 8

    async def use(models: Models) -> None:
        async with models.use("one") as opened:
            assert opened.llm.session.num_pages < 64
            prepared = [
                opened.llm.prepare_text(f"{n} bees", max_tokens=200, temperature=0.0, ignore_eos=True) for n in range(4)
            ]

            async def read(one: Any) -> str:
                return "".join([c.text async for chunks in opened.worker.stream(one) for c in chunks])

            answers = await asyncio.gather(*map(read, prepared))
        for number, answer in enumerate(answers):
            expected = starter.generate(f"{number} bees", max_tokens=200, temperature=0.0, ignore_eos=True)
            assert answer == expected.text

    with_models(bundles, use, memory_bytes=budget, max_seqs=4)


def test_a_name_of_a_request_is_looked_up_and_nothing_else(bundles: list[str], tmp_path: Path) -> None:
    secret = shutil.copytree(bundles[0], tmp_path / "secret")

    async def use(models: Models) -> None:
        for name in ("four", str(secret), "../one", "hf:someone/something", "starter", "one/", "ONE"):
            with pytest.raises(ModelNotFound, match="This server has no model"):
                async with models.use(name):
                    pass
            with pytest.raises(ModelNotFound):
                await models.unload(name)
        with pytest.raises(ModelNotFound, match="has no model ''"):
            async with Models([], ModelSettings()).use(None):
                pass

    with_models(bundles, use)


def test_names_in_requests_tell_nothing_of_the_disk(tmp_path: Path) -> None:
    assert model_id("starter") == "starter"
    assert model_id("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    assert model_id(str(tmp_path / "models" / "tiny.gguf")) == "tiny"
    assert model_id("./some/folder") == "folder"
    with pytest.raises(UsageError, match="Two models are called tiny"):
        Models([str(tmp_path / "a" / "tiny.gguf"), str(tmp_path / "b" / "tiny.gguf")], ModelSettings())


def test_unloading_waits_for_users_and_whoever_comes_meanwhile_gets_it_anew(bundles: list[str]) -> None:
    async def use(models: Models) -> None:
        async with models.use("one") as before:
            unloading = asyncio.create_task(models.unload("one"))
            await asyncio.sleep(0.01)
            again = asyncio.create_task(models.load("one"))
            assert await say(before)
            assert not unloading.done()
        await unloading
        after = await again
        assert after is not before
        assert await say(after)
        await models.unload("one")
        assert loaded(models) == []
        await models.unload("one")

    with_models(bundles, use)


def test_a_user_who_does_not_end_does_not_keep_a_model_from_being_unloaded(bundles: list[str]) -> None:
    async def use(models: Models) -> None:
        async with models.use("one") as opened:
            prepared = opened.llm.prepare_text("Once", max_tokens=480, temperature=0.0, ignore_eos=True)
            stream = await opened.worker.submit(prepared)
            await models.unload("one", drain_s=0.05)
            async for _ in stream:
                pass
            assert stream.completion is not None
            with pytest.raises(Closing):
                await opened.worker.submit(opened.llm.prepare_text("Once"))

    with_models(bundles, use)


def test_a_broken_model_is_opened_anew_with_the_next_use(bundles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(models: Models) -> None:
        async with models.use("one") as opened:
            monkeypatch.setattr(opened.llm.engine, "step", lambda: [object()])
            with pytest.raises(ModelBroken):
                await say(opened)
        assert loaded(models) == []
        async with models.use("one") as fresh:
            assert fresh is not opened
            assert await say(fresh)
        assert loaded(models) == ["one"]

    with_models(bundles, use)


def test_a_model_that_cannot_be_opened_can_be_tried_again(bundles: list[str], tmp_path: Path) -> None:
    folder = shutil.copytree(bundles[0], tmp_path / "hurt")
    weights = folder / "weights.bin"
    kept = weights.read_bytes()
    weights.write_bytes(kept[: len(kept) // 2])

    async def use(models: Models) -> None:
        for _ in range(2):
            with pytest.raises(HearthError):
                await models.load("hurt")
        weights.write_bytes(kept)
        async with models.use("hurt") as opened:
            assert await say(opened)

    with_models([str(folder)], use)


def test_a_file_that_is_replaced_while_its_model_is_open_harms_no_answer(bundles: list[str], tmp_path: Path) -> None:
    folder = shutil.copytree(bundles[0], tmp_path / "replaced")

    async def use(models: Models) -> None:
        async with models.use("replaced") as opened:
            before = await say(opened, 30)
            weights = folder / "weights.bin"
            weights.write_bytes(os.urandom(weights.stat().st_size))
            assert await say(opened, 30) == before

    with_models([str(folder)], use)


def test_shutting_down_lets_streams_end_and_opens_nothing_any_more(bundles: list[str]) -> None:
    others = set(threading.enumerate())  # the server that further tests share may be running

    async def run() -> None:
        models = Models(bundles, ModelSettings(threads=1, offline=True, max_seqs=2))

        async def one() -> str:
            async with models.use("one") as opened:
                return await say(opened, 100)

        task = asyncio.create_task(one())
        while not loaded(models):
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(models.close(30.0))
        await asyncio.sleep(0)
        with pytest.raises(Closing, match="shutting down"):
            async with models.use("two"):
                pass
        await closing
        assert await task
        assert loaded(models) == []
        for thread in set(threading.enumerate()) - others:
            if thread.name == "hearth-worker":
                thread.join(5)
                assert not thread.is_alive()

    asyncio.run(run())
