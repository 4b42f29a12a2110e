"""`hearth app` as a user starts and ends it, and as a power cut ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from hearth import LLM
from hearth.store import Store

from .page import LONG, Page

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(starter: LLM, cache: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `hearth app` in a process of its own."""
    begun: list[subprocess.Popen[str]] = []

    def app(*arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "HEARTH_CACHE": str(cache), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", "from hearth.cli.main import main; main()", "app", "--no-browser", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**environment, "PYTHONUNBUFFERED": "1"},
            )
        )
        return begun[-1]

    yield app
    for process in begun:
        process.kill()
        process.wait()


@contextmanager
def _page_of(process: subprocess.Popen[str]) -> Iterator[Page]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        found = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", line)
        if found:
            headers = {"authorization": f"Bearer {found[2]}"}
            with httpx.Client(base_url=found[1], headers=headers, timeout=60, trust_env=False) as http:
                yield Page(http)
            return
    raise AssertionError("".join(lines))


@dataclass
class Talk:
    """A conversation whose answer is being written, and what the page has shown of it."""

    id: str
    events: Iterator[dict[str, Any]]
    shown: str = ""

    def read(self, chars: int) -> None:
        for event in self.events:
            self.shown += event.get("text", "")
            if len(self.shown) > chars:
                return


def _talks(page: Page) -> list[Talk]:
    """More of them than are answered at a time, so that some are in their middle and some not begun."""
    talks = []
    for _ in range(10):
        id = page.create(settings=LONG)
        talks.append(Talk(id, page.events(id, page.say(id, "Talk"))))
        next(talks[-1].events)
    talks[0].read(50)
    talks[1].read(20)
    return talks


def test_kill_9_in_the_middle_of_answers_keeps_all_that_was_shown(start: Start, tmp_path: Path) -> None:
    process = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(process) as page:
        talks = _talks(page)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Store(tmp_path / "data") as store:
        answers = [store.conversation(talk.id).messages[-1] for talk in talks]
    assert all(answer.content.startswith(talk.shown) for talk, answer in zip(talks, answers, strict=True))
    assert talks[0].shown
    assert {answer.state for answer in answers} in ({"interrupted"}, {"interrupted", "done"})
    again = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(again) as page:
        assert page.get(f"/conversations/{talks[0].id}")["messages"][-1]["content"] == answers[0].content


def test_ctrl_c_ends_it_and_keeps_the_answers_as_stopped(start: Start, tmp_path: Path) -> None:
    process = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(process) as page:
        assert page.http.get("/").status_code == 200
        talks = _talks(page)
        process.send_signal(signal.SIGINT)
        for talk in talks:
            talk.read(10**9)
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert "Traceback" not in process.stdout.read()
    with Store(tmp_path / "data") as store:
        answers = [store.conversation(talk.id).messages[-1] for talk in talks]
    assert all(answer.content.startswith(talk.shown) for talk, answer in zip(talks, answers, strict=True))
    assert {answer.state for answer in answers} in ({"stopped"}, {"stopped", "done"})


def test_a_second_one_on_the_same_conversations_is_refused(start: Start, tmp_path: Path) -> None:
    first = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(first):
        second = start("--port", "0", "--data", str(tmp_path / "data"))
        output, _ = second.communicate(timeout=60)
        assert second.returncode == 7
        assert "open in another Hearth" in output
        with _page_of(start("--data", str(tmp_path / "other"))) as page:
            assert page.get("/status")["default_model"] == "starter"
