"""Hearth's side of the comparison: a process that opens a model and times what it is told to.

Speaks the protocol of `_worker.py`. A folder with a manifest is a bundle and is opened as it is; anything else goes
compiled first, or found in the cache.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from _worker import Forward, Job, serve

from hearth.bundle import BatchShape, read_costs
from hearth.engine import Engine, Request, SamplingParams, pages_for, slots_for
from hearth.prepare import Opened, open_model, prepare
from hearth.runtime import TextInfo, TextSession
from hearth.runtime.limits import compute_peak, read_bandwidth

SPARE_TOKENS = 64  # a sequence is ahead of another by the steps of the other's prompt


class Hearth:
    """One model, and one engine for as many sequences as the last run had."""

    def __init__(self, job: Job) -> None:
        self._job = job
        found = opened(job)
        self._bundle = found.bundle
        self._model = open_model(found, None)
        self._info = TextInfo.of(self._model.info)
        self._num_seqs = 0
        self._resize(1)
        manifest = self._bundle.manifest
        if manifest.text is None:
            raise SystemExit(f"{job.path} is no language model")
        self.facts = {
            "weights_bytes": manifest.facts.weights_bytes,
            "kv_bytes_per_token": manifest.text.kv_bytes_per_token,
        }
        self.vocab_size = self._info.vocab_size
        self.description = f"Hearth ({self._model.info.isa})"

    def run(self, prompts: list[list[int]], num_generated: int) -> tuple[float, float, list[list[int]]]:
        self._resize(len(prompts))
        params = SamplingParams(temperature=0, max_tokens=num_generated + SPARE_TOKENS, ignore_eos=True)
        engine = self._engine
        start = time.perf_counter()
        requests = [Request(prompt_ids=tuple(prompt), params=params) for prompt in prompts]
        tokens: dict[int, list[int]] = {engine.add(request): [] for request in requests}

        def step() -> None:
            for event in engine.step():
                if event.token is not None:
                    tokens[event.id].append(event.token)

        while not all(tokens.values()):
            step()
        middle = time.perf_counter()
        begun = sum(len(answer) for answer in tokens.values())
        while sum(len(answer) for answer in tokens.values()) < begun + num_generated * len(prompts):
            step()
        end = time.perf_counter()
        for request_id in tokens:
            engine.cancel(request_id)
        return middle - start, end - middle, [answer[: num_generated + 1] for answer in tokens.values()]

    def logits(self, tokens: list[int]) -> np.ndarray:
        return self._engine.logits(tokens)[-1]

    def limits(self, forwards: list[Forward]) -> dict[str, Any]:
        """Bytes of weights, keys and values; operations of the arithmetic that does most of them."""
        batches = [BatchShape(tuple((first, count) for first, count in spans), rows) for spans, rows in forwards]
        costs = read_costs(self._bundle.path)
        operations = dict.fromkeys(("int8", "float32"), 0)
        for cost in costs:
            operations[cost.arithmetic] += sum(map(cost.operations, batches))
        arithmetic = max(operations, key=operations.__getitem__)
        threads = self._job.threads
        return {
            "read_bytes": sum(cost.memory_bytes(batch) for cost in costs for batch in batches),
            "read_bytes_s": statistics.median(read_bandwidth(self._model, threads=threads)),
            "arithmetic": arithmetic,
            "operations": operations[arithmetic],
            "operations_s": statistics.median(compute_peak(self._model, arithmetic, threads=threads)),
        }

    def _resize(self, num_seqs: int) -> None:
        if num_seqs == self._num_seqs:
            return
        self._num_seqs = num_seqs
        info = self._info
        context = min(self._job.context + SPARE_TOKENS, info.max_position)
        num_pages = pages_for(context, num_seqs, page_tokens=info.page_tokens)
        num_slots = slots_for(num_seqs) if info.has_state else 0
        session = TextSession(self._model, num_pages=num_pages, num_slots=num_slots, threads=self._job.threads)
        # Prompts to be timed are new from their first token on, so the prefix cache only helps those that are not.
        self._engine = Engine(session, context=context, chunk_tokens=min(self._job.chunk, info.max_tokens))


def opened(job: Job) -> Opened:
    """The bundle, compiled now or found: the one place that knows how Hearth is asked for a model."""
    kv = {} if job.kv == "f16" else {"kv": "q8"}
    return prepare(job.path, quant=job.quant, head=job.head, offline=True, **kv)


if __name__ == "__main__":
    serve(Hearth)
