"""An encoder that was published as an ONNX file, with its configuration beside it: weights under their own names.

Exporters and quantisers keep the names of embeddings, norms and biases, and lose those of the matrices, which they
transpose and pack: those are found as what is multiplied before a bias of a known name. What is computed is then what
the configuration says, as for any other folder, and not the graph: texts are read side by side, and in any format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint import Checkpoint, TensorInfo, TokenizerSpec, open_checkpoint
from hearth.checkpoint.folder import model_type_of
from hearth.checkpoint.mapped import fingerprint_files
from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.sentence_modules import identity_files
from hearth.checkpoint.types import SourceKind
from hearth.distribution import install_command
from hearth.errors import CompileError, CorruptFile, ModelNotFound
from hearth.model.network import Network
from hearth.model.weights import ComputedWeight, Source, tensors_of

Floats = NDArray[np.float32]
ENDING = ".onnx"
_LINEAR = "hearth.linear"
_FLOATS = ("f32", "f16", "bf16")
# A module's own name: words and numbers with dots between. Exporters call what they make otherwise.
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
_QUANTISED, _SCALE, _ZERO = "_quantized", "_scale", "_zero_point"
_IDENTITY = ("config.json", "tokenizer.json", "tokenizer_config.json")


def open_encoder(path: Path) -> Checkpoint:
    """A checkpoint as `open_checkpoint` opens it, or an .onnx file with a configuration.

    Raises: as `open_checkpoint`; ModelNotFound: the file has no config.json. Unsupported, CorruptFile: a graph that
        Hearth does not read.
    """
    return OnnxWeights(path) if path.suffix.lower() == ENDING and path.is_file() else open_checkpoint(path)


def onnx_folders(file: Path) -> list[Path]:
    """Where the model's other files may be: beside it, or above a folder `onnx`."""
    return [file.parent, *([file.parent.parent] if file.parent.name == "onnx" else [])]


class OnnxWeights:
    """A `Checkpoint` over an .onnx file, with the tensors of the model that was exported, all f32.

    Attributes:
        path: the folder with config.json: the file's own, or the one above a folder `onnx`.
    """

    kind: SourceKind = "safetensors"  # which names the tensors have

    def __init__(self, file: Path) -> None:
        self._file = OnnxCheckpoint(file)
        self.config: Mapping[str, Any] = self._file.config
        if not self.config:
            raise ModelNotFound(
                f"{file} has no config.json.",
                why="The graph says what is computed, and not what its numbers mean.",
                hint=f"Put the model's config.json and tokenizer.json into {file.parent}, or compile the graph alone: "
                f"`hearth compile {file}`.",
            )
        self.path = next(folder for folder in onnx_folders(file) if (folder / "config.json").is_file())
        self.architecture: str = model_type_of(self.config)
        self._found = {**_plain(self._file), **_unquantised(self._file), **_matrices(self._file)}
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(name, shape, "f32", 4 * prod(shape)) for name, (shape, _) in self._found.items()
        }

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`; computed anew each time."""
        shape, compute = self._found[name]
        values = np.ascontiguousarray(compute(), np.float32)
        if values.shape != shape:
            raise CorruptFile(f"{name[:80]!r} has {values.size:,} numbers where {list(shape)} are said.")
        return values.reshape(-1).view(np.uint8)

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        beside = [self.path / name for name in _IDENTITY if (self.path / name).is_file()]
        whole = [(file.name, file.read_bytes()) for file in (*beside, *identity_files(self.path))]
        return fingerprint_files([("graph", self._file.fingerprint().encode()), *whole], [])

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`."""
        return self._file.tokenizer()


_Found = dict[str, tuple[tuple[int, ...], Callable[[], Floats]]]


def _plain(file: OnnxCheckpoint) -> _Found:
    """Tensors that stand in the file as they were in the model: not the transposed ones, which are multiplied by as
    they are."""
    transposed = {name for node in file.graph.nodes if node.op == "MatMul" for name in node.inputs}
    named = (info for info in file.tensors.values() if _NAME.fullmatch(info.name) and info.dtype in _FLOATS)
    kept = (info for info in named if not info.name.endswith((_SCALE, _ZERO)) and info.name not in transposed)
    return {info.name: (info.shape, partial(_floats, file, info.name)) for info in kept}


def _unquantised(file: OnnxCheckpoint) -> _Found:
    """Tables of 8 bits with one scale and one zero point, as onnxruntime's quantiser calls them."""
    found: _Found = {}
    for info in file.tensors.values():
        name = info.name.removesuffix(_QUANTISED)
        around = [file.tensors.get(name + ending) for ending in (_SCALE, _ZERO)]
        scalars = all(one is not None and prod(one.shape) == 1 for one in around)
        if name == info.name or not _NAME.fullmatch(name) or not scalars or info.dtype not in ("uint8", "int8"):
            continue

        def compute(name: str = name, info: TensorInfo = info) -> Floats:
            values, zero = (file.graph.initializers[n].data().view(info.dtype) for n in (info.name, name + _ZERO))
            shifted = values.astype(np.float32) - np.float32(zero[0])
            return (shifted * _floats(file, name + _SCALE).reshape(())).reshape(info.shape)

        found[name] = (info.shape, compute)
    return found


def _matrices(file: OnnxCheckpoint) -> _Found:
    """What the graph multiplies by before it adds a bias, (out, in), by the bias's name."""
    try:  # Only here: machines that only run what was compiled elsewhere have no TVM.
        from hearth.model.imported.onnx import import_onnx
    except ImportError as error:
        raise CompileError(
            "An encoder in an ONNX file is read by the compiler, which is not installed.",
            why=f"({error})",
            hint=f"Install the compiler: {install_command('compile')}. Or run a bundle that was compiled elsewhere.",
        ) from error

    network = import_onnx(file)
    found: _Found = {}
    for matrix, bias in _linear_layers(network):
        source = network.sources[matrix]
        if not bias.endswith(".bias") or not _NAME.fullmatch(bias):
            continue
        found[bias.removesuffix("bias") + "weight"] = (network.shapes[matrix], partial(_computed, file, source))
    return found


def _linear_layers(network: Network) -> list[tuple[str, str]]:
    """The names of the matrix and the bias of every linear layer that has one."""
    from tvm import relax

    pairs = []
    module = network.build()
    for function in network.functions:
        graph = module[function.name]
        parameters = dict(zip(graph.params[len(function.inputs) :], network.shapes, strict=True))
        for block in graph.body.blocks:
            for binding in block.bindings:
                call = binding.value
                if not isinstance(call, relax.Call) or not isinstance(call.args[0], relax.ExternFunc):
                    continue
                names = [parameters.get(argument) for argument in call.args[1].fields]
                if str(call.args[0].global_symbol) == _LINEAR and len(names) == 3 and names[1] and names[2]:
                    pairs.append((names[1], names[2]))
    return pairs


def _computed(file: OnnxCheckpoint, source: Source) -> Floats:
    tensors = [_floats(file, name) for name in tensors_of(source)]
    # What is not computed is of a graph always a whole tensor.
    return source.compute(*tensors) if isinstance(source, ComputedWeight) else tensors[0]


def _floats(file: OnnxCheckpoint, name: str) -> Floats:
    """A tensor of floats as f32."""
    info = file.tensors[name]
    raw = file.raw(name)
    if info.dtype == "bf16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(info.shape)
    return raw.view("<f2" if info.dtype == "f16" else "<f4").astype(np.float32).reshape(info.shape)
