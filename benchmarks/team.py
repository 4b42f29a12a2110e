#!/usr/bin/env python3
"""What the thread team costs: an empty step, a step that gathers all threads, waking after a pause.

    python benchmarks/team.py --threads 1 2 4

A decode step of a small model is some hundred steps of the plan, so each microsecond here is a tenth of a millisecond a
token. Builds `team.c` with the runtime's own sources and runs it `--rounds` times for each number of threads, in turn.
*best* is the smallest of all rounds, *median* the median of the rounds' medians: far apart where others used the
machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from hearth.compiler.cpu.link import CSRC

SOURCES = [Path(__file__).with_suffix(".c"), CSRC / "team.c", CSRC / "platform.c", CSRC / "memory.c"]
TITLES = {
    "empty": "an empty step",
    "meeting": "a step at which all threads meet",
    "wake": "20 shared steps, beyond their work, {gap} us after the last run",
}


def build(program: Path) -> None:
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c11", "-O2", "-fno-sanitize=all", f"-I{CSRC}"]
    subprocess.run([*command, *map(str, SOURCES), "-o", str(program), "-lpthread"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    found: dict[tuple[str, int, int], list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "team"
        build(program)
        for _ in range(options.rounds):
            for threads in options.threads:
                done = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True)
                for line in done.stdout.splitlines():
                    r = json.loads(line)
                    found[r["what"], r["gap_us"], r["threads"]].append((r["best_us"], r["median_us"]))
    print(f"{'':58} threads      best us    median us")
    for (what, gap, threads), rounds in sorted(found.items()):
        best, median = min(b for b, _ in rounds), statistics.median(m for _, m in rounds)
        print(f"{TITLES[what].format(gap=gap):58} {threads:7} {best:12.3f} {median:12.3f}")


if __name__ == "__main__":
    main()
