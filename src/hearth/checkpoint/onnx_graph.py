"""What an ONNX file says: nodes, initializers, inputs and outputs, read field by field and trusting nothing.

Source: onnx.proto (ONNX), whose field numbers stand below. Text is UTF-8, tensors stay mapped until they are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.protobuf import fields, signed, varints

MAX_NODES = 200_000
MAX_RANK = 16
MAX_DEPTH = 8
MAX_NAME_BYTES = 4096
_MAX_ELEMENTS = 1 << 40

# data_type: our name of it, numpy's, bits of an element. bfloat16 is read as its upper half of f32.
_TYPES: dict[int, tuple[str, str, int]] = {
    1: ("f32", "<f4", 32), 2: ("uint8", "u1", 8), 3: ("int8", "i1", 8), 4: ("uint16", "<u2", 16),
    5: ("int16", "<i2", 16), 6: ("int32", "<i4", 32), 7: ("int64", "<i8", 64), 9: ("bool", "?", 8),
    10: ("f16", "<f2", 16), 11: ("f64", "<f8", 64), 12: ("uint32", "<u4", 32), 13: ("uint64", "<u8", 64),
    16: ("bf16", "<u2", 16), 21: ("uint4", "u1", 4), 22: ("int4", "i1", 4),
}  # fmt: skip
_BY_NAME = {name: (numpy, bits) for name, numpy, bits in _TYPES.values()}
STRING = "string"

View = memoryview


@dataclass(frozen=True)
class OnnxTensor:
    """A tensor of a file: an initializer, or the value of an attribute.

    Attributes:
        dtype: `f32 f16 bf16 f64`, numpy's name of an integer type, `int4`, `uint4` or `bool`.
        size_bytes: of its elements in the file.
        data: maps these.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    data: Callable[[], NDArray[np.uint8]]

    def array(self) -> NDArray[Any]:
        """The elements; of bf16 as f32, of 4 bits as 8."""
        numpy, bits = _BY_NAME[self.dtype]
        raw = self.data()
        if bits == 4:
            pairs = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[: _elements(self.shape)]
            signs: NDArray[Any] = (pairs ^ 8).astype(np.int8) - np.int8(8) if self.dtype == "int4" else pairs
            return signs.reshape(self.shape)
        if self.dtype == "bool":
            return np.not_equal(raw, 0).reshape(self.shape)
        found: NDArray[Any] = raw.view(numpy) if raw.size else np.empty(0, numpy)
        if self.dtype == "bf16":
            found = (found.astype(np.uint32) << 16).view(np.float32)
        return found.reshape(self.shape)


@dataclass(frozen=True)
class OnnxNode:
    """An operation. Inputs that are left out have the name ""."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def place(self) -> str:
        """How it is told to a person."""
        operation = f"{self.domain}.{self.op}" if self.domain else self.op
        output = next((name for name in self.outputs if name), "")
        return f"{operation} (node {self.name!r}, output {output!r})" if self.name else f"{operation} ({output!r})"


@dataclass(frozen=True)
class OnnxValue:
    """An input or output; a size is a number, the name of a symbol, or None. `shape` is None where no rank is given."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass
class OnnxGraph:
    nodes: list[OnnxNode] = field(default_factory=list)
    initializers: dict[str, OnnxTensor] = field(default_factory=dict)
    inputs: list[OnnxValue] = field(default_factory=list)
    outputs: list[OnnxValue] = field(default_factory=list)


External = Callable[[str, Mapping[str, str], int], Callable[[], NDArray[np.uint8]]]
"""Called with a tensor's name, its entries of `external_data`, and the bytes it needs; says where they are."""


class GraphReader:
    """Reads messages of one file.

    Args:
        external: finds what stands in other files.

    Attributes:
        metadata: texts by name that the model's authors put into it, once it is read.
    """

    def __init__(self, external: External) -> None:
        self._external = external
        self._nodes = 0
        self.metadata: dict[str, str] = {}

    def model(self, data: View) -> tuple[OnnxGraph, dict[str, int], list[str], list[View]]:
        """The graph, the version of each domain's operators, functions that the file defines, and all bytes of the file
        that are no initializer. Raises ValueError for what is no model."""
        graph: OnnxGraph | None = None
        opsets: dict[str, int] = {}
        functions: list[str] = []
        rest: list[View] = []
        for number, value in fields(data):
            if number == 7:
                if graph is not None:
                    raise ValueError("it holds two graphs")
                graph, parts = self.graph(_message(value), 0)
                rest += parts
            elif number == 8:
                entry = dict(fields(_message(value)))
                opsets[_text(entry.get(1, View(b"")))] = signed(_number(entry.get(2, 0)))
            elif number == 25:
                functions.append(_text(dict(fields(_message(value))).get(1, View(b""))))
            elif isinstance(value, memoryview):
                rest.append(value)
            if number == 14:
                entry = dict(fields(_message(value)))
                self.metadata[_text(entry.get(1, View(b"")))] = bytes(_message(entry.get(2, View(b"")))).decode("utf-8")
        if graph is None:
            raise ValueError("it holds no graph")
        return graph, opsets, functions, rest

    def graph(self, data: View, depth: int) -> tuple[OnnxGraph, list[View]]:
        if depth > MAX_DEPTH:
            raise ValueError(f"graphs within graphs, more than {MAX_DEPTH} deep")
        graph, rest = OnnxGraph(), []
        for number, value in fields(data):
            if number == 5:
                tensor = self.tensor(_message(value))
                if tensor.name in graph.initializers:
                    raise ValueError(f"the initializer {tensor.name[:200]!r} stands twice")
                graph.initializers[tensor.name] = tensor
                continue
            if isinstance(value, memoryview):
                rest.append(value)
            if number == 1:
                graph.nodes.append(self.node(_message(value), depth))
            elif number in (11, 12):
                (graph.inputs if number == 11 else graph.outputs).append(_value(_message(value)))
            elif number == 15:
                raise ValueError("it holds a sparse initializer, which is not read")
        return graph, rest

    def node(self, data: View, depth: int) -> OnnxNode:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"it has more than {MAX_NODES:,} nodes")
        lists: dict[int, list[str]] = {1: [], 2: []}
        texts = {3: "", 4: "", 7: ""}
        attributes: dict[str, Any] = {}
        for number, value in fields(data):
            if number in lists:
                lists[number].append(_text(value))
            elif number in texts:
                texts[number] = _text(value)
            elif number == 5:
                name, attribute = self.attribute(_message(value), depth)
                attributes[name] = attribute
        domain = "" if texts[7] == "ai.onnx" else texts[7]
        return OnnxNode(texts[4], domain, texts[3], tuple(lists[1]), tuple(lists[2]), attributes)

    def attribute(self, data: View, depth: int) -> tuple[str, Any]:
        name, kind = "", 0
        single: dict[int, Any] = {}
        lists: dict[int, list[Any]] = {7: [], 8: [], 9: []}
        for number, value in fields(data):
            if number == 1:
                name = _text(value)
            elif number == 20:
                kind = _number(value)
            elif number == 2:
                single[1] = struct.unpack("<f", _message(value))[0]
            elif number == 3:
                single[2] = signed(_number(value))
            elif number == 4:
                single[3] = bytes(_message(value))
            elif number == 5:
                single[4] = self.tensor(_message(value))
            elif number == 6:
                single[5] = self.graph(_message(value), depth + 1)[0]
            elif number == 7:
                lists[7] += np.frombuffer(_message(value), "<f4").tolist()
            elif number == 8:
                lists[8] += [signed(n) for n in _repeated(value)]
            elif number == 9:
                lists[9].append(bytes(_message(value)))
        found: dict[int, Any] = {**single, 6: lists[7], 7: lists[8], 8: lists[9]}
        if not kind:  # files of the first versions do not say
            kind = next(iter(single), next((i - 1 for i, entries in lists.items() if entries), 7))
        # A number that is 0 and a text that is empty need not be written.
        empty = {1: 0.0, 2: 0, 3: b""}
        if kind not in found and kind not in empty:
            raise ValueError(f"the attribute {name[:200]!r} is of the type {kind}, which is not read")
        value = found.get(kind, empty.get(kind))
        return name, value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def tensor(self, data: View) -> OnnxTensor:
        shape: list[int] = []
        kind, name = 0, ""
        typed: dict[int, list[View | int]] = {}
        raw: View | None = None
        entries: dict[str, str] = {}
        is_external = False
        for number, value in fields(data):
            if number == 1:
                shape += [signed(n) for n in _repeated(value)]
            elif number == 2:
                kind = _number(value)
            elif number == 8:
                name = _text(value)
            elif number == 9:
                raw = _message(value)
            elif number in (4, 5, 7, 10, 11):
                typed.setdefault(number, []).append(value)
            elif number == 13:
                entry = {key: _text(text) for key, text in fields(_message(value))}
                entries[entry.get(1, "")] = entry.get(2, "")
            elif number == 14:
                is_external = _number(value) == 1
        shown = repr(name[:200])
        if kind not in _TYPES:
            raise ValueError(f"the tensor {shown} is of the type {kind}, which is not read")
        dtype, _, bits = _TYPES[kind]
        if len(shape) > MAX_RANK or min(shape, default=0) < 0 or _elements(shape) > _MAX_ELEMENTS:
            raise ValueError(f"the tensor {shown} has the impossible shape {shape[:MAX_RANK]}")
        size = -(-_elements(shape) * bits // 8)
        if is_external:
            return OnnxTensor(name, dtype, tuple(shape), size, self._external(name, entries, size))
        content = np.frombuffer(raw, np.uint8) if raw is not None else _unpacked(typed, dtype, _elements(shape))
        if content.size != size:
            raise ValueError(
                f"the tensor {shown} of the shape {shape} needs {size:,} bytes and has {content.size:,}"
            )  # fmt: skip
        return OnnxTensor(name, dtype, tuple(shape), size, lambda: content)


def _unpacked(typed: Mapping[int, list[View | int]], dtype: str, elements: int) -> NDArray[np.uint8]:
    """Elements that stand in a field of their type instead of as bytes."""
    if dtype in ("f32", "f64"):
        parts = [bytes(_message(part)) for part in typed.get(4 if dtype == "f32" else 10, [])]
        return np.frombuffer(b"".join(parts), np.uint8)
    source = {"int64": 7, "uint32": 11, "uint64": 11}.get(dtype, 5)
    numbers = [n for part in typed.get(source, []) for n in _repeated(part)]
    numpy, bits = _BY_NAME[dtype]
    mask = (1 << max(bits, 8)) - 1
    # f16 and bf16 stand as their bits; two numbers of 4 bits share a byte.
    unsigned = np.array([n & mask for n in numbers], np.uint64)
    return unsigned.astype(f"<u{np.dtype(numpy).itemsize}").view(np.uint8)


def _value(data: View) -> OnnxValue:
    name, dtype = "", ""
    shape: tuple[int | str | None, ...] | None = None
    for number, value in fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for kind, content in fields(_message(value)):
                if kind != 1:
                    raise ValueError(f"the value {name[:200]!r} is no tensor")
                dtype, shape = _tensor_type(_message(content), name)
    return OnnxValue(name, dtype, shape)


def _tensor_type(data: View, name: str) -> tuple[str, tuple[int | str | None, ...] | None]:
    dtype = ""
    shape: list[int | str | None] | None = None
    for number, value in fields(data):
        if number == 1:
            kind = _number(value)
            if kind not in _TYPES and kind != 8:
                raise ValueError(f"the value {name[:200]!r} is of the type {kind}, which is not read")
            dtype = _TYPES[kind][0] if kind != 8 else STRING
        elif number == 2:
            shape = []
            for kind, dim in fields(_message(value)):
                if kind != 1:
                    continue
                entry = dict(fields(_message(dim)))
                size = signed(_number(entry[1])) if 1 in entry else -1
                symbol = _text(entry[2]) if 2 in entry else ""
                shape.append(size if size >= 0 else symbol or None)  # PaddlePaddle writes -1 for what is not known
            if len(shape) > MAX_RANK:
                raise ValueError(f"the value {name[:200]!r} has {len(shape):,} axes")
    return dtype, None if shape is None else tuple(shape)


def _repeated(value: View | int) -> Iterator[int]:
    """Numbers of a repeated field, packed or one by one."""
    yield from ([value] if isinstance(value, int) else varints(value))


def _elements(shape: tuple[int, ...] | list[int]) -> int:
    elements = 1
    for dim in shape:
        elements *= dim
    return elements


def _message(value: Any) -> View:
    if not isinstance(value, memoryview):
        raise ValueError("a field has the wrong type")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("a field has the wrong type")
    return value


def _text(value: Any) -> str:
    data = _message(value)
    if len(data) > MAX_NAME_BYTES:
        raise ValueError(f"a name of {len(data):,} bytes")
    return bytes(data).decode("utf-8")
