"""Makes sampling.json: what Hearth's samplers in Python draw, which the package has to draw too.

Run it with Hearth installed: python web/runtime/tests/golden/make_sampling.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hearth.engine.params import SamplingParams
from hearth.engine.sampling import Sampler

VOCAB = 200
DRAWS = 24
SHAPES = {"peaked": (7, 3.0), "flat": (8, 1.0)}  # seed and spread of the logits
SEEDS = (0, 42, 2**40, 2**64 - 1)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.7},
    {"temperature": 1e-20},
    {"temperature": 3.5, "seed": 2**64 - 1},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 400},
    {"top_p": 0.5},
    {"top_p": 0.95, "temperature": 2.0},
    {"top_p": 1e-6},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"top_k": 20, "top_p": 0.8, "min_p": 0.02, "temperature": 1.3},
    {"repetition_penalty": 1.3, "temperature": 0.0},
    {"repetition_penalty": 0.8},
    {"presence_penalty": 1.5, "temperature": 0.0},
    {"frequency_penalty": 0.9, "temperature": 0.0},
    {"repetition_penalty": 1.1, "presence_penalty": -0.4, "frequency_penalty": 0.3, "temperature": 0.9, "top_p": 0.9},
    {"logit_bias": {"3": 8.0, "7": -100.0, "150": 2.5}, "temperature": 0.8},
    {"logprobs": 0},
    {"logprobs": 5, "temperature": 0.0},
    {"logprobs": 3, "top_k": 10, "repetition_penalty": 1.2},
]


def rows(shape: str) -> np.ndarray:
    """float32 (DRAWS, VOCAB). Quarters: the file is small, and there are ties. Of `peaked` ones few are likely."""
    seed, spread = SHAPES[shape]
    noise = np.random.default_rng(seed).normal(size=(DRAWS, VOCAB)) * spread
    return (np.round(noise * 4) / 4).astype(np.float32)


def case(number: int, setting: dict[str, Any], shape: str) -> dict[str, Any]:
    given = {"seed": 1000 + number} | setting
    bias = {int(token): value for token, value in given.get("logit_bias", {}).items()}
    prompt = [3, 5, 5, 199]
    sampler = Sampler(SamplingParams(**(given | ({"logit_bias": bias} if bias else {}))), prompt)
    scratch = np.empty(VOCAB, np.float32)
    choices = []
    for row in rows(shape):
        choice = sampler.sample(row, int(row.argmax()), scratch, _no_mask)
        choices.append([choice.token, choice.logprob, choice.top_logprobs])
    # As text: JavaScript's numbers do not hold 64 bits.
    return {"params": given | {"seed": str(given["seed"])}, "shape": shape, "prompt": prompt, "choices": choices}


def _no_mask(*_: Any) -> None:
    raise AssertionError("there is no constraint")


def golden() -> dict[str, Any]:
    return {
        "random": {str(seed): np.random.Generator(np.random.PCG64(seed)).random(4).tolist() for seed in SEEDS},
        "quarters": {shape: (rows(shape) * 4).astype(int).tolist() for shape in SHAPES},
        "cases": [case(n, setting, shape) for n, setting in enumerate(SETTINGS) for shape in SHAPES],
    }


if __name__ == "__main__":
    Path(__file__).with_name("sampling.json").write_text(json.dumps(golden(), separators=(",", ":")) + "\n")
