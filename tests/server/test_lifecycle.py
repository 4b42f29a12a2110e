"""`hearth serve` in a process of its own: it starts, says how to use it, and stops properly."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import SLOW_HEARTH, wait_for

from hearth import LLM
from hearth.cli.main import run
from hearth.errors import AddressInUse, UsageError
from hearth.server.lifecycle import take_port, url_of
from hearth.server.settings import ServerSettings

Serve = Callable[..., "Process"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of a POSIX system")


class Process:
    """A running `hearth serve`."""

    def __init__(self, arguments: tuple[str, ...], env: dict[str, str], step_s: float) -> None:
        program = SLOW_HEARTH.format(seconds=step_s)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **env},
        )
        assert self.process.stdout is not None
        self.greeting = ""
        for line in self.process.stdout:
            self.greeting += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://\S+:\d+", self.greeting)
        assert found, self.process.communicate()[1]
        self.url = found[0]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, timeout_s: float = 60) -> tuple[int, str]:
        """Waits; its exit code and its log."""
        _, log = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, log


@pytest.fixture
def serve(starter: LLM, cache: Path) -> Iterator[Serve]:
    started: list[Process] = []

    def start(*arguments: str, step_s: float = 0, **env: str) -> Process:
        started.append(Process(arguments, {"HEARTH_CACHE": str(cache), **env}, step_s))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


class Said:
    """What one client of a stream has heard: its status, the lines, and whether the connection broke."""

    def __init__(self) -> None:
        self.status = 0
        self.lines: list[str] = []
        self.broken = False

    @property
    def last(self) -> dict[str, Any]:
        """The last object before the end."""
        assert self.lines[-1] == "data: [DONE]", self.lines
        last: dict[str, Any] = json.loads(self.lines[-2].removeprefix("data: "))
        return last


def streams(url: str, starter: LLM, count: int, begun: int) -> tuple[list[Said], list[threading.Thread]]:
    """Begins long streams. Returns once so many of them have begun."""
    bias = {str(token): -100 for token in starter.engine.eos_ids}
    heard = [Said() for _ in range(count)]

    def read(number: int) -> None:
        said = heard[number]
        body = {"model": "starter", "prompt": f"Story {number}.", "max_tokens": 450, "stream": True, "logit_bias": bias}
        try:
            with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60, trust_env=False) as answer:
                said.status = answer.status_code
                for line in answer.iter_lines():
                    said.lines += [line] if line else []
        except httpx.TransportError:
            said.broken = True

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(bool(said.lines) for said in heard) >= begun)
    return heard, threads


def is_open(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_it_says_how_to_use_it_and_stops_with_0(serve: Serve) -> None:
    server = serve("starter")
    assert f'base_url="{server.url}/v1"' in server.greeting
    assert f"curl {server.url}/v1/chat/completions" in server.greeting
    assert httpx.get(f"{server.url}/v1/models", trust_env=False).json()["data"][0]["id"] == "starter"
    server.signal(signal.SIGINT)
    code, log = server.end()
    assert code == 0
    assert "Stopping" in log
    assert "Traceback" not in log


def test_what_it_says_of_a_model_in_a_folder_can_be_typed_as_it_stands(serve: Serve, starter: LLM) -> None:
    server = serve(str(starter.info.bundle))
    body = re.search(r"-d '(.*)'", server.greeting)
    assert body
    asked = {**json.loads(body[1]), "max_tokens": 4}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:
        assert http.post("/v1/chat/completions", json=asked).status_code == 200
    server.signal(signal.SIGTERM)
    assert server.end()[0] == 0


def test_no_model_means_the_starter_and_a_key_from_the_environment_is_wanted(serve: Serve) -> None:
    server = serve("--load-on-demand", HEARTH_API_KEY="sk-from-the-environment")
    assert "$HEARTH_API_KEY" in server.greeting
    assert "sk-from" not in server.greeting
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.get("/v1/models").status_code == 401
        listed = http.get("/v1/models", headers={"x-api-key": "sk-from-the-environment"}).json()
    assert [model["id"] for model in listed["data"]] == ["starter"]
    server.signal(signal.SIGTERM)
    assert server.end()[0] == 0


def test_sigterm_under_load_lets_running_streams_end(serve: Serve, starter: LLM) -> None:
    server = serve("starter", "--threads", "1", "--max-seqs", "4", step_s=0.004)
    heard, threads = streams(server.url, starter, 12, begun=4)
    server.signal(signal.SIGTERM)
    code, log = server.end()
    for thread in threads:
        thread.join(10)
    assert code == 0, log
    for said in heard:
        if said.status == 200:  # one that had not come in yet is refused
            assert not said.broken
            assert said.last["choices"][0]["finish_reason"] == "length"
    assert sum(said.status == 200 for said in heard) >= 4
    assert "may finish within" in log
    assert "Traceback" not in log


def test_streams_that_do_not_end_in_time_are_ended_properly(serve: Serve, starter: LLM) -> None:
    server = serve("starter", "--threads", "1", "--max-seqs", "2", "--drain-timeout", "0", step_s=0.02)
    heard, threads = streams(server.url, starter, 12, begun=2)
    server.signal(signal.SIGTERM)
    code, log = server.end()
    for thread in threads:
        thread.join(10)
    assert code == 0, log
    cut = 0
    for said in heard:
        if said.status == 503:  # one that was waiting
            assert json.loads(said.lines[0])["error"]["message"]
        elif said.status == 200:
            assert not said.broken
            assert "error" in said.last or said.last["choices"][0]["finish_reason"] is not None
            cut += "error" in said.last
    assert cut, "twelve long answers, two at a time, are not done at once"
    assert "Traceback" not in log


def test_a_second_signal_stops_at_once(serve: Serve, starter: LLM) -> None:
    server = serve("starter", "--threads", "1", "--max-seqs", "1", step_s=0.02)
    streams(server.url, starter, 12, begun=1)
    server.signal(signal.SIGTERM)
    wait_for(lambda: not is_open(server.url))
    server.signal(signal.SIGTERM)
    code, log = server.end()
    assert code == 128 + signal.SIGTERM
    assert "Stopped at once" in log


def test_a_port_in_use_is_told_before_a_model_is_loaded(hearth: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = hearth("serve", "nobody/nothing", "--port", str(other.getsockname()[1]))
    assert done.returncode == AddressInUse.exit_code
    assert "is in use" in done.stderr
    assert "--port" in done.stderr


def test_mistakes_at_the_start_are_one_message(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearth.server.log.configure_log", lambda level: None)  # this process has a log already
    for arguments, code, message in (
        (("--host", "0.0.0.0"), 2, "no API key is set"),
        (("--port", "70000"), 2, "port is 70000"),
        (("--timeout", "0"), 2, "--timeout is 0"),
        (("--memory", "lots"), 2, "no size"),
        (("--api-key-file", str(tmp_path / "none")), 2, "cannot be read"),
        (("--cors-origin", "*"), 2, "origin"),
        (("nobody/nothing", "--offline", "--port", "0"), 3, "nobody/nothing"),
    ):
        assert run(["serve", *arguments]) == code, arguments
        said = capsys.readouterr()
        assert message in said.err
        assert "Traceback" not in said.err
        assert said.out == ""


def test_addresses() -> None:
    taken = take_port(ServerSettings(port=0))
    with taken:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url_of(ServerSettings(), taken))
    with pytest.raises(UsageError, match="Cannot listen"):
        take_port(ServerSettings(host="192.0.2.1", insecure=True))
    with pytest.raises(UsageError, match="no address"):
        take_port(ServerSettings(host="nowhere.invalid", insecure=True))
