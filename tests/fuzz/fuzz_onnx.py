"""ONNX files: the graph, its tensors, and weights in files beside it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from tests.checkpoint import onnx_builders as onnx

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.model.imported.onnx import import_onnx

from .harness import Target, main
from .mutation import TEXTS, Mutator

GOLDEN = Path(__file__).parent.parent / "golden" / "imported"

_GOLDEN = ("recurrent_opset17", "mobile_bytes", "pooled_bytes", "detections", "suppressed")


def make(mutator: Mutator) -> bytes:
    match mutator.random.randrange(16):
        case 0:
            sound = _golden(
                mutator.choice(("recurrent_opset17", "mobile_bytes", "pooled_bytes", "detections", "suppressed"))
            )
        case kind if kind % 3 == 0:
            sound = onnx.perceptron(opset=mutator.choice((7, 13, 18, 2**31)))
        case kind if kind % 3 == 1:
            location = mutator.choice(("weights.bin", "weights.bin", *TEXTS))
            places = {"location": location.encode("utf-8", "replace").decode()[:100]}
            if mutator.one_in(2):
                places["offset"] = str(mutator.integer())
            sound = onnx.model([], [], [], [onnx.external_tensor("w", (2, 3), **places)])
        case _:
            constant = onnx.node("Constant", [], ["c"], value=np.arange(6, dtype=np.int64).reshape(2, 3))
            sound = onnx.model(
                [constant, onnx.node("Gather", ["c", "x"], ["y"], axis=1)], [onnx.value("x", [1], "int64")], []
            )
    return mutator.bytes(sound) if mutator.random.randrange(5) else sound


@cache
def _golden(name: str) -> bytes:
    return gzip.decompress((GOLDEN / f"{name}.onnx.gz").read_bytes())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    (folder / "weights.bin").write_bytes(bytes(range(40)))

    def run(content: bytes) -> None:
        path = folder / "model.onnx"
        path.write_bytes(content)
        checkpoint = OnnxCheckpoint(path)
        checkpoint.fingerprint()
        for tensor in checkpoint.graph.initializers.values():
            assert tensor.array().shape == tensor.shape
        import_onnx(checkpoint)

    yield run


TARGET = Target("ONNX", make, opened)

if __name__ == "__main__":
    main(TARGET)
