"""Long texts in passages: all of the text is in one, none is longer than the model reads, borders are a writer's."""

from __future__ import annotations

import itertools
import random

import pytest

from hearth.encoding.passages import passages


def words(text: str) -> int:
    return len(text.split())


def letters(text: str) -> int:
    return len(text)


def cut(text: str, most: int, count: object = words) -> list[str]:
    return [text[slice(*span)] for span in passages(text, count, most)]  # type: ignore[arg-type]


def test_a_short_text_is_one_passage_and_blanks_are_none() -> None:
    assert cut("  One short text.\n", 10) == ["One short text."]
    assert cut(" \n\t ", 10) == []
    assert cut("", 10) == []


def test_borders_are_the_best_that_there_are() -> None:
    assert cut("a b c\n\nd e f\n\ng h i", 6) == ["a b c\n\nd e f", "g h i"]
    assert cut("a b c\nd e f", 4) == ["a b c", "d e f"]
    assert cut("One two three. Four five six! Seven?", 4) == ["One two three.", "Four five six! Seven?"]
    assert cut("一二三。四五六。", 4, letters) == ["一二三。", "四五六。"]
    assert cut("a b c d e", 2) == ["a b", "c d", "e"]


def test_what_has_no_border_is_halved() -> None:
    assert cut("x" * 10, 4, letters) == ["xx", "xxx", "xx", "xxx"]
    assert cut("é", 0, letters) == ["é"]  # nothing is shorter than a letter


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_or_doubled_and_nothing_is_too_long(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choice("ab .\n。é\u3000") for _ in range(3000)) + "z" * draw.randrange(500)
    spans = passages(text, letters, 40)
    assert all(begin < end and end - begin <= 40 for begin, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    between = [0, *(edge for span in spans for edge in span), len(text)]
    gaps = [text[between[i] : between[i + 1]] for i in range(0, len(between), 2)]
    assert all(gap.strip() == "" for gap in gaps)
