"""llama.cpp's side of the comparison: a process that loads a GGUF file and times what it is told to.

Speaks the protocol of `_worker.py`. Uses llama-cpp-python's low-level interface, which is llama.cpp's C API: no Python
work lies between the calls that are timed but the loop itself, and the likeliest token is found by numpy, which is
faster than llama.cpp's sampler.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

import llama_cpp
import numpy as np
from _worker import Forward, Job, serve

FLASH = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
KV = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


class LlamaCpp:
    """One model, and one context for as many sequences as the last run had; what the job does not say is default."""

    def __init__(self, job: Job) -> None:
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)  # kept: C holds on to it
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.use_mmap = job.mmap
        params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(job.path.encode(), params)
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {job.path}")
        self._job = job
        self.facts: dict[str, Any] = {}
        self._context: Any = None
        self._held: list[list[int]] = []  # the tokens whose keys and values each sequence holds
        self._batch = llama_cpp.llama_batch_init(job.chunk, 0, 1)
        self._resize(1)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self.description = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"

    def run(self, prompts: list[list[int]], num_generated: int) -> tuple[float, float, list[list[int]]]:
        self._resize(len(prompts))
        start = time.perf_counter()
        tokens = [[self._read(sequence, prompt)] for sequence, prompt in enumerate(prompts)]
        middle = time.perf_counter()
        for _ in range(num_generated):
            self._forward([(answer[-1], sequence, True) for sequence, answer in enumerate(tokens)])
            for sequence, answer in enumerate(tokens):
                answer.append(self._likeliest(sequence))
        return middle - start, time.perf_counter() - middle, tokens

    def logits(self, tokens: list[int]) -> np.ndarray:
        self._resize(1)
        self._read(0, tokens)
        return self._row(-1).copy()

    def limits(self, forwards: list[Forward]) -> dict[str, Any]:
        raise NotImplementedError

    def _resize(self, num_seqs: int) -> None:
        if num_seqs == len(self._held):
            return
        if self._context:
            llama_cpp.llama_free(self._context)
        params = llama_cpp.llama_context_default_params()
        params.n_seq_max = num_seqs
        params.n_ctx = self._job.context * num_seqs
        params.n_batch = params.n_ubatch = self._job.chunk
        params.n_threads = params.n_threads_batch = self._job.threads
        params.flash_attn_type = FLASH[self._job.flash]
        params.type_k = params.type_v = KV[self._job.kv]
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("llama.cpp cannot make a context")
        self._held = [[] for _ in range(num_seqs)]

    def _read(self, sequence: int, prompt: list[int]) -> int:
        """Computes what of the prompt the sequence does not hold yet; the likeliest token after it."""
        held = self._held[sequence]
        same = 0
        # The last token is computed in any case, for its logits.
        while same < min(len(held), len(prompt) - 1) and held[same] == prompt[same]:
            same += 1
        memory = llama_cpp.llama_get_memory(self._context)
        if not llama_cpp.llama_memory_seq_rm(memory, sequence, same, -1):
            same = 0  # a recurrent state cannot go back to an earlier token
            if not llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1):
                raise RuntimeError("llama.cpp cannot empty a sequence")
        del held[same:]
        for first in range(same, len(prompt), self._job.chunk):
            part = prompt[first : first + self._job.chunk]
            last = first + len(part) == len(prompt)
            self._forward([(token, sequence, last and i == len(part) - 1) for i, token in enumerate(part)])
        return self._likeliest(-1)

    def _forward(self, tokens: list[tuple[int, int, bool]]) -> None:
        """One forward of (token, sequence, whether its logits are wanted)."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, (token, sequence, wanted) in enumerate(tokens):
            held = self._held[sequence]
            batch.token[i], batch.pos[i], batch.logits[i] = token, len(held), wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            held.append(token)
        status = llama_cpp.llama_decode(self._context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode: status {status}")

    def _row(self, index: int) -> np.ndarray:
        row = llama_cpp.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(row, (self.vocab_size,))

    def _likeliest(self, index: int) -> int:
        return int(self._row(index).argmax())


if __name__ == "__main__":
    serve(LlamaCpp)
