"""Loops are ended; what only looks like one for a while is not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from hearth.chat.answer import AnswerBuilder
from hearth.chat.repetition import MAX_PERIOD, RepetitionWatch
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import TokenEvent

from .samples import byte_level, make_spec

TOKENIZER = Tokenizer(make_spec(byte_level()))


def has_letters(ids: Sequence[int]) -> bool:
    return any(map(str.isalpha, TOKENIZER.decode(ids)))


def ended_after(ids: Sequence[int]) -> int | None:
    """Tokens until a loop was found; None if none was."""
    watch = RepetitionWatch(has_letters)
    return next((count for count, token in enumerate(ids, 1) if watch.push(token)), None)


def ids_of(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special=False)


NOISE = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz ,.\n", k=3000))


@pytest.mark.parametrize(
    "row",
    [
        "I am sorry. ",
        "no ",
        "The quick brown fox jumps over the lazy dog, and then it does so once more. ",
        "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,b ",  # a loop inside of which there are smaller ones
        NOISE[:200],
    ],
)
@pytest.mark.parametrize("before", ["", NOISE])
def test_a_sentence_said_over_and_over_is_ended(row: str, before: str) -> None:
    begin, period = len(ids_of(before)), len(ids_of(row))
    count = ended_after(ids_of(before) + ids_of(row) * 300)
    assert count is not None
    assert begin + 400 - period <= count <= begin + max(400, 25 * period) + 40


def test_a_row_without_letters_takes_longer_to_be_sure_of() -> None:
    assert ended_after(ids_of("!") * 2000) is None
    assert 2048 <= (ended_after(ids_of("!") * 3000) or 0) <= 2100


def test_a_row_that_is_longer_than_any_that_is_looked_for_is_let_be() -> None:
    row = list(range(10, 10 + 50)) * (MAX_PERIOD // 50 + 1) + [9]
    assert ended_after(row * 40) is None


@pytest.mark.parametrize(
    ("row", "times"),
    [
        ("<tr>" + "<td></td>" * 8 + "</tr>\n", 8),
        ("<tr>" + "<td>.</td>" * 19 + "</tr>\n", 19),
        (". " * 19 + "\n", 19),
        ("0 " * 40 + "\n", 25),
        ("|   |   |   |\n", 40),
        ("0, ", 600),
        ("-", 1000),
        (" ", 1500),
        ("hello ", 60),
        ("- [ ] \n", 100),
    ],
    ids=["chess", "go in HTML", "go", "matrix", "empty table", "zeros", "ruler", "blanks", "hello", "check boxes"],
)
def test_what_people_ask_for_is_not_ended(row: str, times: int) -> None:
    assert ended_after(ids_of("Here it is:\n" + row * times + "Done.")) is None


def test_rows_that_differ_a_little_are_no_loop() -> None:
    assert ended_after(ids_of("".join(f"INSERT INTO t VALUES ({n});\n" for n in range(200)))) is None
    almost = [*ids_of("I am sorry. ") * 8, *ids_of("I was sorry. ")]
    assert ended_after(almost * 8) is None


def test_the_answer_ends_says_why_and_keeps_what_was_said() -> None:
    builder = AnswerBuilder(TOKENIZER, end_ids=frozenset(), repetition=RepetitionWatch(has_letters))
    text = ""
    for token in itertools.cycle(ids_of("I am sorry. ")):
        text += "".join(chunk.text for chunk in builder.push(TokenEvent(id=0, token=token)))
        if builder.completion is not None:
            break
    done = builder.completion
    assert done is not None
    assert done.finish_reason == "repetition"
    assert done.text == text
    assert done.text.startswith("I am sorry. I am sorry. ")
    (notice,) = done.notices
    assert "the same" in notice


def test_the_engines_own_end_counts_before_a_repetition() -> None:
    builder = AnswerBuilder(TOKENIZER, end_ids=frozenset(), repetition=RepetitionWatch(has_letters))
    ids = ids_of("I am sorry. ") * 60
    end = ended_after(ids)
    assert end is not None
    for token in ids[: end - 1]:
        builder.push(TokenEvent(id=0, token=token))
    builder.push(TokenEvent(id=0, token=ids[end - 1], finish_reason="length"))
    assert builder.completion is not None
    assert builder.completion.finish_reason == "length"
