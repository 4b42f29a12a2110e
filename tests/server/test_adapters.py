"""Adapters of a served model are models of their own to those who ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic
from openai import NotFoundError, OpenAI
from tests.adapters import linear_shapes, write_peft

from hearth import LLM
from hearth.hub import resolve
from hearth.server.models import Models, ModelSettings

from .running import Running, running

ASK = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.fixture(scope="module")
def served(starter: LLM, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("adapters")
    shapes = linear_shapes(resolve("starter").path, ("q_proj", "v_proj", "down_proj"))
    adapters = tuple(
        (name, str(write_peft(folder / name, shapes, rank=4, alpha=alpha, seed=seed)), 1.0)
        for name, alpha, seed in (("storm", 6.0, 1), ("calm", 6.0, 2))
    )
    settings = ModelSettings(threads=2, offline=True, adapters=adapters, aliases=(("sea", "starter"),))
    with running(Models(["starter"], settings), load=["starter"]) as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as one:
        yield one


def answer(client: OpenAI, model: str) -> str:
    done = client.chat.completions.create(model=model, messages=ASK, temperature=0, max_tokens=24)  # type: ignore[arg-type]
    assert done.model == model
    return done.choices[0].message.content or ""


def test_a_model_with_its_adapter_is_chosen_by_name(client: OpenAI, starter: LLM) -> None:
    names = ("starter", "starter:storm", "starter:calm")
    answers = [answer(client, name) for name in names]
    assert len(set(answers)) == 3
    assert answers[0] == starter.chat(ASK, temperature=0, max_tokens=24).text
    assert [answer(client, name) for name in names] == answers
    listed = {model.id for model in client.models.list()}
    assert {*names, "sea"} <= listed
    assert client.models.retrieve("starter:calm").id == "starter:calm"
    of_alias = client.chat.completions.create(model="sea:storm", messages=ASK, temperature=0, max_tokens=24)  # type: ignore[arg-type]
    assert of_alias.choices[0].message.content == answers[1]
    text = client.completions.create(model="starter:storm", prompt="Once", temperature=0, max_tokens=8).choices[0].text
    assert (
        text != client.completions.create(model="starter", prompt="Once", temperature=0, max_tokens=8).choices[0].text
    )


def test_vectors_of_texts_have_the_adapter_too(client: OpenAI) -> None:
    def vector(model: str) -> list[float]:
        made = client.embeddings.create(model=model, input="The sea", encoding_format="float")
        assert made.model == model
        return made.data[0].embedding

    plain, storm = vector("starter"), vector("starter:storm")
    assert plain != storm
    assert vector("starter:storm") == storm


def test_what_is_said_of_a_prompt_has_the_adapter_too(client: OpenAI) -> None:
    def likelihoods(model: str, max_tokens: int) -> list[float]:
        made = client.completions.create(model=model, prompt="The sea is", max_tokens=max_tokens, logprobs=1, echo=True)
        assert made.choices[0].logprobs is not None
        return (made.choices[0].logprobs.token_logprobs or [])[1:3]

    for max_tokens in (0, 2):
        plain, storm = likelihoods("starter", max_tokens), likelihoods("starter:storm", max_tokens)
        assert plain != pytest.approx(storm, abs=1e-2)


def test_anthropics_protocol_knows_them_too(served: Running, client: OpenAI) -> None:
    with Anthropic(base_url=served.url, api_key="any", max_retries=0) as anthropic:
        done = anthropic.messages.create(model="starter:calm", messages=ASK, temperature=0, max_tokens=24)  # type: ignore[arg-type]
    assert done.model == "starter:calm"
    assert "".join(getattr(block, "text", "") for block in done.content) == answer(client, "starter:calm")


def test_an_adapter_that_is_not_there_is_told_with_those_that_are(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="no adapter 'gale'") as error:
        answer(client, "starter:gale")
    assert "starter:storm, starter:calm" in str(error.value)
    with pytest.raises(NotFoundError, match="no model"):
        answer(client, "other:storm")
