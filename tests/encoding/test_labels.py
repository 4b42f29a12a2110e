"""What logits mean."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.checkpoint.task import Scores, Task
from hearth.encoding.labels import of_places, of_text, scores

NAMES = Task("tag", ("O", "B-NAME", "I-NAME", "B-CITY", "I-CITY"))


def logits(*best: int, sure: float = 8.0) -> np.ndarray:
    """Rows of which each is sure of one label."""
    rows = np.zeros((len(best), len(NAMES.labels)), np.float32)
    rows[np.arange(len(best)), best] = sure
    return rows


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("identity", [0.0, 2.0]), ("sigmoid", [0.5, 0.880797]), ("softmax", [0.119203, 0.880797])],
)
def test_scores_are_made_as_the_authors_make_them(kind: Scores, expected: list[float]) -> None:
    task = Task("classify", ("a", "b"), kind)
    assert np.allclose(scores(np.array([0.0, 2.0], np.float32), task), expected, atol=1e-6)


def test_labels_of_a_text_come_surest_first() -> None:
    found = of_text(np.array([0.0, 3.0, 1.0], np.float32), Task("classify", ("a", "b", "c")), "text")
    assert [one.label for one in found] == ["b", "c", "a"]
    assert all((one.start, one.end) == (0, 4) for one in found)


def test_places_are_joined_from_their_beginning_on_and_cut_where_another_begins() -> None:
    text = "Ada Lovelace and Bob met in New York"
    words = [(0, 3), (4, 12), (13, 16), (17, 20), (21, 24), (25, 27), (28, 31), (32, 36)]
    found = of_places(logits(0, 1, 2, 0, 1, 0, 0, 3, 4, 0), NAMES, text, [None, *words, None])
    assert [(one.label, text[one.start : one.end]) for one in found] == [
        ("NAME", "Ada Lovelace"), ("NAME", "Bob"), ("CITY", "New York"),
    ]  # fmt: skip
    assert all(0.99 < one.score < 1 for one in found)


def test_two_places_beside_each_other_stay_two() -> None:
    found = of_places(logits(1, 1, 3), NAMES, "Ada Bob Rome", [(0, 3), (4, 7), (8, 12)])
    assert [(one.label, one.start, one.end) for one in found] == [("NAME", 0, 3), ("NAME", 4, 7), ("CITY", 8, 12)]


def test_the_rest_of_a_word_follows_its_first_token() -> None:
    text = "in Lovelace here"
    spans = [(0, 2), (3, 7), (7, 11), (12, 16)]
    found = of_places(logits(0, 1, 0, 0), NAMES, text, spans)
    assert [(one.label, text[one.start : one.end]) for one in found] == [("NAME", "Lovelace")]


def test_a_label_that_only_goes_on_begins_a_place_too() -> None:
    assert [one.label for one in of_places(logits(2), NAMES, "Ada", [(0, 3)])] == ["NAME"]
