"""The input of a batch: what is in order is taken, what is not is named by its line before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hearth.batch import read_batch
from hearth.errors import StorageError, UsageError


def line(custom_id: str = "a", **changed: Any) -> dict[str, Any]:
    request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}
    return request | changed


def written(folder: Path, *lines: object) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    return path


def test_requests_come_in_order_and_each_body_is_found_again(tmp_path: Path) -> None:
    path = written(tmp_path, line("a", body={"n": 1}), "", line("ü", url="/v1/embeddings", body={"input": "größer"}))
    batch = read_batch(path)
    assert [(entry.line, entry.custom_id, entry.url) for entry in batch.entries] == [
        (1, "a", "/v1/chat/completions"),
        (3, "ü", "/v1/embeddings"),
    ]
    assert [batch.body(entry) for entry in batch.entries] == [{"n": 1}, {"input": "größer"}]


def test_a_file_of_an_editor_that_writes_a_byte_order_mark_and_no_last_newline_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(line()).encode() + b"\r\n" + json.dumps(line("b")).encode())
    batch = read_batch(path)
    assert [batch.body(entry) for entry in batch.entries] == [{"messages": []}] * 2


def test_the_models_that_the_bodies_name_are_known(tmp_path: Path) -> None:
    path = written(tmp_path, line("a", body={"model": "x"}), line("b", body={"model": "x"}), line("c", body={}))
    assert read_batch(path).model == "x"
    path = written(tmp_path, line("a", body={"model": "x"}), line("b", body={"model": "y"}))
    assert (read_batch(path).model, read_batch(path).models) == (None, ("x", "y"))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not an object"),
        ("[" * 5000, "nests deeper"),
        ({"custom_id": "b", "url": "/v1/completions"}, "has no body"),
        (line("b", url="/v1/audio/speech"), "url must be one of"),
        (line("b", method="GET"), "method must be POST"),
        (line("b", body=[]), "body must be an object"),
        (line("b", body={"stream": True}), "come whole"),
        (line(""), "custom_id must be a text"),
        (line("b", priority=1), '"priority" is not a field'),
        (line("a"), "stands in line 1 already"),
    ],
)
def test_a_line_that_is_not_in_order_is_named(tmp_path: Path, bad: object, told: str) -> None:
    path = written(tmp_path, line("a"), bad, line("c"))
    with pytest.raises(UsageError) as caught:
        read_batch(path)
    assert caught.value.why.startswith("line 2: ")
    assert told in caught.value.why


def test_all_problems_are_counted_and_the_first_ten_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="25 lines are not in order") as caught:
        read_batch(written(tmp_path, *["no JSON"] * 25))
    assert caught.value.why.count("line ") == 10
    assert "15 more" in caught.value.why


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"custom_id": "\xff"}\n')
    with pytest.raises(UsageError) as caught:
        read_batch(path)
    assert "is not UTF-8 (byte 16)" in caught.value.why


def test_an_empty_file_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no requests"):
        read_batch(written(tmp_path))
    with pytest.raises(StorageError, match="No such file"):
        read_batch(tmp_path / "none.jsonl")


def test_a_file_that_changes_under_the_run_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, line("a"), line("b"))
    batch = read_batch(path)
    written(tmp_path, line("b"), line("a"))
    with pytest.raises(UsageError, match="has changed"):
        batch.body(batch.entries[0])
