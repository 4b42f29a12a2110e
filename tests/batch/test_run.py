"""How a batch runs: many at once, what passes is asked again, what fails is an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from hearth.batch import BatchInput, BatchOutput, BatchProgress, RunRecord, read_batch, run_batch
from hearth.errors import StorageError
from hearth.server.inprocess import Answer


class Echo:
    """Answers after a while, and keeps account."""

    concurrency = 4
    fingerprint = ""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.asked: list[Mapping[str, Any]] = []
        self.refuse = 0

    async def answer(self, url: str, body: Mapping[str, Any]) -> Answer:
        self.asked.append(body)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(body.get("wait", 0))
        self.running -= 1
        if self.refuse:
            self.refuse -= 1
            return Answer(429, Headers({"retry-after": "0"}), b"{}")
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        status = 400 if body.get("bad") else 200
        headers = {"x-hearth-warning": "ignored: odd"} if body.get("odd") else {}
        return Answer(status, Headers(headers), json.dumps({"usage": usage}).encode())


def batch_of(folder: Path, *bodies: dict[str, Any]) -> BatchInput:
    path = folder / "in.jsonl"
    lines = ({"custom_id": f"r{i}", "url": "/v1/completions", "body": body} for i, body in enumerate(bodies))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_batch(path)


def run(batch: BatchInput, echo: Echo, **options: Any) -> tuple[list[Any], BatchProgress]:
    path = batch.path.with_name("out.jsonl")
    with BatchOutput(path, RunRecord(batch.sha256, "m", {}), {entry.custom_id for entry in batch.entries}) as output:
        progress = asyncio.run(run_batch(batch, output, echo, **options))
    return [json.loads(line) for line in path.read_text().splitlines()], progress


def test_as_many_run_at_once_as_the_answerer_wants_and_the_first_finished_is_the_first_written(tmp_path: Path) -> None:
    echo = Echo()
    waits = [0.2, 0.0, 0.05, 0.1, 0.0, 0.0]
    answers, progress = run(batch_of(tmp_path, *({"wait": wait} for wait in waits)), echo)
    assert echo.most == 4
    assert sorted(answer["custom_id"] for answer in answers) == [f"r{i}" for i in range(6)]
    assert answers[-1]["custom_id"] == "r0"
    assert (progress.done, progress.prompt_tokens, progress.completion_tokens) == (6, 18, 30)


def test_an_error_is_an_answer_and_the_rest_goes_on(tmp_path: Path) -> None:
    answers, progress = run(batch_of(tmp_path, {"bad": True}, {}, {}), Echo())
    status = {answer["custom_id"]: answer["response"]["status_code"] for answer in answers}
    assert status == {"r0": 400, "r1": 200, "r2": 200}
    assert (progress.done, progress.failed) == (3, 1)


def test_a_full_queue_is_asked_again(tmp_path: Path) -> None:
    echo = Echo()
    echo.refuse = 2
    answers, _ = run(batch_of(tmp_path, {}), echo)
    assert [answer["response"]["status_code"] for answer in answers] == [200]
    assert len(echo.asked) == 3


def test_what_is_finished_is_not_asked_again(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, {}, {}, {})
    path = tmp_path / "out.jsonl"
    with BatchOutput(path, RunRecord(batch.sha256, "m", {}), {"r0", "r1", "r2"}) as output:
        line = {"custom_id": "r1", "response": {"status_code": 200}, "error": None}
        output.write("r1", line, ok=True)
    echo = Echo()
    answers, progress = run(batch, echo)
    assert len(echo.asked) == 2
    assert [answer["custom_id"] for answer in answers] == ["r1", "r0", "r2"]
    assert (progress.before, progress.done) == (1, 3)


def test_the_model_that_was_asked_for_answers_whatever_the_bodies_name(tmp_path: Path) -> None:
    echo = Echo()
    run(batch_of(tmp_path, {"model": "gpt-4o-mini"}, {}), echo, model="starter")
    assert [body["model"] for body in echo.asked] == ["starter", "starter"]


def test_an_output_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("Cannot write: the disk is full.")

    monkeypatch.setattr(BatchOutput, "write", full)
    echo = Echo()
    with pytest.raises(StorageError):
        run(batch_of(tmp_path, *({"wait": 0.01 * i} for i in range(20))), echo)
    assert len(echo.asked) <= 5


def test_what_a_request_is_told_beside_its_answer_stands_in_its_line(tmp_path: Path) -> None:
    answers, _ = run(batch_of(tmp_path, {"odd": 1}, {}), Echo())
    told = {answer["custom_id"]: answer["response"].get("warning") for answer in answers}
    assert told == {"r0": "ignored: odd", "r1": None}
