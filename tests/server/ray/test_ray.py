"""`hearth serve --ray` and `hearth batch --ray` on a local Ray with two engines, one of which is killed under load."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hearth import LLM

pytest.importorskip("ray.serve")
pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("starter")]

MESSAGES = [{"role": "user", "content": "Tell me a long story."}]


@pytest.fixture(scope="module")
def served(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """URL and process of a server with two replicas."""
    log = tmp_path_factory.mktemp("ray") / "log"
    arguments = ["serve", "starter", "--port", "0", "--ray", "--threads", "1", "--drain-timeout", "5"]
    with log.open("w") as errors:
        process = hearth(arguments, cache, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.match(r"Serving .* at (\S+)", line):
                yield match[1], process
                break
        else:
            raise AssertionError(log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0, log.read_text()
        assert "Traceback" not in log.read_text()


def hearth(arguments: list[str], cache: Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments],
        text=True,
        env=os.environ | {"HEARTH_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
        **options,
    )


def engines_of(parent: int, name: str) -> set[int]:
    """Processes of Ray's actors of this name, children of children of `parent`."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
    found = set()
    for process in parents:
        above = process
        while above in parents and above != parent:
            above = parents[above]
        if above == parent and name in names[process]:
            found.add(process)
    return found


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def ask(url: str, **more: Any) -> httpx.Response:
    body = {"model": "starter", "messages": MESSAGES, "max_tokens": 8, "temperature": 0, **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)


def streamed(url: str, index: int, seen: Counter[int], ends: dict[int, str], tokens: int = 3000) -> None:
    """How many events a long stream had, and how it ended."""
    messages = [{"role": "user", "content": f"Story number {index}"}]
    body = {"model": "starter", "messages": messages, "max_tokens": tokens, "ignore_eos": True, "stream": True}
    last = ""
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=120) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                last = line
                seen[index] += 1
    ends[index] = "lost" if "replica_lost" in last else "whole" if '"finish_reason":"length"' in last else last


def test_answers_are_those_of_one_process_streamed_and_not(served: tuple[str, Any], starter: LLM) -> None:
    url, _ = served
    expected = starter.chat(MESSAGES, temperature=0, max_tokens=8).text
    assert ask(url).json()["choices"][0]["message"]["content"] == expected
    lines = ask(url, stream=True).text.split("\n\n")
    pieces = [json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines if line[6:7] == "{"]
    assert "".join(pieces) == expected
    assert len(pieces) > 3


def test_only_this_machine_can_connect(served: tuple[str, Any]) -> None:
    listening = subprocess.run(["ss", "-tlnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    own = engines_of(served[1].pid, "")
    addresses = {line.split()[3] for line in listening if own & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}}
    assert addresses
    loopback = re.compile(r"(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]|\[::1\]):")
    assert [address for address in addresses if not loopback.match(address)] == []


def test_the_guards_are_those_of_hearth_serve(served: tuple[str, Any]) -> None:
    url, _ = served
    body = {"model": "starter", "messages": MESSAGES, "max_tokens": 1}
    path = f"{url}/v1/chat/completions"
    assert httpx.post(path, json=body, headers={"host": "evil.example"}).status_code == 403
    assert httpx.post(path, json=body, headers={"origin": "https://evil.example"}).status_code == 403
    assert httpx.post(path, content=json.dumps(body)).status_code == 415
    assert ask(url, temperature=9).status_code == 400


def test_a_conversation_goes_to_the_replica_that_has_its_beginning(served: tuple[str, Any]) -> None:
    url, _ = served
    long = [{"role": "user", "content": "A story about a lighthouse and its keeper. " * 20}]
    cached = [ask(url, messages=long).json()["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(4)]
    assert cached[0] == 0
    assert min(cached[1:]) > 100


def test_a_replica_that_is_killed_takes_only_its_own_streams_and_comes_back(served: tuple[str, Any]) -> None:
    url, process = served
    before = engines_of(process.pid, "ServeReplica")
    assert len(before) == 2
    seen: Counter[int] = Counter()
    ends: dict[int, str] = {}
    threads = [threading.Thread(target=streamed, args=(url, index, seen, ends)) for index in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(seen) == 8 and min(seen.values()) >= 3, "the streams do not begin")
    assert not ends, "the streams are too short"
    os.kill(min(before), signal.SIGKILL)
    for _ in range(5):  # meanwhile
        assert ask(url).status_code == 200
    for thread in threads:
        thread.join(120)
    assert set(ends.values()) == {"lost", "whole"}
    wait_until(lambda: len(engines_of(process.pid, "ServeReplica")) == 2, "the replica does not come back")
    assert ask(url).status_code == 200


def test_a_stop_lets_running_answers_end(served: tuple[str, Any]) -> None:
    url, process = served
    seen: Counter[int] = Counter()
    ends: dict[int, str] = {}
    threads = [threading.Thread(target=streamed, args=(url, index, seen, ends, 1000)) for index in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(seen) == 4, "the streams do not begin")
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert list(ends.values()) == ["whole"] * 4
    assert process.wait(60) == 0


def test_a_batch_survives_the_end_of_one_of_its_engines(cache: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        {
            "custom_id": f"r{i}",
            "url": "/v1/completions",
            "body": {"prompt": f"{i}", "max_tokens": 60, "ignore_eos": True},
        }
        for i in range(300)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    process = hearth(["batch", str(source), str(out), "--ray", "--threads", "1"], cache, stderr=subprocess.PIPE)
    wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 20, "the batch does not begin")
    engines = engines_of(process.pid, "ray::_Engine")
    assert len(engines) == 2
    os.kill(min(engines), signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    answered = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["custom_id"] for line in answered) == sorted(f"r{i}" for i in range(300))
    assert {line["response"]["status_code"] for line in answered} == {200}
