"""What the sides of a comparison have in common: a process each, that is told one job a line.

The parent writes one JSON object a line to the worker's standard input: first a `Job`, then requests, `{"prompts":
[[ids], ...], "generate": n}` to time, `{"logits": [ids]}`, or `{"limits": forwards}`. The worker answers each with one
line on standard output; an answer `{"error": text}` ends it. A worker that waits uses no processor time, so the sides
do not disturb each other.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Forward = tuple[list[tuple[int, int]], int]
"""(first position, tokens) of each sequence, and the rows of logits that are wanted."""


@dataclass(frozen=True)
class Job:
    """What to load and how.

    Attributes:
        path: a GGUF file; for Hearth also a bundle or a Hugging Face folder; for others a folder of theirs.
        threads: threads that compute.
        context: tokens of prompt and answer together that a sequence may have.
        chunk: prompt tokens in one forward.
        mmap: whether weights are mapped rather than read into memory (llama.cpp's default).
        flash: llama.cpp's flash attention: `auto`, `on` or `off`.
        kv: keys and values: `f16` or `q8_0`.
        precision: of openvino: `default`, or `f32` with keys and values of 16 bits.
        quant, head: number formats of weights, and of embedding and head, that Hearth compiles to; None: its defaults.
    """

    path: str
    threads: int
    context: int
    chunk: int = 512
    mmap: bool = True
    flash: str = "auto"
    kv: str = "f16"
    precision: str = "default"
    quant: str | None = None
    head: str | None = None


class Side(Protocol):
    """One program with one model. Of what an earlier run computed, keys and values of a common prefix may be reused."""

    description: str
    vocab_size: int
    facts: dict[str, Any]  # what else the parent may want to know, as `weights_bytes`

    def run(self, prompts: list[list[int]], num_generated: int) -> tuple[float, float, list[list[int]]]:
        """Decodes greedily behind every prompt, all sequences in step.

        Returns:
            Seconds until each prompt has its first token, seconds of `num_generated` more for each, and the tokens.
        """
        ...

    def logits(self, tokens: list[int]) -> np.ndarray:
        """float32 (vocab_size,), after the last token."""
        ...

    def limits(self, forwards: list[Forward]) -> dict[str, Any]:
        """What forwards must read and compute at least, and what as many threads of this machine can in a second."""
        ...


def serve(make: Callable[[Job], Side]) -> None:
    """Answers until standard input ends."""
    # Libraries that print to standard output must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, object]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        job = Job(**json.loads(sys.stdin.readline()))
        start = time.perf_counter()
        side = make(job)
        open_s = time.perf_counter() - start
        answer({"description": side.description, "vocab_size": side.vocab_size, "open_s": open_s, **side.facts})
        for line in sys.stdin:
            request = json.loads(line)
            if "logits" in request:
                answer({"logits": side.logits(request["logits"]).tolist()})
            elif "limits" in request:
                answer(side.limits(request["limits"]))
            else:
                prompt_s, generate_s, tokens = side.run(request["prompts"], request["generate"])
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
