"""`hearth batch` as a user runs it, with the real starter model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.adapters import linear_shapes, write_peft

from hearth import LLM
from hearth.hub import resolve

from .conftest import Run

pytestmark = pytest.mark.usefixtures("starter")


def batch(folder: Path, count: int, *more: dict[str, Any], tokens: int = 12) -> Path:
    path = folder / "in.jsonl"
    lines = [request(f"r{i}", f"Tell me about {i}.", max_tokens=tokens) for i in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))
    return path


def request(custom_id: str, content: str, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": messages, "temperature": 0} | body,
    }


def answers(path: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = {line["custom_id"]: line["response"] for line in lines}
    assert len(found) == len(lines), "a request was answered twice"
    return found


def test_every_kind_of_request_gets_the_servers_answer_and_a_failed_one_its_error(
    hearth: Run, starter: LLM, tmp_path: Path
) -> None:
    others: list[dict[str, Any]] = [
        {"custom_id": "text", "url": "/v1/completions", "body": {"prompt": "One, two,", "max_tokens": 3}},
        {"custom_id": "vector", "url": "/v1/embeddings", "body": {"input": "three"}},
        {"custom_id": "response", "url": "/v1/responses", "body": {"input": "Hello", "max_output_tokens": 3}},
        request("range", "Hello", temperature=9),
        request("length", "again " * 20000),
        request("other model", "Hello", model="gpt-4o-mini", max_tokens=3),
    ]
    out = tmp_path / "out.jsonl"
    ended = hearth("batch", str(batch(tmp_path, 2, *others)), str(out), "--model", "starter")
    assert ended.returncode == 1, ended.stderr
    assert "6 of 8 requests answered, 2 failed" in ended.stderr
    found = answers(out)
    assert {custom_id: one["status_code"] for custom_id, one in found.items() if one["status_code"] != 200} == {
        "range": 400,
        "length": 400,
    }
    assert found["range"]["body"]["error"]["param"] == "temperature"
    assert found["length"]["body"]["error"]["code"] == "context_length_exceeded"
    said = found["r0"]["body"]["choices"][0]["message"]["content"]
    messages = [{"role": "user", "content": "Tell me about 0."}]
    assert said == starter.chat(messages, temperature=0, max_tokens=12).text
    assert found["response"]["body"]["object"] == "response"
    assert len(found["vector"]["body"]["data"][0]["embedding"]) > 0


def test_a_run_that_is_killed_goes_on_where_it_ended(hearth: Run, cache: Path, tmp_path: Path) -> None:
    source, out = batch(tmp_path, 300, tokens=40), tmp_path / "out.jsonl"
    arguments = ["batch", str(source), str(out), "--max-seqs", "4"]
    process = start(arguments, cache)
    wait_for_lines(out, 20, process)
    process.kill()
    process.wait(60)
    with out.open("ab") as file:
        file.write(b'{"id":"batch_req_1","custom_id":"r2')  # killed in the middle of a line
    before = out.read_bytes().splitlines(keepends=True)[:-1]
    assert 20 <= len(before) < 300

    ended = hearth(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert f"{len(before)} of 300 requests answered already" in ended.stderr
    assert out.read_bytes().startswith(b"".join(before)), "what was finished has changed"
    assert answers(out).keys() == {f"r{i}" for i in range(300)}

    again = hearth(*arguments)
    assert again.returncode == 0
    assert "300 requests answered already" in again.stderr


def test_ctrl_c_ends_it_with_whole_lines(cache: Path, tmp_path: Path) -> None:
    source, out = batch(tmp_path, 2000, tokens=40), tmp_path / "out.jsonl"
    process = start(["batch", str(source), str(out), "--max-seqs", "4"], cache)
    wait_for_lines(out, 5, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on" in told
    assert "Traceback" not in told
    assert out.read_bytes().endswith(b"\n")
    assert 5 <= len(answers(out)) < 2000


def test_another_input_is_noticed_and_lines_that_are_not_in_order_are_named(hearth: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert hearth("batch", str(batch(tmp_path, 1)), str(out)).returncode == 0
    ended = hearth("batch", str(batch(tmp_path, 2)), str(out))
    assert ended.returncode == 2
    assert "another run" in ended.stderr
    (tmp_path / "bad.jsonl").write_text('{"custom_id": "x"}\n')
    ended = hearth("batch", str(tmp_path / "bad.jsonl"), str(tmp_path / "new.jsonl"))
    assert ended.returncode == 2
    assert "line 1: has no url." in ended.stderr
    assert not (tmp_path / "new.jsonl").exists()


def test_an_adapter_answers_all_and_another_one_of_its_name_is_noticed(
    hearth: Run, starter: LLM, tmp_path: Path
) -> None:
    shapes = linear_shapes(resolve("starter").path, ("q_proj", "v_proj", "down_proj"))
    for name, seed in (("a", 1), ("b", 2)):
        write_peft(tmp_path / name, shapes, rank=4, alpha=6, seed=seed)
        (tmp_path / name / "checkpoint-1").mkdir()  # as trainers leave them
    vectors = {"custom_id": "v", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}
    source, out = batch(tmp_path, 2, vectors), tmp_path / "out.jsonl"
    ended = hearth("batch", str(source), str(out), "--lora", f"x={tmp_path / 'a'}")
    assert ended.returncode == 0, ended.stderr
    found = answers(out)
    assert {each["body"]["model"] for each in found.values()} == {"starter:x"}
    plain = starter.chat([{"role": "user", "content": "Tell me about 0."}], temperature=0, max_tokens=12).text
    assert found["r0"]["body"]["choices"][0]["message"]["content"] != plain
    other = hearth("batch", str(source), str(out), "--lora", f"x={tmp_path / 'b'}")
    assert other.returncode == 2
    assert "Its lora was" in other.stderr


def test_a_model_that_only_the_file_names_is_never_downloaded(hearth: Run, tmp_path: Path) -> None:
    source = batch(tmp_path, 0, request("a", "Hello", model="someone/something"))
    ended = hearth("batch", str(source), str(tmp_path / "out.jsonl"))
    assert ended.returncode == 3, ended.stderr
    assert "someone/something" in ended.stderr


def start(arguments: list[str], cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"HEARTH_CACHE": str(cache)},
    )


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "nothing comes"
        time.sleep(0.01)
