#!/usr/bin/env python3
"""How much faster prompts are read with `--precision fast`, both sides in turns in one process.

    python benchmarks/precision.py MODEL --prompt 128 512 2048 --quant q8 --threads 2

*steps* compares the sums of each step's best time, which others on the machine disturb least; *prompts* is the median
of the ratios of two prompts that were read one after the other. What it costs: `hearth eval MODEL TEXT --precision fast
--against-precision high`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import median

from hearth import LLM
from hearth.measure.workload import Workload

PRECISIONS = ("default", "fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--prompt", type=int, nargs="+", default=[512])
    parser.add_argument("--quant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=15)
    arguments = parser.parse_args()
    longest = [(prompt, 1) for prompt in arguments.prompt]
    works = {}
    for precision in PRECISIONS:
        llm = LLM(arguments.model, quant=arguments.quant, precision=precision, context=max(arguments.prompt) + 1)
        works[precision] = Workload(llm, threads=arguments.threads, longest=longest)
    print(f"{'tokens':>7} {'default, tok/s':>15} {'fast, tok/s':>12} {'prompts':>8} {'products':>9} {'steps':>6}")
    for prompt in arguments.prompt:
        seconds, best = measure(works, prompt, arguments.repeat)
        rates = [prompt / median(seconds[precision]) for precision in PRECISIONS]
        pairs = zip(*(seconds[precision] for precision in PRECISIONS), strict=True)
        steps = [sum(best[precision].values()) for precision in PRECISIONS]
        products = [
            sum(time for (_, kernel), time in best[p].items() if kernel.startswith("matmul")) for p in PRECISIONS
        ]
        print(
            f"{prompt:>7} {rates[0]:>15.0f} {rates[1]:>12.0f} {median(a / b for a, b in pairs):>7.2f}x"
            f" {products[0] / products[1]:>8.2f}x {steps[0] / steps[1]:>5.2f}x"
        )


def measure(
    works: dict[str, Workload], prompt: int, repeat: int
) -> tuple[dict[str, list[float]], dict[str, dict[tuple[int, str], int]]]:
    """Seconds of each prompt, and the best nanoseconds of each step, (its number, kernel), by precision."""
    seconds: dict[str, list[float]] = {precision: [] for precision in works}
    best: dict[str, dict[tuple[int, str], int]] = {precision: defaultdict(lambda: 1 << 62) for precision in works}
    for turn in range(repeat + 1):
        order = list(works) if turn % 2 else list(works)[::-1]
        for precision in order:
            work = works[precision]
            work.session.profile(True)
            taken = work.prefill(prompt)
            for number, step in enumerate(work.session.read_profile()):
                at = (number, step.kernel)
                if turn and step.calls:  # the first turn warms up
                    best[precision][at] = min(best[precision][at], step.time_ns // step.calls)
            if turn:
                seconds[precision].append(taken)
    return seconds, best


if __name__ == "__main__":
    main()
