"""onnxruntime-genai's side of the comparison: a process that opens an exported folder and times what it is told to.

Speaks the protocol of `_worker.py`; one sequence at a time.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai
from _worker import Forward, Job, serve


class OnnxRuntime:
    """One model. A new generator each run: nothing is reused."""

    def __init__(self, job: Job) -> None:
        config = onnxruntime_genai.Config(job.path)
        threads = {"intra_op_num_threads": job.threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": threads}}}))
        self._model = onnxruntime_genai.Model(config)
        self._context = job.context
        about = Path(job.path, "genai_config.json").read_text()
        self.vocab_size: int = json.loads(about)["model"]["vocab_size"]
        self.facts: dict[str, Any] = {}
        self.description = f"onnxruntime-genai {onnxruntime_genai.__version__}"

    def run(self, prompts: list[list[int]], num_generated: int) -> tuple[float, float, list[list[int]]]:
        (prompt,) = prompts
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(do_sample=False, max_length=self._context)
        generator = onnxruntime_genai.Generator(self._model, params)
        start = time.perf_counter()
        generator.append_tokens(np.array(prompt, np.int32))
        generator.generate_next_token()
        middle = time.perf_counter()
        for _ in range(num_generated):
            generator.generate_next_token()
        end = time.perf_counter()
        tokens = generator.get_sequence(0)[len(prompt) :].tolist()
        if len(tokens) != num_generated + 1:
            raise RuntimeError(f"onnxruntime-genai ended after {len(tokens)} tokens")
        return middle - start, end - middle, [tokens]

    def logits(self, tokens: list[int]) -> np.ndarray:
        raise NotImplementedError

    def limits(self, forwards: list[Forward]) -> dict[str, Any]:
        raise NotImplementedError


if __name__ == "__main__":
    serve(OnnxRuntime)
