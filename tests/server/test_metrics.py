"""What Prometheus reads: every family is there, counts what happened, and has few series."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from .running import Running

BODY = {"model": "starter", "messages": [{"role": "user", "content": "Is it far to Norway? " * 6}]}


def families(server: Running) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name: [(s.labels, s.value) for s in family.samples if s.name == sample.name]
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def total(found: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str) -> float:
    return sum(value for given, value in found.get(name, []) if labels.items() <= given.items())


def test_an_answer_is_counted(served: Running) -> None:
    before = families(served)
    usage = served.http.post("/v1/chat/completions", json=BODY).json()["usage"]
    again = served.http.post("/v1/chat/completions", json=BODY).json()["usage"]
    after = families(served)

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("hearth_prompt_tokens_total", model="starter") == usage["prompt_tokens"] + again["prompt_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"] + again["prompt_tokens_details"]["cached_tokens"]
    assert grown("hearth_cached_prompt_tokens_total") == cached > 0
    drawn = usage["completion_tokens"] + again["completion_tokens"]
    assert grown("hearth_completion_tokens_total") == drawn
    assert grown("hearth_answers_total", model="starter") == 2
    assert grown("hearth_time_to_first_token_seconds_count") == 2
    assert 0 < grown("hearth_time_between_tokens_seconds_count") < drawn
    assert grown("hearth_http_requests_total", route="/v1/chat/completions", status="200") == 2
    assert total(after, "hearth_model_loaded", model="starter") == 1
    assert total(after, "hearth_requests_running") == total(after, "hearth_requests_waiting") == 0
    assert total(after, "hearth_kv_pages", model="starter") > total(after, "hearth_kv_pages_used") == 0
    assert total(after, "hearth_model_memory_bytes", model="starter") > 1e6


def test_strangers_cannot_make_series(served: Running) -> None:
    before = families(served)
    for number in range(20):
        served.http.get(f"/nothing/{number}")
        served.http.get("/health", headers={"host": f"evil{number}.example"})
        served.http.post("/v1/chat/completions", json={**BODY, "model": f"none-{number}"})
        served.http.post(f"/v1/models/none-{number}/load")
        httpx.request(f"METHOD{number}", f"{served.url}/health", trust_env=False)
    after = families(served)
    assert sum(map(len, after.values())) - sum(map(len, before.values())) < 150
    assert not any("none-" in str(labels) or "evil" in str(labels) for found in after.values() for labels, _ in found)
