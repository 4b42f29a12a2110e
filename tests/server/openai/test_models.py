"""`/v1/models` through OpenAI's own client; loading and unloading."""

from __future__ import annotations

import pytest
from openai import NotFoundError, OpenAI

from ..running import Running


def test_models_are_listed_and_found(client: OpenAI) -> None:
    listed = client.models.list().data
    assert [model.id for model in listed] == ["starter"]
    assert client.models.retrieve("starter").owned_by == "hearth"
    for name in ("nobody/nothing", "../../etc/passwd"):
        with pytest.raises(NotFoundError) as error:
            client.models.retrieve(name)
        assert error.value.code == "model_not_found"


def test_a_model_is_unloaded_and_loaded_on_request(served: Running) -> None:
    answer = served.http.post("/v1/models/starter/unload")
    assert (answer.status_code, answer.json()["loaded"]) == (200, False)
    answer = served.http.post("/v1/models/starter/load")
    assert (answer.status_code, answer.json()["loaded"]) == (200, True)
    missing = served.http.post("/v1/models/some/where/load")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


def test_a_request_may_leave_the_model_out_and_the_prefix_of_the_route(served: Running) -> None:
    question = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
    for path in ("/v1/chat/completions", "/chat/completions"):
        for body in (question, question | {"model": None}, question | {"model": "starter"}):
            answer = served.http.post(path, json=body)
            assert answer.status_code == 200, answer.text
            assert "Paris" in answer.json()["choices"][0]["message"]["content"]
    assert served.http.get("/models").json() == served.http.get("/v1/models").json()
    assert served.http.get("/models/starter").json()["id"] == "starter"
