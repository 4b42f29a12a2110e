"""A client that goes away stops its request, however it asked."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import httpx
import pytest

from ..running import Running

LONG: dict[str, Any] = {
    "model": "starter",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 480,
    "temperature": 1.0,
    "ignore_eos": True,
}


TRIES = 20  # on a busy machine an answer may be complete before the client leaves


def cancelled(served: Running) -> float:
    return served.metric("hearth_answers_total", model="starter", finish_reason="cancelled")


def wait_until_idle(served: Running) -> None:
    end = time.monotonic() + 30
    while any(card.running + card.waiting for card in served.models.cards()):
        assert time.monotonic() < end, "the request goes on without its client"
        time.sleep(0.01)


@pytest.mark.parametrize("n", [1, 4])
def test_leaving_a_stream(served: Running, n: int) -> None:
    before = cancelled(served)
    for _ in range(TRIES):
        with served.http.stream("POST", "/v1/chat/completions", json={**LONG, "n": n, "stream": True}) as answer:
            next(answer.iter_lines())
        wait_until_idle(served)
        if cancelled(served) > before:
            return
    raise AssertionError("no answer was cancelled")


def test_leaving_before_a_whole_answer(served: Running) -> None:
    before = cancelled(served)
    for _ in range(TRIES):
        with httpx.Client(base_url=served.url, timeout=0.1, trust_env=False) as impatient, suppress(httpx.ReadTimeout):
            impatient.post("/v1/chat/completions", json={**LONG, "n": 16})
        wait_until_idle(served)
        if cancelled(served) > before:
            return
    raise AssertionError("no answer was cancelled")
