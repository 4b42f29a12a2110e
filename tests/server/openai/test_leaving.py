"""A client that goes away stops its request, however it asked."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from tests.waiting import slow_steps, wait_for

from ..running import Running

LONG: dict[str, Any] = {
    "model": "starter",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 480,
    "temperature": 1.0,
    "ignore_eos": True,
}


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, lambda: 0.01)


def cancelled(served: Running) -> float:
    return served.metric("hearth_answers_total", model="starter", finish_reason="cancelled")


def is_idle(served: Running) -> bool:
    return not any(card.running + card.waiting for card in served.models.cards())


@pytest.mark.parametrize("n", [1, 4])
def test_leaving_a_stream(served: Running, n: int) -> None:
    before = cancelled(served)
    with served.http.stream("POST", "/v1/chat/completions", json={**LONG, "n": n, "stream": True}) as answer:
        next(answer.iter_lines())
    wait_for(lambda: is_idle(served))
    assert cancelled(served) > before


def test_leaving_before_a_whole_answer(served: Running) -> None:
    before = cancelled(served)
    body = json.dumps({**LONG, "n": 4}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        wait_for(lambda: not is_idle(served))
    wait_for(lambda: is_idle(served))
    assert cancelled(served) > before
