"""Thoughts and answer are told apart however the tokens fall."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.chat.thinking import TAGS, Tags, ThinkingSplitter, tags_for


def split(parts: list[str], prompt_end: str = "") -> tuple[str, str]:
    splitter = ThinkingSplitter(prompt_end)
    pieces = [piece for part in parts for piece in splitter.push(part)] + splitter.finish()
    return (
        "".join(p.text for p in pieces if p.kind == "thinking"),
        "".join(p.text for p in pieces if p.kind == "answer"),
    )


@pytest.mark.parametrize("tags", TAGS)
def test_every_family(tags: Tags) -> None:
    assert split([f"{tags.open}\nhm\n{tags.close}\n\nParis."]) == ("hm", "Paris.")


@given(cuts=st.sets(st.integers(1, 40)))
def test_borders_do_not_matter(cuts: set[int]) -> None:
    text = "<think>\nIs it < or <b>?\n</think>\n\nIt is <think> twice."
    edges = [0, *sorted(c for c in cuts if c < len(text)), len(text)]
    parts = [text[a:b] for a, b in pairwise(edges)]
    assert split(parts) == ("Is it < or <b>?", "It is <think> twice.")


def test_the_template_opened_the_block() -> None:
    assert split(["I wonder", "</thi", "nk>\nYes"], "<|assistant|>\n<think>\n") == ("I wonder", "Yes")


def test_the_template_closed_it_again() -> None:
    assert split(["Yes"], "<think>\n\n</think>\n\n") == ("", "Yes")


def test_an_answer_about_the_tags_is_an_answer() -> None:
    assert split(["Write <think>x</think>."]) == ("", "Write <think>x</think>.")


def test_a_block_that_never_closes_is_thinking() -> None:
    assert split(["<think>on and on </th"]) == ("on and on </th", "")


WRAPPED = "<think>\nIs it?\n</think>\n<response>\nIt <b>is</b>.\n</response>"


@given(cuts=st.sets(st.integers(1, len(WRAPPED))))
def test_tags_around_the_answer_after_a_block_belong_to_nobody(cuts: set[int]) -> None:
    """Granite 3.3's prompt asks for them."""
    edges = [0, *sorted(cuts), len(WRAPPED)]
    parts = [WRAPPED[a:b] for a, b in pairwise(edges)]
    assert split(parts) == ("Is it?", "It <b>is</b>.")


@pytest.mark.parametrize("prompt_end", ["<think>\n\n</think>\n", ""])
def test_hunyuan_writes_other_tags_around_its_answer(prompt_end: str) -> None:
    thought = "" if prompt_end else "<think>\nHm.\n</think>\n"
    said = f"{thought}<answer>\nParis <b>is</b>.\n</answer>"
    assert split(list(said), prompt_end) == ("" if prompt_end else "Hm.", "Paris <b>is</b>.")


def test_other_answers_keep_what_looks_like_such_tags() -> None:
    assert split(["<response>x</response>"]) == ("", "<response>x</response>")
    assert split(["<think>a</think>Say <response>x</response>."]) == ("a", "Say <response>x</response>.")
    assert split(["<think>a</think>", "<resp"]) == ("a", "<resp")
    assert split(["<think>a</think><response>cut </resp"]) == ("a", "cut </resp")
    assert split(["<think>a</think><response>x</response> and more"]) == ("a", "x and more")


def test_words_around_thoughts_count_where_the_template_asks_for_them() -> None:
    """As Granite 3.2's does, which has no tags."""
    asks = "Write 'Here is my thought process:' and then 'Here is my response:' before the answer."
    said = "Here is my thought process:\nHm.\n\nHere is my response:\n\nParis."
    for template, wanted in ((asks, ("Hm.", "Paris.")), ("", ("", said))):
        splitter = ThinkingSplitter(tags=tags_for(template))
        pieces = [piece for char in said for piece in splitter.push(char)] + splitter.finish()
        kinds = ("thinking", "answer")
        assert tuple("".join(p.text for p in pieces if p.kind == kind) for kind in kinds) == wanted


def test_an_answer_is_not_held_back() -> None:
    splitter = ThinkingSplitter()
    assert [p.text for p in splitter.push("Pa")] == ["Pa"]
    assert [p.text for p in splitter.push(" <th")] == [" <th"]


def test_white_space_of_an_answer_stays() -> None:
    assert split(["  two", "\n\n", "lines "]) == ("", "  two\n\nlines ")
