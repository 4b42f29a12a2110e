"""One side of a comparison of encoders: a process that opens a model and makes vectors when it is told to.

The parent writes one JSON object a line: first `{"side": ..., "model": ..., "folder": ..., "threads": n}`, then
`{"runs": n}`. Each is answered by one line: `{"description": ..., "cosine": mean, "least": least cosine to torch}`,
then the milliseconds of each run over all texts. A worker that waits uses no processor time.
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

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Run = Callable[[], Vectors]
BATCH = 16


def onnxruntime_side(job: dict[str, Any], texts: list[list[int]]) -> tuple[str, Run]:
    """Texts in the order of their lengths, in batches that are padded to the longest."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    file = Path(job["folder"]) / f"{job['side'].removeprefix('onnxruntime-')}.onnx"
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    batches = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]

    def run() -> Vectors:
        vectors: list[Any] = [None] * len(texts)
        for batch in batches:
            ids = np.zeros((len(batch), max(len(texts[index]) for index in batch)), np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(batch):
                ids[row, : len(texts[index])] = texts[index]
                mask[row, : len(texts[index])] = 1
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = session.run(None, inputs)[0]
            means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
            for row, index in enumerate(batch):
                vectors[index] = means[row] / np.linalg.norm(means[row])
        return np.stack(vectors)

    return f"onnxruntime {onnxruntime.__version__}", run


def hearth_side(job: dict[str, Any], texts: list[list[int]]) -> tuple[str, Run]:
    from hearth import Embedder

    quant = job["side"].removeprefix("hearth-")
    embedder = Embedder(
        job["model"], quant=quant, precision="high" if quant == "f32" else "default", threads=job["threads"],
        pooling="mean", offline=True,
    )  # fmt: skip
    return f"hearth {quant}", lambda: embedder.embed(texts)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print shall not disturb the protocol
    job = json.loads(sys.stdin.readline())
    try:
        with np.load(Path(job["folder"]) / "expected.npz") as expected:
            parts = np.split(expected["ids"], np.cumsum(expected["lengths"])[:-1])
            vectors = expected["vectors"]
        texts = [part.tolist() for part in parts]
        side = hearth_side if job["side"].startswith("hearth") else onnxruntime_side
        description, run = side(job, texts)
        found = run()
        cosines = (found * vectors).sum(1) / np.linalg.norm(found, axis=1)
        about = {"description": description, "cosine": float(cosines.mean()), "least": float(cosines.min())}
        answers.write(json.dumps({**about, "texts": len(texts)}) + "\n")
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
