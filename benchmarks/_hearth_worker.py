"""Hearth's side of the comparison: a process that opens a model and times what it is told to.

Speaks the protocol of `_worker.py`. A folder with a manifest is a bundle and is opened as it is; anything else goes
compiled first, or found in the cache.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _worker import Job, serve

import hearth
from hearth.compiler import compile_model
from hearth.engine import Engine, Forward, SamplingParams, pages_for
from hearth.runtime import Model, Session


class Hearth:
    """One model and one engine, without prefix cache: every run computes the whole prompt."""

    def __init__(self, job: Job) -> None:
        session = open_session(job)
        info = session.info
        self._engine = Engine(
            session, context=job.context, chunk_tokens=min(job.batch, info.max_tokens), prefix_cache=False
        )
        self.vocab_size = info.vocab_size
        self.description = f"Hearth {getattr(hearth, '__version__', '')}".strip()

    def run(self, prompt: list[int], num_generated: int) -> tuple[float, float, list[int]]:
        """Seconds of the prompt (up to its first token), seconds of the tokens after it, and the tokens."""
        params = SamplingParams(temperature=0, max_tokens=num_generated + 1, ignore_eos=True)
        start = time.perf_counter()
        events = self._engine.generate(prompt, params)
        tokens = [next(events).token]
        middle = time.perf_counter()
        tokens += [event.token for event in events]
        return middle - start, time.perf_counter() - middle, tokens

    def logits(self, tokens: list[int]) -> np.ndarray:
        """float32 (vocab_size,), after the last token."""
        return self._engine.logits(tokens)[-1]


def open_session(job: Job) -> Forward:
    """The one place that knows how Hearth opens a model."""
    path = Path(job.path)
    if (path / "manifest.json").is_file():
        model = Model(path)
        num_pages = pages_for(job.context, page_tokens=model.info.page_tokens)
        return Session(model, num_pages=num_pages, threads=job.threads)
    return open_session(replace(job, path=str(compile_model(path, name=path.stem))))


if __name__ == "__main__":
    serve(Hearth)
