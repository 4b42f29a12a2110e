#!/usr/bin/env python3
"""Hearth against llama.cpp: the same GGUF file, the same threads, one run, in turns.

    python benchmarks/llamacpp.py .cache/shapes/llama-3.2-1b-q4_0.gguf --bundle BUNDLE --llamacpp-python VENV/bin/python

Prefill: a prompt of random token ids, up to the first token of the answer. Decode: one token at a time after that
prompt, greedy. Each side runs in a process of its own that waits while the other is timed; after one warm-up each, the
sides take turns, so that a machine that slows down slows both. Prints medians, their range and the ratio.

`--compare` checks instead that both compute the same: greedy tokens and KL divergence after random prompts.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _worker import Job

HERE = Path(__file__).parent


class Worker:
    """A side of the comparison, in its own process."""

    def __init__(self, python: str, script: str, job: Job) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        about = self.ask(asdict(job))
        self.description: str = about["description"]
        self.vocab_size: int = about["vocab_size"]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: its last line, or its exit status, says why
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[1]} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{Path(self._process.args[1]).name}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Measured:
    """What one side has done, run after run."""

    prefill_tok_s: list[float]
    decode_tok_s: list[float]
    peak_mb: float = 0.0

    def summary(self) -> dict[str, Any]:
        def spread(values: list[float]) -> dict[str, float]:
            return {"median": statistics.median(values), "min": min(values), "max": max(values)}

        return {
            "prefill_tok_s": spread(self.prefill_tok_s),
            "decode_tok_s": spread(self.decode_tok_s),
            "peak_mb": self.peak_mb,
        }


def measure(workers: dict[str, Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turns; the first run of each is thrown away."""
    vocab_size = min(worker.vocab_size for worker in workers.values())
    measured = {name: Measured([], []) for name in workers}
    for repeat in range(arguments.repeat + 1):
        prompt = random.Random(repeat).choices(range(vocab_size), k=arguments.prompt)
        order = list(workers) if repeat % 2 else list(reversed(workers))
        for name in order:
            time.sleep(arguments.pause)  # threads of the other side that spin before they park have parked by then
            answer = workers[name].ask({"prompt": prompt, "generate": arguments.gen})
            if repeat:
                measured[name].prefill_tok_s.append(arguments.prompt / answer["prompt_s"])
                measured[name].decode_tok_s.append(arguments.gen / answer["generate_s"])
            measured[name].peak_mb = answer["peak_mb"]
    return {name: result.summary() for name, result in measured.items()}


def compare(workers: dict[str, Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    """Whether both compute the same: KL divergence of the next token (llama.cpp to Hearth) and greedy tokens."""
    vocab_size = min(worker.vocab_size for worker in workers.values())
    divergences, agreeing, same_tokens = [], 0, 0
    for repeat in range(arguments.repeat):
        prompt = random.Random(repeat).choices(range(vocab_size), k=arguments.prompt)
        log_p, log_q = (
            log_softmax(np.array(workers[name].ask({"logits": prompt})["logits"])) for name in ("llama.cpp", "hearth")
        )
        divergences.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
        agreeing += int(log_p.argmax() == log_q.argmax())
        answers = [workers[name].ask({"prompt": prompt, "generate": arguments.gen})["tokens"] for name in workers]
        same_tokens += sum(1 for pair in zip(*answers, strict=True) if len(set(pair)) == 1)
    return {
        "kl_divergence": {"median": statistics.median(divergences), "max": max(divergences)},
        "top1_agreement": agreeing / arguments.repeat,
        "same_greedy_tokens": same_tokens / (arguments.repeat * (arguments.gen + 1)),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def print_table(results: dict[str, Any], workers: dict[str, Worker]) -> None:
    print(f"{'':<36}{'prefill tok/s':>22}{'decode tok/s':>22}{'peak MB':>9}")
    for name, worker in workers.items():
        cells = (results[name][key] for key in ("prefill_tok_s", "decode_tok_s"))
        texts = ("{median:.1f} ({min:.1f}-{max:.1f})".format(**cell) for cell in cells)
        print(
            f"{worker.description:<36}" + "".join(f"{text:>22}" for text in texts) + f"{results[name]['peak_mb']:>9.0f}"
        )
    if "ratio" in results:
        print(f"{'Hearth / llama.cpp':<36}{results['ratio']['prefill']:>21.2f}x{results['ratio']['decode']:>21.2f}x")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare Hearth and llama.cpp on one GGUF file.")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--bundle", type=Path, help="the same file as Hearth compiled it; default: compile it now")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt; default: %(default)s")
    parser.add_argument("--gen", type=int, default=64, help="tokens of the answer; default: %(default)s")
    parser.add_argument("--batch", type=int, default=512, help="prompt tokens in one forward; default: %(default)s")
    parser.add_argument("--repeat", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between runs; default: %(default)s")
    parser.add_argument("--no-mmap", action="store_true", help="llama.cpp reads the weights instead of mapping them")
    parser.add_argument("--llamacpp-python", default=sys.executable, help="a Python that has llama-cpp-python")
    parser.add_argument("--only", choices=["llama.cpp", "hearth"], help="measure one side alone")
    parser.add_argument("--compare", action="store_true", help="compare what is computed instead of how fast")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args()
    if not arguments.gguf.is_file():
        parser.error(f"{arguments.gguf}: no such file; `python benchmarks/shapes.py` makes some")
    if arguments.compare and arguments.only:
        parser.error("--compare needs both sides")
    if min(arguments.prompt, arguments.gen, arguments.repeat, arguments.threads, arguments.batch) < 1:
        parser.error("--prompt, --gen, --repeat, --threads and --batch must be at least 1")

    context = arguments.prompt + arguments.gen + 2
    scripts = {
        "hearth": (sys.executable, "_hearth_worker.py", arguments.bundle or arguments.gguf),
        "llama.cpp": (arguments.llamacpp_python, "_llamacpp_worker.py", arguments.gguf),
    }
    workers: dict[str, Worker] = {}
    try:
        for name, (python, script, path) in scripts.items():
            if arguments.only in (None, name):
                job = Job(str(path), arguments.threads, context, arguments.batch, not arguments.no_mmap)
                workers[name] = Worker(python, script, job)
        if arguments.compare:
            print(json.dumps(compare(workers, arguments), indent=2))
            return 0
        results = measure(workers, arguments)
    finally:
        for worker in workers.values():
            worker.close()
    if len(workers) == 2:
        results["ratio"] = {
            key: results["hearth"][f"{key}_tok_s"]["median"] / results["llama.cpp"][f"{key}_tok_s"]["median"]
            for key in ("prefill", "decode")
        }
    if arguments.json:
        settings = {key: getattr(arguments, key) for key in ("threads", "prompt", "gen", "batch", "repeat")}
        sides = {name: worker.description for name, worker in workers.items()}
        print(json.dumps({"model": arguments.gguf.name, **settings, "sides": sides, **results}, indent=2))
    else:
        print(f"{arguments.gguf.name}, {arguments.threads} threads, prompt {arguments.prompt}, answer {arguments.gen}")
        print_table(results, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
