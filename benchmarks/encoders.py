#!/usr/bin/env python3
"""Hearth against onnxruntime on texts: the same encoder and token ids, the same threads, one run, in turns.

    python benchmarks/encoders.py MODEL_FOLDER --peers-python VENV/bin/python
    python benchmarks/encoders.py MODEL_FOLDER --side hearth-q8 --side onnxruntime-int8 --threads 1 --json

MODEL_FOLDER is a BERT as Hugging Face publishes it (`_encoder_export.py` exports it once, in the peers' environment,
and draws 256 texts). Each side is a process that waits while the others run; rounds go through all sides, and who
begins changes. onnxruntime gets the texts by length in padded batches of 16, Hearth as they come. Prints medians of
texts a second, the cosines of the vectors to torch's, and Hearth's ratio to each (above 1: Hearth is faster).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from _turns import text_table

from vision import Side

HERE = Path(__file__).parent
OURS = ("hearth-q8", "hearth-int8", "hearth-f32")
PEERS = ("onnxruntime-int8", "onnxruntime-f32")


def exported(arguments: argparse.Namespace) -> Path:
    """The folder of what the peers run, made now if it is not there."""
    folder: Path = arguments.out / arguments.model.resolve().name
    if not (folder / "expected.npz").is_file():
        print(f"exporting {arguments.model}", file=sys.stderr)
        command = [arguments.peers_python, str(HERE / "_encoder_export.py"), str(arguments.model), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{arguments.model} cannot be exported:\n{done.stderr[-2000:]}")
    return folder


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    job = {"model": str(arguments.model), "folder": str(exported(arguments)), "threads": arguments.threads}
    sides: list[Side] = []
    try:
        for name in arguments.side:
            python = sys.executable if name in OURS else arguments.peers_python
            sides.append(Side(python, "_encoder_worker.py", {"side": name, **job}))
        for turn in range(arguments.turns + 1):
            for i in range(len(sides)):
                side = sides[(turn + i) % len(sides)]
                side.run(1, arguments.pause)
                if turn == 0:  # to warm up
                    side.ms.clear()
        rows = [{"side": s.name, "texts_s": s.about["texts"] * 1e3 / statistics.median(s.ms), **s.about} for s in sides]
        return {"model": str(arguments.model), "threads": arguments.threads, "sides": rows}
    finally:
        for side in sides:
            side.close()


def table(result: dict[str, Any]) -> str:
    ours = next((row["texts_s"] for row in result["sides"] if row["side"] in OURS), None)
    rows = [
        [
            row["side"],
            f"{row['texts_s']:.0f}",
            f"{row['cosine']:.5f}",
            f"{row['least']:.5f}",
            "" if ours is None else f"{ours / row['texts_s']:.2f}",
        ]
        for row in result["sides"]
    ]
    return text_table([f"{result['threads']} threads", "texts/s", "cosine to torch", "least", "Hearth's ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", action="append", choices=(*OURS, *PEERS), help="default: all")
    parser.add_argument("--peers-python", default=".cache/peers-venv/bin/python")
    parser.add_argument("--out", type=Path, default=Path(".cache/encoders"), help="where exported models are kept")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between turns; default: %(default)s")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.side = arguments.side or [*OURS, *PEERS]
    result = measure(arguments)
    print(json.dumps(result) if arguments.json else table(result))


if __name__ == "__main__":
    main()
