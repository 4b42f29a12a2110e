"""What usual clients send by default is answered: whole and as a stream, in each protocol."""

from __future__ import annotations

from typing import Any

import pytest

from .client_requests import CHAT, MESSAGES, RESPONSES
from .running import Running

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


def ask(served: Running, path: str, body: dict[str, Any]) -> None:
    for stream in (False, True):
        answer = served.http.post(path, json={"model": "starter", **body, "stream": stream})
        assert answer.status_code == 200, answer.text
        assert '"error":{' not in answer.text
        assert stream == answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("client", CHAT)
def test_chat_clients_are_answered(served: Running, client: str) -> None:
    ask(served, "/v1/chat/completions", {"messages": FRANCE, "max_tokens": 4, **CHAT[client]})


@pytest.mark.parametrize("client", RESPONSES)
def test_clients_of_responses_are_answered(served: Running, client: str) -> None:
    ask(served, "/v1/responses", {"input": FRANCE, "max_output_tokens": 4, **RESPONSES[client]})
    counted = {"model": "starter", "input": FRANCE, **RESPONSES[client]}
    assert served.http.post("/v1/responses/input_tokens", json=counted).json()["input_tokens"] > 0


@pytest.mark.parametrize("client", MESSAGES)
def test_clients_of_anthropics_protocol_are_answered(served: Running, client: str) -> None:
    ask(served, "/v1/messages?beta=true", {"messages": FRANCE, "max_tokens": 4, **MESSAGES[client]})
    counted = {"model": "starter", "messages": FRANCE, **MESSAGES[client]}
    assert served.http.post("/v1/messages/count_tokens", json=counted).json()["input_tokens"] > 0
