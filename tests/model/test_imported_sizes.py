"""Sizes that a user gives for axes that a graph leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.checkpoint.onnx_builders import model, node, value

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.errors import UsageError
from hearth.model.imported.onnx import import_onnx


@pytest.mark.parametrize("size", [0, -1, (3, 1), (0, 4), 1 << 31])
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, size: int | tuple[int, int]) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model([node("Relu", ["x"], ["y"])], [value("x", ["n", 4])], [value("y", ["n", 4])], {}))
    with pytest.raises(UsageError, match="n cannot be"):
        import_onnx(OnnxCheckpoint(file), {"n": size})
