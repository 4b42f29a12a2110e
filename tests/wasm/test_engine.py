"""The package's engine answers what Hearth's own does: the same tokens for the same settings and seed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from tests.engine.run_all import run_all
from tests.wasm.conftest import Bundles
from tests.wasm.node import HERE, NODE, needs_node

from hearth.engine import Engine, Request, SamplingParams
from hearth.runtime import Model, TextSession

RNG = np.random.default_rng(11)
PROMPTS = [[int(token) for token in RNG.integers(3, 139, length)] for length in (1, 15, 16, 33, 60)]
NAMES = {
    "temperature": "temperature",
    "top_k": "topK",
    "top_p": "topP",
    "min_p": "minP",
    "repetition_penalty": "repetitionPenalty",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
    "max_tokens": "maxTokens",
    "stop_token_ids": "stopTokenIds",
}
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 0.8, "seed": 1},
    {"temperature": 1.0, "top_k": 20, "seed": 2},
    {"temperature": 1.3, "top_p": 0.8, "min_p": 0.01, "seed": 3},
    {"temperature": 0.0, "repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.25},
]


def in_node(
    folder: Path, rounds: list[list[dict[str, Any]]], *, threads: int = 1, **options: int
) -> list[list[dict[str, Any]]]:
    assert NODE is not None
    asked = json.dumps({"load": {"threads": threads}, "engine": options, "rounds": rounds})
    command = [NODE, str(HERE / "engine.mjs"), str(folder)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return answers


def asked(prompt: list[int], settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "params": {NAMES[name]: value for name, value in settings.items()}, **more}


def natively(folder: Path, requests: list[tuple[list[int], dict[str, Any]]]) -> list[list[int]]:
    with Model(folder) as model, TextSession(model, num_pages=64, threads=2) as session:
        events = run_all(
            Engine(session, context=128),
            [Request(prompt_ids=tuple(prompt), params=SamplingParams(**settings)) for prompt, settings in requests],
        )
    return [[event.token for event in each if event.token is not None] for each in events]


@needs_node
def test_it_draws_the_tokens_that_hearths_own_engine_draws(exact: Bundles) -> None:
    requests = [(prompt, {"max_tokens": 40, **each}) for prompt, each in zip(PROMPTS, SETTINGS, strict=True)]
    expected = natively(exact.native, requests)
    rounds = [[asked(*request) for request in requests]]
    rounds += [[asked(*request)] for request in requests]  # alone, from the pages that the first round left
    together, *alone = in_node(exact.wasm, rounds, cacheTokens=1024, chunkTokens=32)
    assert [each["tokens"] for each in together] == expected
    assert [each["tokens"] for (each,) in alone] == expected
    assert {each["finish"] for each in together} == {"length"}


@needs_node
def test_requests_wait_for_pages_and_give_them_back(exact: Bundles) -> None:
    """A cache for one and a half of them, and some that are left before their end."""
    settings = {"temperature": 0.0, "max_tokens": 30}
    expected = natively(exact.native, [(prompt, settings) for prompt in PROMPTS])
    requests = [asked(prompt, settings) for prompt in PROMPTS]
    left = [asked(prompt, settings, leaveAfter=3) for prompt in PROMPTS]
    first, second, third = in_node(exact.wasm, [requests, left, requests], cacheTokens=128)
    assert [each["tokens"] for each in first] == expected
    assert [each["tokens"] for each in second] == [tokens[:3] for tokens in expected]
    assert [each["tokens"] for each in third] == expected


@needs_node
def test_an_answer_ends_at_a_stop_token_and_at_the_contexts_end(exact: Bundles) -> None:
    (tokens,) = natively(exact.native, [(PROMPTS[1], {"temperature": 0.0, "max_tokens": 20})])
    stop = tokens[5]
    until = tokens[: tokens.index(stop) + 1]
    settings = {"temperature": 0.0, "stop_token_ids": [stop]}
    ((stopped, full),) = in_node(exact.wasm, [[asked(PROMPTS[1], settings), asked(PROMPTS[4], {"temperature": 0.0})]])
    assert (stopped["tokens"], stopped["finish"]) == (until, "stop")
    assert (len(full["tokens"]), full["finish"]) == (128 - 60, "length")


@needs_node
def test_what_cannot_be_answered_is_refused_and_the_others_go_on(exact: Bundles) -> None:
    good = asked(PROMPTS[0], {"temperature": 0.0, "max_tokens": 5})
    wrong = [asked([], {}), asked([1, 139], {}), asked([1] * 128, {}), asked([1], {"top_p": 2})]
    ((answer, *refused),) = in_node(exact.wasm, [[good, *wrong]])
    assert len(answer["tokens"]) == 5
    words = ["no tokens", "token 139", "128 tokens, which leaves no room", "topP is 2"]
    for each, expected in zip(refused, words, strict=True):
        assert expected in each["error"]
