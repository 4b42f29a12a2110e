"""Clients that cost little, and servers to put them on: what the benchmarks of servers share.

A client writes its request on a socket of its own and notes when each event of the stream arrives; it parses no more
than it must, since it shares the processor with the server that is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_EVENT = b"data: "


@dataclass
class Reply:
    """One answer, as its client saw it.

    Attributes:
        sent: when it was asked, in seconds of `time.perf_counter`.
        times: when each piece of text arrived.
        tokens: of the answer, as the server counts them.
        error: what went wrong; "" nothing.
    """

    sent: float
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    error: str = ""

    @property
    def first_s(self) -> float:
        return self.times[0] - self.sent

    @property
    def between_s(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]

    @property
    def tok_s(self) -> float:
        """Of the stream from its first token on."""
        return (self.tokens - 1) / max(self.times[-1] - self.times[0], 1e-9)


async def ask(port: int, path: str, body: Mapping[str, Any]) -> Reply:
    """Sends one streaming request and reads its answer to the end."""
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    reply = Reply(time.perf_counter())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{head}content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
            await _read(reader, reply)
        finally:
            writer.close()
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        reply.error = f"{type(error).__name__}: {error}"
    return reply


async def _read(reader: asyncio.StreamReader, reply: Reply) -> None:
    status = await reader.readline()
    if b" 200 " not in status:
        rest = await reader.read()
        reply.error = f"{status.decode().strip()}: {rest[-300:].decode(errors='replace')}"
        return
    usage, done = b"", False
    while line := await reader.readline():
        if not line.startswith(_EVENT):
            continue
        if line.startswith(b"data: [DONE]"):
            done = True
        elif b'"usage":{' in line:
            usage = line
        elif b'"error":{' in line:
            reply.error = line.decode().strip()
            return
        if b'"content":"' in line or b'"text":"' in line:
            reply.times.append(time.perf_counter())
    if not done or not usage or not reply.times:
        reply.error = "the stream ended too early"
        return
    reply.tokens = json.loads(usage[len(_EVENT) :])["usage"]["completion_tokens"]


async def clients(count: int, work: Callable[[int], Awaitable[list[Reply]]]) -> list[list[Reply]]:
    """So many clients at once; the replies of each."""
    return list(await asyncio.gather(*(work(index) for index in range(count))))


class Served:
    """A server in a process of its own.

    Args:
        command: with `PORT` where the port belongs.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.port = free_port()
        self._log = log
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [part.replace("PORT", str(self.port)) for part in command], stdout=file, stderr=file, env=environment
            )

    def wait(self, timeout_s: float = 300) -> None:
        """Until it is ready."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise SystemExit(f"{self.name} does not start; its log is {self._log}:\n{self._log.read_text()[-2000:]}")

    @property
    def memory_mb(self) -> float:
        """Resident set of the server's process."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 90, 99 and the largest."""
    ordered = sorted(values)
    at = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 90, 99)}
    return {**at, "max": ordered[-1], "mean": statistics.fmean(ordered)}
