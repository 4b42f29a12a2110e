#!/usr/bin/env python3
"""Two threads while another program keeps one of the cores busy: how much more is lost than that core?

    python benchmarks/competing.py .cache/shapes/smollm2-135m-q4_0.gguf

Measures a prompt and greedy tokens after it, each in turn: alone with all threads, alone with one thread less, and with
all threads while a process that only counts is pinned to one core. That process takes at most a core, so a team that
shares work well ends no later than one that has a thread less; the *ratio* is the time with the competitor over that
with one thread less. 1.0 means that only the core was lost, 1.3 is the most that we want to see.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _hearth_worker import Hearth
from _worker import Job


@contextmanager
def competitor(processor: int) -> Iterator[None]:
    """A process that keeps one processor busy for as long as the block lasts."""
    code = f"import os; os.sched_setaffinity(0, {{{processor}}})\nprint(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file or a bundle")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    if options.threads < 2:
        parser.error("--threads must be 2 or more: one of them is to lose its core")
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("This system cannot pin a process to a processor.")

    def side(threads: int) -> Hearth:
        path = str(Path(options.model).resolve())
        return Hearth(Job(path, threads, options.prompt + options.gen + 1, options.prompt, mmap=False))

    full, less = side(options.threads), side(options.threads - 1)

    def seconds_of(one: Hearth) -> tuple[float, float]:
        prompt = random.choices(range(full.vocab_size), k=options.prompt)  # another each time: nothing is reused
        return one.run([prompt], options.gen)[:2]

    processor = max(os.sched_getaffinity(0))
    times: dict[str, list[tuple[float, float]]] = {"full": [], "less": [], "competing": []}
    for round_number in range(options.repeat + 1):
        measured = {"full": seconds_of(full), "less": seconds_of(less)}
        with competitor(processor):
            measured["competing"] = seconds_of(full)
        if round_number > 0:  # the first warms up
            for name, seconds in measured.items():
                times[name].append(seconds)

    print(f"{full.description}, {options.model}; one of {options.threads} cores busy, median of {options.repeat}")
    for index, (what, tokens) in enumerate((("prefill", options.prompt), ("decode", options.gen))):
        speed = {name: tokens / statistics.median(s[index] for s in rounds) for name, rounds in times.items()}
        ratios = sorted(c[index] / one[index] for c, one in zip(times["competing"], times["less"], strict=True))
        print(
            f"{what:8} {speed['full']:8.1f} tok/s with {options.threads} threads alone, {speed['less']:8.1f} with "
            f"{options.threads - 1}, {speed['competing']:8.1f} competing; "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
