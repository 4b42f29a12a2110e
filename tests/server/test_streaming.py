"""Streams of events: what a client reads, and what happens when it leaves, stops reading or waits too long."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from tests.waiting import wait_for

from hearth.errors import UsageError
from hearth.server.streaming import sse

from .running import Running, running


class Sources:
    """What the streams of these tests are doing."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = 0


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.fixture
def server(sources: Sources) -> Iterator[Running]:
    async def count(most: int, pause_s: float, size: int = 1) -> AsyncIterator[dict[str, object]]:
        try:
            for number in range(most):
                await asyncio.sleep(pause_s)
                sources.made += 1
                yield {"type": "tick", "n": number, "text": "é\n" * size}
        finally:
            await asyncio.sleep(0.05)  # closing may have to wait for something
            sources.closed += 1

    async def failing(after: int, kind: type[Exception]) -> AsyncIterator[str]:
        for _ in range(after):
            yield "fine"
        raise kind(" ".join(["a", "secret"]))

    def routes(app: FastAPI) -> None:
        @app.get("/v1/count")
        async def counting(most: int = 3, pause: float = 0, size: int = 1, named: bool = False) -> StreamingResponse:
            return sse(count(most, pause, size), named=named, done="[DONE]")

        @app.get("/v1/long")
        async def long() -> StreamingResponse:
            return sse(count(10_000, 0.01), limited=False)

        for path in ("/v1/failing", "/v1/messages/failing", "/api/failing"):

            @app.get(path)
            async def fail(after: int, mine: bool = False) -> StreamingResponse:
                return sse(failing(after, UsageError if mine else ValueError), done="[DONE]")

    with running(routes=routes, keepalive_s=0.1, timeout_s=1) as server:
        yield server


def test_events_and_the_last_one(server: Running, sources: Sources) -> None:
    answer = server.http.get("/v1/count")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert [json.loads(event)["n"] for event in events[:-1]] == [0, 1, 2]
    assert sources.closed == 1


def test_named_events(server: Running) -> None:
    assert server.http.get("/v1/count", params={"named": True}).text.startswith("event: tick\ndata: {")


def test_a_silent_stream_sends_comments(server: Running) -> None:
    text = server.http.get("/v1/count", params={"most": 1, "pause": 0.8}).text
    assert 1 <= text.count(": waiting\n\n") <= 8
    assert text.endswith("data: [DONE]\n\n")


def test_a_client_that_leaves_stops_the_source_at_once(server: Running, sources: Sources) -> None:
    with server.http.stream("GET", "/v1/long") as answer:
        for _ in answer.iter_lines():
            break
    wait_for(lambda: sources.closed == 1)
    assert sources.made < 10_000
    assert server.metric("hearth_clients_gone_total", route="/v1/long") == 1


def test_a_client_that_does_not_read_stops_the_source_and_is_cut_off_in_the_end(
    server: Running, sources: Sources
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /v1/count?most=100000&size=50000 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        wait_for(lambda: sources.closed == 1)
        assert 10 < sources.made < 200, "it waits; nothing piles up"
    wait_for(lambda: server.app.state.traffic.in_flight == 0)


def test_a_stream_that_takes_too_long_ends_with_an_event(server: Running, sources: Sources) -> None:
    text = server.http.get("/v1/count", params={"most": 1000, "pause": 0.05}).text
    last, done = [part for part in text.split("\n\n") if part][-2:]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "timeout"
    assert done == "data: [DONE]"
    assert sources.closed == 1


def test_a_stream_without_a_limit_goes_on(server: Running) -> None:
    with server.http.stream("GET", "/v1/long") as answer:
        begin = time.monotonic()
        for _ in answer.iter_lines():
            if time.monotonic() - begin > 1.5:
                return
    pytest.fail("it was ended")


def test_what_fails_before_the_first_event_has_its_own_status(server: Running) -> None:
    refused = server.http.get("/v1/failing", params={"after": 0, "mine": True})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "a secret"
    assert server.http.get("/v1/failing", params={"after": 0}).status_code == 500


def test_what_fails_later_is_the_last_event_in_the_protocols_form(server: Running) -> None:
    def events(path: str, **params: object) -> list[str]:
        answer = server.http.get(path, params={"after": 2, **params})
        assert answer.status_code == 200
        return [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part]

    *fine, error, done = events("/v1/failing", mine=True)
    assert fine == ["fine", "fine"]
    assert json.loads(error)["error"]["message"] == "a secret"
    assert done == "[DONE]"
    assert json.loads(events("/v1/messages/failing")[2])["error"]["type"] == "api_error"
    assert json.loads(events("/api/failing")[2])["type"] == "error"


def test_a_fault_of_ours_is_not_quoted_to_the_client_and_not_to_the_log(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    answer = server.http.get("/v1/failing", params={"after": 1})
    assert "a secret" not in answer.text
    wait_for(lambda: "ValueError" in caplog.text)
    assert "test_streaming.py" in caplog.text, "the log says where"
    assert "a secret" not in caplog.text, "what an exception says may quote a request"


def test_one_stream_that_fails_harms_no_other(server: Running) -> None:
    with server.http.stream("GET", "/v1/count", params={"most": 20, "pause": 0.02}) as running_one:
        lines = running_one.iter_lines()
        next(lines)
        assert httpx.get(f"{server.url}/v1/failing?after=1", trust_env=False).status_code == 200
        assert list(lines)[-2] == "data: [DONE]"


def test_a_stream_that_is_cut_by_the_end_of_the_server_says_so(server: Running, sources: Sources) -> None:
    with server.http.stream("GET", "/v1/long") as answer:
        lines = answer.iter_lines()
        next(lines)
        server.server.should_exit = True
        rest = [line for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "stopping"
    assert sources.closed == 1
    server.stop()
