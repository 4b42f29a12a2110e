"""What a program asks for when it opens a model, and what is no possible answer, is told in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from hearth import LLM
from hearth.errors import UsageError


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kv": "q4"}, "kv is 'q4', but must be 'f16' or 'q8'."),
        ({"quant": "q5"}, "quant is 'q5', but must be 'f32', 'f16', 'q8', 'q4', 'q4a' or 'int8'."),
        ({"head": "q5"}, "head is 'q5'"),
        ({"precision": "low"}, "precision is 'low', but must be 'default', 'high' or 'fast'."),
        ({"precision": None}, "precision is None"),
        ({"speculate": "x"}, "speculate is 'x', but must be 'auto', 'lookup', 'mtp' or 'off'."),
        ({"context_overflow": "x"}, "context_overflow is 'x', but must be 'error' or 'slide'."),
        ({"threads": "2"}, "threads is '2', but must be a whole number, 1 or more."),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"context": "512"}, "context is '512'"),
        ({"context": 1}, "context is 1, but must be a whole number, 2 or more."),
        ({"max_seqs": 0}, "max_seqs is 0, but must be a whole number, 1 or more."),
        ({"max_seqs": True}, "max_seqs is True"),
        ({"kv_bytes": -1}, "kv_bytes is -1"),
    ],
)
def test_what_cannot_be_is_told_by_the_name_of_the_argument_before_the_model_is_looked_for(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        LLM("no/such-model", offline=True, **asked)
    assert caught.value.what.startswith(said)
