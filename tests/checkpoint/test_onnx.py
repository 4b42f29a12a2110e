"""ONNX files: what is read, and what is said of damaged and hostile ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.errors import CorruptFile, Unsupported

from . import onnx_builders as onnx
from .builders import proto_field


def _opened(tmp_path: Path, content: bytes) -> OnnxCheckpoint:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return OnnxCheckpoint(path)


def _with(initializer: bytes) -> bytes:
    return onnx.model([], [], [], [initializer])


def test_a_graph_is_read(tmp_path: Path) -> None:
    checkpoint = _opened(tmp_path, onnx.perceptron())
    graph = checkpoint.graph
    assert [node.op for node in graph.nodes] == ["MatMul", "Add", "Relu", "MatMul", "Softmax"]
    assert graph.nodes[0].place == "MatMul (node '/up/MatMul', output 'h')"
    assert graph.nodes[4].attributes == {"axis": -1}
    assert graph.inputs[0].shape == ("n", 8)
    assert checkpoint.opsets == {"": 18, "com.microsoft": 1}
    assert checkpoint.tensors["w"].shape == (8, 16)
    assert checkpoint.raw("w").size == 8 * 16 * 4
    assert checkpoint.tokenizer() is None


def test_what_the_authors_wrote_into_a_file(tmp_path: Path) -> None:
    more = proto_field(14, proto_field(1, "labels") + proto_field(2, "cat\nKatze ä")) + proto_field(14, b"")
    assert _opened(tmp_path, onnx.model([], [], [], more=more)).metadata == {"labels": "cat\nKatze ä", "": ""}
    damaged = proto_field(14, proto_field(1, "x") + proto_field(2, b"\xff"))
    with pytest.raises(CorruptFile):
        _opened(tmp_path, onnx.model([], [], [], more=damaged))


@pytest.mark.parametrize(
    ("kind", "fields", "wanted"),
    [
        (1, proto_field(4, onnx.packed_floats([1.5, -2.0])), np.array([1.5, -2.0], np.float32)),
        (6, proto_field(5, 3) + proto_field(5, 2**64 - 1), np.array([3, -1], np.int32)),
        (7, proto_field(7, 2**64 - 5) + proto_field(7, 7), np.array([-5, 7], np.int64)),
        (9, proto_field(5, 1) + proto_field(5, 0), np.array([True, False])),
        (10, proto_field(5, 0x3C00) + proto_field(5, 0xC000), np.array([1, -2], np.float16)),
        (16, proto_field(9, b"\x80\x3f\x00\xc0"), np.array([1, -2], np.float32)),
        (21, proto_field(9, b"\xf1"), np.array([1, 15], np.uint8)),
        (22, proto_field(9, b"\xf1"), np.array([1, -1], np.int8)),
    ],
)
def test_elements_of_every_type(tmp_path: Path, kind: int, fields: bytes, wanted: object) -> None:
    content = proto_field(1, 2) + proto_field(2, kind) + proto_field(8, "t") + fields
    found = _opened(tmp_path, _with(content)).graph.initializers["t"].array()
    np.testing.assert_array_equal(found, wanted, strict=True)


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    weights = np.arange(20, dtype=np.float32)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(weights.tobytes())
    part = onnx.external_tensor("w", (2, 3), location="data/weights.bin", offset="16", length="24")
    checkpoint = _opened(tmp_path, _with(part))
    np.testing.assert_array_equal(checkpoint.graph.initializers["w"].array(), weights[4:10].reshape(2, 3))
    before = checkpoint.fingerprint()
    (tmp_path / "data" / "weights.bin").write_bytes(weights.tobytes() + b"more")
    assert checkpoint.fingerprint() != before


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "", "C:\\weights.bin", "..\\w", "w\0", "link"]
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(CorruptFile, match="own folder"):
        _opened(folder, _with(onnx.external_tensor("w", (2,), location=location)))


def test_weights_that_are_missing_or_cut_off(tmp_path: Path) -> None:
    part = _with(onnx.external_tensor("w", (20,), location="weights.bin"))
    with pytest.raises(CorruptFile, match=r"'weights.bin', which cannot be read"):
        _opened(tmp_path, part)
    (tmp_path / "weights.bin").write_bytes(bytes(79))
    with pytest.raises(CorruptFile, match="truncated"):
        _opened(tmp_path, part)


def _deep(levels: int) -> bytes:
    graph = b""
    for _ in range(levels):
        inner = proto_field(1, "body") + proto_field(6, graph) + proto_field(20, 5)
        graph = proto_field(1, proto_field(4, "If") + proto_field(5, inner))
    return proto_field(7, graph)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no graph"),
        (onnx.perceptron()[:-40], "fields? of|ends inside"),
        (_with(proto_field(1, 2) + proto_field(2, 1) + proto_field(9, bytes(7))), "needs 8 bytes and has 7"),
        (_with(proto_field(1, 2**63) + proto_field(2, 1)), "impossible shape"),
        (_with(proto_field(1, 2**40) * 2 + proto_field(2, 1)), "impossible shape"),
        (_with(proto_field(2, 8)), "type 8"),
        (_with(onnx.external_tensor("w", (2,), location="w", offset="-1")), "no number of bytes"),
        (_with(onnx.external_tensor("w", (2,), location="w", length="7")), "needs 8 bytes and has 7"),
        (onnx.model([], [], [], [onnx.tensor("w", [1.0]), onnx.tensor("w", [1.0])]), "stands twice"),
        (_deep(12), "more than 8 deep"),
        (onnx.model([onnx.node("x" * 5000, [], [])], [], []), "name of 5,000 bytes"),
        (onnx.perceptron(more=proto_field(7, b"")), "two graphs"),
        (b"PK\x03\x04" + bytes(30), "sound ONNX"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(CorruptFile, match=what):
        _opened(tmp_path, content)


def test_functions_of_its_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"functions of its own: Gelu13"):
        _opened(tmp_path, onnx.perceptron(more=proto_field(25, proto_field(1, "Gelu13"))))
