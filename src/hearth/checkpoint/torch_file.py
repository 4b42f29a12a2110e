"""Weights as `torch.save` writes them (.pth, .pt, .bin): a pickle and raw numbers, read without running anything.

The pickle says which tensors there are, as calls of torch's functions; these are recognised by their names (`_tensor`)
and nothing is called (`pickle_machine`). Numbers stand as they are, in entries of a zip archive or, in files from
before 2020, one storage after another behind the pickle. Source: torch/serialization.py, torch/_utils.py.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import PULL_AGAIN, fingerprint_files, map_file, refuse_pointer, truncated
from hearth.checkpoint.pickle_machine import Call, Name, Persistent, PickleError, read_pickle
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, Unsupported

TORCH = "torch"
"""What stands for `model_type` where all there is is a file of tensors: `config["file"]` is its name."""

MAX_PICKLE_BYTES = 256 << 20
MAX_TENSORS = 100_000
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older form
_ZIP = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
# By the storage's class: our name, bytes of an element.
_STORAGES: Mapping[str, tuple[str, int]] = {
    "FloatStorage": ("f32", 4), "HalfStorage": ("f16", 2), "BFloat16Storage": ("bf16", 2), "DoubleStorage": ("f64", 8),
    "LongStorage": ("i64", 8), "IntStorage": ("i32", 4), "ShortStorage": ("i16", 2), "CharStorage": ("i8", 1),
    "ByteStorage": ("u8", 1), "BoolStorage": ("bool", 1),
}  # fmt: skip
# Types of today, whose storages are bytes: the tensor says which it has.
_DTYPES: Mapping[str, tuple[str, int]] = {
    "float8_e4m3fn": ("f8_e4m3", 1), "float8_e5m2": ("f8_e5m2", 1), "float8_e8m0fnu": ("f8_e8m0", 1),
    "uint16": ("u16", 2), "uint32": ("u32", 4), "uint64": ("u64", 8),
}  # fmt: skip
_REBUILD = "torch._utils._rebuild_"
_PARAMETERS = (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state")
# Beginnings of what makes tensors that are more than numbers in their order: sparse ones, objects of classes.
_OTHER_TENSORS = (_REBUILD, "torch._tensor._rebuild_")
# Where training programs keep the weights of a model in what they save.
_INSIDE = ("state_dict", "model_state_dict", "model", "model_ema", "net")
_PARALLEL = "module."  # before all names, where a model was trained on several devices
_DAMAGED = (
    ValueError, LookupError, RuntimeError, EOFError, OSError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    """Numbers of one type, by the name that the pickle has for them."""

    key: str
    dtype: str
    item_bytes: int
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A part of a storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class TorchCheckpoint:
    """A `Checkpoint` over one file of `torch.save`. Opening it reads its pickle.

    Raises:
        CorruptFile: the file is truncated, damaged or hostile.
        Unsupported: it holds something else than tensors by name, or a form of them that Hearth does not read.
        StorageError: it cannot be opened.
    """

    kind: SourceKind = "torch"
    architecture = TORCH

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Mapping[str, Any] = {"file": path.name}
        self._data = map_file(path)
        refuse_pointer(path, self._data)
        try:
            value, self._storages = self._archive() if bytes(self._data[:4]) == _ZIP else self._plain()
            self._tensors = {
                name: self._checked(name, tensor) for name, tensor in _tensors_of(value, path.name).items()
            }
        except _DAMAGED as error:
            raise CorruptFile(
                f"{path.name} is no sound file of torch.save.", why=f"{error}."[:300], hint=PULL_AGAIN
            ) from error
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(name, t.shape, t.storage.dtype, math.prod(t.shape) * t.storage.item_bytes)
            for name, t in self._tensors.items()
        }

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`: copied where the elements do not stand one after another."""
        require_readable(self.tensors[name], self.kind)
        return self.stored(name)

    def stored(self, name: str) -> NDArray[np.uint8]:
        """The same of a tensor of any type."""
        tensor = self._tensors[name]
        begin, item = self._storages[tensor.storage.key][0], tensor.storage.item_bytes
        start = begin + tensor.offset * item
        if _dense(tensor.shape) == tensor.strides or not all(tensor.shape):
            return self._data[start : start + self.tensors[name].size_bytes]
        last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
        elements = self._data[start : start + (last + 1) * item].reshape(-1, item)
        steps = tuple(step * item for step in tensor.strides)
        picked = np.lib.stride_tricks.as_strided(elements, (*tensor.shape, item), (*steps, 1), writeable=False)
        return np.ascontiguousarray(picked).reshape(-1)

    @property
    def identity(self) -> bytes:
        """What of the file says what is in it."""
        return repr(sorted((name, tensor) for name, tensor in self._tensors.items())).encode()

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        return fingerprint_files([("tensors", self.identity)], [self.path])

    def tokenizer(self) -> TokenizerSpec | None:
        """There is none."""
        return None

    def _checked(self, name: str, tensor: _Tensor) -> _Tensor:
        """Raises PickleError for a tensor that leaves its storage, or whose storage is not there."""
        found = self._storages.get(tensor.storage.key)
        if found is None:
            raise PickleError(f"the numbers of the tensor {name[:200]!r} are not in it")
        if tensor.storage.count * tensor.storage.item_bytes > found[1]:
            raise PickleError(f"the numbers of the tensor {name[:200]!r} are cut short")
        last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
        if all(tensor.shape) and tensor.offset + last >= tensor.storage.count:
            raise PickleError(f"the tensor {name[:200]!r} is larger than its numbers")
        if math.prod(tensor.shape) > tensor.storage.count:
            raise PickleError(f"elements of the tensor {name[:200]!r} are the same numbers, which is not read")
        return tensor

    def _archive(self) -> tuple[Any, dict[str, tuple[int, int]]]:
        """The pickle's value, and where each storage begins and how many bytes it has."""
        with zipfile.ZipFile(self.path) as archive:
            entries = archive.infolist()
            found = next((entry for entry in entries if entry.filename.endswith("/data.pkl")), None)
            if found is None:
                raise Unsupported(f"{self.path.name} is an archive without weights.", why="There is no data.pkl in it.")
            root = found.filename.removesuffix("data.pkl")
            if any(entry.filename == f"{root}constants.pkl" for entry in entries):
                raise Unsupported(
                    f"{self.path.name} is a TorchScript program, no file of weights.",
                    hint="Export the module with torch.export.save, and compile that: hearth compile exported.pt2",
                )
            for entry in entries:
                if entry.filename == f"{root}byteorder" and archive.read(entry)[:8] != b"little":
                    raise Unsupported(f"{self.path.name} was written on a machine of the other byte order.")
        begin, size = self._located(found)
        if size > MAX_PICKLE_BYTES:
            raise PickleError(f"its pickle has more than {MAX_PICKLE_BYTES:,} bytes")
        value, _ = read_pickle(self._data[begin : begin + size].data)
        data = f"{root}data/"
        storages = {
            entry.filename.removeprefix(data): self._located(entry)
            for entry in entries
            if entry.filename.startswith(data) and not entry.is_dir()
        }
        return value, storages

    def _located(self, entry: zipfile.ZipInfo) -> tuple[int, int]:
        """Where the bytes of an entry begin, and how many they are."""
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise PickleError(f"its entry {entry.filename[:200]!r} is compressed or encrypted, as torch writes none")
        header = self._data[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        signature, *_, name_size, extra_size = _LOCAL_HEADER.unpack(header.tobytes())
        begin = entry.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        if signature != _ZIP or begin + entry.file_size > len(self._data):
            raise PickleError(f"its entry {entry.filename[:200]!r} is cut short")
        return begin, entry.file_size

    def _plain(self) -> tuple[Any, dict[str, tuple[int, int]]]:
        """The same of the older form: five pickles, then each storage's length and numbers."""
        data = self._data.data
        try:
            magic, at = read_pickle(data)
        except PickleError:
            magic = None
        if magic != _MAGIC:
            raise Unsupported(
                f"{self.path.name} is no file of torch.save.",
                why="It is neither a zip archive nor begins as torch wrote them before.",
            )
        protocol, at = read_pickle(data, at)
        system, at = read_pickle(data, at)
        if protocol != _PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise Unsupported(f"{self.path.name} was written by a torch, or on a machine, that is not known.")
        value, at = read_pickle(data, at)
        keys, at = read_pickle(data, at)
        if at > MAX_PICKLE_BYTES or not isinstance(keys, list):
            raise PickleError("it does not say where its numbers are")
        sizes = {storage.key: storage.item_bytes for storage in _storages_in(value)}
        storages: dict[str, tuple[int, int]] = {}
        for key in keys:
            if key not in sizes or key in storages:
                raise PickleError("it has numbers of a type that it does not say")
            if at + 8 > len(data):
                raise truncated(self.path, at + 8, len(data), "the length of a storage")
            (count,) = struct.unpack_from("<q", data, at)
            size = count * sizes[key]
            if count < 0 or at + 8 + size > len(data):
                raise truncated(self.path, at + 8 + size, len(data), "a storage")
            storages[key] = (at + 8, size)
            at += 8 + size
        return value, storages


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        steps[axis] = steps[axis + 1] * shape[axis + 1]
    return tuple(steps)


def _storages_in(value: Any) -> list[_Storage]:
    return [tensor.storage for tensor in _named(value).values()]


def _tensors_of(value: Any, file: str) -> dict[str, _Tensor]:
    """The tensors of a state dict, or of the one that a training program saved beside other things.

    Raises:
        Unsupported: there are none.
    """
    named = _named(value)
    if not named:
        what = f"an object of the class {str(value.function)[:200]}" if isinstance(value, Call) else "something else"
        raise Unsupported(
            f"{file} holds {what}, no tensors by name.",
            why="Only weights (a state dict) are read: an object would have to be made by running its program.",
            hint="Save the weights alone: torch.save(model.state_dict(), FILE).",
        )
    if len(named) > MAX_TENSORS:
        raise PickleError(f"it has more than {MAX_TENSORS:,} tensors")
    if all(name.startswith(_PARALLEL) for name in named):
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in named.items()}
    return named


def _named(value: Any) -> dict[str, _Tensor]:
    if not isinstance(value, dict):
        return {}
    if named := _named_directly(value):
        return named
    return next((found for key in _INSIDE if (found := _named_directly(value.get(key)))), {})


def _named_directly(value: Any) -> dict[str, _Tensor]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: tensor for name, item in pairs if isinstance(name, str) and (tensor := _tensor(item, name))}


def _tensor(value: Any, name: str) -> _Tensor | None:
    """What a call of torch's functions would make, where that is a tensor.

    Raises:
        PickleError: such a call with arguments that it does not have.
        Unsupported: a tensor of another kind.
    """
    if not isinstance(value, Call) or not isinstance(value.function, Name) or not isinstance(value.arguments, tuple):
        return None
    function, arguments = str(value.function), value.arguments
    if function in _PARAMETERS:
        match arguments:
            case (Call(function=Name(), arguments=tuple(of)) as tensor, *_):
                function, arguments = str(tensor.function), of
    if function not in (f"{_REBUILD}tensor_v2", f"{_REBUILD}tensor_v3"):
        if function.startswith(_OTHER_TENSORS):
            raise Unsupported(
                f"The tensor {name[:200]!r} is no array of numbers ({function[:200]}).",
                why="Sparse tensors, and those of classes of their own (torchao), are not read.",
                hint="Save the weights as plain tensors, or look for the same model as safetensors or a GGUF file.",
            )
        return None
    dtype = None
    if function.endswith("v3"):
        match arguments[6:7]:
            case (Name(module="torch", name=kind),) if kind in _DTYPES:
                dtype = _DTYPES[kind]
            case other:
                raise Unsupported(f"The tensor {name[:200]!r} has a type that is not read: {str(other)[:100]}.")
    match arguments:
        case (Persistent(id=id_), int(offset), tuple(shape), tuple(strides), *_):
            counts = (offset, *shape, *strides)
            if len(shape) == len(strides) <= 32 and all(type(n) is int and 0 <= n < 1 << 48 for n in counts):
                return _Tensor(_storage(id_, dtype), offset, shape, strides)
    raise PickleError("a tensor in it is described in an unknown way")


def _storage(id_: Any, dtype: tuple[str, int] | None = None) -> _Storage:
    """Numbers by what the pickle says of them; `dtype` where that is said by the tensor, and they are bytes here."""
    match id_:
        case ("storage", Name(module="torch.storage", name="UntypedStorage"), str(key), _, int(count), *_) if dtype:
            if 0 <= count < 1 << 48:
                return _Storage(key, *dtype, count // dtype[1])
        case ("storage", Name(module="torch", name=kind), str(key), _, int(count), *_) if kind in _STORAGES:
            if 0 <= count < 1 << 48:
                return _Storage(key, *_STORAGES[kind], count)
    raise PickleError("the numbers of a tensor are of an unknown kind")
