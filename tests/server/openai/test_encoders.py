"""`/v1/embeddings` and `/v1/rerank` with encoders, beside a language model, on one server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import BadRequestError, OpenAI
from tests.chat.embedding_model import DOCUMENTS, QUERY, RANKERS, write_ranker
from tests.conftest import Encoders
from tests.encoding.lettered import lettered
from tests.server.running import running

from hearth import Embedder
from hearth.server.models import Models, ModelSettings

TEXTS = ["cat", "a dog sat, here", "x"]


@pytest.fixture(scope="module")
def url(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    config: dict[str, Any] = {"quant": "f32", "precision": "high", "threads": 2, "offline": True}
    names = [str(lettered(name, folder / name)) for name in ("bert", "bert-rank")]
    names.append(str(write_ranker(folder / "language-ranker", RANKERS["against"])))
    with running(Models(names, ModelSettings(**config)), load=["bert"]) as server:
        yield server.url


@pytest.fixture(scope="module")
def openai(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as one:
        yield one


def rerank(url: str, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    return httpx.post(url + path, json={"model": "bert-rank", "query": "who", "documents": TEXTS} | fields)


def test_vectors_of_an_encoder(openai: OpenAI, encoders: Encoders) -> None:
    expected = encoders("bert").embed(TEXTS)
    answer = openai.embeddings.create(model="bert", input=TEXTS, dimensions=28)
    assert np.allclose([one.embedding for one in answer.data], expected, atol=1e-6)
    assert answer.usage.prompt_tokens == sum(len(text.replace(" ", "")) + 2 for text in TEXTS)
    raw: Any = openai.embeddings.create(model="bert", input=[[2, 5, 3]], encoding_format="base64").data[0].embedding
    assert np.allclose(np.frombuffer(base64.b64decode(raw), "<f4"), encoders("bert").embed([[2, 5, 3]])[0], atol=1e-6)


def test_documents_are_ranked(url: str, encoders: Encoders) -> None:
    expected = encoders("bert-rank").rerank("who", TEXTS)
    answer = rerank(url).json()
    assert [(one["index"], one["relevance_score"]) for one in answer["results"]] == [
        (one.index, pytest.approx(one.score, abs=1e-6)) for one in expected
    ]
    assert "document" not in answer["results"][0]
    assert answer["usage"]["total_tokens"] > 0
    best = rerank(url, "/rerank", top_n=1, return_documents=True, documents=[{"text": text} for text in TEXTS]).json()
    assert best["results"][0]["document"]["text"] == TEXTS[expected[0].index]
    assert len(best["results"]) == 1


def test_documents_are_ranked_by_a_language_model(url: str, tmp_path: Path, cache: Path) -> None:
    path = write_ranker(tmp_path, RANKERS["against"])
    with Embedder(path, quant="f32", precision="high", threads=2, offline=True) as embedder:
        expected = embedder.rerank(QUERY, DOCUMENTS)
    answer = rerank(url, model="language-ranker", query=QUERY, documents=DOCUMENTS, top_n=2).json()
    assert [(one["index"], one["relevance_score"]) for one in answer["results"]] == [
        (one.index, pytest.approx(one.score, abs=1e-6)) for one in expected[:2]
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
    ],
)
def test_what_cannot_be_meant_is_named(url: str, fields: dict[str, Any], param: str) -> None:
    answer = rerank(url, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_each_model_does_what_it_was_made_for(url: str, openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="is an encoder"):
        openai.chat.completions.create(model="bert", messages=[{"role": "user", "content": "Hello"}])
    with pytest.raises(BadRequestError, match="makes no vectors"):
        openai.embeddings.create(model="bert-rank", input="cat")
    with pytest.raises(BadRequestError, match="dimensions is not supported, except 28"):
        openai.embeddings.create(model="bert", input="cat", dimensions=3)
    refused = rerank(url, model="bert")
    assert refused.status_code == 400
    assert "ranks no documents" in refused.json()["error"]["message"]


def test_too_long_a_text_is_refused(url: str, openai: OpenAI) -> None:
    with pytest.raises(BadRequestError) as error:
        openai.embeddings.create(model="bert", input="abc" * 40)
    assert error.value.code == "context_length_exceeded"
    assert rerank(url, documents=["abc" * 40]).json()["error"]["code"] == "context_length_exceeded"
