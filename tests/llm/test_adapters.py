"""Adapters of an open model: chosen by each request, computed together, never taken for each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters import adapter_pairs, linear_shapes, write_merged, write_peft
from tests.compiler.compiled import shared_cache

from golden import CASES
from hearth import LLM
from hearth.adapters import given_adapters, parse_adapter
from hearth.errors import ModelNotFound, NotEnoughMemory, Unsupported, UsageError

BASE = next(case for case in CASES if case.name == "llama3")
IDS = [int(token) for token in BASE.token_ids]
ATTENTION, EVERY = ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXACT: dict[str, Any] = {"quant": "f32", "head": "f32", "precision": "high", "device": "cpu", "threads": 2}
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24, "ignore_eos": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Adapters, and the models that they are merged into."""
    found = {}
    for name, targets, rank, scale in (("one", EVERY, 4, 4.0), ("two", ATTENTION, 20, 0.8), ("half", EVERY, 4, 2.0)):
        shapes = linear_shapes(BASE.path, targets)
        seed = 2 if name == "two" else 1
        adapter = write_peft(folder / name, shapes, rank=rank, alpha=16, seed=seed)
        merged = write_merged(folder / f"{name}-merged", BASE.path, adapter_pairs(shapes, rank, seed), scale)
        found[name] = adapter, merged
    return found


@pytest.fixture(scope="module")
def llm(made: dict[str, tuple[Path, Path]]) -> Iterator[LLM]:
    adapters: dict[str, Any] = {"one": made["one"][0], "two": str(made["two"][0]), "half": (made["half"][0], 0.5)}
    with shared_cache(), LLM(BASE.path, adapters=adapters, **EXACT) as llm:
        yield llm


@pytest.fixture(scope="module")
def expected(made: dict[str, tuple[Path, Path]]) -> dict[str | None, list[int]]:
    """What the model says, and what those say that the adapters are merged into."""
    answers: dict[str | None, list[int]] = {}
    with shared_cache():
        for name, path in ((None, BASE.path), *((name, merged) for name, (_, merged) in made.items())):
            with LLM(path, **EXACT) as merged:
                answers[name] = list(merged.generate(prompt_ids=IDS, **GREEDY).token_ids)
    assert len({tuple(answer) for answer in answers.values()}) == 4, "adapters change nothing"
    return answers


def test_each_request_has_the_adapter_that_it_names(llm: LLM, expected: dict[str | None, list[int]]) -> None:
    """One after the other, so that each finds what the one before has left in the prefix cache, and twice."""
    assert llm.adapters == ("one", "two", "half")
    for _ in range(2):
        for name, answer in expected.items():
            assert list(llm.generate(prompt_ids=IDS, adapter=name, **GREEDY).token_ids) == answer, name
    again = llm.generate(prompt_ids=IDS, adapter="two", **GREEDY)
    assert again.usage.cached_tokens > 0


def test_requests_with_different_adapters_are_computed_together(
    llm: LLM, expected: dict[str | None, list[int]]
) -> None:
    names = [*expected, *expected]
    ids = {}
    for name in names:
        request = llm.prepare_text(prompt_ids=IDS, adapter=name, **GREEDY).request
        # Without what was left behind: all prompts are computed in one batch.
        ids[llm.engine.add(replace(request, prompt_ids=(IDS[0], *request.prompt_ids)))] = name
    alone = {}
    drawn: dict[int, list[int]] = {number: [] for number in ids}
    while llm.engine.num_waiting or llm.engine.num_running:
        for event in llm.engine.step():
            if event.token is not None:
                drawn[event.id].append(event.token)
    for number, name in ids.items():
        if name not in alone:
            settings = {**GREEDY, "adapter": name}
            alone[name] = list(llm.generate(prompt_ids=[IDS[0], *IDS], **settings).token_ids)
        assert drawn[number] == alone[name], name


def test_likelihoods_and_vectors_have_the_adapter_that_was_chosen(llm: LLM, made: dict[str, tuple[Path, Path]]) -> None:
    chosen = llm.with_adapter("one")
    assert chosen.adapter is not None
    with shared_cache(), LLM(made["one"][1], **EXACT) as merged:
        for ask in (LLM.logits, LLM.embed):
            ours, theirs = ask(chosen, IDS), ask(merged, IDS)
            assert np.abs(ours - theirs).max() < 2e-5 * np.abs(theirs).max()
            assert np.abs(ask(llm, IDS) - theirs).max() > 1e-2 * np.abs(theirs).max()
        scores = [[each.logprob for each in one.score(IDS, top=2)[1:]] for one in (chosen, merged, llm)]  # type: ignore[union-attr]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    assert scores[2] != pytest.approx(scores[1], abs=1e-2)


def test_what_cannot_be_is_refused_by_name(llm: LLM, made: dict[str, tuple[Path, Path]], folder: Path) -> None:
    with pytest.raises(UsageError, match="no adapter 'three'") as error:
        llm.generate(prompt_ids=IDS, adapter="three")
    assert "one, two, half" in error.value.hint
    with pytest.raises(ModelNotFound, match="no adapter"):
        LLM(BASE.path, adapters={"gone": folder / "gone"}, **EXACT)
    with pytest.raises(UsageError, match="no name for an adapter"):
        LLM(BASE.path, adapters={"a:b": made["one"][0]}, **EXACT)
    with pytest.raises(UsageError, match="scale"):
        LLM(BASE.path, adapters={"a": (made["one"][0], float("nan"))}, **EXACT)
    for bad in ([made["one"][0]], {"a": 5}, {"a": (made["one"][0],)}, {"a": (None, 1.0)}):
        with pytest.raises(UsageError, match="but must"):
            LLM(BASE.path, adapters=bad, **EXACT)
    for name in (["one"], 5, ""):
        with pytest.raises(UsageError, match="no adapter"):
            llm.generate(prompt_ids=IDS, adapter=name)  # type: ignore[arg-type]
    head = write_peft(folder / "head", {"lm_head": (90, 36)}, rank=2)
    with shared_cache(), pytest.raises(Unsupported, match="lm_head") as refused:
        LLM(BASE.path, adapters={"head": head}, **EXACT)
    assert "head" in refused.value.why


def test_names_on_the_command_line() -> None:
    assert parse_adapter("pirate=./a/b:0.5") == ("pirate", "./a/b", 0.5)
    assert parse_adapter("owner/some-lora") == ("some-lora", "owner/some-lora", 1.0)
    assert parse_adapter("x=owner/name:f16.gguf") == ("x", "owner/name:f16.gguf", 1.0)
    assert parse_adapter("/tmp/one.gguf:2") == ("one", "/tmp/one.gguf", 2.0)
    assert given_adapters(["a=x", "b=y:-1"]) == {"a": ("x", 1.0), "b": ("y", -1.0)}
    with pytest.raises(UsageError, match="Two adapters"):
        given_adapters(["a/x", "b/x"])
    with pytest.raises(UsageError, match="names no adapter"):
        parse_adapter("a=")


def test_an_engine_has_so_much_room() -> None:
    from hearth.engine import AdapterTable

    table = AdapterTable(4)
    assert (table.add("a", 1).first, table.add("b", 2).first, table.add("c", 1).first) == (0, 1, 3)
    with pytest.raises(NotEnoughMemory, match="no room for the adapter 'd'"):
        table.add("d", 1)
    with pytest.raises(UsageError, match="already"):
        table.add("a", 1)
    assert table.find("a").key != table.find("b").key
