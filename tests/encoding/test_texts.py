"""How texts are put to an encoder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.encoding.lettered import tokenizer

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.task import Task
from hearth.checkpoint.types import TokenizerSpec
from hearth.encoding.texts import Reader, prompt_name
from hearth.errors import ContextFull, UsageError

CLS, SEP, A = 2, 3, 4


def spec(**fields: Any) -> TokenizerSpec:
    values: dict[str, Any] = {
        "json": json.dumps(tokenizer()), "bos_id": None, "eos_ids": (), "add_bos": False, "add_eos": False,
        "special": {"cls_token": "[CLS]", "sep_token": "[SEP]"}, "chat_template": None, "added_by_json": True,
    }  # fmt: skip
    return TokenizerSpec(**values | fields)


def reader(task: Task | None = None, *, typed: bool = True, **fields: Any) -> Reader:
    return Reader(task or Task("embed", max_tokens=12), Tokenizer(spec(**fields)), typed)


def test_a_text_stands_between_what_the_tokenizer_puts_around_it() -> None:
    assert reader().text("ab").ids == [CLS, A, A + 1, SEP]


def test_a_text_cannot_write_control_tokens() -> None:
    ids = reader().text("a[SEP]b").ids
    assert ids[0] == CLS
    assert ids.count(SEP) == 1


def test_too_long_a_text_is_refused_or_cut_with_its_end_in_place() -> None:
    with pytest.raises(ContextFull, match=r"14 tokens.* 12"):
        reader().text("abcdefghijkl")
    cut = reader().text("abcdefghijkl", truncate=True).ids
    assert (len(cut), cut[0], cut[-1]) == (12, CLS, SEP)


def test_a_pair_has_types_and_its_second_text_is_cut() -> None:
    pair = reader().pair("ab", "cdefghijklm", truncate=True)
    assert pair.ids == [CLS, A, A + 1, SEP, *range(A + 2, A + 9), SEP]
    assert pair.types == [0] * 4 + [1] * 8
    with pytest.raises(ContextFull):
        reader().pair("ab", "cdefghijklm")
    with pytest.raises(UsageError, match="first text"):
        reader().pair("abcdefghijklm", "c", truncate=True)


def test_where_the_tokenizer_says_nothing_of_pairs_the_end_stands_between_them_once_or_twice() -> None:
    plain = tokenizer() | {"post_processor": None}
    fields: dict[str, Any] = {
        "json": json.dumps(plain), "added_by_json": False, "bos_id": CLS, "eos_ids": (SEP,), "add_bos": True,
        "add_eos": True,
    }  # fmt: skip
    bert = reader(typed=True, **fields).pair("a", "b")
    assert (bert.ids, bert.types) == ([CLS, A, SEP, A + 1, SEP], [0, 0, 0, 1, 1])
    assert reader(typed=False, **fields).pair("a", "b").ids == [CLS, A, SEP, SEP, A + 1, SEP]


def test_prompts_stand_before_the_text_and_may_count_for_pooling_or_not() -> None:
    task = Task("embed", max_tokens=20, prompts={"query": "q: "}, include_prompt=False)
    text = reader(task).text("ab", "query")
    assert text.ids[1:-1] == [A + 16, 0, A, A + 1]  # there is no colon in this vocabulary
    assert text.skip == 3
    assert reader(Task("embed", max_tokens=20, prompts={"query": "q: "})).text("ab", "query").skip == 0


def test_which_prompt_is_meant() -> None:
    task = Task("embed", prompts={"query": "q: ", "passage": "p: ", "other": "o: "}, default_prompt="other")
    assert prompt_name(task, None, None) == "other"
    assert prompt_name(task, "query", None) == "query"
    assert prompt_name(task, None, "document") == "passage"
    assert prompt_name(Task("embed"), None, "query") is None
    with pytest.raises(UsageError, match="'none'"):
        prompt_name(task, "none", None)
    with pytest.raises(UsageError, match="Both"):
        prompt_name(task, "query", "query")


def test_places_of_tokens_are_those_of_the_text() -> None:
    text = "ab  Cd"
    _, encoded = reader().located(text)
    assert [text[slice(*span)] for span in encoded.spans if span is not None] == ["a", "b", "C", "d"]
    assert encoded.spans[0] is None
    assert encoded.spans[-1] is None
