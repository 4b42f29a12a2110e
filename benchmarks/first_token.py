#!/usr/bin/env python3
"""Time to the first token of a cold process with a warm file cache: Hearth beside llama.cpp, in turns.

    python benchmarks/first_token.py .cache/shapes/llama-3.2-1b-q4_0.gguf --llamacpp-python VENV/bin/python

Each start is a new process, timed from before it is started to its first token: interpreter, imports, finding and
loading the model, its tokenizer, the prompt; *cpu* is the processor time of all that. Hearth's model has been compiled
before, which happens once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("_first_token.py")
PARTS = ("import", "load", "prompt", "total", "cpu")


def start(python: str, side: str, arguments: list[str]) -> tuple[dict[str, float], float]:
    """Seconds of each part of one start, and the largest resident memory in MB."""
    # A program that is installed has its compiled bytecode.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begin = time.monotonic()
    done = subprocess.run(
        [python, str(SCRIPT), side, *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    imported, loaded, first = answer["times"]
    parts = (imported - begin, loaded - imported, first - loaded, first - begin, answer["cpu_s"])
    return dict(zip(PARTS, parts, strict=True)), answer["peak_mb"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--llamacpp-python", help="a Python with llama-cpp-python; without it Hearth is timed alone")
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--mmap", action="store_true", help="Hearth maps the weights (llama.cpp always does)")
    options = parser.parse_args()

    prompt = [str(random.randrange(100, 10_000)) for _ in range(options.prompt)]
    common = [str(Path(options.model).resolve()), str(options.threads), str(options.context)]
    sides = {"hearth": (sys.executable, [*common, "1" if options.mmap else "0", *prompt])}
    if options.llamacpp_python:
        sides["llama.cpp"] = (options.llamacpp_python, [*common, "1", *prompt])
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    peaks: dict[str, float] = {}
    for number in range(options.repeat + 1):
        for side, (python, arguments) in sides.items():
            parts, peaks[side] = start(python, side, arguments)
            if number > 0:  # the first fills the file cache
                rounds[side].append(parts)

    print(f"{options.model}: {options.prompt} tokens in, {options.threads} threads, median of {options.repeat} starts")
    print(f"{'seconds':12}" + "".join(f"{part:>10}" for part in PARTS) + f"{'best':>10}{'peak MB':>10}")
    for side, starts in rounds.items():
        medians = [statistics.median(s[part] for s in starts) for part in PARTS]
        best = min(s["total"] for s in starts)
        print(f"{side:12}" + "".join(f"{m:10.3f}" for m in medians) + f"{best:10.3f}{peaks[side]:10.0f}")
    if len(sides) == 2:
        for name, parts in (
            ("total", ("total",)),
            ("load and prompt, without imports", ("load", "prompt")),
            ("processor time of all threads, which neighbours disturb less", ("cpu",)),
        ):
            ratios = sorted(
                sum(h[p] for p in parts) / sum(o[p] for p in parts)
                for h, o in zip(rounds["hearth"], rounds["llama.cpp"], strict=True)
            )
            print(f"Hearth / llama.cpp, {name}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
