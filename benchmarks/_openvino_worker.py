"""openvino-genai's side of the comparison: a process that opens an exported folder and times what it is told to.

Speaks the protocol of `_worker.py`; one sequence at a time.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai
from _worker import Forward, Job, serve


class Clock(openvino_genai.StreamerBase):
    """Notes when each token came."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def write(self, tokens: int | list[int]) -> openvino_genai.StreamingStatus:
        now = time.perf_counter()
        self.moments += [now] * (len(tokens) if isinstance(tokens, list) else 1)
        return openvino_genai.StreamingStatus.RUNNING

    def end(self) -> None:
        pass


class OpenVino:
    """One pipeline, with the default settings for one user: latency before throughput."""

    def __init__(self, job: Job) -> None:
        exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f16"} if job.precision == "f32" else {}
        self._pipeline = openvino_genai.LLMPipeline(
            job.path, "CPU", INFERENCE_NUM_THREADS=job.threads, PERFORMANCE_HINT="LATENCY", **exact
        )
        about = Path(job.path, "config.json").read_text()
        self.vocab_size: int = json.loads(about)["vocab_size"]
        self.facts: dict[str, Any] = {}
        self.description = f"openvino-genai {openvino_genai.__version__.partition('-')[0]}" + (" f32" if exact else "")

    def run(self, prompts: list[list[int]], num_generated: int) -> tuple[float, float, list[list[int]]]:
        (prompt,) = prompts
        config = openvino_genai.GenerationConfig(max_new_tokens=num_generated + 1, ignore_eos=True, do_sample=False)
        ids = openvino.Tensor(np.array([prompt], np.int64))
        mask = openvino.Tensor(np.ones((1, len(prompt)), np.int64))
        clock = Clock()
        start = time.perf_counter()
        result = self._pipeline.generate(openvino_genai.TokenizedInputs(ids, mask), config, clock)
        tokens = list(result.tokens[0])
        if len(tokens) != num_generated + 1 or len(clock.moments) != len(tokens):
            raise RuntimeError(f"openvino-genai made {len(tokens)} tokens and told of {len(clock.moments)}")
        return clock.moments[0] - start, clock.moments[-1] - clock.moments[0], [tokens]

    def logits(self, tokens: list[int]) -> np.ndarray:
        raise NotImplementedError

    def limits(self, forwards: list[Forward]) -> dict[str, Any]:
        raise NotImplementedError


if __name__ == "__main__":
    serve(OpenVino)
