"""How vectors are made of texts: read from what was published, kept in a bundle, and hostile files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.torch_files.writing import write_torch
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.embedding import Dense, EmbeddingSpec, load_embedding, save_embedding
from hearth.checkpoint.safetensors import SafetensorsFile
from hearth.checkpoint.sentence_modules import published_embedding
from hearth.errors import CorruptFile, HearthError

from .builders import entry, gguf_bytes, model_folder, safetensors_bytes

MODULES = [
    {"idx": number, "path": f"{number}_{kind}" if number else "", "type": f"sentence_transformers.models.{kind}"}
    for number, kind in enumerate(("Transformer", "Pooling", "Dense", "Normalize"))
]
DENSE = {"in_features": 3, "out_features": 2, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}


def folder(path: Path, **files: Any) -> Path:
    """An embedding model; `files` are written over it (`__` stands for a dot, `___` for a slash)."""
    model_folder(path)
    weights = safetensors_bytes(
        {"linear.weight": entry("F32", (2, 3), 0, 24), "linear.bias": entry("F32", (2,), 24, 32)},
        np.arange(8, dtype="<f4").tobytes(),
    )
    contents: dict[str, Any] = {
        "modules.json": MODULES,
        "1_Pooling/config.json": {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False},
        "2_Dense/config.json": DENSE,
        "2_Dense/model.safetensors": weights,
        "config_sentence_transformers.json": {"prompts": {"query": "Q: "}, "default_prompt_name": "query"},
        "sentence_bert_config.json": {"do_lower_case": True},
    }
    contents |= {name.replace("___", "/").replace("__", "."): content for name, content in files.items()}
    for name, content in contents.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def read(path: Path) -> EmbeddingSpec | None:
    return published_embedding(open_checkpoint(path))


def test_what_a_folder_says_travels_with_the_bundle(tmp_path: Path) -> None:
    save_embedding(read(folder(tmp_path)), tmp_path)
    spec = load_embedding(tmp_path)
    assert spec is not None
    assert (spec.pooling, spec.prompts, spec.default_prompt, spec.lowercase) == (
        ("lasttoken",),
        {"query": "Q: "},
        "query",
        True,
    )
    dense, last = spec.steps
    assert isinstance(dense, Dense)
    np.testing.assert_array_equal(dense.weight, np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(dense.bias, np.array([6, 7], np.float32))  # type: ignore[arg-type]
    assert (dense.activation, last, spec.size(3)) == ("tanh", "normalize", 2)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({}, ("mean",)),
        ({"pooling_mode_mean_tokens": False}, ("mean",)),  # none chosen: sentence-transformers takes the mean
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, ("cls", "max")),
        ({"pooling_mode": "weightedmean"}, ("weightedmean",)),
        ({"pooling_mode": ["lasttoken", "cls"], "pooling_mode_mean_tokens": True}, ("lasttoken", "cls")),
    ],
)
def test_pooling_is_read_in_its_old_and_its_new_form(tmp_path: Path, config: Any, pooling: tuple[str, ...]) -> None:
    spec = read(folder(tmp_path, **{"1_Pooling___config__json": config}))
    assert spec is not None
    assert spec.pooling == pooling


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"modules__json": MODULES[:1]}, "no pooling"),
        ({"modules__json": [*MODULES[:2], MODULES[1]]}, "'Pooling'"),
        ({"modules__json": [*MODULES, MODULES[3] | {"type": "x.Router"}]}, "'Router'"),
        ({"1_Pooling___config__json": {"pooling_mode": "attention"}}, "pools in a way"),
        ({"2_Dense___config__json": DENSE | {"activation_function": "torch.nn.SELU"}}, "'SELU'"),
        ({"2_Dense___config__json": DENSE | {"use_residual": True}}, "2_Dense"),
        ({"config_sentence_transformers__json": {"prompts": {}, "default_prompt_name": "web"}}, "default prompt 'web'"),
    ],
)
def test_what_cannot_be_computed_is_kept_by_name(tmp_path: Path, files: dict[str, Any], named: str) -> None:
    spec = read(folder(tmp_path, **files))
    assert spec is not None
    assert named in spec.refused
    save_embedding(spec, tmp_path)
    kept = load_embedding(tmp_path)
    assert kept is not None
    assert kept.refused == spec.refused


def test_dense_weights_in_either_form_are_the_same(tmp_path: Path) -> None:
    folder(tmp_path)
    before = read(tmp_path)
    file = SafetensorsFile(tmp_path / "2_Dense/model.safetensors")
    stored = {name: (info.dtype, info.shape, file.raw(name).tobytes()) for name, info in file.tensors.items()}
    (tmp_path / "2_Dense/model.safetensors").unlink()
    without = read(tmp_path)
    assert without is not None
    assert "2_Dense are missing" in without.refused
    write_torch(tmp_path / "2_Dense/pytorch_model.bin", stored)
    after = read(tmp_path)
    layers = [[step for step in spec.steps if isinstance(step, Dense)] for spec in (before, after) if spec is not None]
    assert [len(each) for each in layers] == [1, 1]
    (one,), (other,) = layers
    np.testing.assert_array_equal(one.weight, other.weight)
    assert (other.bias is None) == (one.bias is None)


@pytest.mark.parametrize(("number", "pooling"), [(1, ("mean",)), (2, ("cls",)), (3, ("lasttoken",))])
def test_pooling_of_a_gguf_file(tmp_path: Path, number: int, pooling: tuple[str, ...]) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf_bytes({"llama.pooling_type": number}))
    spec = read(tmp_path / "model.gguf")
    assert spec is not None
    assert (spec.pooling, spec.steps, spec.refused) == (pooling, ("normalize",), "")


@pytest.mark.parametrize(("number", "named"), [(0, "pooling_type 0"), (4, "ranks documents"), (9, "pooling_type 9")])
def test_pooling_of_a_gguf_file_that_gives_no_vector_is_named(tmp_path: Path, number: int, named: str) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf_bytes({"llama.pooling_type": number}))
    spec = read(tmp_path / "model.gguf")
    assert spec is not None
    assert named in spec.refused


def test_a_model_that_says_nothing_has_nothing(tmp_path: Path) -> None:
    assert read(model_folder(tmp_path)) is None
    assert save_embedding(None, tmp_path) == []
    assert load_embedding(tmp_path) is None


HOSTILE: list[Any] = [None, True, -1, 1e308, "", "x" * 999, "../..", "/", [], [None], {}, [{}], {"a": []}]


def test_no_value_of_any_file_breaks_the_reader(tmp_path: Path) -> None:
    folder(tmp_path)
    paths = [path for path in sorted(tmp_path.rglob("*.json")) if path.name != "model.safetensors.index.json"]
    for path in paths:
        plain = path.read_bytes()
        content = json.loads(plain)
        table = content[1] if isinstance(content, list) else content
        for key in [*table, None]:
            for value in HOSTILE:
                changed = value if key is None else {**table, key: value}
                path.write_text(json.dumps([content[0], changed] if isinstance(content, list) else changed))
                with contextlib.suppress(HearthError):
                    read(tmp_path)
        path.write_bytes(plain)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00", b"numbers"])
def test_damaged_layers_of_a_bundle_are_refused(tmp_path: Path, data: bytes) -> None:
    layer = Dense(np.eye(4, dtype=np.float32), None, "tanh")
    _, dense = save_embedding(EmbeddingSpec(steps=(layer,)), tmp_path)
    dense.write_bytes(data)
    with pytest.raises(CorruptFile, match=r"embedding.json is damaged.*--force"):
        load_embedding(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pooling": ["x"], "steps": [], "prompts": {}}', '{"steps": [3]}'])
def test_a_damaged_file_of_a_bundle_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "embedding.json").write_text(text)
    with pytest.raises(CorruptFile):
        load_embedding(tmp_path)
