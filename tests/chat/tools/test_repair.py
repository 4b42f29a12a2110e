"""What is left of arguments that were cut off is a part of what they would have become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.chat.tools.repair import MAX_DEPTH, completed_object

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def _begins(part: Any, whole: Any, *, last: bool) -> bool:
    """Whether one value is another that was cut: whole but for what came last."""
    if isinstance(part, dict) and isinstance(whole, dict):
        keys = list(part)
        return keys == list(whole)[: len(keys)] and all(
            _begins(part[key], whole[key], last=last and key == keys[-1]) for key in keys
        )
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(
            _begins(a, b, last=last and i == len(part) - 1) for i, (a, b) in enumerate(zip(part, whole, strict=False))
        )
    if last and isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if last and type(part) is int and type(whole) is int:
        return str(whole).startswith(str(part))
    return bool(part == whole)


@given(value=st.dictionaries(st.text(max_size=5), _JSON, max_size=4), ascii_only=st.booleans(), data=st.data())
def test_an_object_cut_anywhere_keeps_what_came(value: dict[str, Any], ascii_only: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert completed_object(text) == value
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert _begins(completed_object(cut), value, last=True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"path": "/a", "content": "one\\ntw', {"path": "/a", "content": "one\ntw"}),
        ('{"path": "/a", "content": "quoted \\', {"path": "/a", "content": "quoted "}),
        ('{"path": "/a", "content": "\\u00e', {"path": "/a", "content": ""}),
        ('{"face": "\\ud83d', {"face": ""}),
        ('{"face": "\\ud83d\\ude', {"face": ""}),
        ('{"face": "\\ud83d\\ude42", "half": "\\ud83d."', {"face": "🙂", "half": "\ufffd."}),
        ('{"path": "/a", "cont', {"path": "/a"}),
        ('{"path": "/a", "content":', {"path": "/a"}),
        ('{"deep": tru', {}),
        ('{"ids": [1, 2, {"x": 3', {"ids": [1, 2, {"x": 3}]}),
        ('{"path"', {}),
        ("", {}),
        ("no JSON", {}),
        ('["a"]', {}),
        ('{"a": 1}}', {"a": 1}),
        ('{"a":' * (MAX_DEPTH + 1), {}),
    ],
)
def test_what_is_left_of(text: str, kept: dict[str, Any]) -> None:
    assert completed_object(text) == kept
