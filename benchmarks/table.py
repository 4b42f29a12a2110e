#!/usr/bin/env python3
"""The whole comparison in one go: every model of a folder against every peer, as Markdown.

    python benchmarks/table.py --shapes .cache/shapes --llamacpp-python VENV/bin/python --peers-python VENV/bin/python

Runs `llamacpp.py` and `peers.py` again and again, keeps each run's result as a file under `--out`, and prints tables of
all results there are. A run that has its result is not repeated, so a broken series goes on where it ended; `--quick`
measures less, to see that all works; `--only-print` runs nothing. Models that are not in the folder are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapes
from _turns import HERE, spread_text
from llamacpp import share_text

Row = dict[str, Any]
BIG = "llama-3.2-1b"


@dataclass(frozen=True)
class Run:
    """One call of a script.

    Attributes:
        name: of its result.
        words: the script and its arguments, as a user types them behind `python`.
    """

    name: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        return "python " + shlex.join(self.words)


def runs(arguments: argparse.Namespace) -> Iterator[Run]:
    """All that is measured, what the reader asks for first at the beginning."""
    quick = arguments.quick
    turns = ["--repeat", "2" if quick else str(arguments.repeat), "--gen", "16" if quick else "32"]
    theirs = ["--llamacpp-python", arguments.llamacpp_python] if arguments.llamacpp_python else []

    def llamacpp(name: str, model: Path, *words: str) -> Iterator[Run]:
        if model.is_file():
            yield Run(name, ("benchmarks/llamacpp.py", str(model), *words, *turns, *theirs))

    def file(shape: str, wanted: str) -> Path:
        return arguments.shapes / f"{shape}-{wanted}.gguf"

    long = [] if quick else ["2048"]
    for shape in arguments.shape:
        for wanted in ("q4_0", "q4_k_m", "q8_0", "f16", "q4_0-pure"):
            prompts = ["--prompt", "512", *(long if wanted == "q4_0" else [])]
            yield from llamacpp(f"{shape} {wanted}", file(shape, wanted), *prompts, "--context", "16")
        folder = shapes.path_of(arguments.shapes, shape, "hf-f16")
        if folder.is_dir():
            words = ("--hearth-model", str(folder), "--quant", "q4", "--prompt", "512", "--context", "16")
            yield from llamacpp(f"{shape} q4", file(shape, "q4_0"), *words)
    for shape in arguments.shape:
        contexts = ("--prompt", "--context", "512", *long, "--flash", "auto", "off")
        for wanted in ("q4_0", "q4_k_m"):
            yield from llamacpp(f"{shape} {wanted}, contexts", file(shape, wanted), *contexts)
        q4_0 = file(shape, "q4_0")
        words = ("--prompt", "512", "--context", "16", "--threads", "1")
        yield from llamacpp(f"{shape} q4_0, one thread", q4_0, *words)
        yield from llamacpp(f"{shape} q4_0, batch", q4_0, "--prompt", "--context", "16", "--batch-size", "1", "4", "8")
        yield from llamacpp(f"{shape} q4_0, cold", q4_0, "--cold")
        yield from llamacpp(f"{shape} q4_0, q8 kv", q4_0, "--prompt", "--context", "512", *long, "--kv", "q8_0")
    if arguments.peers_python:
        for shape in arguments.shape:
            words = ("--shape", shape, "--out", str(arguments.shapes), "--peers-python", arguments.peers_python)
            yield Run(f"{shape} peers", ("benchmarks/peers.py", *words, *turns))
    if not quick:
        for shape in arguments.shape:
            # Prompt and answer must fit what the model was trained for.
            tokens = str(min(8192, shapes.SHAPES[shape].max_position - 192))
            words = ("--prompt", "--context", tokens, "--flash", "auto", "off")
            yield from llamacpp(f"{shape} q4_0, 8k", file(shape, "q4_0"), *words)


def shown(command: str, arguments: argparse.Namespace) -> str:
    """The command as anyone can type it: without this machine's paths."""
    command = command.replace(str(arguments.shapes), ".cache/shapes")
    for python in filter(None, (arguments.llamacpp_python, arguments.peers_python)):
        command = command.replace(python, "VENV/bin/python")
    return command


def result_of(run: Run, arguments: argparse.Namespace) -> Row | None:
    """What the run printed, from its file if it ran before with the same command; None if it failed."""
    path = arguments.out / (run.name.replace(", ", "-").replace(" ", "-") + ".json")
    if path.is_file():
        result: Row = json.loads(path.read_text())
        if result["command"] == run.command:
            return result
    if arguments.only_print:
        return None
    print(f"[{time.strftime('%H:%M:%S')}] {run.command}", file=sys.stderr, flush=True)
    command = [sys.executable, *run.words, "--json"]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"{run.name}: failed with status {done.returncode}; it is left out", file=sys.stderr)
        return None
    result = {"command": run.command, "date": time.strftime("%Y-%m-%d"), **json.loads(done.stdout)}
    path.write_text(json.dumps(result, indent=2) + "\n")
    return result


# -- tables ------------------------------------------------------------------------------------------------------------


def target_of(name: str, row: Row) -> str:
    """What was set out to be reached, as the ratio to the peer's default, the ratio to its best and the bandwidth."""
    big = name.startswith(BIG)
    if row["what"] == "prefill":
        return "2x"
    if row["tokens"] >= 2048:
        return "2.5x, best 2x, 75 %"
    if row["tokens"] > 16:
        return ""
    if big:
        return "1.5x, 85 %" if name.split()[1].startswith("q4_0") or name.split()[1] == "q4" else "1.4x, 85 %"
    return "2x" if name.split()[1] in ("q4_0", "q4_k_m", "q4") else ""


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table; the first column to the left, all others to the right. Empty without lines."""
    if not lines:
        return ""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines]) + "\n"


def times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def speed_lines(what: str) -> Callable[[str, Row, int], Iterator[list[str]]]:
    """Lines of the table of prefill or decode."""

    def lines(name: str, result: Row, number: int) -> Iterator[list[str]]:
        for row in result["rows"]:
            if row["what"] != what or "hearth" not in row["tok_s"] or "ratio_best" not in row or "batch" in name:
                continue
            model, setting = result["model"].removesuffix(".gguf"), ""
            if name.endswith(" q4"):
                model = name.replace(" ", "-")
            if row["kv"] != "f16":
                setting = f", {row['kv']} KV"
            peers = [cell for side, cell in row["tok_s"].items() if side != "hearth"]
            best = [times(row["ratio_best"])] if what == "decode" else []
            last = [share_text(row), target_of(name, row), f"[{number}]"]
            yield [f"{model}{setting}", str(row["tokens"]), str(row["threads"]), spread_text(row["tok_s"]["hearth"]),
                   spread_text(peers[0]), times(row["ratio"]), *best, *last]  # fmt: skip

    return lines


def batch_lines(name: str, result: Row, number: int) -> Iterator[list[str]]:
    if "batch" not in name:
        return
    one = {side: cell["median"] for side, cell in result["rows"][0]["tok_s"].items()}
    for row in result["rows"]:
        cells = [text for side, cell in row["tok_s"].items()
                 for text in (spread_text(cell), times(cell["median"] / one[side]))]  # fmt: skip
        target = {4: "2.5x of one", 8: "4x of one"}.get(row["sequences"], "")
        yield [result["model"].removesuffix(".gguf"), str(row["sequences"]), *cells, target, f"[{number}]"]


def cold_lines(name: str, result: Row, number: int) -> Iterator[list[str]]:
    for row in result["rows"]:
        if "seconds" in row:
            cells = [spread_text(cell) for cell in row["seconds"].values()]
            what = row["what"].removeprefix("first token, s from ")
            ratio = times(row.get("ratio"))
            yield [result["model"].removesuffix(".gguf"), what, *cells, ratio, "0.5x", f"[{number}]"]


def peer_lines(name: str, result: Row, number: int) -> Iterator[list[str]]:
    if not name.endswith("peers"):
        return
    for row in result["rows"]:
        cells = [spread_text(cell) for cell in row["tok_s"].values()]
        what = f"{row['what']}{' after' if row['what'] == 'decode' else ''} {row['tokens']}"
        ratios = [times(ratio) for ratio in row["ratio"].values()]
        target = {"prefill": "1.5x", "decode": "1.3x"}[row["what"]]
        yield [result["model"], what, *cells, *ratios, target, f"[{number}]"]


def memory_lines(name: str, result: Row, number: int) -> Iterator[list[str]]:
    """The last row of a run: the process's peak grows, and so does what it must hold."""
    row = result["rows"][-1]
    if "weights_mb" not in row or "one thread" in name:
        return
    must = row["weights_mb"] + max(one["kv_mb"] for one in result["rows"])
    peaks = row["peak_mb"]
    theirs = [f"{peak:.0f}" for side, peak in peaks.items() if side != "hearth"][:1]
    yield [name, f"{row['weights_mb']:.0f}", f"{must:.0f}", f"{peaks['hearth']:.0f}",
           f"{peaks['hearth'] - must:+.0f}", *theirs, "+150", f"[{number}]"]  # fmt: skip


SPEED = ["tokens", "threads", "Hearth, tok/s", "llama.cpp, tok/s", "ratio"]
TABLES: list[tuple[str, list[str], Callable[[str, Row, int], Iterator[list[str]]]]] = [
    ("Decode", ["model", *SPEED, "to its best", "read from memory", "target", ""], speed_lines("decode")),
    ("Prefill", ["model", *SPEED, "of the peak", "target", ""], speed_lines("prefill")),
    ("Several sequences at once",
     ["model", "sequences", "Hearth, tok/s", "of one", "llama.cpp, tok/s", "of one", "target", ""], batch_lines),
    ("First token of a cold process",
     ["model", "seconds from", "Hearth", "llama.cpp", "ratio", "target", ""], cold_lines),
    ("Other programs, 4 bits",
     ["model", "", "Hearth, tok/s", "onnxruntime-genai", "openvino-genai", "ratio", "ratio", "target", ""], peer_lines),
    ("Peak memory, MB",
     ["run", "weights", "and KV", "Hearth", "more than that", "llama.cpp", "target", ""], memory_lines),
]  # fmt: skip


def report(results: dict[str, Row]) -> str:
    """All tables, and the commands that their last columns name."""
    parts = [f"Machine: {processor()}. Median (least-greatest); each side in turns.\n"]
    for title, head, lines_of in TABLES:
        lines = [line for number, (name, result) in enumerate(results.items(), 1)
                 for line in lines_of(name, result, number)]  # fmt: skip
        if lines:
            parts.append(f"### {title}\n\n{markdown(head, lines)}")
    parts.append("\n".join(f"{number}. `{result['command']}`" for number, result in enumerate(results.values(), 1)))
    return "\n".join(parts)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} processors" if names else platform.machine()


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description="Run every comparison and print Markdown tables.")
    result.add_argument("--shapes", type=Path, default=Path(".cache/shapes"), help="folder of models [%(default)s]")
    result.add_argument("--shape", nargs="+", choices=list(shapes.SHAPES), default=list(shapes.SHAPES))
    result.add_argument("--out", type=Path, default=Path(".cache/table"), help="folder of results [%(default)s]")
    result.add_argument("--llamacpp-python", help="a Python that has llama-cpp-python; default: this one")
    result.add_argument("--peers-python", help="a Python that has the peers of peers.py; default: without them")
    result.add_argument("--repeat", type=int, default=5, help="turns [%(default)s]")
    result.add_argument("--only", help="only runs with this in their name")
    result.add_argument("--quick", action="store_true", help="two short turns and short contexts, to see that it works")
    result.add_argument("--only-print", action="store_true", help="print the results that there are")
    return result


def main() -> int:
    arguments = parser().parse_args()
    arguments.shapes, arguments.out = arguments.shapes.resolve(), arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for run in runs(arguments):
        if arguments.only is None or arguments.only in run.name:
            result = result_of(run, arguments)
            if result is not None:
                results[run.name] = result
    for result in results.values():
        result["command"] = shown(result["command"], arguments)
    if not results:
        print(f"There are no results: make models with `python benchmarks/shapes.py --out {arguments.shapes}`")
        return 1
    print(report(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
