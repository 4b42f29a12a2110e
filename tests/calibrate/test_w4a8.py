"""`w4a8`, from a folder of examples to answers. If these fail, 4 bits cost more than they may, or are not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.checkpoint import onnx_builders as onnx

import hearth
from golden.vision import CASES
from hearth import Vision
from hearth.calibrate import ExampleCalibration
from hearth.calibrate.examples import Examples
from hearth.errors import CorruptFile, HearthError, StorageError, Unsupported, UsageError

COUNT = 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(COUNT):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 20, 3)).astype(np.uint8)
        (folder / f"class{i % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"class{i % 2}" / f"{i}.png")
    return folder


def published(name: str, folder: Path) -> Path:
    case = next(case for case in CASES if case.recipe.name == name)
    height, width = case.recipe.size
    rules = {"image_processor_type": "ViTImageProcessor", "size": {"height": height, "width": width}}
    folder.mkdir()
    (folder / "preprocessor_config.json").write_text(json.dumps(rules))
    return case.write(folder)


def cosines(a: Any, b: Any) -> Any:
    x, y = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (a, b))
    return (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)


def test_w4a8_is_smaller_than_int8_and_near_f32(
    cache: Path, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = published("vit", tmp_path / "model")
    several = [str(path) for path in sorted(pictures.rglob("*.png"))]
    with Vision(model, quant="f32", threads=1) as exact, Vision(model, threads=1) as bytes_:
        expected = [out["logits"] for out in exact.outputs(several)]
        size = bytes_.info.manifest.facts.weights_bytes
    with Vision(model, quant="w4a8", calibrate=pictures, threads=1) as mixed:
        assert cosines([out["logits"] for out in mixed.outputs(several)], expected).mean() > 0.995
        made = mixed.info.manifest
    assert (made.quant, made.facts.weights_bytes < 0.95 * size) == ("w4a8", True)
    # What was calibrated with the same pictures is found, wherever they lie.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(pictures, elsewhere)
    monkeypatch.setattr(ExampleCalibration, "calibrated", None)
    with Vision(model, quant="w4a8", calibrate=elsewhere, threads=1) as again:
        assert again.info.manifest == made
    (elsewhere / "class0" / "0.png").write_bytes((elsewhere / "class1" / "1.png").read_bytes())
    with pytest.raises(TypeError):  # other pictures: it is calibrated anew
        Vision(model, quant="w4a8", calibrate=elsewhere, threads=1)


WEIGHTS: dict[str, Any] = {
    "w": np.random.default_rng(0).normal(size=(192, 64)).astype(np.float32),
    "b": np.random.default_rng(1).normal(size=64).astype(np.float32),
    "v": np.random.default_rng(2).normal(size=(64, 96)).astype(np.float32),
    "flat": np.array([1, 192], np.int64),
}


def graph_of_pictures(folder: Path) -> Path:
    """gelu(picture w + b) v."""
    nodes = [
        onnx.node("Reshape", ["picture", "flat"], ["x"]),
        onnx.node("MatMul", ["x", "w"], ["h"]),
        onnx.node("Add", ["h", "b"], ["h1"]),
        onnx.node("Gelu", ["h1"], ["h2"]),
        onnx.node("MatMul", ["h2", "v"], ["y"]),
    ]
    path = folder / "graph.onnx"
    inputs, outputs = [onnx.value("picture", [1, 3, 8, 8])], [onnx.value("y", [1, 96])]
    path.write_bytes(onnx.model(nodes, inputs, outputs, WEIGHTS))
    return path


def test_graphs_of_strangers_are_calibrated_by_pictures_and_by_arrays(
    cache: Path, tmp_path: Path, pictures: Path
) -> None:
    path, rng = graph_of_pictures(tmp_path), np.random.default_rng(3)
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for i in range(COUNT):
        np.savez(arrays / f"{i}.npz", picture=rng.standard_normal((1, 3, 8, 8)).astype(np.float32))
    given = rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
    with hearth.compile(path, quant="f32") as exact:
        expected = exact(given)
    for folder in (pictures, arrays):
        with hearth.compile(path, quant="w4a8", calibrate=folder) as graph:
            assert cosines(graph(given), expected).min() > 0.99


def test_a_graph_that_takes_no_pictures_asks_for_arrays(cache: Path, tmp_path: Path, pictures: Path) -> None:
    nodes = [onnx.node("MatMul", ["x", "v"], ["y"])]
    path = tmp_path / "vectors.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", ["n", 64])], [onnx.value("y", ["n", 96])], WEIGHTS))
    with pytest.raises(Unsupported, match="does not look at pictures"):
        hearth.compile(path, quant="w4a8", calibrate=pictures)
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for i in range(COUNT):
        (arrays / f"{i}.npz").write_bytes(b"nothing")
    with pytest.raises(CorruptFile, match=r"\.npz is no file of numpy arrays"):
        hearth.compile(path, quant="w4a8", calibrate=arrays)


@pytest.mark.parametrize(
    ("quant", "calibrate", "error", "says"),
    [
        ("w4a8", None, UsageError, "needs pictures to calibrate with"),
        ("int8", ".", UsageError, "say nothing for int8"),
        (None, ".", UsageError, "say nothing for the usual"),
        ("w4a8", "none", StorageError, "no folder"),
        ("w4a8", "empty", StorageError, "no pictures"),
        ("w4a8", "few", UsageError, "holds 3 pictures"),
        ("w5a8", None, UsageError, "'w4a8'"),
    ],
)
def test_calibration_that_cannot_be_is_refused_before_anything_is_read(
    quant: str | None, calibrate: str | None, error: type[HearthError], says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "few").mkdir()
    for i in range(3):
        (tmp_path / "few" / f"{i}.png").write_bytes(b"")
    with pytest.raises(error, match=says):
        Vision("a model that is nowhere", quant=quant, calibrate=calibrate, offline=True)


def test_of_many_files_some_of_each_folder_are_taken(tmp_path: Path) -> None:
    for kind in "abcd":
        (tmp_path / kind).mkdir()
        for i in range(30):
            (tmp_path / kind / f"{i}.png").write_bytes(b"")
    files = Examples.of_folder(tmp_path).files
    assert {kind: sum(path.parent.name == kind for path in files) for kind in "abcd"} == dict.fromkeys("abcd", 12)
