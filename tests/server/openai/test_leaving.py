"""A client that goes away stops its request, however it asked."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from openai import OpenAI

from ..running import Running

LONG: dict[str, Any] = {
    "model": "starter",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 480,
    "temperature": 1.0,
    "ignore_eos": True,
}


def running(served: Running) -> int:
    return sum(card.running + card.waiting for card in served.models.cards())


def wait_until_idle(served: Running) -> None:
    end = time.monotonic() + 10
    while running(served) and time.monotonic() < end:
        time.sleep(0.01)
    assert running(served) == 0


@pytest.mark.parametrize("n", [1, 4])
def test_leaving_a_stream(served: Running, client: OpenAI, n: int) -> None:
    before = served.metric("hearth_completion_tokens_total", model="starter")
    body = {**LONG, "n": n, "stream": True}
    with served.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        assert running(served) > 0
    wait_until_idle(served)
    assert served.metric("hearth_completion_tokens_total", model="starter") - before < n * 480


def test_leaving_before_a_whole_answer(served: Running) -> None:
    with (
        httpx.Client(base_url=served.url, timeout=0.15, trust_env=False) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.post("/v1/chat/completions", json={**LONG, "n": 16})
    wait_until_idle(served)
