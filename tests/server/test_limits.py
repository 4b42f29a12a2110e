"""What a request may cost: size, nesting, time, and how many at once."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, UploadFile
from tests.waiting import wait_for

from hearth.errors import UsageError
from hearth.server import errors
from hearth.server.connection import SPARE_CONNECTIONS
from hearth.server.errors import ApiError
from hearth.server.limits import check_json
from hearth.server.settings import ServerSettings

from .running import Running, read_all, running

JSON = {"content-type": "application/json"}


def add_routes(app: FastAPI) -> None:
    @app.post("/v1/echo")
    async def echo(body: dict[str, Any]) -> int:
        return len(json.dumps(body))

    @app.post("/api/attachments")
    async def upload(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/v1/slow")
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(
        routes=add_routes,
        max_body_bytes=10_000,
        max_attachment_bytes=200_000,
        max_header_bytes=8192,
        max_connections=2,
        timeout_s=1,
        body_timeout_s=0.3,
        header_timeout_s=0.3,
        idle_timeout_s=1,
    ) as server:
        yield server


def echo(server: Running, content: Any, **headers: str) -> httpx.Response:
    return server.http.post("/v1/echo", content=content, headers={**JSON, **headers})


def test_a_body_within_the_limit_is_taken(server: Running) -> None:
    assert echo(server, json.dumps({"a": "x" * 9000})).status_code == 200


@pytest.mark.parametrize("size", [10_001, 60_000, 5_000_000])
def test_a_longer_body_is_refused_and_the_client_hears_why(server: Running, size: int) -> None:
    refused = echo(server, b" " * size)
    assert refused.status_code == 413
    assert "larger than 10000 bytes" in refused.json()["error"]["message"]


def test_a_body_that_does_not_say_its_length_is_counted_too(server: Running) -> None:
    refused = echo(server, (b" " * 1000 for _ in range(1000)))
    assert "content-length" not in refused.request.headers
    assert refused.status_code == 413


def test_only_json_is_read_as_json(server: Running) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
    ):
        refused = echo(server, "{}", **{"content-type": kind})
        assert refused.status_code == 415
        assert "application/json" in refused.json()["error"]["message"]
    assert echo(server, "{}", **{"content-type": "Application/JSON; charset=utf-8"}).status_code == 200


def test_a_compressed_body_is_refused(server: Running) -> None:
    assert echo(server, "{}", **{"content-encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(
    "body",
    ["{", '{"a": }', "[1]", '"text"', "null", b"\xff\xfe", '{"a": NaN', "{" * 60, '{"a": ' + "9" * 5000 + "}"],
)
def test_what_is_no_json_object_is_an_error_of_the_client(server: Running, body: Any) -> None:
    refused = echo(server, body)
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_deep_nesting_is_refused(server: Running) -> None:
    def nested(depth: int) -> str:
        return '{"a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    assert echo(server, nested(64)).status_code == 200
    for depth in (65, 2000):
        refused = echo(server, nested(depth))
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "too_deep"
    assert echo(server, json.dumps({"code": "[{" * 500})).status_code == 200, "a bracket in a text nests nothing"
    assert echo(server, json.dumps({"code": ['\\"[' * 30] * 30})).status_code == 200


def test_bodies_that_take_long_to_parse_are_refused_before(server: Running) -> None:
    with running(routes=add_routes) as large:
        for body in (
            b'{"a": [' + b",".join([b"[]"] * 200_000) + b"]}",
            b"{" + b",".join(b'"k%d":1' % i for i in range(200_000)) + b"}",
            b'{"a": [' + b"1," * 1_200_000 + b"1]}",
        ):
            refused = large.http.post("/v1/echo", content=body, headers=JSON)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_values")
        text = json.dumps({"a": "one, two: [three], " * 100_000})
        assert large.http.post("/v1/echo", content=text, headers=JSON).status_code == 200, "a text may hold anything"
        tokens = json.dumps({"a": list(range(1_000_000))})
        assert large.http.post("/v1/echo", content=tokens, headers=JSON).status_code == 200, "a million tokens"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {f"k{i}": 1 for i in range(5000)}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x", "a": 1, "b": 2}] * 4000}),
        ("/v1/chat/completions", {"messages": [], "logit_bias": {f"x{i}": "y" for i in range(5000)}}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{}] * 4000}]}),
        ("/v1/completions", {"prompt": [-1] * 100_000}),
        ("/v1/embeddings", {"input": [[-1] * 1000] * 100}),
        ("/v1/messages", {"messages": [{}] * 4000}),
        ("/v1/responses", {"input": [{}] * 4000}),
    ],
)
def test_a_thousand_mistakes_are_not_told_a_thousand_times(
    path: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    invalid = errors._invalid
    monkeypatch.setattr(errors, "_invalid", lambda found: told.append(len(found)) or invalid(found))
    with running(max_body_bytes=8 << 20) as server:
        refused = server.http.post(path, json={"model": "m", **body})
        assert refused.status_code == 400
        assert max(told, default=0) < 120


def test_nesting_is_found_in_linear_time() -> None:
    for body in (b'"' + b'\\"' * 4_000_000, b"[]" * 4_000_000, b'"[' * 4_000_000, b'{"a":"\\' + b"[" * 8_000_000):
        begin = time.process_time()
        with suppress(ApiError):
            check_json(body, 64)
        assert time.process_time() - begin < 20, "quadratic would be hours"


def test_a_file_may_be_longer_than_json_but_has_its_own_limit(server: Running) -> None:
    taken = server.http.post("/api/attachments", files={"file": ("a.txt", b"x" * 100_000)})
    assert (taken.status_code, taken.json()) == (200, 100_000)
    refused = server.http.post("/api/attachments", files={"file": ("a.txt", b"x" * 300_000)})
    assert refused.status_code == 413
    assert set(refused.json()["error"]) == {"message", "hint", "kind"}, "in the form that the page reads"


def test_headers_have_a_limit(server: Running) -> None:
    assert server.http.get("/health", headers={"x-long": "x" * 6000}).status_code == 200
    assert server.http.get("/metrics", headers={"x-long": "x" * 9000}).status_code == 431
    assert server.http.get("/metrics", params={"long": "x" * 9000}).status_code == 431
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx-long: ")
        with suppress(OSError):
            for _ in range(1000):
                connection.sendall(b"x" * 1000)
            connection.sendall(b"\r\n\r\n")
        assert b" 200 " not in read_all(connection)


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nhost: localhost\r\n"])
def test_headers_that_do_not_come_end_the_connection(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b"", "it is closed"


def test_headers_that_come_letter_by_letter_do_not_hold_the_connection(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(0.05)
        for letter in b"GET /health HTTP/1.1\r\n" * 20:
            try:
                connection.sendall(bytes([letter]))
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("the connection was kept")


@pytest.mark.parametrize("head", [b"content-length: 100\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"])
def test_a_body_that_does_not_come_is_given_up(server: Running, head: bytes) -> None:
    request = b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + head
    answer = server.raw(request, timeout_s=60)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"did not come within" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/echo HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 9999\r\n\r\n",
        b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n",
        b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: gzip\r\ncontent-length: 9999\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_whoever_is_answered_before_its_body_has_come_cannot_hold_the_connection(server: Running, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        connection.settimeout(0.1)
        end = time.monotonic() + 30
        while time.monotonic() < end:  # a byte now and then keeps nothing open
            try:
                connection.sendall(b" ")
                if connection.recv(100) == b"":
                    connection.sendall(b" ")
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the connection was kept")
    wait_for(lambda: len(server.server.server_state.connections) <= 2)


def test_a_body_has_one_length(server: Running) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = server.raw(
        b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 4\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
    )
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b" 400 " in answer.split(b"\r\n")[0]


def test_large_bodies_have_a_common_limit_and_small_ones_are_still_taken() -> None:
    head = b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    # Four of the largest bodies are let in whatever the limit.
    with running(routes=add_routes, max_body_bytes=1 << 20, max_bodies_bytes=1 << 20, max_attachment_bytes=1024) as few:
        held = [socket.create_connection(("127.0.0.1", few.port)) for _ in range(4)]
        for connection in held:
            connection.sendall(head + b"content-length: 1048576\r\n\r\n" + b" " * 1_040_000)
        wait_for(lambda: few.app.state.traffic.body_bytes > 3_800_000)
        refused = echo(few, b'{"a": "' + b"x" * 900_000 + b'"}')
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert echo(few, b"{}").status_code == 200
        for connection in held:
            connection.close()
        wait_for(lambda: few.app.state.traffic.body_bytes == 0)
        assert echo(few, b'{"a": "' + b"x" * 900_000 + b'"}').status_code == 200


def test_a_request_that_takes_too_long_is_ended(server: Running) -> None:
    assert server.http.get("/v1/slow", params={"seconds": 0.1}).status_code == 200
    refused = server.http.get("/v1/slow", params={"seconds": 30})
    assert refused.status_code == 504
    assert refused.headers["x-should-retry"] == "false", "a second try would take as long"
    assert server.app.state.traffic.in_flight == 0


def test_more_requests_at_once_than_allowed_are_told_to_come_back(server: Running) -> None:
    def slow() -> None:
        httpx.get(f"{server.url}/v1/slow", params={"seconds": 0.8}, trust_env=False)

    threads = [threading.Thread(target=slow) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: server.app.state.traffic.in_flight == 2)
    refused = echo(server, "{}")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert server.http.get("/health").status_code == 200, "a supervisor is always answered"
    for thread in threads:
        thread.join()
    assert echo(server, "{}").status_code == 200


def test_connections_that_say_nothing_do_not_keep_others_out_for_long(server: Running) -> None:
    connections = server.server.server_state.connections
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        wait_for(lambda: len(connections) >= 10)
        wait_for(lambda: len(connections) <= 2 + SPARE_CONNECTIONS)
        wait_for(lambda: len(connections) < 10)
        with httpx.Client(trust_env=False) as fresh:
            assert fresh.get(f"{server.url}/health").status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        )
    wait_for(lambda: server.app.state.traffic.in_flight == 0)
    assert echo(server, "{}").status_code == 200


def test_a_client_that_breaks_http_in_its_body_is_no_fault(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    for host in (b"", b"host: evil.example\r\n"):
        answer = server.raw(
            head.replace(b"host: localhost\r\n", host or b"host: localhost\r\n")
            + b"transfer-encoding: chunked\r\n\r\nno length\r\n"
        )
        assert b" 400 " in answer.split(b"\r\n")[0]
    assert "failed" not in caplog.text
    assert echo(server, "{}").status_code == 200


def test_an_expected_body_is_asked_for(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(
            b"POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
            b"expect: 100-continue\r\nconnection: close\r\n\r\n"
        )
        assert b" 100 " in connection.recv(100)
        connection.sendall(b"{}")
        assert b" 200 " in read_all(connection).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": -1},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"max_body_bytes": 10},
        {"max_json_depth": 5000},
        {"max_connections": 0},
        {"drain_timeout_s": -1},
        {"max_prompt_tokens": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        ServerSettings(**wrong)
