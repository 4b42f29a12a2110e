"""One side of a comparison of vision models: a process that opens a model and runs it when it is told to.

The parent writes one JSON object a line: first `{"side": ..., "folder": ..., "threads": n, "isa": ...}`, then
`{"runs": n}`. Each is answered by one line: `{"description": ..., "cosine": least cosine of its outputs to torch's}`,
then the milliseconds of each run. A worker that waits uses no processor time. Peers run in an environment of their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], dict[str, Any]]
_OURS = {"pred_boxes": "boxes"}
"""Outputs that are called otherwise by Hearth."""


def onnxruntime_side(folder: Path, file: str, threads: int, pixels: np.ndarray) -> tuple[str, Run]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return (
        f"onnxruntime {onnxruntime.__version__}",
        lambda: dict(zip(names, session.run(None, {"pixel_values": pixels}), strict=True)),
    )


def openvino_side(folder: Path, file: str, threads: int, pixels: np.ndarray, precision: str) -> tuple[str, Run]:
    import openvino

    config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        config["INFERENCE_PRECISION_HINT"] = precision
    model = openvino.Core().compile_model(folder / file, "CPU", config)
    request = model.create_infer_request()
    names = [next(iter(output.names)) for output in model.outputs]

    def run() -> dict[str, Any]:
        results = request.infer([pixels])
        return {name: results[i] for i, name in enumerate(names)}

    return f"openvino {openvino.__version__.partition('-')[0]}", run


def hearth_side(job: dict[str, Any], quant: str, precision: Any, pixels: np.ndarray) -> tuple[str, Run]:
    from hearth.compiler.vision import compile_vision
    from hearth.runtime import Model, Session

    size = (pixels.shape[2], pixels.shape[3])
    folder = Path(job["folder"]) / "hf"
    bundle = compile_vision(folder, name=str(folder), size=size, quant=quant, precision=precision, isa=job["isa"])
    session = Session(Model(bundle), threads=job["threads"])
    channels_last = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    return f"hearth {quant}", lambda: session.run("image", {"pixels": channels_last})


def _openvino(file: str, precision: str) -> Callable[[dict[str, Any], np.ndarray], tuple[str, Run]]:
    """OpenVINO asks the processor, and not what it is held to, whether there are instructions for bf16."""

    def side(job: dict[str, Any], pixels: np.ndarray) -> tuple[str, Run]:
        hint = precision or ("" if job["isa"] in (None, "amx_int8") else "f32")
        return openvino_side(Path(job["folder"]), file, job["threads"], pixels, hint)

    return side


def _onnxruntime(file: str) -> Callable[[dict[str, Any], np.ndarray], tuple[str, Run]]:
    return lambda job, x: onnxruntime_side(Path(job["folder"]), file, job["threads"], x)


SIDES: dict[str, Callable[[dict[str, Any], np.ndarray], tuple[str, Run]]] = {
    "hearth-int8": lambda job, x: hearth_side(job, "int8", "default", x),
    "hearth-f32": lambda job, x: hearth_side(job, "f32", "high", x),
    "openvino-int8": _openvino("int8.xml", ""),
    "openvino": _openvino("f32.xml", ""),
    "openvino-f32": _openvino("f32.xml", "f32"),
    "onnxruntime-dynamic": _onnxruntime("dynamic.onnx"),
    "onnxruntime-static": _onnxruntime("static.onnx"),
    "onnxruntime-f32": _onnxruntime("f32.onnx"),
}


def cosine(outputs: dict[str, Any], expected: dict[str, np.ndarray]) -> float:
    """The least cosine of an output to what torch computes."""
    least = 1.0
    for name, value in expected.items():
        found = outputs[name] if name in outputs else outputs[_OURS.get(name, name)]
        a, b = np.asarray(found, np.float64).ravel(), value.astype(np.float64).ravel()
        least = min(least, float(a @ b / np.sqrt((a @ a) * (b @ b))))
    return least


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print shall not disturb the protocol
    job = json.loads(sys.stdin.readline())
    try:
        folder = Path(job["folder"])
        with np.load(folder / "expected.npz") as arrays:
            expected = dict(arrays)
        pixels = expected.pop("pixel_values")
        description, run = SIDES[job["side"]](job, pixels)
        answers.write(json.dumps({"description": description, "cosine": cosine(run(), expected)}) + "\n")
        for line in sys.stdin:
            times = []
            for _ in range(json.loads(line)["runs"]):
                start = time.perf_counter()
                run()
                times.append((time.perf_counter() - start) * 1e3)
            answers.write(json.dumps({"ms": times}) + "\n")
    except Exception as error:  # the parent tells it
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


if __name__ == "__main__":
    main()
