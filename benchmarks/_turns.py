"""The parent's part of a comparison: one process for each side, and turns that they take.

Each side waits while another is timed. After a warm-up turn they go round `repeat` times, and who begins alternates, so
that a machine that slows down slows all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _worker import Forward, Job

HERE = Path(__file__).parent


class Worker:
    """A side of the comparison, in its own process.

    Args:
        python: interpreter that has what the side needs.
        script: the worker's file, beside this one.
    """

    def __init__(self, python: str, script: str, job: Job) -> None:
        self._script = script
        self.job = job
        # A program that is installed has its compiled bytecode; so must one that is measured from its start.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [python, str(HERE / script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about: dict[str, Any] = {}
        self.peak_mb = 0.0

    def open(self) -> Worker:
        """Has the model loaded."""
        self.about = self.ask(asdict(self.job))
        return self

    def run(self, prompts: list[list[int]], num_generated: int) -> dict[str, Any]:
        """Seconds `prompt_s` and `generate_s`, and `tokens` of each sequence."""
        answer = self.ask({"prompts": prompts, "generate": num_generated})
        self.peak_mb = answer["peak_mb"]
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its last line, or its exit status, says why
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._script} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{self._script}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Waits for the end of the process. Closing its input alone already tells it to end."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


@dataclass(frozen=True)
class Point:
    """One thing to measure.

    Attributes:
        what: `prefill`: the prompt up to its first token. `decode`: one token at a time behind a prompt.
        tokens: of the prompt: how many are computed, or are in the KV cache when decoding begins.
        sequences: that decode at once.
        generate: tokens of each.
    """

    what: str
    tokens: int
    sequences: int = 1
    generate: int = 0

    def prompts(self, turn: int, vocab_size: int) -> list[list[int]]:
        """Prompts that are to be computed are new each turn; those that only fill the cache stay the same."""
        fresh = turn if self.what == "prefill" else 0
        return [
            random.Random(f"{self.what} {fresh} {sequence}").choices(range(vocab_size), k=self.tokens)
            for sequence in range(self.sequences)
        ]

    def forwards(self, chunk: int) -> list[Forward]:
        """What is computed: the prompt's chunks, or one step in the middle of decoding."""
        if self.what == "decode":
            return [([(self.tokens + self.generate // 2, 1)] * self.sequences, self.sequences)]
        starts = range(0, self.tokens, chunk)
        return [([(first, min(chunk, self.tokens - first))], int(first == starts[-1])) for first in starts]

    def tok_s(self, answer: Mapping[str, Any]) -> float:
        if self.what == "prefill":
            return self.tokens * self.sequences / answer["prompt_s"]
        return self.generate * self.sequences / answer["generate_s"]

    def __str__(self) -> str:
        if self.what == "prefill":
            return f"prefill {self.tokens}"
        return f"decode after {self.tokens}" + (f", {self.sequences} at once" if self.sequences > 1 else "")


def measure(workers: Mapping[str, Worker], point: Point, *, repeat: int, pause: float) -> dict[str, list[float]]:
    """Tokens a second of each side, turn by turn."""
    vocab_size = min(worker.about["vocab_size"] for worker in workers.values())

    def turn(index: int, name: str) -> float:
        time.sleep(pause)  # threads of the other side that spin before they park have parked by then
        return point.tok_s(workers[name].run(point.prompts(index, vocab_size), point.generate))

    return take_turns(list(workers), repeat, turn)


def take_turns(names: list[str], repeat: int, turn: Callable[[int, str], float]) -> dict[str, list[float]]:
    """Calls `turn` with (0 for the warm-up, then 1 to `repeat`, name), and keeps all but the warm-up."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for index in range(repeat + 1):
        for name in names if index % 2 else reversed(names):
            value = turn(index, name)
            if index:
                values[name].append(value)
    return values


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def significant(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread_text(cell: Mapping[str, float]) -> str:
    return "{} ({}-{})".format(*(significant(cell[key]) for key in ("median", "min", "max")))


def text_table(head: list[str], rows: list[list[str]]) -> str:
    """Columns aligned with spaces, the first to the left."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in [head, *rows]
    )
