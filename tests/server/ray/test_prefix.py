"""Requests go where their beginning was computed before, unless too many are there already. Needs no Ray."""

from __future__ import annotations

import json
from typing import Any

from hearth.server.ray.prefix import MAX_BLOCKS, PrefixIndex, prompt_blocks

CHAT = "/v1/chat/completions"
LONG = "Once upon a time there was a machine that knew many stories. " * 20


def blocks(*turns: str, path: str = CHAT, **more: Any) -> tuple[bytes, ...]:
    messages = [{"role": "user", "content": turn} for turn in turns]
    return prompt_blocks(path, json.dumps({"model": "m", "messages": messages, **more}).encode())


def test_a_conversation_that_goes_on_begins_as_it_was() -> None:
    first, second = blocks(LONG), blocks(LONG, "And then?" * 50)
    assert len(first) > 5
    assert second[: len(first) - 1] == first[:-1]
    assert len(second) > len(first)


def test_another_model_tool_or_first_word_is_another_beginning() -> None:
    same = blocks(LONG)
    others = [blocks("X" + LONG), blocks(LONG, tools=[{"type": "function"}])]
    others.append(prompt_blocks(CHAT, json.dumps({"model": "other", "messages": LONG}).encode()))
    for other in others:
        assert not set(same) & set(other)


def test_what_has_no_prompt_has_no_blocks() -> None:
    assert prompt_blocks("/v1/embeddings", b'{"input": "x"}') == ()
    assert prompt_blocks(CHAT, b"{") == ()
    assert prompt_blocks(CHAT, b"[1]") == ()
    assert prompt_blocks(CHAT, b"[" * 100000) == ()
    assert blocks("Hello") == ()


def test_a_prompt_of_any_length_has_a_bounded_number_of_blocks() -> None:
    assert len(prompt_blocks("/v1/completions", json.dumps({"prompt": "x" * 10**6}).encode())) == MAX_BLOCKS


def test_the_replica_with_the_longest_beginning_comes_first() -> None:
    index: PrefixIndex[str] = PrefixIndex()
    index.begun("a", blocks(LONG[:400]))
    index.begun("b", blocks(LONG))
    assert index.ranked(["a", "b", "c"], blocks(LONG, "more"))[0] == "b"
    assert index.ranked(["a", "c"], blocks(LONG, "more"))[0] == "a"


def test_without_a_known_beginning_the_idlest_comes_first() -> None:
    index: PrefixIndex[str] = PrefixIndex()
    index.begun("a", ())
    index.begun("a", ())
    index.begun("b", ())
    assert index.ranked(["a", "b", "c"], ()) == ["c", "b", "a"]
    index.ended("a")
    index.ended("a")
    assert index.ranked(["a", "b", "c"], ())[-1] == "b"


def test_requests_that_come_together_are_spread_before_any_of_them_has_begun() -> None:
    index: PrefixIndex[str] = PrefixIndex()
    first = [index.ranked(["a", "b", "c"], ())[0] for _ in range(6)]
    assert first == ["a", "b", "c", "a", "b", "c"]


def test_a_replica_that_is_too_busy_is_not_preferred() -> None:
    index: PrefixIndex[str] = PrefixIndex(slack=2)
    for _ in range(3):
        index.begun("a", blocks(LONG))
    assert index.ranked(["a", "b"], blocks(LONG))[0] == "b"
    index.ended("a")
    assert index.ranked(["a", "b"], blocks(LONG))[0] == "a"


def test_a_replica_that_is_gone_is_forgotten() -> None:
    index: PrefixIndex[str] = PrefixIndex()
    index.begun("a", blocks(LONG))
    index.keep({"b"})
    index.begun("b", ())
    index.ended("b")
    assert index.ranked(["b", "a"], blocks(LONG))[0] == "b"
    index.ended("a")  # of a request that was still running there
