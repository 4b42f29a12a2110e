"""One cold start, in a process of its own: `_first_token.py hearth|llama.cpp MODEL THREADS CONTEXT MMAP TOKEN...`.

Prints a line of JSON once the first token is known: when each part was done, on the clock that the parent reads too.
"""

from __future__ import annotations

import json
import sys
import time


def hearth(model: str, threads: int, context: int, mmap: bool, prompt: list[int]) -> None:
    from hearth import LLM

    times = [time.monotonic()]
    llm = LLM(model, threads=threads, context=context, mmap=mmap)
    times.append(time.monotonic())
    tokens = llm.generate(prompt_ids=prompt, max_tokens=1, temperature=0, ignore_eos=True).token_ids
    report([*times, time.monotonic()], tokens[0])


def llamacpp(model: str, threads: int, context: int, mmap: bool, prompt: list[int]) -> None:
    import llama_cpp

    times = [time.monotonic()]
    llm = llama_cpp.Llama(
        model, n_ctx=context, n_batch=512, n_threads=threads, n_threads_batch=threads, use_mmap=mmap, verbose=False
    )
    times.append(time.monotonic())
    token = next(llm.generate(prompt, temp=0.0))
    report([*times, time.monotonic()], token)


def report(times: list[float], token: int) -> None:
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = used.ru_utime + used.ru_stime
    print(
        json.dumps({"times": times, "token": token, "cpu_s": cpu_s, "peak_mb": used.ru_maxrss * 1024 / 1e6}), flush=True
    )


if __name__ == "__main__":
    side, model, threads, context, mmap, *prompt = sys.argv[1:]
    run = hearth if side == "hearth" else llamacpp
    run(model, int(threads), int(context), mmap == "1", [int(token) for token in prompt])
