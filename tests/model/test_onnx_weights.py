"""Encoders in ONNX files: the model's tensors, under the names that exporters and quantisers leave out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoint.onnx_builders import model, node, value
from tests.encoding.graph import evaluated, tensor, texts_of

from golden import ENCODER_CASES
from hearth.checkpoint import open_checkpoint
from hearth.errors import CompileError, CorruptFile, ModelNotFound, Unsupported
from hearth.model.encoder.load import load_encoder
from hearth.model.encoder.onnx_weights import open_encoder

CASE = next(case for case in ENCODER_CASES if case.name == "bert-tags")
TABLE = "bert.embeddings.word_embeddings.weight"
SCALE, ZERO = np.float32(0.02), np.uint8(120)


def exported(folder: Path, *, nested: bool = False, without: str = "", bias: bool = True) -> Path:
    """The golden tagger as exporters leave it: matrices transposed and without a name, a table in 8 bits.

    Args:
        without: a tensor that is left out.
        bias: without, matrices keep their names, and nothing says any more that they are transposed but their use.
    """
    golden = open_checkpoint(CASE.path)
    initializers: dict[str, Any] = {}
    nodes, inputs, outputs = [], [], []
    for name in golden.tensors:
        weight = tensor(golden, name)
        added = name.removesuffix("weight") + "bias"
        if name == without:
            continue
        if name == TABLE:
            integers = np.clip(np.round(weight / SCALE) + ZERO, 0, 255).astype(np.uint8)
            initializers |= {f"{name}_quantized": integers, f"{name}_scale": SCALE, f"{name}_zero_point": ZERO}
        elif weight.ndim == 2 and added in golden.tensors:
            number = len(outputs)
            matrix = f"onnx::MatMul_{number}" if bias else name
            initializers[matrix] = np.ascontiguousarray(weight.T)
            nodes.append(node("MatMul", [f"x{number}", matrix], [f"h{number}" if bias else f"y{number}"]))
            if bias:
                nodes.append(node("Add", [added, f"h{number}"], [f"y{number}"]))
            inputs.append(value(f"x{number}", ["n", weight.shape[1]]))
            outputs.append(value(f"y{number}", ["n", weight.shape[0]]))
        else:
            initializers[name] = weight
    initializers["/bert/Constant_3"] = np.ones(3, np.float32)
    place = folder / "onnx" if nested else folder
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(CASE.path / "config.json", folder)
    (place / "model.onnx").write_bytes(model(nodes, inputs, outputs, initializers))
    return place / "model.onnx"


@pytest.mark.parametrize("nested", [False, True])
def test_the_tensors_are_those_of_the_model(tmp_path: Path, nested: bool) -> None:
    checkpoint, golden = open_encoder(exported(tmp_path, nested=nested)), open_checkpoint(CASE.path)
    assert checkpoint.tensors.keys() == golden.tensors.keys()
    for name in golden.tensors:
        weight = tensor(golden, name)
        if name == TABLE:
            weight = (np.clip(np.round(weight / SCALE) + ZERO, 0, 255) - ZERO).astype(np.float32) * SCALE
        np.testing.assert_array_equal(tensor(checkpoint, name), weight)
    loaded = load_encoder(checkpoint)
    assert loaded.task == load_encoder(golden).task
    assert loaded.config == load_encoder(golden).config


def test_it_computes_what_the_folder_computes(tmp_path: Path) -> None:
    texts = texts_of(CASE)
    expected, found = evaluated(CASE.path, texts)[1], evaluated(exported(tmp_path), texts)[1]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 0.1 * np.abs(theirs).max()  # the table's 8 bits


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    file = exported(tmp_path, without="bert.encoder.layer.0.output.dense.weight")
    with pytest.raises(CorruptFile, match=r"layer\.0\.output\.dense\.weight"):
        load_encoder(open_encoder(file))
    with pytest.raises(CorruptFile, match=r"\.weight' is missing"):
        load_encoder(open_encoder(exported(tmp_path, bias=False)))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        open_encoder(file)


def test_another_configuration_is_another_fingerprint(tmp_path: Path) -> None:
    file = exported(tmp_path)
    before = open_encoder(file).fingerprint()
    assert open_encoder(file).fingerprint() == before
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + "\n")
    assert open_encoder(file).fingerprint() != before


def test_a_graph_of_another_kind_is_refused_by_the_door(tmp_path: Path, cache: Path) -> None:
    from hearth import Embedder

    file = exported(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(Unsupported, match="no encoder that Hearth knows"):
        Embedder(file, offline=True)


def test_without_the_compiler_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hearth.model.imported.onnx", None)
    with pytest.raises(CompileError, match=r"pip install 'hearth-run\[compile\]'"):
        open_encoder(exported(tmp_path))
