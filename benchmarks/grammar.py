#!/usr/bin/env python3
"""What it costs to keep an answer to a grammar: time of the masks against the time of a decode step.

    python benchmarks/shapes.py --shape smollm2-135m --format q4_0
    python benchmarks/grammar.py --model .cache/shapes/smollm2-135m-q4_0.gguf --tokenizer tokenizer.json

The same model decodes the same number of tokens freely and kept to schemas and a regular expression, in turns, so
that a busy machine disturbs all alike. Weights may be random: what costs time is the vocabulary (`--tokenizer`, one of
the model's size, where the model has none) and the model's shape. A free draw at temperature 0 needs no logits; `drawn`
has a temperature, as most requests do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from hearth import LLM
from hearth.chat.grammar import Grammars
from hearth.chat.grammar_constraint import AnswerConstraint
from hearth.chat.structured import checked_format
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.types import TokenizerSpec
from hearth.engine import Request, SamplingParams

TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 5000}
OBJECTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"enum": ["red", "green", "blue"]}, "z": {"type": "string"}},
        "required": ["x", "y", "z"],
        "additionalProperties": False,
    },
    "minItems": 5000,
}
FORMATS: dict[str, Any] = {
    "free": None,
    "JSON, mostly text": {"type": "json_schema", "json_schema": {"schema": TEXTS}},
    "JSON, mostly form": {"type": "json_schema", "json_schema": {"schema": OBJECTS}},
    "regex": {"type": "regex", "regex": "([a-z]+ )+!"},
}


class Timed:
    """A constraint that adds up its own time."""

    def __init__(self, inner: AnswerConstraint) -> None:
        self._inner = inner
        self.spent_s = 0.0

    def mask(self) -> Any:
        begin = time.perf_counter()
        mask = self._inner.mask()
        self.spent_s += time.perf_counter() - begin
        return mask

    def accept(self, token: int) -> None:
        begin = time.perf_counter()
        self._inner.accept(token)
        self.spent_s += time.perf_counter() - begin


def decode(llm: LLM, constraint: Timed | None, tokens: int, temperature: float) -> float:
    """Seconds for each token after the first."""
    params = SamplingParams(temperature=temperature, max_tokens=tokens, ignore_eos=True, seed=0)
    request = Request(prompt_ids=(1, 2, 3), params=params, speculate=False, constraint=constraint)
    llm.engine.add(request)
    times = []
    while llm.engine.num_waiting or llm.engine.num_running:
        for event in llm.engine.step():
            if event.error is not None:
                raise event.error
            times.append(time.perf_counter())
    return (times[-1] - times[0]) / (len(times) - 1)


def apply_s(llm: LLM) -> float:
    """Seconds to apply a mask to a row of logits."""
    size = llm.info.vocab_size
    logits, out = np.random.default_rng(0).standard_normal(size).astype(np.float32), np.empty(size, np.float32)
    mask = np.full((size + 31) // 32, 0x0F0F0F0F, np.int32)
    begin = time.perf_counter()
    for _ in range(200):
        llm.session.apply_mask(logits, mask, out)
    return (time.perf_counter() - begin) / 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json where the model has none")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with LLM(options.model, speculate="off", context=512, threads=options.threads) as llm:
        tokenizer = llm.tokenizer if options.tokenizer is None else _read(options.tokenizer)
        begin = time.perf_counter()
        grammars = Grammars(tokenizer, llm.info.vocab_size)
        print(f"vocabulary of {tokenizer.vocab_size} made ready in {time.perf_counter() - begin:.2f} s")
        print(f"a mask is applied in {apply_s(llm) * 1e6:.1f} us")
        results = []
        for temperature, drawn in ((0.0, "greedy"), (0.8, "drawn")):
            step_s: dict[str, list[float]] = {name: [] for name in FORMATS}
            own_s: dict[str, list[float]] = {name: [] for name in FORMATS}
            for _ in range(options.rounds):
                for name, wanted in FORMATS.items():
                    structure = checked_format(wanted)
                    timed = structure and Timed(
                        AnswerConstraint(structure.matcher(grammars), end_ids=[grammars.end_id])
                    )
                    step_s[name].append(decode(llm, timed, options.tokens, temperature))
                    own_s[name].append(timed.spent_s / options.tokens if timed else 0.0)
            free = statistics.median(step_s["free"])
            for name in FORMATS:
                step, own = statistics.median(step_s[name]), statistics.median(own_s[name])
                row = {"draw": drawn, "format": name, "step_ms": step * 1e3, "mask_us": own * 1e6,
                       "mask_share": own / free, "slower": step / free - 1}  # fmt: skip
                results.append(row)
                print(f"{drawn:7s} {name:18s} {step * 1e3:7.3f} ms a token, of these the grammar {own * 1e6:6.1f} us"
                      f" ({own / free:5.1%} of a free step); {step / free - 1:+6.1%}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _read(path: Path) -> Tokenizer:
    return Tokenizer(TokenizerSpec(path.read_text(), None, (0,), False, False, {}, None, False))


if __name__ == "__main__":
    main()
