#!/usr/bin/env python3
"""Hearth against llama.cpp: the same GGUF file, the same threads, one run, in turns.

    python benchmarks/llamacpp.py .cache/shapes/llama-3.2-1b-q4_0.gguf --llamacpp-python VENV/bin/python
    python benchmarks/llamacpp.py FILE --context 16 2048 8192 --flash auto off --threads 1 2
    python benchmarks/llamacpp.py FILE --prompt --context 16 --batch-size 1 4 8
    python benchmarks/llamacpp.py FILE --cold

Prefill: a prompt of random token ids, up to the first token of the answer. Decode: one token at a time, greedy, with so
many tokens in the KV cache already. Each side runs in a process of its own that waits while the other is timed; after
one warm-up each, the sides take turns. Prints medians, their range and the ratio of the medians.

`--cold`: time to the first token of a fresh process. `--compare`: not how fast, but whether both compute the same.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _turns import Point, Worker, measure, significant, spread, spread_text, take_turns, text_table
from _worker import Job

Row = dict[str, Any]
COLD_PROMPT = 32
GAUGE = "limits"  # the process that measures what the machine can


def points_of(arguments: argparse.Namespace) -> list[Point]:
    """Short contexts before long ones: what a longer prompt has in common need not be computed again."""
    return [
        *(Point("prefill", tokens) for tokens in arguments.prompt),
        *(
            Point("decode", tokens, sequences, arguments.gen)
            for sequences in arguments.batch_size
            for tokens in sorted(arguments.context)
        ),
    ]


def sides_of(arguments: argparse.Namespace, job: Job) -> dict[str, tuple[str, str, Job]]:
    """Interpreter, script and job of each side."""
    sides = {}
    if arguments.only != "llama.cpp":
        path = str(arguments.hearth_model or arguments.gguf)
        theirs = replace(job, path=path, quant=arguments.quant, head=arguments.head)
        sides["hearth"] = (sys.executable, "_hearth_worker.py", theirs)
    if arguments.only != "hearth":
        for flash in arguments.flash:
            name = "llama.cpp" if flash == "auto" else f"llama.cpp -fa {flash}"
            sides[name] = (arguments.llamacpp_python, "_llamacpp_worker.py", replace(job, flash=flash))
    return sides


def measure_all(arguments: argparse.Namespace) -> list[Row]:
    """A row for each number of threads, kind of KV cache and point."""
    points = points_of(arguments)
    context = max(point.tokens + point.generate for point in points) + 2
    rows = []
    for threads in arguments.threads:
        for kv in arguments.kv:
            job = Job(str(arguments.gguf), threads, context, arguments.chunk, not arguments.no_mmap, kv=kv)
            workers: dict[str, Worker] = {}
            try:
                sides = sides_of(arguments, job)
                if "hearth" in sides:
                    # A process of its own, and the first: what compiles the model, and the large buffer that is read
                    # for the bandwidth, do not count as memory of the model.
                    workers[GAUGE] = Worker(*sides["hearth"]).open()
                for name, side in sides.items():
                    workers[name] = Worker(*side).open()
                for point in points:
                    rows.append({"threads": threads, "kv": kv, **measure_point(workers, point, arguments)})
            finally:
                for worker in workers.values():
                    worker.close()
    return rows


def measure_point(workers: dict[str, Worker], point: Point, arguments: argparse.Namespace) -> Row:
    names = [name for name in workers if name != GAUGE]
    if point.what == "prefill":
        # A prompt costs much and the kinds of flash attention differ little there: the first alone.
        names = names[: 1 + ("hearth" in names)]
    chosen = {name: workers[name] for name in names}
    values = measure(chosen, point, repeat=arguments.repeat, pause=arguments.pause)
    row: Row = {"what": point.what, "tokens": point.tokens, "sequences": point.sequences}
    row["tok_s"] = {name: spread(speeds) for name, speeds in values.items()}
    row["peak_mb"] = {name: worker.peak_mb for name, worker in chosen.items()}
    row |= ratios({name: cell["median"] for name, cell in row["tok_s"].items()})
    if "hearth" in chosen:
        about = workers["hearth"].about
        row |= {"weights_mb": about["weights_bytes"] / 1e6}
        row |= {"kv_mb": point.sequences * (point.tokens + point.generate) * about["kv_bytes_per_token"] / 1e6}
        limits = workers[GAUGE].ask({"limits": point.forwards(arguments.chunk)})
        row |= share_of_limits(point, row["tok_s"]["hearth"]["median"], limits)
    return row


def ratios(medians: dict[str, float]) -> dict[str, float]:
    """Hearth to llama.cpp as it is by default (the first kind of flash attention asked for), and at its best."""
    others = [median for name, median in medians.items() if name != "hearth"]
    if "hearth" not in medians or not others:
        return {}
    return {"ratio": medians["hearth"] / others[0], "ratio_best": medians["hearth"] / max(others)}


def share_of_limits(point: Point, tok_s: float, limits: Mapping[str, Any]) -> dict[str, Any]:
    """What Hearth reads when it decodes, or computes in a prompt, of what the machine can.

    Decoding reads weights once a step, and each sequence's keys and values.
    """
    if point.what == "decode":
        steps_s = tok_s / point.sequences
        of, unit, done, limit = "memory", "GB/s", limits["read_bytes"] * steps_s, limits["read_bytes_s"]
    else:
        prompts_s = tok_s / point.tokens
        of, unit = limits["arithmetic"], "Gop/s"
        done, limit = limits["operations"] * prompts_s, limits["operations_s"]
    return {"limit": of, "unit": unit, "done": done / 1e9, "limit_value": limit / 1e9, "share": done / limit}


def share_text(row: Mapping[str, Any]) -> str:
    """Empty where it was not measured."""
    if "share" not in row:
        return ""
    return f"{significant(row['done'])} of {significant(row['limit_value'])} {row['unit']}, {100 * row['share']:.0f} %"


def measure_cold(arguments: argparse.Namespace) -> list[Row]:
    """Seconds to the first token in a fresh process; the file cache is warm after the first turn."""
    rows = []
    for threads in arguments.threads:
        job = Job(str(arguments.gguf), threads, COLD_PROMPT + 2, arguments.chunk, not arguments.no_mmap)
        sides = sides_of(argparse.Namespace(**{**vars(arguments), "flash": arguments.flash[:1]}), job)
        asked: dict[str, list[float]] = {name: [] for name in sides}
        prompt = random.Random(0).choices(range(1000), k=COLD_PROMPT)

        def turn(index: int, name: str, sides: Any = sides, asked: Any = asked, prompt: Any = prompt) -> float:
            time.sleep(arguments.pause)
            start = time.perf_counter()
            worker = Worker(*sides[name])
            try:
                worker.open()
                answer = worker.run([prompt], 0)
                total = time.perf_counter() - start
            finally:
                worker.close()
            if index:
                asked[name].append(worker.about["open_s"] + answer["prompt_s"])
            return total

        totals = take_turns(list(sides), arguments.repeat, turn)
        for what, values in (("process start", totals), ("asking for the model", asked)):
            cells = {name: spread(seconds) for name, seconds in values.items()}
            row = {"what": f"first token, s from {what}", "threads": threads, "tokens": COLD_PROMPT, "seconds": cells}
            if len(cells) == 2:
                row["ratio"] = cells["hearth"]["median"] / cells["llama.cpp"]["median"]
            rows.append(row)
    return rows


def compare(arguments: argparse.Namespace) -> Row:
    """Whether both compute the same: KL divergence of the next token (llama.cpp to Hearth) and greedy tokens."""
    length = arguments.prompt[0]
    context = length + arguments.gen + 2
    job = Job(str(arguments.gguf), arguments.threads[0], context, arguments.chunk, kv=arguments.kv[0])
    divergences, agreeing, same_tokens = [], 0, 0
    workers = [Worker(*side) for side in sides_of(arguments, job).values()][:2]
    try:
        vocab_size = min(worker.open().about["vocab_size"] for worker in workers)
        for repeat in range(arguments.repeat):
            prompt = random.Random(repeat).choices(range(vocab_size), k=length)
            log_q, log_p = (log_softmax(np.array(worker.ask({"logits": prompt})["logits"])) for worker in workers)
            divergences.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
            agreeing += int(log_p.argmax() == log_q.argmax())
            answers = [worker.run([prompt], arguments.gen)["tokens"][0] for worker in workers]
            same_tokens += sum(1 for pair in zip(*answers, strict=True) if len(set(pair)) == 1)
    finally:
        for worker in workers:
            worker.close()
    return {
        "kl_divergence": {"median": statistics.median(divergences), "max": max(divergences)},
        "top1_agreement": agreeing / arguments.repeat,
        "same_greedy_tokens": same_tokens / (arguments.repeat * (arguments.gen + 1)),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def table_of(rows: list[Row]) -> str:
    """The rows as text; sides as columns."""
    names = list(dict.fromkeys(name for row in rows for name in row.get("tok_s", row.get("seconds"))))
    several = {key for key in ("threads", "kv") if len({row.get(key) for row in rows}) > 1}
    lines = []
    for row in rows:
        label = row["what"]
        if label in ("prefill", "decode"):
            label = str(Point(label, row["tokens"], row["sequences"]))
        label += "".join(f", {key} {row[key]}" for key in ("threads", "kv") if key in several and key in row)
        cells = row.get("tok_s", row.get("seconds"))
        texts = [spread_text(cells[name]) if name in cells else "" for name in names]
        notes = []
        if "ratio" in row:
            notes.append(f"{row['ratio']:.2f}x")
            if len(cells) > 2:
                notes.append(f"({row['ratio_best']:.2f}x best)")
        notes.append(share_text(row))
        lines.append([label, *texts, " ".join(notes)])
    unit = "tok/s" if "tok_s" in rows[0] else "s"
    return text_table(["", *(f"{name}, {unit}" for name in names), "Hearth / llama.cpp"], lines)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description="Compare Hearth and llama.cpp on one GGUF file.")
    result.add_argument("gguf", type=Path)
    result.add_argument("--hearth-model", type=Path, help="a bundle, folder or file that Hearth opens instead")
    result.add_argument("--quant", help="number format that Hearth compiles a folder to")
    result.add_argument("--head", help="the same for embedding and head")
    numbers = {"type": int, "nargs": "+"}
    result.add_argument("--threads", **numbers, default=[2], help="default: 2")
    result.add_argument("--prompt", type=int, nargs="*", default=[512], help="tokens to prefill; default: 512")
    result.add_argument("--context", type=int, nargs="*", default=[512], help="tokens before decoding; default: 512")
    result.add_argument("--batch-size", **numbers, default=[1], help="sequences that decode at once; default: 1")
    result.add_argument("--gen", type=int, default=64, help="tokens decoded a turn; default: %(default)s")
    result.add_argument("--kv", nargs="+", choices=["f16", "q8_0"], default=["f16"], help="default: f16")
    result.add_argument(
        "--flash",
        nargs="+",
        choices=["auto", "on", "off"],
        default=["auto"],
        help="llama.cpp's flash attention; the first counts as its default, the fastest as its best; default: auto",
    )
    result.add_argument("--chunk", type=int, default=512, help="prompt tokens in one forward; default: %(default)s")
    result.add_argument("--repeat", type=int, default=5, help="turns; default: %(default)s")
    result.add_argument("--pause", type=float, default=0.3, help="seconds between turns; default: %(default)s")
    result.add_argument("--no-mmap", action="store_true", help="llama.cpp reads the weights instead of mapping them")
    result.add_argument("--llamacpp-python", default=sys.executable, help="a Python that has llama-cpp-python")
    result.add_argument("--only", choices=["llama.cpp", "hearth"], help="measure one side alone")
    result.add_argument("--cold", action="store_true", help="time to the first token of a fresh process")
    result.add_argument("--compare", action="store_true", help="compare what is computed instead of how fast")
    result.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return result


def parse(words: list[str] | None = None) -> argparse.Namespace:
    arguments = parser().parse_args(words)
    refuse = parser().error
    if not arguments.gguf.is_file():
        refuse(f"{arguments.gguf}: no such file; `python benchmarks/shapes.py` makes some")
    if arguments.compare and (arguments.only or arguments.cold or not arguments.prompt):
        refuse("--compare needs both sides and a --prompt, and no --cold")
    if not arguments.prompt and not arguments.context and not arguments.cold:
        refuse("there is nothing to measure: give --prompt or --context")
    if "q8_0" in arguments.kv and "off" in arguments.flash:
        refuse("llama.cpp keeps q8_0 values only with flash attention: leave --flash off out")
    numbers = [*arguments.threads, *arguments.prompt, *arguments.context, *arguments.batch_size]
    if min(*numbers, arguments.gen, arguments.repeat, arguments.chunk) < 1:
        refuse("numbers of threads, tokens, sequences and turns must be at least 1")
    return arguments


def main() -> int:
    arguments = parse()
    if arguments.compare:
        print(json.dumps(compare(arguments), indent=2))
        return 0
    rows = measure_cold(arguments) if arguments.cold else measure_all(arguments)
    if arguments.json:
        print(json.dumps({"model": arguments.gguf.name, "repeat": arguments.repeat, "rows": rows}, indent=2))
    else:
        print(f"{arguments.gguf.name}, {', '.join(map(str, arguments.threads))} threads, median of {arguments.repeat}")
        print(table_of(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
