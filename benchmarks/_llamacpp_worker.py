"""llama.cpp's side of the comparison: a process that loads a GGUF file and times what it is told to.

Speaks the protocol of `_worker.py`. Uses llama-cpp-python's low-level interface, which is llama.cpp's C API: no Python
work lies between the calls that are timed but the loop itself.
"""

from __future__ import annotations

import ctypes
import time

import llama_cpp
import numpy as np
from _worker import Job, serve


class LlamaCpp:
    """One model and one context, with llama.cpp's own defaults for all that the job does not say."""

    def __init__(self, job: Job) -> None:
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)  # kept: C holds on to it
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        model_params = llama_cpp.llama_model_default_params()
        model_params.use_mmap = job.mmap
        model_params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(job.path.encode(), model_params)
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {job.path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = job.context
        params.n_batch = params.n_ubatch = job.batch
        params.n_threads = params.n_threads_batch = job.threads
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("llama.cpp cannot make a context")
        self._batch_tokens = job.batch
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._sampler = llama_cpp.llama_sampler_init_greedy()
        self.description = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"

    def run(self, prompt: list[int], num_generated: int) -> tuple[float, float, list[int]]:
        """Seconds of the prompt (up to its first token), seconds of the tokens after it, and the tokens."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        array = (llama_cpp.llama_token * len(prompt))(*prompt)
        start = time.perf_counter()
        for first in range(0, len(prompt), self._batch_tokens):
            count = min(self._batch_tokens, len(prompt) - first)
            part = ctypes.cast(
                ctypes.byref(array, first * ctypes.sizeof(llama_cpp.llama_token)),
                ctypes.POINTER(llama_cpp.llama_token),
            )
            self._decode(part, count)
        tokens = [llama_cpp.llama_sampler_sample(self._sampler, self._context, -1)]
        middle = time.perf_counter()
        one = (llama_cpp.llama_token * 1)()
        for _ in range(num_generated):
            one[0] = tokens[-1]
            self._decode(one, 1)
            tokens.append(llama_cpp.llama_sampler_sample(self._sampler, self._context, -1))
        return middle - start, time.perf_counter() - middle, tokens

    def logits(self, tokens: list[int]) -> np.ndarray:
        """float32 (vocab_size,), after the last token."""
        self.run(tokens, 0)
        row = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(row, (self.vocab_size,)).copy()

    def _decode(self, tokens: object, count: int) -> None:
        status = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(tokens, count))
        if status != 0:
            raise RuntimeError(f"llama_decode: status {status}")


if __name__ == "__main__":
    serve(LlamaCpp)
