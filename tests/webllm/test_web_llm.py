"""Programs for web-llm run with Hearth's package in its place, in a page over a real model: those of its examples,
written anew, and packages that are made for it, as they come from npm. Their texts are those of the model as Hearth
itself runs it.

One file, since what it needs is installed and built once for each process of a test run.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.webllm.conftest import PATIENCE_MS, Run

from hearth import LLM

PROMPT = "Once upon a time, there was a little"
TOKENS = 48


@pytest.fixture(scope="module")
def stories(natively: dict[str, LLM]) -> LLM:
    return natively["stories"]


@pytest.fixture(scope="module")
def story(stories: LLM) -> str:
    """How the chat goes on, token by token the likeliest."""
    return chat(stories)


@pytest.fixture(scope="module")
def tale(natively: dict[str, LLM]) -> str:
    """The same of the other model."""
    return chat(natively["tales"])


def chat(llm: LLM, *contents: str, tokens: int = TOKENS, **settings: Any) -> str:
    messages = [{"role": "user", "content": content} for content in contents or (PROMPT,)]
    return llm.chat(messages, max_tokens=tokens, temperature=0.0, **settings).text


def texts(choices: list[dict[str, Any]]) -> list[str]:
    return [choice["message"]["content"] for choice in choices]


def test_get_started(run: Run, story: str) -> None:
    told = run("programs/chats", "getStarted")
    reply = told["reply"]
    assert reply["model"] == "stories.gguf"
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    for choice in reply["choices"]:
        assert choice["finish_reason"] in ("length", "stop")
        assert all(len(token["top_logprobs"]) == 2 for token in choice["logprobs"]["content"])
    assert reply["usage"]["extra"].keys() >= {"prefill_tokens_per_s", "decode_tokens_per_s", "e2e_latency_s"}
    assert texts(told["greedy"]["choices"]) == [story]
    first, *_, last = told["reports"]
    assert (first["progress"], first["text"]) == (0, "Start to fetch params")
    assert last["progress"] == 1
    assert last["text"].startswith("Finish loading on ")
    progress = [report["progress"] for report in told["reports"]]
    assert progress == sorted(progress)


def test_streaming(run: Run, story: str) -> None:
    told = run("programs/chats", "streaming")
    assert told["message"] == told["remembered"] == story
    *chunks, last = told["chunks"]
    assert all(len(chunk["choices"]) == 1 and "usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert sum(len(chunk["choices"][0]["logprobs"]["content"]) for chunk in chunks) == TOKENS
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == TOKENS
    assert "decoding" in told["stats"]


def test_a_second_round_computes_only_what_is_new(run: Run) -> None:
    told = run("programs/chats", "severalRounds")
    usages = [told[name]["usage"] for name in ("first", "second")]
    assert usages[1]["prompt_tokens"] < usages[0]["prompt_tokens"]
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] > 0
    assert all(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages)


def test_a_seed_reproduces_all_choices(run: Run) -> None:
    told = run("programs/chats", "sameSeed")
    assert told["first"] == told["second"]
    assert told["last"] == told["second"][-1]


def test_thinking_is_switched_off_by_a_request(run: Run, stories: LLM) -> None:
    told = run("programs/chats", "thinking")
    assert told["thinks"] == told["saysSo"] == chat(stories, tokens=8)
    assert told["doesNot"] == chat(stories, PROMPT + " dog", tokens=8)


def test_a_text_goes_on_without_a_template(run: Run, stories: LLM) -> None:
    told = run("programs/chats", "textCompletion")
    expected = stories.generate(PROMPT, max_tokens=TOKENS, temperature=0.0).text
    assert [choice["text"] for choice in told["reply"]["choices"]] == [PROMPT + expected] * 2
    assert all(len(choice["logprobs"]["content"]) == TOKENS for choice in told["reply"]["choices"])
    assert told["streamed"] == expected


def test_an_answer_is_interrupted(run: Run, story: str) -> None:
    told = run("programs/chats", "interrupted")
    assert told["reason"] == "abort"
    assert told["partly"]
    assert told["after"] == story.split(" named", maxsplit=1)[0]


def test_json_mode(run: Run) -> None:
    told = run("programs/structures", "jsonMode")
    for choice in told["choices"]:
        assert choice["message"]["content"].lstrip()[0] in '{["0123456789-tfn'
        if choice["finish_reason"] == "stop":
            json.loads(choice["message"]["content"])
    assert told["last"] == texts(told["choices"])[-1]


def test_a_schema_and_a_grammar_are_kept_to(run: Run) -> None:
    told = run("programs/structures", "jsonSchema")
    filled = told["filled"]
    assert filled["house"] in ("Gryffindor", "Hufflepuff", "Ravenclaw", "Slytherin")
    assert len(filled["wand"]["wood"]) <= 8
    assert 1 <= filled["wand"]["length"] <= 40
    assert isinstance(filled["alive"], bool)
    assert told["chosen"] in ("yes", "no")


def test_a_call_of_a_function_comes_with_the_last_chunk(run: Run) -> None:
    told = run("programs/structures", "functionCalling")
    assert told["text"].strip() == "Sure."
    last = told["last"]
    assert last["finish_reason"] == "tool_calls"
    (call,) = last["delta"]["tool_calls"]
    assert call["function"]["name"] == "get_current_weather"
    assert json.loads(call["function"]["arguments"]) == {"location": "Oslo", "unit": "celsius"}
    assert told["usage"]["completion_tokens"] > 0


def test_a_named_function_is_called_and_its_result_taken(run: Run) -> None:
    told = run("programs/structures", "functionForced")
    assert told["choice"]["finish_reason"] == "tool_calls"
    assert told["choice"]["message"]["content"] is None
    (call,) = told["choice"]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"])["unit"] in ("celsius", "fahrenheit")
    assert told["after"]


def test_a_structural_tag_is_kept_to(run: Run) -> None:
    told = run("programs/structures", "structuralTag")
    assert told["name"] == "get_current_weather"
    assert told["arguments"]["unit"] in ("celsius", "fahrenheit")


def test_a_web_worker(run: Run, story: str) -> None:
    told = run("programs/engines", "webWorker")
    assert told["message"] == story
    assert told["choices"] == 3
    assert told["remembered"]
    assert told["remembered"] != story
    assert told["texts"][-1].startswith("Finish loading on ")
    assert "decoding" in told["stats"]


def test_a_service_worker_on_the_first_visit_and_after_it_was_stopped(run: Run, page: Any, story: str) -> None:
    told = run("programs/engines", "serviceWorker")
    assert not told["isControlled"]
    assert told["message"] == told["whole"] == story
    assert told["structured"] in ("yes", "no")
    devtools = page.context.new_cdp_session(page)
    devtools.send("ServiceWorker.enable")
    devtools.send("ServiceWorker.stopAllWorkers")
    assert run("programs/engines", "serviceWorkerAgain") == story


def test_an_extension(popup: Any, story: str) -> None:
    told = json.loads(popup.locator("pre").text_content(timeout=PATIENCE_MS))
    assert told == {"message": story, "remembered": story, "progress": 1, "failure": "HearthError"}


@pytest.mark.parametrize("where", ["InThePage", "InAWorker"])
def test_several_models_answer_each_for_itself(run: Run, where: str, story: str, tale: str) -> None:
    told = run("programs/engines", f"severalModels{where}")
    assert story != tale
    assert told["oneByOne"] == told["atOnce"] == told["remembered"] == [story, tale]
    assert told["unclear"] == "UnclearModelToUseError"
    assert told["unknown"] == "SpecifiedModelNotFoundError"


def test_a_logit_processor_of_the_page(run: Run) -> None:
    told = run("programs/engines", "logitProcessor")
    assert told["tokens"] == told["again"] == [0] * 8
    assert told["drawn"] == told["drawnAfterReset"] == 8
    assert "prefill" in told["stats"]


def test_a_logit_processor_of_a_worker(run: Run) -> None:
    assert run("programs/engines", "logitProcessorInAWorker") == [0] * 8


def test_tokens_one_by_one_are_those_of_a_completion(run: Run) -> None:
    told = run("programs/engines", "lowLevel")
    assert told["tokens"] == told["expected"]
    assert len(set(told["tokens"])) > 2


def test_embeddings_find_the_document(run: Run, stories: LLM) -> None:
    told = run("programs/engines", "embeddings")
    assert told["lengths"] == pytest.approx([1, 1], abs=1e-5)
    assert told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] > 0
    assert told["context"] == "Tom ate a red apple."
    raw = [stories.embed(text) for text in ("The dog ran in the park.", "Tom ate a red apple.", "Tom ate a red apple!")]
    *documents, question = [vector / np.linalg.norm(vector) for vector in raw]
    assert told["scores"] == pytest.approx([float(document @ question) for document in documents], abs=1e-4)
    assert told["reply"] == chat(stories, told["context"])


def test_loading_is_ended(run: Run, story: str) -> None:
    told = run("programs/engines", "abortReload")
    assert told == {"ended": "answered", "after": "ModelNotLoadedError", "then": story}


def test_what_the_browser_keeps_is_found_and_given_back(run: Run, story: str) -> None:
    told = run("programs/engines", "cacheUsage")
    assert told["cached"]
    assert not told["withoutWeights"]
    assert all(text.startswith("Fetching param cache[") for text in told["fetched"][1:-1])
    assert all(text.startswith("Loading model from cache[") for text in told["loaded"][1:-1])
    assert all(text.startswith("Fetching param cache[") for text in told["again"][1:-1])
    assert told["unknown"] == "ModelNotFoundError"
    assert told["message"] == story


def test_a_chat_page(run: Run, story: str, tale: str) -> None:
    told = run("programs/engines", "simpleChat")
    assert [choice["id"] for choice in told["choices"]] == ["stories.gguf", "tales.gguf"]
    assert all(0 < choice["megabytes"] < 100 and choice["low"] for choice in told["choices"])
    assert told["first"] == story
    assert told["afterReset"] == ""
    assert told["second"] == tale
    assert "tokens/sec" in told["label"]
    assert told["last"]["progress"] == 1


def test_integrity_is_checked(run: Run) -> None:
    assert run("programs/engines", "integrity") == {"valid": True, "failed": "model.json"}


def test_what_does_nothing_is_said(run: Run) -> None:
    said = run("programs/engines", "unusedFields")
    assert [text.split()[1].rstrip(":") for text in said] == ["model_lib", "required_features", "sliding_window_size"]


def test_refusals_have_the_names_that_programs_look_at(run: Run) -> None:
    assert run("programs/engines", "refusals") == {
        "notLoaded": "ModelNotLoadedError",
        "notKnown": "ModelNotFoundError",
        "twice": "ReloadModelIdNotUniqueError",
        "options": "ReloadArgumentSizeUnmatchedError",
        "loaded": "",
        "tooLong": "ContextWindowSizeExceededError",
        "seed": "SeedTypeError",
        "count": "StreamingCountError",
        "streamOptions": "InvalidStreamOptionsError",
        "schema": "InvalidResponseFormatError",
        "grammar": "InvalidResponseFormatGrammarError",
        "tag": "InvalidResponseFormatStructuralTagError",
        "tool": "FunctionNotFoundError",
    }


def test_the_ai_sdk_writes_and_streams(run: Run, stories: LLM, story: str) -> None:
    told = run("packages/ai_sdk", "text")
    assert told["whole"] == told["streamed"] == story
    assert told["usage"]["outputTokens"] == TOKENS
    assert told["finishReason"] == "stop"  # so the provider calls whatever is no call of a tool
    assert told["progress"] == sorted(told["progress"])
    assert (told["progress"][0], told["progress"][-1]) == (0, 1)
    assert told["plain"] == chat(stories, PROMPT + " dog", tokens=8)


def test_the_ai_sdk_with_a_worker(run: Run, story: str) -> None:
    assert run("packages/ai_sdk", "inAWorker") == story


def test_the_ai_sdk_makes_an_object_of_a_schema(run: Run) -> None:
    made = run("packages/ai_sdk", "object")
    assert made.keys() == {"name", "age", "kind"}
    assert len(made["name"]) <= 8
    assert 1 <= made["age"] <= 99
    assert made["kind"] in ("cat", "dog")


def test_the_ai_sdk_calls_a_tool(run: Run) -> None:
    told = run("packages/ai_sdk", "tools")
    assert told["calls"] == [{"toolName": "weather", "input": {"city": "Oslo"}}]
    assert told["results"] == [{"city": "Oslo", "sky": "rain"}]
    assert told["finishReason"] == "tool-calls"


def test_the_ai_sdk_ends_an_answer(run: Run) -> None:
    told = run("packages/ai_sdk", "aborted")
    assert 20 < len(told["streamed"]) < 60


def test_the_ai_sdk_embeds(run: Run) -> None:
    told = run("packages/ai_sdk", "embeddings")
    assert told["lengths"] == pytest.approx([1, 1], abs=1e-5)
    assert told["usage"]["tokens"] > 0


def test_langchain_invokes(run: Run, story: str) -> None:
    told = run("packages/langchain", "invoke")
    assert told["answer"] == told["withSystem"] == story.split(" toys", maxsplit=1)[0]
    assert told["progress"][-1].startswith("Finish loading on ")
    assert run("packages/langchain", "chain") == told["answer"]


def test_langchain_streams(run: Run, story: str) -> None:
    chunks = run("packages/langchain", "stream")
    assert "".join(chunk["text"] for chunk in chunks) == story.split(" toys", maxsplit=1)[0]
    assert [chunk["reason"] for chunk in chunks if chunk["reason"]] == ["stop"]
    assert all(chunk["scored"] for chunk in chunks)
