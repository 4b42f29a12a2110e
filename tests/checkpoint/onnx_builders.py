"""ONNX files written field by field, so that damaged and hostile ones can be made."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .builders import proto_field

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def _int(number: int, value: int) -> bytes:
    return proto_field(number, value % (1 << 64))


def tensor(name: str, array: Any) -> bytes:
    """TensorProto with its elements as bytes."""
    array = np.asarray(array)
    dims = b"".join(_int(1, size) for size in array.shape)
    return dims + _int(2, _TYPES[str(array.dtype)]) + proto_field(8, name) + proto_field(9, array.tobytes())


def external_tensor(name: str, shape: Sequence[int], **entries: str) -> bytes:
    """TensorProto of f32 whose elements stand in another file."""
    dims = b"".join(_int(1, size) for size in shape)
    places = b"".join(proto_field(13, proto_field(1, key) + proto_field(2, value)) for key, value in entries.items())
    return dims + _int(2, 1) + proto_field(8, name) + places + _int(14, 1)


def attribute(name: str, value: Any) -> bytes:
    start = proto_field(1, name)
    match value:
        case float():
            return start + proto_field(2, value) + _int(20, 1)
        case int():
            return start + _int(3, value) + _int(20, 2)
        case str():
            return start + proto_field(4, value) + _int(20, 3)
        case np.ndarray():
            return start + proto_field(5, tensor("", value)) + _int(20, 4)
        case [float(), *_]:
            return start + b"".join(proto_field(7, item) for item in value) + _int(20, 6)
        case _:
            return start + b"".join(_int(8, item) for item in value) + _int(20, 7)


def node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], *, name: str = "", domain: str = "", **attributes: Any
) -> bytes:
    return (
        b"".join(proto_field(1, item) for item in inputs)
        + b"".join(proto_field(2, item) for item in outputs)
        + proto_field(3, name)
        + proto_field(4, op)
        + b"".join(proto_field(5, attribute(key, value)) for key, value in attributes.items())
        + proto_field(7, domain)
    )


def value(name: str, shape: Sequence[int | str | None], dtype: str = "float32") -> bytes:
    dims = b"".join(
        proto_field(1, b"" if dim is None else _int(1, dim) if isinstance(dim, int) else proto_field(2, dim))
        for dim in shape
    )
    return proto_field(1, name) + proto_field(2, proto_field(1, _int(1, _TYPES[dtype]) + proto_field(2, dims)))


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    initializers: Mapping[str, Any] | Sequence[bytes] = (),
    *,
    opset: int = 18,
    more: bytes = b"",
) -> bytes:
    """ModelProto; `more` is appended as it is."""
    if isinstance(initializers, Mapping):
        initializers = [tensor(name, array) for name, array in initializers.items()]
    graph = b"".join(
        proto_field(number, part)
        for number, parts in ((1, nodes), (5, initializers), (11, inputs), (12, outputs))
        for part in parts
    )
    opsets = proto_field(8, proto_field(1, "") + _int(2, opset)) + proto_field(
        8, proto_field(1, "com.microsoft") + _int(2, 1)
    )
    return _int(1, 8) + proto_field(7, graph) + opsets + more


def perceptron(**about: Any) -> bytes:
    """A small sound model: softmax(relu(x w + b) v)."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(8, 16)).astype(np.float32),
        "b": rng.normal(size=16).astype(np.float32),
        "v": rng.normal(size=(16, 4)).astype(np.float32),
    }
    nodes = [
        node("MatMul", ["x", "w"], ["h"], name="/up/MatMul"),
        node("Add", ["b", "h"], ["h1"]),
        node("Relu", ["h1"], ["h2"]),
        node("MatMul", ["h2", "v"], ["h3"], name="/down/MatMul"),
        node("Softmax", ["h3"], ["y"], axis=-1),
    ]
    return model(nodes, [value("x", ["n", 8])], [value("y", ["n", 4])], weights, **about)


def packed_floats(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)
