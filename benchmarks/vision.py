#!/usr/bin/env python3
"""Hearth against OpenVINO and onnxruntime on pictures: the same shapes, the same threads, one run, in turns.

    python benchmarks/vision.py --peers-python VENV/bin/python
    python benchmarks/vision.py --model swin-t --side hearth-int8 --side openvino-int8 --threads 1 --json
    python benchmarks/vision.py --isa avx2 --peers-python VENV/bin/python     # as on a lesser processor

Models have real shapes and random weights (`_vision_export.py` makes them once, in the peers' environment). Each side
is a process that waits while the others run; rounds go through all sides, and who begins changes. Prints medians in ms
for one picture, the range of the middle half, how near each side's outputs are to torch's, and Hearth's
ratio to each (above 1: Hearth is faster).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _turns import text_table

HERE = Path(__file__).parent
MODELS = ("vit-b", "swin-t", "deit-t", "detr-r50")
OURS = ("hearth-int8", "hearth-f32")
PEERS = (
    "openvino-int8",
    "openvino",
    "openvino-f32",
    "onnxruntime-dynamic",
    "onnxruntime-static",
    "onnxruntime-f32",
)


ONEDNN_ISAS = {"avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512vnni": "AVX512_CORE_VNNI", "amx_int8": "AVX512_CORE_AMX"}
"""What OpenVINO is held to by its library's environment variable. onnxruntime takes what there is."""


class Side:
    """A program in its own process."""

    def __init__(self, python: str, worker: str, job: dict[str, Any]) -> None:
        self.name: str = job["side"]
        held = {} if job["isa"] is None else {"ONEDNN_MAX_CPU_ISA": ONEDNN_ISAS[job["isa"]]}
        self._process = subprocess.Popen(
            [python, str(HERE / worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | held,
        )  # fmt: skip
        self.about = self._ask(job)
        self.ms: list[float] = []

    def run(self, runs: int, pause: float) -> None:
        time.sleep(pause)  # onnxruntime's threads spin on after their turn; by then they have gone to sleep
        self.ms += self._ask({"runs": runs})["ms"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "it has ended"}')
        if "error" in answer:
            raise SystemExit(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def exported(python: str, model: str, out: Path) -> Path:
    """The model's folder, made now if it is not there."""
    folder = out / model
    if not (folder / "expected.npz").is_file():
        print(f"exporting {model}", file=sys.stderr)
        command = [python, str(HERE / "_vision_export.py"), model, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{model} cannot be exported:\n{done.stderr[-2000:]}")
    return folder


def measure(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    folder = exported(arguments.peers_python, model, arguments.out)
    sides: list[Side] = []
    try:
        for name in arguments.side:
            python = sys.executable if name in OURS else arguments.peers_python
            job = {"side": name, "folder": str(folder), "threads": arguments.threads, "isa": arguments.isa}
            sides.append(Side(python, "_vision_worker.py", job))
        for side in sides:
            side.run(arguments.warm, arguments.pause)
            side.ms.clear()
        for turn in range(arguments.turns):
            for i in range(len(sides)):
                sides[(turn + i) % len(sides)].run(arguments.runs, arguments.pause)
        rows = []
        for side in sides:
            low, median, high = statistics.quantiles(side.ms, n=4)
            rows.append({"side": side.name, "ms": median, "low": low, "high": high, **side.about})
        return {"model": model, "threads": arguments.threads, "isa": arguments.isa, "sides": rows}
    finally:
        for side in sides:
            side.close()


def table(result: dict[str, Any]) -> str:
    ours = next((row["ms"] for row in result["sides"] if row["side"] in OURS), None)
    rows = [
        [
            row["side"],
            f"{row['ms']:.2f}",
            f"{row['low']:.2f} - {row['high']:.2f}",
            f"{row['cosine']:.5f}",
            "" if ours is None else f"{row['ms'] / ours:.2f}",
        ]
        for row in result["sides"]
    ]
    what = f"{result['model']}, {result['threads']} threads" + (f", {result['isa']}" if result["isa"] else "")
    return text_table([what, "ms", "middle half", "cosine to torch", "Hearth's ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=MODELS, help="default: all")
    parser.add_argument("--side", action="append", choices=(*OURS, *PEERS), help="default: all")
    parser.add_argument("--peers-python", default=".cache/peers-venv/bin/python")
    parser.add_argument("--out", type=Path, default=Path(".cache/vision"), help="where models are kept")
    parser.add_argument("--isa", choices=ONEDNN_ISAS, help="hold Hearth and OpenVINO to it; default: all there is")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5, help="pictures in a turn")
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between turns; default: %(default)s")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    peers = [side for side in PEERS if arguments.isa is None or side.startswith("openvino")]
    arguments.side = arguments.side or [*OURS, *peers]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for model in arguments.model or MODELS:
        result = measure(model, arguments)
        print(json.dumps(result) if arguments.json else table(result) + "\n", flush=True)


if __name__ == "__main__":
    main()
