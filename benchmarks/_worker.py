"""What the two sides of a comparison have in common: a process each, that is told one job a line.

The parent writes one JSON object a line to the worker's standard input: first a `Job`, then requests `{"prompt":
[ids], "generate": n}` to time, or `{"logits": [ids]}`. The worker answers each with one line on standard output; an
answer `{"error": text}` ends it. A worker that waits uses no processor time, so the sides do not disturb each other.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Job:
    """What to load and how.

    Attributes:
        path: a GGUF file; for Hearth also a bundle.
        threads: threads that compute.
        context: tokens of prompt and answer together.
        batch: prompt tokens in one forward.
        mmap: whether weights are mapped rather than read into memory (llama.cpp's default).
    """

    path: str
    threads: int
    context: int
    batch: int
    mmap: bool


class Side(Protocol):
    description: str
    vocab_size: int

    def run(self, prompt: list[int], num_generated: int) -> tuple[float, float, list[int]]: ...
    def logits(self, tokens: list[int]) -> np.ndarray: ...


def serve(make: Callable[[Job], Side]) -> None:
    """Answers until standard input ends."""
    # Libraries that print to standard output must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, object]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        side = make(Job(**json.loads(sys.stdin.readline())))
        answer({"description": side.description, "vocab_size": side.vocab_size})
        for line in sys.stdin:
            request = json.loads(line)
            if "logits" in request:
                answer({"logits": side.logits(request["logits"]).tolist()})
                continue
            prompt_s, generate_s, tokens = side.run(request["prompt"], request["generate"])
            answer({"prompt_s": prompt_s, "generate_s": generate_s, "tokens": tokens, "peak_mb": _peak_mb()})
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})


def _peak_mb() -> float:
    """Largest resident memory of this process so far; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
