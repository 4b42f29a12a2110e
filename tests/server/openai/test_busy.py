"""A full queue, as the official clients see it."""

from __future__ import annotations

import asyncio
from typing import Any

from openai import AsyncOpenAI, RateLimitError

from hearth import LLM
from hearth.server.models import Models, ModelSettings

from ..running import running

LONG: dict[str, Any] = {
    "model": "starter",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 300,
    "temperature": 1.0,
    "extra_body": {"ignore_eos": True},
}


def test_beyond_the_queue_a_client_is_told_when_to_come_back(starter: LLM) -> None:
    models = Models(["starter"], ModelSettings(threads=2, max_seqs=1, max_waiting=1, offline=True))
    with running(models, load=["starter"]) as server:

        async def ask_all() -> list[Any]:
            async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as one:
                asked = (one.chat.completions.create(**LONG) for _ in range(12))
                return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(ask_all())
        refused = [answer for answer in answers if isinstance(answer, RateLimitError)]
        assert 1 <= len(refused) < 12
        assert all(int(error.response.headers["retry-after"]) >= 1 for error in refused)
        served = [answer for answer in answers if not isinstance(answer, Exception)]
        assert len(served) == 12 - len(refused)
        assert all(answer.usage.completion_tokens == 300 for answer in served)
        # Several answers of one request that do not all fit: none of them stays behind.
        again = server.http.post(
            "/v1/chat/completions", json={"model": "starter", "messages": LONG["messages"], "n": 8}
        )
        assert again.status_code == 429
        body = {"model": "starter", "messages": LONG["messages"], "max_tokens": 4}
        assert server.http.post("/v1/messages", json=body).status_code == 200
