"""Whatever a caller puts in a batch, it is checked before a kernel sees it: an error says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.runtime import tiny_model

from hearth.errors import UsageError
from hearth.runtime import Model, TextSession

GOOD: dict[str, Any] = {
    "token_ids": [1, 2, 3, 4],
    "positions": [0, 1, 5, 6],
    "token_seq": [0, 0, 1, 1],
    "block_table": [[0, -1], [3, -1]],
    "logit_rows": [1, 3],
}


@pytest.fixture
def session(model: Model) -> TextSession:
    return TextSession(model, num_pages=4, threads=2)


def test_the_batch_that_the_others_damage_is_fine(session: TextSession) -> None:
    assert session.forward(**GOOD).logits.shape == (2, tiny_model.VOCAB)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token_ids": [1, 2, 3, 100]}, "token 3: id 100, the vocabulary has 100"),
        ({"token_ids": [1, -1, 3, 4]}, "token 1: id -1"),
        ({"token_ids": [1, 2**31, 3, 4]}, "token_ids has a number that leaves 32 bits"),
        ({"token_ids": [1, 2.5, 3, 4]}, "token_ids must be integers"),
        ({"token_ids": [[1, 2, 3, 4]]}, "token_ids must have 1 dimension"),
        ({"token_ids": [1, 2, 3]}, "They have 3, 4 and 4"),
        ({"positions": [0, 1, 5, 7]}, "token 3: position 7, positions of a sequence must ascend by 1"),
        ({"positions": [0, 0, 5, 6]}, "token 1: position 0"),
        ({"positions": [-1, 0, 5, 6]}, "token 0: position -1"),
        ({"positions": [63, 64, 5, 6]}, "token 1: position 64, must be below 64"),
        ({"positions": [2**31 - 1, -(2**31), 5, 6]}, "position 2147483647"),
        ({"token_seq": [0, 0, 1, 2]}, "token 3: sequence 2, there are 2"),
        ({"token_seq": [0, 0, 1, -1]}, "token 3: sequence -1"),
        ({"token_seq": [0, 1, 1, 0], "positions": [0, 5, 6, 1]}, "sequence 0: its tokens do not stand together"),
        ({"block_table": [[0, -1], [-1, -1]]}, "sequence 1: page 0 is -1, the session has 4 pages"),
        ({"block_table": [[0, -1], [4, -1]]}, "sequence 1: page 0 is 4"),
        ({"positions": [0, 1, 7, 8]}, "sequence 1: page 1 is -1"),
        ({"positions": [0, 1, 15, 16], "block_table": [[0, 0], [1, 1]]}, "needs 3 pages, block_table has 2 columns"),
        (
            {"positions": [0, 1, 32, 33], "block_table": [[0] * 5, [1] * 5]},
            "position 33 needs 5 pages, the session has 4",
        ),
        ({"rope_positions": [[0, 1]] * 4}, "takes no rope_positions"),
        ({"state_from": [-1, -1], "state_to": [0] * 4}, "the model has no slots of state"),
        ({"state_from": [-1]}, "state_from must have 2 entries, not 1"),
        ({"block_table": [0, 3]}, "block_table must have 2 dimensions"),
        ({"block_table": np.zeros((2, 0), np.int32)}, "block_table_stride is 0"),
        ({"block_table": np.zeros((5, 2), np.int32)}, "num_seqs is 5, must be 1 to 4"),
        ({"block_table": np.zeros((0, 2), np.int32)}, "num_seqs is 0"),
        ({"logit_rows": [4]}, r"logit_rows\[0\] is 4, there are 4 tokens"),
        ({"logit_rows": [0, -1]}, r"logit_rows\[1\] is -1"),
        ({"logit_rows": [0, 1, 2, 3, 0]}, "num_logit_rows is 5, must be at most 4"),
        ({"num_prompt_tokens": 5}, "num_prompt_tokens is 5, must be at most num_tokens, 4"),
        ({"token_ids": [], "positions": [], "token_seq": [], "logit_rows": []}, "num_tokens is 0"),
        (
            {"token_ids": [1] * 17, "positions": list(range(17)), "token_seq": [0] * 17, "block_table": [[0, 1, 2]]},
            "num_tokens is 17, must be 1 to 16",
        ),
    ],
)
def test_each_wrong_number_is_named_and_leaves_the_session_usable(
    session: TextSession, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        session.forward(**GOOD | change)
    tokens = [5, 6, 7]
    result = session.forward(tokens, [0, 1, 2], [0] * 3, [[2]], [2])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of(tokens)[-1])


def test_arrays_of_any_integer_type_and_layout_are_taken(session: TextSession) -> None:
    expected = session.forward(**GOOD).logits.copy()
    for dtype in (np.int64, np.uint8, np.int16):
        batch = {name: np.asarray(values, np.int64) for name, values in GOOD.items()}
        batch = {name: a.astype(dtype) if (a >= 0).all() else a for name, a in batch.items()}
        np.testing.assert_array_equal(session.forward(**batch).logits, expected)
    strided = {name: np.repeat(np.asarray(v, np.int32), 2, axis=-1)[..., ::2] for name, v in GOOD.items()}
    np.testing.assert_array_equal(session.forward(**strided).logits, expected)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_pages": 0}, "num_pages is 0"),
        ({"num_pages": 2**31}, "pages is 2147483648, must be 1 to 2147483647"),
        ({"num_pages": 4, "num_slots": 1}, "num_slots is 1, but must be 0"),
        ({"num_pages": 4, "threads": 0}, "threads is 0"),
        ({"num_pages": 4, "threads": 5000}, "threads is 5000"),
    ],
)
def test_a_session_refuses_absurd_numbers(model: Model, arguments: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TextSession(model, **{"threads": 1, **arguments})


def test_closed_things_say_so(model: Model) -> None:
    session = TextSession(model, num_pages=4, threads=2)
    model.close()
    assert session.closed
    with pytest.raises(UsageError, match="The session is closed"):
        session.forward(**GOOD)
    with pytest.raises(UsageError, match="The model is closed"):
        TextSession(model, num_pages=4)
    model.close()
    session.close()
