"""Makes the exported graphs of this folder, with what PyTorch computes for them. Run by hand:

    pip install -e '.[reference]' diffusers onnx onnxscript onnxruntime
    python -m tests.golden.imported.make_golden [NAME ...]

Each is `NAME.pt2` or `NAME.onnx.gz` and `NAME.npz` (`in0`, ... in the order of the inputs, `out0`, ...). The models are
tiny, their weights random and coarse, and the archives packed anew without the notes that PyTorch adds to each node,
so that all of them together stay small.
"""

from __future__ import annotations

import gzip
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from . import modules, of_diffusers, of_transformers
from .detections import BUILT
from .exporting import export_onnx, export_pt2, quantise
from .making import Made

HERE = Path(__file__).parent
RECIPES: dict[str, Callable[[], Made]] = {**of_transformers.RECIPES, **of_diffusers.RECIPES, **modules.RECIPES}
OPEN = {"x0": {0: "batch", 1: "length"}, "x1": {0: "batch", 1: "length"}}
# ONNX: of which recipe, version of the operators (from 20 on by the newer exporter), open sizes of the inputs.
ONNX: dict[str, tuple[str, int, dict[str, dict[int, str]]]] = {
    "vit_opset14": ("vit", 14, {"x0": {0: "batch"}}),
    "bert_opset14": ("bert", 14, {"x0": {0: "batch", 1: "length"}, "x1": {0: "batch", 1: "length"}}),
    "swin_opset17": ("swin", 17, {}),
    "dinov2_opset18": ("dinov2", 18, {"x0": {0: "batch"}}),
    "mobile_opset11": ("mobile", 11, {}),
    "mobile_opset18": ("mobile", 18, {}),
    "segformer_opset14": ("segformer", 14, {}),
    "detr_opset16": ("detr", 16, {}),
    "unet_opset20": ("unet", 20, {}),
    "swinv2_opset20": ("swinv2", 20, {}),
    "pooled_opset20": ("pooled", 20, OPEN),
    "pooled_bytes": ("pooled", 17, OPEN),
    "deberta_opset17": ("deberta", 17, OPEN),
    "recurrent_opset17": ("recurrent", 17, {"x0": {0: "batch", 1: "length"}}),
    "mobile_bytes": ("mobile", 17, {}),
    "sampled_opset16": ("sampled", 16, {}),
}
# Axes of programs that stay open.
DYNAMIC: dict[str, list[dict[int, str]]] = {
    "pooled": [{0: "batch", 1: "length"}] * 2,
    "indices": [{0: "batch", 1: "length"}] * 3,
}
# Quantised after the export: by scales at run time, by scales of a sample.
BYTES = {"pooled_bytes": False, "mobile_bytes": True}


def make_built(name: str) -> None:
    """A graph that is written node by node, with what onnxruntime computes."""
    import onnxruntime

    data, inputs = BUILT[name]()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    outputs = session.run(None, dict(zip((item.name for item in session.get_inputs()), inputs, strict=True)))
    (HERE / f"{name}.onnx.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    arrays = {f"{side}{i}": array for side, each in (("in", inputs), ("out", outputs)) for i, array in enumerate(each)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def make(name: str) -> None:
    if name in BUILT:
        make_built(name)
        return
    recipe, opset, axes = ONNX.get(name, (name, 0, {}))
    torch.manual_seed(0)
    model, inputs = RECIPES[recipe]()
    with torch.no_grad():
        outputs = model(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if opset:
            export_onnx(model, inputs, HERE / f"{name}.onnx.gz", opset, axes)
        else:
            export_pt2(model, inputs, HERE / f"{name}.pt2", DYNAMIC.get(name))
    if name in BYTES:
        outputs = [torch.from_numpy(a) for a in quantise(HERE / f"{name}.onnx.gz", inputs, BYTES[name])]
    arrays = {f"in{i}": tensor.numpy() for i, tensor in enumerate(inputs)}
    arrays |= {f"out{i}": tensor.numpy() for i, tensor in enumerate(outputs)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in sys.argv[1:] or [*RECIPES, *ONNX, *BUILT]:
        make(name)
        sys.stdout.write(f"{name}: {sum(file.stat().st_size for file in HERE.glob(f'{name}.*')):,} bytes\n")


if __name__ == "__main__":
    main()
