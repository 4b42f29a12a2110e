"""`hearth app` as a user starts and ends it, and as a power cut ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            with httpx.Client(base_url=found[0], timeout=60, trust_env=False) as http:
                yield Page(http)
            return
    raise AssertionError("".join(lines))


def _read_some(page: Page) -> tuple[str, Iterator[dict[str, str]], str]:
    id = page.create(settings=LONG)
    events = page.events(id, page.say(id, "Talk"))
    shown = ""
    for event in events:
        shown += event.get("text", "")
        if len(shown) > 50:
            return id, events, shown
    raise AssertionError("the answer has ended")


def test_kill_9_in_the_middle_of_an_answer_keeps_all_that_was_shown(start: Start, tmp_path: Path) -> None:
    process = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(process) as page:
        id, _, shown = _read_some(page)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Store(tmp_path / "data") as store:
        answer = store.conversation(id).messages[-1]
        assert answer.state == "interrupted"
        assert answer.content.startswith(shown)
    again = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(again) as page:
        assert page.get(f"/conversations/{id}")["messages"][-1]["content"] == answer.content


def test_ctrl_c_ends_it_and_keeps_the_answer_as_stopped(start: Start, tmp_path: Path) -> None:
    process = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(process) as page:
        assert page.http.get("/").status_code == 200
        id, events, shown = _read_some(page)
        process.send_signal(signal.SIGINT)
        rest = "".join(event.get("text", "") for event in events)
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert "Traceback" not in process.stdout.read()
    with Store(tmp_path / "data") as store:
        answer = store.conversation(id).messages[-1]
        assert answer.state == "stopped"
        assert answer.content.startswith(shown + rest)


def test_a_second_one_on_the_same_conversations_is_refused(start: Start, tmp_path: Path) -> None:
    first = start("--port", "0", "--data", str(tmp_path / "data"))
    with _page_of(first):
        second = start("--port", "0", "--data", str(tmp_path / "data"))
        output, _ = second.communicate(timeout=60)
        assert second.returncode == 7
        assert "open in another Hearth" in output
        with _page_of(start("--data", str(tmp_path / "other"))) as page:
            assert page.get("/status")["default_model"] == "starter"
