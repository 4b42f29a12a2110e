"""`/v1/embeddings` through OpenAI's own client, on the real starter model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from openai import BadRequestError, OpenAI

from hearth import LLM

TEXT = "Paris is in France."


def test_a_vector_is_the_models_scaled_to_length_one(client: OpenAI, starter: LLM) -> None:
    expected = starter.embed(TEXT)
    for encoding in ("float", "base64"):
        answer = client.embeddings.create(model="starter", input=TEXT, encoding_format=encoding)  # type: ignore[arg-type]
        vector: Any = answer.data[0].embedding
        if encoding == "base64":
            import base64

            vector = np.frombuffer(base64.b64decode(vector), "<f4")
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)
    by_default = client.embeddings.create(model="starter", input=TEXT)
    assert len(by_default.data[0].embedding) == starter.info.hidden_size
    assert by_default.usage.prompt_tokens == len(starter.tokenize(TEXT))


def test_several_inputs_in_each_of_their_forms(client: OpenAI, starter: LLM) -> None:
    ids = starter.tokenize(TEXT)
    one = client.embeddings.create(model="starter", input=TEXT).data[0].embedding
    for inputs, count in (([TEXT, "Rome"], 2), (ids, 1), ([ids, ids], 2)):
        answer = client.embeddings.create(model="starter", input=inputs)  # type: ignore[arg-type]
        assert [part.index for part in answer.data] == list(range(count))
        assert np.allclose(answer.data[0].embedding, one, atol=1e-4)


def test_as_many_inputs_as_clients_send_at_once(client: OpenAI) -> None:
    """LangChain's default is 1000."""
    answer = client.embeddings.create(model="starter", input=["Rome"] * 1000, user="someone")
    assert len(answer.data) == 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", ""),
        ("input", []),
        ("input", ["a", ""]),
        ("dimensions", 3),
        ("encoding_format", "hex"),
        ("input_type", "query"),
    ],
)
def test_what_is_not_supported_is_named(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as error:
        client.embeddings.create(model="starter", input=TEXT, extra_body={field: value})
    assert str(error.value.param).startswith(field)


def test_the_models_own_size_may_be_asked_for(client: OpenAI, starter: LLM) -> None:
    size = starter.info.hidden_size
    answer = client.embeddings.create(model="starter", input=TEXT, dimensions=size)
    assert len(answer.data[0].embedding) == size
