"""Which tensor types Hearth computes with, by file format."""

from __future__ import annotations

from hearth.checkpoint.ggml_types import READABLE
from hearth.checkpoint.types import SourceKind, TensorInfo
from hearth.errors import Unsupported

_FLOATS = frozenset({"f32", "f16", "bf16"})
_READABLE = {"safetensors": _FLOATS, "gguf": READABLE, "onnx": _FLOATS, "pt2": _FLOATS, "torch": _FLOATS}
_NAMES = {"safetensors": "safetensors", "gguf": "GGUF", "onnx": "ONNX", "pt2": "exported PyTorch", "torch": "PyTorch"}
_HINTS = {
    "safetensors": "Look for the same model in BF16 or F16, or as a GGUF file (Q4_K_M, Q8_0, F16).",
    "gguf": "Look for the same model as Q4_K_M, Q5_K_M, Q6_K, Q8_0 or F16.",
    "onnx": "Look for the same model in FP32 or FP16.",
    "pt2": "Export the model in float32, float16 or bfloat16.",
    "torch": "Save the model in float32, float16 or bfloat16.",
}


def require_readable(info: TensorInfo, kind: SourceKind) -> None:
    """Raises Unsupported for a tensor of a type that Hearth cannot use."""
    if info.reader is None and info.dtype not in _READABLE[kind]:
        raise Unsupported(
            f"Tensor {info.name[:200]!r} has the type {info.dtype}.",
            why=f"From {_NAMES[kind]} files Hearth reads {', '.join(sorted(_READABLE[kind]))}.",
            hint=_HINTS[kind],
        )
