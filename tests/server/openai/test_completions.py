"""`/v1/completions` through OpenAI's own client, on the real starter model."""

from __future__ import annotations

from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from hearth import LLM

PROMPT = "The capital of France is"


def test_a_text_is_carried_on(client: OpenAI, starter: LLM) -> None:
    expected = starter.generate(PROMPT, max_tokens=8)
    answer = client.completions.create(model="starter", prompt=PROMPT, max_tokens=8)
    assert answer.choices[0].text == expected.text
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == expected.usage.prompt_tokens
    stream = client.completions.create(model="starter", prompt=PROMPT, max_tokens=8, stream=True)
    chunks = list(stream)
    assert "".join(c.choices[0].text for c in chunks) == expected.text
    assert chunks[-1].choices[0].finish_reason == answer.choices[0].finish_reason


def test_no_more_than_sixteen_tokens_unless_told(client: OpenAI) -> None:
    answer = client.completions.create(
        model="starter", prompt=PROMPT, temperature=1.5, seed=1, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.choices[0].finish_reason == "length"


def test_an_endless_repetition_is_cut_which_a_header_tells(client: OpenAI, starter: LLM) -> None:
    letter = starter.tokenize("a", add_special=False)[-1]
    raw = client.completions.with_raw_response.create(
        model="starter", prompt="A", max_tokens=480, temperature=0, logit_bias={str(letter): 100}
    )
    answer = raw.parse()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert 400 <= answer.usage.completion_tokens < 460
    assert raw.headers["x-hearth-warning"] == "cut: an answer that repeated itself (repetition_stop)"


def test_a_prompt_in_each_of_its_forms(client: OpenAI, starter: LLM) -> None:
    ids = starter.tokenize(PROMPT)
    text = starter.generate(PROMPT, max_tokens=8).text
    for prompt, count in ((PROMPT, 1), (ids, 1), ([PROMPT, PROMPT], 2), ([ids, ids, ids], 3)):
        answer = client.completions.create(model="starter", prompt=prompt, max_tokens=8)  # type: ignore[call-overload]
        assert [choice.text for choice in answer.choices] == [text] * count
        assert [choice.index for choice in answer.choices] == list(range(count))
        assert answer.usage.prompt_tokens == count * len(ids)


def test_several_answers_to_several_prompts(client: OpenAI) -> None:
    settings: dict[str, Any] = {"temperature": 1.5, "seed": 5, "max_tokens": 12, "extra_body": {"ignore_eos": True}}
    both = client.completions.create(model="starter", prompt=["One day", "The sea"], n=2, best_of=2, **settings)
    texts = [choice.text for choice in both.choices]
    assert len(set(texts)) == 4
    for place, prompt in enumerate(["One day", "The sea"]):
        one = client.completions.create(model="starter", prompt=prompt, n=2, **settings)
        assert [choice.text for choice in one.choices] == texts[2 * place : 2 * place + 2]


def test_echo_repeats_the_prompt(client: OpenAI, starter: LLM) -> None:
    for prompt in (PROMPT, starter.tokenize(PROMPT, add_special=False)):
        whole = client.completions.create(model="starter", prompt=prompt, max_tokens=4, echo=True)  # type: ignore[arg-type]
        assert whole.choices[0].text.lstrip().startswith(PROMPT)
        stream = client.completions.create(model="starter", prompt=prompt, max_tokens=4, echo=True, stream=True)  # type: ignore[arg-type]
        assert "".join(c.choices[0].text for c in stream) == whole.choices[0].text


def test_logprobs_and_where_each_token_stands(client: OpenAI, starter: LLM) -> None:
    expected = starter.generate(PROMPT, max_tokens=6, logprobs=2)
    answer = client.completions.create(model="starter", prompt=PROMPT, max_tokens=6, logprobs=2)
    told = answer.choices[0].logprobs
    assert told is not None
    assert expected.logprobs is not None
    assert told.tokens == [t.text for t in expected.logprobs]
    assert told.token_logprobs == pytest.approx([t.logprob for t in expected.logprobs], abs=1e-3)
    assert told.text_offset is not None
    for token, at in zip(told.tokens, told.text_offset, strict=True):
        assert answer.choices[0].text[at:].startswith(token)
    assert told.top_logprobs is not None
    assert all(len(top) == 2 for top in told.top_logprobs)
    streamed: list[str] = []
    offsets: list[int] = []
    for chunk in client.completions.create(model="starter", prompt=PROMPT, max_tokens=6, logprobs=2, stream=True):
        part = chunk.choices[0].logprobs
        streamed += (part.tokens or []) if part else []
        offsets += (part.text_offset or []) if part else []
    assert (streamed, offsets) == (told.tokens, told.text_offset)


def test_the_prompt_repeated_tells_how_likely_it_was(client: OpenAI, starter: LLM) -> None:
    """As lm-evaluation-harness asks for every multiple choice."""
    ids = starter.tokenize(PROMPT)
    settings: dict[str, Any] = {"model": "starter", "echo": True, "logprobs": 1, "temperature": 0, "seed": 1234}
    for prompt in (PROMPT, ids):
        answer = client.completions.create(prompt=prompt, max_tokens=1, **settings)
        told = answer.choices[0].logprobs
        assert told is not None
        assert told.tokens is not None
        scored = starter.score(ids, top=1)
        assert told.token_logprobs is not None
        assert told.token_logprobs[1 : len(ids)] == pytest.approx([one.logprob for one in scored[1:] if one], abs=1e-3)
        assert told.token_logprobs[0] is None
        assert len(told.tokens) == len(ids) + 1
        nothing = client.completions.create(prompt=prompt, max_tokens=0, **settings)
        assert nothing.choices[0].logprobs is not None
        assert nothing.choices[0].logprobs.token_logprobs == told.token_logprobs[: len(ids)]
        assert nothing.choices[0].text.lstrip() == PROMPT
        assert nothing.usage is not None
        assert nothing.usage.completion_tokens == 0
    streamed: list[str] = []
    for chunk in client.completions.create(prompt=PROMPT, max_tokens=1, stream=True, **settings):
        part = chunk.choices[0].logprobs
        streamed += (part.tokens or []) if part else []
    assert streamed[: len(ids)] == told.tokens[: len(ids)]


def test_a_raw_prompt_may_write_control_tokens_unless_told_not_to(client: OpenAI, starter: LLM) -> None:
    """Programs that apply a chat format themselves send it as a text."""
    raw = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    answer = client.completions.create(model="starter", prompt=raw, max_tokens=20)
    assert "Paris" in answer.choices[0].text
    assert answer.usage is not None
    plain = client.completions.create(model="starter", prompt=raw, max_tokens=1, extra_body={"parse_special": False})
    assert plain.usage is not None
    assert plain.usage.prompt_tokens > answer.usage.prompt_tokens


def test_a_text_follows_a_grammar(client: OpenAI) -> None:
    answer = client.completions.create(model="starter", prompt="Is it? ", extra_body={"grammar": 'start: "yes" | "no"'})
    assert answer.choices[0].text in ("yes", "no")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suffix", "the end"),  # the starter is no model of code
        ("max_tokens", 0),
        ("best_of", 3),
        ("logprobs", 21),
        ("prompt", []),
        ("prompt", [1.5]),
        ("prompt", None),
        ("prompt", [-1]),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
    ],
)
def test_what_is_not_supported_is_named(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as error:
        client.completions.create(model="starter", prompt=PROMPT, extra_body={field: value})
    assert str(error.value.param).startswith(field)


def test_a_token_that_the_model_does_not_have_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="99999"):
        client.completions.create(model="starter", prompt=[99999])
