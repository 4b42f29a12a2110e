"""A module as files of strangers: what torch.export and ONNX's exporters make of it, small and the same each time."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from .making import Calling


def _dims(axes: dict[int, str]) -> dict[int, Any]:
    most = {"batch": 4, "length": 16}
    return {
        axis: torch.export.Dim(name, min=1 if name == "batch" else 5, max=most[name]) for axis, name in axes.items()
    }


def export_pt2(
    model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, axes: list[dict[int, str]] | None
) -> None:
    shapes: Any = None
    if axes is not None:
        shapes = tuple(_dims(each) for each in axes)
        shapes = (shapes,) if isinstance(model, Calling) else shapes
    program = torch.export.export(model, inputs, strict=False, dynamic_shapes=shapes).run_decompositions({})
    stored = io.BytesIO()
    torch.export.save(program, stored)
    with zipfile.ZipFile(stored) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name in sorted(archive.namelist()):
            if name.endswith("models/model.json"):
                out.writestr(_fixed(name), json.dumps(without_notes(json.loads(archive.read(name)))))
            elif "/data/" in name and "sample_inputs" not in name:
                out.writestr(_fixed(name), archive.read(name))


def _fixed(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"model/{name.split('/', 1)[1]}", (2000, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def without_notes(model: dict[str, Any]) -> dict[str, Any]:
    graph = model["graph_module"]["graph"]
    inputs = {entry["as_tensor"]["name"] for entry in graph["inputs"] if "as_tensor" in entry}
    graph["tensor_values"] = {name: meta for name, meta in graph["tensor_values"].items() if name in inputs}
    for node in graph["nodes"]:
        stack = node["metadata"].get("nn_module_stack", "")
        node["metadata"] = {"nn_module_stack": stack.rsplit(";", 1)[-1]} if stack else {}
    return model


def export_onnx(
    model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, opset: int, axes: dict[str, dict[int, str]]
) -> None:
    names = [f"x{i}" for i in range(len(inputs))]
    made = io.BytesIO()
    if opset >= 20:
        shapes = tuple(_dims(axes[name]) for name in names) if axes else None
        program = torch.onnx.export(
            model, inputs, opset_version=opset, input_names=names, dynamo=True,
            dynamic_shapes=(shapes,) if shapes else None,
        )  # fmt: skip
        proto = program.model_proto
        for node in proto.graph.node:
            del node.metadata_props[:]
        made.write(proto.SerializeToString())
    else:
        torch.onnx.export(model, inputs, made, opset_version=opset, input_names=names, dynamic_axes=axes, dynamo=False)
    path.write_bytes(gzip.compress(made.getvalue(), 9, mtime=0))


def quantise(path: Path, inputs: tuple[torch.Tensor, ...], static: bool) -> list[Any]:
    """Replaces the graph by one of bytes, as ONNX Runtime makes it; what that computes for the inputs."""
    import onnxruntime
    from onnxruntime import quantization

    given = {f"x{i}": tensor.numpy() for i, tensor in enumerate(inputs)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "floats.onnx"), Path(folder, "bytes.onnx")
        source.write_bytes(gzip.decompress(path.read_bytes()))
        if static:
            sample = iter([given])

            class Sample(quantization.CalibrationDataReader):
                def get_next(self) -> Any:
                    return next(sample, None)

            quantization.quantize_static(source, target, Sample(), per_channel=True)
        else:
            quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)
        path.write_bytes(gzip.compress(target.read_bytes(), 9, mtime=0))
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        return list(session.run(None, given))
