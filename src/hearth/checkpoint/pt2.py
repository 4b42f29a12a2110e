"""A PyTorch program as `torch.export.save` writes it: a zip of JSON and of tensors as plain bytes. Needs no torch.

Only data is read: the graph's JSON and the tensors that stand as their bytes. Nothing in the file is unpickled or
evaluated; what is pickled is refused (weights) or passed over (sample inputs). Source: torch/_export/serde/schema.py
and torch/export/pt2_archive of PyTorch 2.8 and later.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import PULL_AGAIN, cannot_read, fingerprint_files, parse_json_object, refuse_pointer
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, Unsupported

MAX_JSON_BYTES = 256 << 20
MAX_PACKED_BYTES = 1 << 30  # of one compressed entry, unpacked
MAX_NODES = 200_000
_MAX_ELEMENTS = 1 << 40
_GRAPH = "models/model.json"
_EXPORT_AGAIN = (
    "Export it with PyTorch 2.8 or later: torch.export.save(torch.export.export(model, inputs), 'model.pt2')."
)

# ScalarType of the schema: our name, numpy's. bfloat16 is read as its upper half of f32.
_TYPES: dict[int, tuple[str, str]] = {
    1: ("uint8", "u1"), 2: ("int8", "i1"), 3: ("int16", "<i2"), 4: ("int32", "<i4"), 5: ("int64", "<i8"),
    6: ("f16", "<f2"), 7: ("f32", "<f4"), 8: ("f64", "<f8"), 12: ("bool", "?"), 13: ("bf16", "<u2"),
}  # fmt: skip


@dataclass(frozen=True)
class Ref:
    """An argument that is the result of another node, or an input."""

    name: str


@dataclass(frozen=True)
class Symbol:
    """A size that is not fixed."""

    name: str


@dataclass(frozen=True)
class ExportedNode:
    """A call of an operator.

    Attributes:
        target: such as `aten.linear.default`.
        arguments: by their names; those at their defaults may be left out.
        outputs: names of its results; a list of tensors is a list of names.
        module: where in the model it stands, such as `encoder.layers.0`.
    """

    target: str
    name: str
    arguments: Mapping[str, Any]
    outputs: tuple[str | tuple[str, ...], ...]
    module: str

    @property
    def place(self) -> str:
        """How it is told to a person."""
        where = f" in {self.module}" if self.module else ""
        return f"{self.target} (node {self.name!r}{where})"


@dataclass(frozen=True)
class ExportedTensor:
    """A parameter, buffer or constant, in its file of the archive."""

    entry: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class ExportedInput:
    """An input of the program: a tensor, or a value that was fixed while it was exported (dtype "")."""

    name: str
    dtype: str
    shape: tuple[int | Symbol, ...]


class ExportedProgram:
    """A `Checkpoint` over one .pt2 file. Opening it reads its graph.

    Attributes:
        nodes: in order.
        tensors: parameters, buffers and constants, by their names in the model.
        given: the name that the graph has for each of these.
        inputs, outputs: of the program; an output is a Ref or a number.
        bounds: of each symbol: least and largest size.

    Raises:
        CorruptFile: the file is truncated, damaged or hostile.
        Unsupported: it is no exported program, or an older one, or holds pickles that would have to be run.
        StorageError: it cannot be opened.
    """

    kind: SourceKind = "pt2"
    architecture = "pt2"
    config: Mapping[str, Any] = {}
    metadata: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                refuse_pointer(path, file.read(64))
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise cannot_read(path, error) from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise CorruptFile(f"{path.name} is no sound zip archive.", why=f"{error}.", hint=PULL_AGAIN) from error
        self._root = self._find_root()
        try:
            self._read()
        except _DAMAGED as error:
            reason = error.args[0] if isinstance(error, KeyError) and error.args else error
            raise CorruptFile(
                f"{path.name} is no sound exported program.", why=f"{type(error).__name__}: {reason}.", hint=PULL_AGAIN
            ) from error

    def _find_root(self) -> str:
        names = self._archive.namelist()
        root = next((name.removesuffix(_GRAPH) for name in names if name.endswith(f"/{_GRAPH}")), None)
        if root is not None:
            return root
        if any(name.endswith("serialized_exported_program.json") for name in names):
            raise Unsupported(
                f"{self.path.name} was exported by an older PyTorch, which pickled its weights.",
                why="A pickle can run any program when it is opened.",
                hint=_EXPORT_AGAIN,
            )
        what = (
            "weights or a TorchScript program" if any(name.endswith("data.pkl") for name in names) else "something else"
        )
        raise Unsupported(
            f"{self.path.name} holds {what}, no exported program.",
            why=f"There is no {_GRAPH} in it.",
            hint=_EXPORT_AGAIN,
        )

    def _read(self) -> None:
        model = self._json(_GRAPH)
        graph = model["graph_module"]["graph"]
        signature = model["graph_module"]["signature"]
        values = {name: _tensor_meta(meta) for name, meta in graph["tensor_values"].items()}
        if len(graph["nodes"]) > MAX_NODES:
            raise ValueError(f"it has more than {MAX_NODES:,} nodes")
        self.nodes = [_node(node) for node in graph["nodes"]]
        self.bounds = {
            str(name): (int(limits.get("min_val") or 1), limits.get("max_val"))
            for name, limits in model["range_constraints"].items()
        }
        self._located = {**self._weights("weights", "model_weights"), **self._weights("constants", "model_constants")}
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(
                name, item.shape, item.dtype, math.prod(item.shape) * np.dtype(_numpy(item.dtype)).itemsize
            )
            for name, item in self._located.items()
        }
        self.given: dict[str, str] = {}
        self.inputs: list[ExportedInput] = []
        for spec in signature["input_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_input":
                self.inputs += _input(entry["arg"], values)
            elif kind in ("parameter", "buffer", "tensor_constant"):
                name = entry[f"{kind}_name"]
                if name not in self._located:
                    raise ValueError(f"the tensor {str(name)[:200]!r} is nowhere in it")
                self.given[name] = str(entry["arg"]["name"])
            elif kind != "constant_input":
                raise ValueError(f"an input of the kind {kind[:80]!r}, which is not read")
        self.outputs: list[Any] = []
        for spec in signature["output_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_output":
                self.outputs.append(_argument(entry["arg"]))

    def _weights(self, folder: str, config: str) -> dict[str, ExportedTensor]:
        path = f"data/{folder}/{config}_config.json"
        if f"{self._root}{path}" not in self._archive.namelist():
            return {}
        found = {}
        for name, entry in self._json(path)["config"].items():
            if entry.get("use_pickle"):
                raise Unsupported(
                    f"{self.path.name} keeps {name[:200]!r} as a pickle.",
                    why="A pickle can run any program when it is opened.",
                    hint="Export the model with plain tensors (dense, on the CPU).",
                )
            meta = entry["tensor_meta"]
            dtype, shape = _tensor_meta(meta)
            if dtype not in _BY_NAME or any(isinstance(size, Symbol) or size < 0 for size in shape):
                raise ValueError(f"the tensor {name[:200]!r} has the type or shape of none")
            sizes = tuple(int(size) for size in shape if isinstance(size, int))
            strides, offset = tuple(int(_size(s)) for s in meta["strides"]), int(_size(meta["storage_offset"]))
            if (
                math.prod(sizes) > _MAX_ELEMENTS
                or len(strides) != len(sizes)
                or not all(0 <= n < _MAX_ELEMENTS for n in (*strides, offset))
            ):
                raise ValueError(f"the tensor {name[:200]!r} has an impossible shape")
            found[name] = ExportedTensor(
                f"{self._root}data/{folder}/{entry['path_name']}", dtype, sizes, strides, offset
            )
        return found

    def _json(self, name: str) -> dict[str, Any]:
        return parse_json_object(self._entry(f"{self._root}{name}", MAX_JSON_BYTES), f"{name} in {self.path.name}")

    def _entry(self, name: str, limit: int) -> bytes:
        info = self._archive.getinfo(name)
        if info.file_size > (limit if info.compress_type else max(limit, self.path.stat().st_size)):
            raise ValueError(f"{name[:200]} has {info.file_size:,} bytes")
        try:
            with self._archive.open(info) as file:
                return file.read(info.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise CorruptFile(
                f"{self.path.name} is damaged at {name[:200]!r}.", why=f"{error}.", hint=PULL_AGAIN
            ) from error

    def array(self, name: str) -> NDArray[Any]:
        """The elements of a tensor; of bf16 as f32. Raises CorruptFile where the archive has too few."""
        item = self._located[name]
        try:
            data = np.frombuffer(self._entry(item.entry, MAX_PACKED_BYTES), np.uint8)
        except (KeyError, ValueError) as error:
            raise CorruptFile(f"{self.path.name} lacks {name[:200]!r}.", why=f"{error}.", hint=PULL_AGAIN) from error
        numpy = np.dtype(_numpy(item.dtype))
        reach = item.offset + sum((size - 1) * step for size, step in zip(item.shape, item.strides, strict=True)) + 1
        if math.prod(item.shape) == 0:
            return np.zeros(item.shape, numpy)
        if reach * numpy.itemsize > len(data):
            raise CorruptFile(
                f"{self.path.name} is damaged at {name[:200]!r}.",
                why=f"It needs {reach * numpy.itemsize:,} bytes and has {len(data):,}.",
                hint=PULL_AGAIN,
            )
        elements = data[: len(data) // numpy.itemsize * numpy.itemsize]
        flat = np.not_equal(elements, 0) if item.dtype == "bool" else elements.view(numpy)
        strides = [step * numpy.itemsize for step in item.strides]
        found: NDArray[Any] = np.lib.stride_tricks.as_strided(flat[item.offset :], item.shape, strides, writeable=False)
        if item.dtype == "bf16":
            found = (found.astype(np.uint32) << 16).view(np.float32)
        return found

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`; rows one after another. Raises KeyError for an unknown name, Unsupported for a type
        Hearth cannot use."""
        info = self.tensors[name]
        require_readable(info, self.kind)
        if info.dtype == "bf16":
            upper = np.ascontiguousarray(self.array(name)).view(np.uint32) >> 16
            return upper.astype("<u2").reshape(-1).view(np.uint8)
        return np.ascontiguousarray(self.array(name)).reshape(-1).view(np.uint8)

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`. What PyTorch notes about the export beside the graph is no part of it."""
        return fingerprint_files([("graph", self._computed())], [self.path])

    def digest(self) -> str:
        """SHA-256 (hex) of what is computed and of all weights: the same for each export of a program."""
        weights = [(name, np.ascontiguousarray(self.array(name)).tobytes()) for name in sorted(self.tensors)]
        return fingerprint_files([("graph", self._computed()), *weights], [])

    def _computed(self) -> bytes:
        parts = (self.nodes, self.inputs, self.outputs, self.bounds, self.given, self._located)
        return repr(parts).encode("utf-8", "surrogatepass")

    def tokenizer(self) -> TokenizerSpec | None:
        """An exported program has none."""
        return None


_BY_NAME = dict(_TYPES.values())
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


def _numpy(dtype: str) -> str:
    return _BY_NAME[dtype]


def _tensor_meta(meta: Mapping[str, Any]) -> tuple[str, tuple[int | Symbol, ...]]:
    dtype = _TYPES.get(meta["dtype"], ("", ""))[0]
    return dtype, tuple(_size(size) for size in meta["sizes"])


# Of an expression only a lone symbol is understood: `s77`, `Symbol('s77', positive=True, integer=True)`.
_SYMBOL = re.compile(r"(?:Symbol\(')?([A-Za-z_]\w{0,60})(?:'[^()]{0,200}\))?")


def _size(size: Mapping[str, Any]) -> Any:
    if "as_int" in size:
        return int(size["as_int"])
    text = str(size["as_expr"]["expr_str"])
    match = _SYMBOL.fullmatch(text)
    return Symbol(match[1]) if match else Symbol(text[:200])


def _input(arg: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[ExportedInput]:
    ((kind, entry),) = arg.items()
    if kind == "as_tensor":
        dtype, shape = values[entry["name"]]
        yield ExportedInput(entry["name"], dtype, shape)
    elif kind not in ("as_none", "as_int", "as_float", "as_bool", "as_string"):
        raise ValueError(f"an input of the kind {kind[:80]!r}, which is not read")


def _node(node: Mapping[str, Any]) -> ExportedNode:
    arguments = {str(item["name"]): _argument(item["arg"]) for item in node["inputs"]}
    outputs: list[str | tuple[str, ...]] = []
    for item in node["outputs"]:
        ((kind, entry),) = item.items()
        if kind == "as_tensors":
            outputs.append(tuple(str(part["name"]) for part in entry))
        elif kind == "as_none":
            outputs.append("")
        else:
            outputs.append(str(entry["name"] if kind == "as_tensor" else entry["as_name"]))
    target = str(node["target"]).removeprefix("torch.ops.")
    name = str(node.get("name") or next((out for out in outputs if isinstance(out, str)), ""))
    stack = str((node.get("metadata") or {}).get("nn_module_stack", ""))
    module = stack.rsplit(";", 1)[-1].split(",")
    where = module[1] if len(module) > 1 and not module[1].startswith("_") else ""
    return ExportedNode(target, name, arguments, tuple(outputs), where)


def _argument(arg: Mapping[str, Any]) -> Any:
    """An argument as Python has it: numbers, strings, None, `Ref`, and lists of these."""
    ((kind, entry),) = arg.items()
    if kind in ("as_tensor", "as_custom_obj"):
        return Ref(str(entry["name"]))
    if kind in ("as_tensors", "as_optional_tensors"):
        return [_argument(part) if len(part) == 1 and "name" not in part else Ref(str(part["name"])) for part in entry]
    if kind == "as_none":
        return None
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        ((_, value),) = entry.items()
        return Ref(value) if "as_name" in entry else value
    if kind in ("as_sym_ints", "as_sym_bools", "as_sym_floats"):
        return [_argument({"as_sym_int": part}) for part in entry]
    return entry
