#!/usr/bin/env python3
"""Hearth against onnxruntime-genai and openvino-genai: the same shapes in 4 bits, the same threads, one run, in turns.

    python benchmarks/peers.py --shape smollm2-135m --peers-python VENV/bin/python
    python benchmarks/peers.py --shape all --only-export

A shape with random weights is written as a Hugging Face folder (`shapes.py`), and each program makes of it what its own
exporter makes by default in 4 bits; Hearth compiles the same folder to q4. Then as `llamacpp.py`: a process for each
side, a warm-up, turns. Prints medians, their range, and Hearth's ratio to each.

The peers live in an environment of their own (README.md says how it is made), never in Hearth's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapes
from _turns import Point, Worker, measure, spread, spread_text, text_table
from _worker import Job

Row = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another program.

    Attributes:
        script: its worker.
        whole: a file that the exporter writes late.
        export: the exporter's command, given the interpreter, the shape's name, the Hugging Face folder and where to
            export to.
        folder: the name of what is exported.
        precision: of what is not a product with weights, where it can be chosen.
    """

    script: str
    whole: str
    export: Callable[[str, str, Path, Path], list[str]]
    folder: str
    precision: str = "default"


def onnxruntime_export(python: str, name: str, source: Path, target: Path) -> list[str]:
    """int4 in blocks of 32 with int8 activations, head and embedding too: the builder's defaults for processors."""
    builder = [python, "-m", "onnxruntime_genai.models.builder", "-m", str(source), "-o", str(target)]
    return [*builder, "-p", "int4", "-e", "cpu", "-c", str(target.with_name("cache"))]


def openvino_export(python: str, name: str, source: Path, target: Path) -> list[str]:
    """int4 with int8 head: the defaults, in groups of 128 where all rows are so long, else of 64."""
    shape = shapes.SHAPES[name]
    rows = (shape.hidden_size, shape.intermediate_size, shape.num_heads * shape.head_dim)
    group = 128 if all(row % 128 == 0 for row in rows) else 64
    command = [str(Path(python).with_name("optimum-cli")), "export", "openvino", "--model", str(source)]
    return [*command, "--task", "text-generation-with-past", "--weight-format", "int4", "--group-size", str(group),
            str(target)]  # fmt: skip


PEERS = {
    "onnxruntime": Peer("_onnxruntime_worker.py", "tokenizer_config.json", onnxruntime_export, "onnxruntime"),
    "openvino": Peer("_openvino_worker.py", "openvino_config.json", openvino_export, "openvino"),
    # As exact as Hearth is by default: by its own default it computes in bfloat16 where the processor can.
    "openvino-f32": Peer("_openvino_worker.py", "openvino_config.json", openvino_export, "openvino", "f32"),
}


def exported(python: str, name: str, peer: str, source: Path, out: Path) -> Path:
    """The folder that the peer runs, exported now if it is not there. A broken run leaves none under this name."""
    target = out / f"{name}-{PEERS[peer].folder}"
    if not (target / PEERS[peer].whole).is_file():
        part = target.with_name(target.name + ".part")
        for folder in (part, target):
            shutil.rmtree(folder, ignore_errors=True)
        print(f"exporting {name} for {peer}", file=sys.stderr)
        done = subprocess.run(PEERS[peer].export(python, name, source, part), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{peer} cannot export {name}:\n{done.stderr[-2000:]}")
        part.rename(target)
    return target


def measure_shape(name: str, arguments: argparse.Namespace) -> Row:
    """Exports what is missing, then measures all sides."""
    source = shapes.path_of(arguments.out, name, "hf-f16")
    if not (source / "model.safetensors").is_file():
        shapes.write_hf(source, name, "hf-f16", seed=0)
    python = arguments.peers_python
    folders = {peer: exported(python, name, peer, source, arguments.out) for peer in arguments.peer}
    if arguments.only_export:
        return {}
    context = max(arguments.prompt, arguments.context + arguments.gen) + 2
    job = Job(str(source), arguments.threads, context, quant=arguments.quant, head=arguments.head)
    workers: dict[str, Worker] = {}
    Worker(sys.executable, "_hearth_worker.py", job).open().close()  # so that compiling is none of the memory measured
    try:
        workers["hearth"] = Worker(sys.executable, "_hearth_worker.py", job).open()
        for peer, folder in folders.items():
            theirs = Job(str(folder), arguments.threads, context, precision=PEERS[peer].precision)
            workers[peer] = Worker(python, PEERS[peer].script, theirs).open()
        points = [Point("prefill", arguments.prompt), Point("decode", arguments.context, 1, arguments.gen)]
        rows = [measure_point(workers, point, arguments) for point in points]
        sides = {side: worker.about["description"] for side, worker in workers.items()}
        peak_mb = {side: worker.peak_mb for side, worker in workers.items()}
        return {"model": name, "threads": arguments.threads, "sides": sides, "rows": rows, "peak_mb": peak_mb}
    finally:
        for worker in workers.values():
            worker.close()


def measure_point(workers: dict[str, Worker], point: Point, arguments: argparse.Namespace) -> Row:
    values = measure(workers, point, repeat=arguments.repeat, pause=arguments.pause)
    cells = {side: spread(speeds) for side, speeds in values.items()}
    ratio = {side: cells["hearth"]["median"] / cell["median"] for side, cell in cells.items() if side != "hearth"}
    return {"what": point.what, "tokens": point.tokens, "sequences": 1, "tok_s": cells, "ratio": ratio}


def table_of(result: Row) -> str:
    head = ["tok/s", *result["sides"].values(), *(f"Hearth / {side}" for side in result["sides"] if side != "hearth")]
    lines = []
    for row in result["rows"]:
        label = str(Point(row["what"], row["tokens"]))
        ratios = [f"{row['ratio'][side]:.2f}x" for side in result["sides"] if side != "hearth"]
        lines.append([label, *(spread_text(row["tok_s"][side]) for side in result["sides"]), *ratios])
    return text_table(head, lines)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description="Compare Hearth with onnxruntime-genai and openvino-genai.")
    result.add_argument("--shape", nargs="+", choices=[*shapes.SHAPES, "all"], default=["all"], help="default: all")
    result.add_argument(
        "--peer", nargs="+", choices=list(PEERS), default=["onnxruntime", "openvino"], help="default: as they are"
    )
    result.add_argument("--peers-python", default=sys.executable, help="a Python that has the peers")
    result.add_argument(
        "--out", type=Path, default=Path(".cache/shapes"), help="folder of models; default: %(default)s"
    )
    result.add_argument("--quant", default="q4", help="Hearth's number format; default: %(default)s")
    result.add_argument("--head", help="the same for embedding and head; default: what Hearth takes for --quant")
    result.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    result.add_argument("--prompt", type=int, default=512, help="tokens to prefill; default: %(default)s")
    result.add_argument("--context", type=int, default=512, help="tokens before decoding; default: %(default)s")
    result.add_argument("--gen", type=int, default=64, help="tokens decoded a turn; default: %(default)s")
    result.add_argument("--repeat", type=int, default=5, help="turns; default: %(default)s")
    result.add_argument("--pause", type=float, default=0.3, help="seconds between turns; default: %(default)s")
    result.add_argument("--only-export", action="store_true", help="make the models, measure nothing")
    result.add_argument("--json", action="store_true", help="print one JSON object a shape instead of tables")
    return result


def parse(words: list[str] | None = None) -> argparse.Namespace:
    arguments = parser().parse_args(words)
    numbers = (arguments.threads, arguments.prompt, arguments.context, arguments.gen, arguments.repeat)
    if min(numbers) < 1:
        parser().error("numbers of threads, tokens and turns must be at least 1")
    if "all" in arguments.shape:
        arguments.shape = list(shapes.SHAPES)
    return arguments


def main() -> int:
    arguments = parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.shape:
        result = measure_shape(name, arguments)
        if not result:
            continue
        if arguments.json:
            print(json.dumps(result, indent=2))
        else:
            print(f"{name}, {arguments.threads} threads, median of {arguments.repeat}")
            print(table_of(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
