"""Files that hold a whole graph, not only weights: ONNX and exported PyTorch programs."""

from __future__ import annotations

from pathlib import Path

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.pt2 import ExportedProgram
from hearth.errors import ModelNotFound, Unsupported

METADATA = "metadata.json"
"""In a bundle: what the graph's file says of it (`OnnxCheckpoint.metadata`)."""
CHAIN = "chain.json"
"""In a bundle of several functions that make up one: which are run one after another, and what each gives the next."""
GRAPHS = (".onnx", ".pt2")
"""Endings of their names."""


def is_graph(path: Path) -> bool:
    """Whether a name is that of such a file."""
    return path.suffix.lower() in GRAPHS


def open_graph(path: Path) -> OnnxCheckpoint | ExportedProgram:
    """Opens a graph; reads what it computes, not its weights.

    Raises:
        ModelNotFound: there is no such file.
        CorruptFile, Unsupported, StorageError: as the readers.
    """
    if not path.is_file():
        raise ModelNotFound(f"There is no file {path}.", hint="Give an .onnx or a .pt2 file.")
    if not is_graph(path):
        raise Unsupported(f"{path} is no graph that Hearth reads.", hint=f"It reads {' and '.join(GRAPHS)} files.")
    return OnnxCheckpoint(path) if path.suffix.lower() == ".onnx" else ExportedProgram(path)
