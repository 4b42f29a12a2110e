#!/usr/bin/env python3
"""What guessing tokens gains or costs: tokens a second with and without, taking turns in one process.

    python benchmarks/speculation.py starter
    python benchmarks/speculation.py .cache/shapes/smollm2-135m-q4_0.gguf --gen 128 --repeat 5
    python benchmarks/speculation.py MODEL --draft SMALLER_MODEL --file notes.txt
    python benchmarks/speculation.py .cache/shapes/qwen3.5-0.8b-mtp-q4_0.gguf --speculate mtp

For each kind of text the same request is answered with and without guesses; the answers must be the same tokens. What
is timed are the tokens after the first. Texts: `edit` asks for a piece of code again with one name changed, `loop` is a
block of random tokens again and again, `novel` are random tokens in and, at temperature 1, tokens out, which do not
repeat where the weights are random, `greedy` are the likeliest tokens after the same, which do so late where a token
depends on the one before alone, as with the shapes `-mtp`, whose block is right about each of them. `--file` continues
a text of your own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hearth import LLM
from hearth.engine import SamplingParams, Usage

CODE = '''def total_price(items, tax_rate):
    """Sum of all prices with tax."""
    total = 0.0
    for item in items:
        total += item.price * item.quantity
    return total * (1.0 + tax_rate)


def cheapest(items):
    """The item that costs least."""
    best = None
    for item in items:
        if best is None or item.price < best.price:
            best = item
    return best
'''


@dataclass(frozen=True)
class Text:
    """A prompt, and how its answer is drawn."""

    name: str
    prompt_ids: list[int]
    temperature: float


@dataclass(frozen=True)
class Run:
    """One answer: its tokens, seconds after the first of them, and what it cost."""

    tokens: list[int]
    seconds: float
    usage: Usage


def run(llm: LLM, text: Text, gen: int, *, speculate: bool) -> Run:
    params = SamplingParams(temperature=text.temperature, seed=1, max_tokens=gen, ignore_eos=True)
    tokens, moments = [], []
    answer = llm.engine.generate(text.prompt_ids, params, speculate=speculate)
    for event in answer:
        moments.append(time.perf_counter())
        tokens.append(event.token)
    assert answer.usage is not None
    return Run(tokens, moments[-1] - moments[0], answer.usage)


def texts_of(llm: LLM, file: Path | None, prompt: int) -> list[Text]:
    """The texts that this model can be asked for."""
    rng = np.random.default_rng(1)
    vocab_size = llm.info.vocab_size
    block = rng.integers(0, vocab_size, 16).tolist()
    texts = [
        Text("loop", (block * prompt)[:prompt], 0.0),
        Text("novel", novel := rng.integers(0, vocab_size, prompt).tolist(), 1.0),
        Text("greedy", novel, 0.0),
    ]
    if llm.has_tokenizer:
        ask = f"Here is a file:\n\n{CODE}\nThe same file with item renamed to article:\n\n{CODE.splitlines()[0]}\n"
        texts.insert(0, Text("edit", llm.tokenize(ask), 0.0))
        if file is not None:
            words = llm.tokenize(file.read_text(encoding="utf-8", errors="replace"))[:prompt]
            texts += [Text(f"{file.name}, greedy", words, 0.0), Text(f"{file.name}, drawn", words, 1.0)]
    return texts


def measure(llm: LLM, text: Text, gen: int, repeat: int) -> dict[str, object]:
    """Runs both ways `repeat` times, taking turns, after one of each that warms up."""
    speeds: dict[bool, list[float]] = {False: [], True: []}
    ratios = []
    usage = None
    for index in range(repeat + 1):
        runs = {way: run(llm, text, gen, speculate=way) for way in ((False, True) if index % 2 else (True, False))}
        if runs[False].tokens != runs[True].tokens:
            raise SystemExit(f"{text.name}: the answers differ, which must never be")
        if index:
            for way, done in runs.items():
                speeds[way].append((gen - 1) / done.seconds)
            ratios.append(speeds[True][-1] / speeds[False][-1])
            usage = runs[True].usage
    assert usage is not None
    return {
        "text": text.name,
        "plain_tok_s": round(statistics.median(speeds[False]), 1),
        "speculative_tok_s": round(statistics.median(speeds[True]), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "drafted": usage.drafted_tokens,
        "accepted": usage.accepted_tokens,
        "generated": usage.output_tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What guessing tokens gains or costs.")
    parser.add_argument("model")
    parser.add_argument("--draft", help="a small model that guesses, instead of the text so far")
    parser.add_argument("--speculate", choices=("auto", "lookup", "mtp"), default="auto", help="what guesses else")
    parser.add_argument("--file", type=Path, help="a text to be continued")
    parser.add_argument("--prompt", type=int, default=256, help="tokens in")
    parser.add_argument("--gen", type=int, default=128, help="tokens out")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="one object a text")
    arguments = parser.parse_args()
    how = {"draft": arguments.draft, "speculate": arguments.speculate}
    with LLM(arguments.model, threads=arguments.threads, **how) as llm:
        if not arguments.json:
            print(f"{'text':24} {'plain':>8} {'guessing':>8}  {'ratio (min to max)':22} guesses right")
        for text in texts_of(llm, arguments.file, arguments.prompt):
            result = measure(llm, text, arguments.gen, arguments.repeat)
            if arguments.json:
                print(json.dumps({"model": arguments.model, **how, **result}))
                continue
            spread = f"{result['ratio']:.2f} ({result['ratio_min']:.2f} to {result['ratio_max']:.2f})"
            print(
                f"{result['text']:24} {result['plain_tok_s']:8.1f} {result['speculative_tok_s']:8.1f}  {spread:22} "
                f"{result['accepted']} of {result['drafted']} in {result['generated']} tokens"
            )


if __name__ == "__main__":
    main()
