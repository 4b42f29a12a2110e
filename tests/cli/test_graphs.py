"""`hearth compile` of graphs, and what other verbs say of them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.checkpoint import onnx_builders as onnx

from .conftest import Run


def _file(tmp_path: Path) -> Path:
    nodes = [onnx.node("Relu", ["x"], ["y"])]
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", ["n", 8])], [onnx.value("y", ["n", 8])]))
    return path


def test_a_graph_is_compiled(hearth: Run, tmp_path: Path) -> None:
    done = hearth("compile", str(_file(tmp_path)), "--size", "n=1:4")
    assert done.returncode == 0
    assert (Path(done.stdout.strip()) / "manifest.json").is_file()


def test_what_does_not_go_together_is_told(hearth: Run, tmp_path: Path) -> None:
    path = str(_file(tmp_path))
    for arguments, code, what in (
        (("compile", path, "--size", "batch=2"), 2, "leave open: n"),
        (("compile", path, "--size", "n=0"), 2, "no size"),
        (("compile", path, "--size", "n"), 2, "NAME=N"),
        (("compile", path, "--context", "100"), 2, "language models"),
        (("compile", "starter", "--size", "n=1"), 2, "--size NAME=N is for"),
        (("compile", str(tmp_path / "other.onnx")), 3, "no file"),
        (("chat", path), 5, "no language model"),
        (("ask", path, "Hello"), 5, f"hearth compile {path}"),
    ):
        done = hearth(*arguments)
        assert done.returncode == code, done.stderr
        assert what in done.stderr


def test_operations_that_cannot_be_compiled_are_told(hearth: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [onnx.node("Strange", ["x"], ["a"], name="first"), onnx.node("Odd", ["a"], ["y"])]
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [8])], [onnx.value("y", [8])]))
    done = hearth("compile", str(path))
    assert done.returncode == 5
    assert "Strange (node 'first', output 'a'); Odd ('y')" in done.stderr


def test_weights_outside_the_folder_are_refused(hearth: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model([], [], [], [onnx.external_tensor("w", (2,), location="../secret.bin")]))
    done = hearth("compile", str(path))
    assert done.returncode == 4
    assert "own folder" in done.stderr


def test_a_graph_is_shown_before_it_is_compiled(hearth: Run, tmp_path: Path) -> None:
    done = hearth("show", str(_file(tmp_path)))
    assert done.returncode == 0
    assert "Relu 1" in done.stdout
    assert "n x 8" in done.stdout
    assert "not known" not in done.stdout
    path = tmp_path / "odd.onnx"
    path.write_bytes(
        onnx.model([onnx.node("Odd", ["x"], ["y"])], [onnx.value("x", [None, 8])], [onnx.value("y", [None, 8])])
    )
    about = json.loads(hearth("show", str(path), "--json").stdout)
    assert about["unknown"] == ["Odd"]
    assert about["inputs"] == [{"name": "x", "dtype": "f32", "shape": [None, 8]}]
    refused = hearth("show", str(path), "--quant", "q8")
    assert refused.returncode == 2
    assert "is a graph" in refused.stderr
